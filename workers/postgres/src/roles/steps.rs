//! Which statements turn one snapshot into another. Pure: what is read comes in, SQL comes out.

use changeover_domain::{Ident, ident::literal};

use super::{
    setting,
    snapshot::{DatabaseState, Membership, Role, Setting},
};

/// One statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// The statement.
    pub sql: String,
    /// Run it as this role, where that can be had; else as the login.
    pub as_role: Option<String>,
    /// When the server refuses it for want of a right: what a person has to do instead. None: the refusal is a failure.
    pub or_report: Option<String>,
}

impl Step {
    pub fn new(sql: String) -> Self {
        Self { sql, ..Self::default() }
    }
    /// A step whose refusal is reported in its own words.
    pub fn reported(sql: String, report: String) -> Self {
        Self { sql, or_report: Some(report), ..Self::default() }
    }
    pub fn by(mut self, role: Option<&str>) -> Self {
        self.as_role = role.map(str::to_owned);
        self
    }
}

/// `CREATE ROLE` with everything that the login may set.
pub(super) fn create_role(role: &Role, login: bool) -> Step {
    let name = Ident::new(&*role.name);
    let mut sql = format!("create role {name} {}", word("login", login));
    for (option, wanted) in options(role) {
        sql.push_str(&format!(" {}", word(option, wanted)));
    }
    if role.connection_limit != -1 {
        sql.push_str(&format!(" connection limit {}", role.connection_limit));
    }
    if let Some(until) = until(role) {
        sql.push_str(&format!(" valid until {}", literal(until)));
    }
    Step::new(sql)
}

/// `ALTER ROLE` for what differs; none when nothing does.
pub(super) fn alter_role(want: &Role, login: bool, have: &Role) -> Option<Step> {
    let mut changes = Vec::new();
    if login != have.login {
        changes.push(word("login", login));
    }
    for ((option, wanted), (_, found)) in options(want).into_iter().zip(options(have)) {
        if wanted != found {
            changes.push(word(option, wanted));
        }
    }
    if want.connection_limit != have.connection_limit {
        changes.push(format!("connection limit {}", want.connection_limit));
    }
    if until(want) != until(have) {
        changes.push(format!("valid until {}", literal(until(want).unwrap_or("infinity"))));
    }
    (!changes.is_empty()).then(|| Step::new(format!("alter role {} {}", Ident::new(&*want.name), changes.join(" "))))
}

/// Attributes that only a superuser may give: reported, never tried.
pub(super) fn superuser_attributes(want: &Role, have: Option<&Role>) -> Vec<String> {
    let name = Ident::new(&*want.name);
    let mut reports = Vec::new();
    if want.replication && !have.is_some_and(|h| h.replication) {
        reports.push(format!("alter role {name} replication (on RDS: grant rds_replication to {name})"));
    }
    if want.bypassrls && !have.is_some_and(|h| h.bypassrls) {
        reports.push(format!("alter role {name} bypassrls"));
    }
    reports
}

pub(super) fn comment(kind: &str, name: &str, want: Option<&str>, have: Option<&str>) -> Option<Step> {
    let text = want.map_or_else(|| "null".to_owned(), literal);
    (want != have).then(|| Step::new(format!("comment on {kind} {} is {text}", Ident::new(name))))
}

/// Grants what is wanted and isn't there. A grantor that can have granted it does so again, after it got its own right to.
pub(super) fn grant_memberships(
    want: &[Membership],
    have: &[Membership],
    may_grant: impl Fn(&Membership, &str) -> bool,
) -> Vec<Step> {
    let there = |m: &Membership| have.iter().any(|h| h.role == m.role && h.member == m.member && (h.admin || !m.admin));
    let mut waiting: Vec<&Membership> = want.iter().filter(|m| !there(m)).collect();
    let mut steps = Vec::new();
    let mut granted: Vec<&Membership> = have.iter().collect();
    while !waiting.is_empty() {
        let ready = |m: &Membership, granted: &[&Membership]| match m.grantor.as_deref() {
            Some(g) if may_grant(m, g) => granted.iter().any(|h| h.admin && h.role == m.role && h.member == g),
            _ => true,
        };
        let at = waiting.iter().position(|m| ready(m, &granted));
        let m = waiting.remove(at.unwrap_or(0));
        let grantor = m.grantor.as_deref().filter(|g| at.is_some() && may_grant(m, g));
        let option = if m.admin { " with admin option" } else { "" };
        let sql = format!("grant {} to {}{option}", Ident::new(&*m.role), Ident::new(&*m.member));
        steps.push(Step::reported(sql.clone(), sql).by(grantor));
        granted.push(m);
    }
    steps
}

/// Revokes memberships that are there and not wanted.
pub(super) fn revoke_memberships(want: &[Membership], have: &[Membership]) -> Vec<Step> {
    let mut steps = Vec::new();
    for h in have {
        let names = format!("{} from {}", Ident::new(&*h.role), Ident::new(&*h.member));
        match want.iter().find(|m| m.role == h.role && m.member == h.member) {
            None => steps.push(Step::new(format!("revoke {names}"))),
            Some(m) if h.admin && !m.admin => steps.push(Step::new(format!("revoke admin option for {names}"))),
            Some(_) => {}
        }
    }
    steps
}

/// Sets what is wanted; with `exact` also resets what isn't.
pub(super) fn settings(want: &[Setting], have: &[Setting], exact: bool) -> Vec<Step> {
    let same_place = |a: &Setting, b: &Setting| a.role == b.role && a.database == b.database && a.name == b.name;
    let mut steps = Vec::new();
    for w in want.iter().filter(|w| !have.contains(w)) {
        let report = format!("{} set {} …", setting_owner(w), setting::parameter(&w.name));
        steps.push(Step::reported(
            format!("{} set {}", setting_owner(w), setting::assignment(&w.name, &w.value)),
            report,
        ));
    }
    for h in have.iter().filter(|h| exact && !want.iter().any(|w| same_place(w, h))) {
        steps.push(Step::new(format!("{} reset {}", setting_owner(h), setting::parameter(&h.name))));
    }
    steps
}

fn setting_owner(setting: &Setting) -> String {
    match (&setting.role, &setting.database) {
        (Some(role), None) => format!("alter role {}", Ident::new(&**role)),
        (Some(role), Some(database)) => {
            format!("alter role {} in database {}", Ident::new(&**role), Ident::new(&**database))
        }
        (None, Some(database)) => format!("alter database {}", Ident::new(&**database)),
        (None, None) => "alter role all".to_owned(),
    }
}

/// Connection limit and comment of a database.
pub(super) fn database_properties(want: &DatabaseState, have: &DatabaseState) -> Vec<Step> {
    let mut steps = Vec::new();
    if want.connection_limit != have.connection_limit {
        steps.push(Step::new(format!(
            "alter database {} connection limit {}",
            Ident::new(&*want.name),
            want.connection_limit
        )));
    }
    steps.extend(comment("database", &want.name, want.comment.as_deref(), have.comment.as_deref()));
    steps
}

fn options(role: &Role) -> [(&'static str, bool); 3] {
    [("inherit", role.inherit), ("createrole", role.createrole), ("createdb", role.createdb)]
}

fn word(option: &str, wanted: bool) -> String {
    if wanted { option.to_owned() } else { format!("no{option}") }
}

/// `infinity` and nothing mean the same.
fn until(role: &Role) -> Option<&str> {
    role.valid_until.as_deref().filter(|text| *text != "infinity")
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
