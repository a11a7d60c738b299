//! Roles of the source on the target, closed: every one of them without LOGIN until the decision.
//!
//! Three transactions in the target's control database, each of which may run again: roles with memberships and settings; what
//! belongs to the databases as a whole; passwords. The state before the first change is kept in a note, so that `undo` can go
//! back to it; roles that were made are noted one by one in the transaction that makes them.

pub(crate) mod acl;
mod setting;
pub mod snapshot;
pub(crate) mod steps;
mod undo;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use changeover_domain::{Failure, Ident, Side, ident::literal};
use postgres_protocol::password::scram_sha_256;
use serde::{Deserialize, Serialize};
use tokio_postgres::Transaction;

use crate::{
    Migration, Session,
    failpoint::{Step as Place, step},
    membership, note, unlogged,
};
use snapshot::{Role, Snapshot};
use steps::Step;
pub use undo::undo;

/// The state of the target before the first change.
const BASELINE: &str = "roles:baseline";
/// Prefix of notes of roles that were made.
const CREATED: &str = "roles:created:";
/// Names of the roles that were carried over, whether made or found.
const CARRIED: &str = "roles:carried";
/// Prefix of notes of roles that the target's login was made a member of, since the source's login is.
const JOINED: &str = "roles:joined:";
/// Closed sessions must be gone within this.
const SESSIONS_GONE: Duration = Duration::from_secs(15);
/// A list in an outcome is never longer.
const MOST_NAMED: usize = 200;

/// What `ensure` did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolesOutcome {
    /// Roles that were made on the target, in this run or an earlier one.
    pub created: u64,
    /// Roles that had been there before.
    pub existing: u64,
    /// Roles that log in on the source and whose password the spec doesn't give: somebody has to set it.
    pub without_password: Vec<String>,
    /// What the login may not do and an administrator has to; statements without values.
    pub to_be_set: Vec<String>,
}

/// Makes sure that the target has the source's roles, closed, and that its databases have the source's owners, rights,
/// settings, limits and comments; that the login has the rights of owners and grantors on both sides; and that no session of
/// an application's role is left on the target.
///
/// # Errors
/// CO0411 (membership), CO0412 (the target is open already), CO0413 (password for a role that doesn't log in),
/// CO0415 (sessions that don't end), CO02xx from the server.
pub async fn ensure(migration: &Migration) -> Result<RolesOutcome, Failure> {
    membership::ensure(migration, Side::Source).await?;
    let needed = membership::needed(migration).await?;
    let names = database_names(migration);
    let source = snapshot::read(&*migration.source.open_maintenance("roles").await?, Side::Source, &names).await?;
    let mut session = migration.target.open(migration.control_database(), "roles").await?;
    refuse_when_open(&session).await?;
    let lent = membership::lent(&session, Side::Source).await?;
    let view = View { migration, source, needed, lent, names };
    let mut reports = carry_roles(&view, &mut session).await?;
    step(Place::Roles)?;
    membership::ensure(migration, Side::Target).await?;
    reports.extend(carry_databases(&view, &mut session).await?);
    step(Place::Databases)?;
    let without_password = set_passwords(&view, &mut session).await?;
    step(Place::Passwords)?;
    end_sessions(&session).await?;
    let created = note::keys(&*session, Side::Target, CREATED).await?.len() as u64;
    let existing = (view.carried().count() as u64).saturating_sub(created);
    reports.sort();
    reports.dedup();
    Ok(RolesOutcome { created, existing, without_password: bounded(without_password), to_be_set: bounded(reports) })
}

/// What planning looks at.
struct View<'a> {
    migration: &'a Migration,
    source: Snapshot,
    needed: BTreeSet<String>,
    /// Roles that the source's login belongs to for the time of the migration only.
    lent: BTreeSet<String>,
    names: Vec<String>,
}

impl View<'_> {
    /// The roles to carry over: all but superusers, the server's own, and the two logins of the migration. The source's login
    /// is an application's role when the target's has another name and it owns something.
    fn carried(&self) -> impl Iterator<Item = &Role> {
        self.source.roles.iter().filter(|role| !role.superuser && !self.is_ours(&role.name))
    }
    fn is_ours(&self, name: &str) -> bool {
        let (source, target) = (&self.migration.source.address.user, &self.migration.target.address.user);
        name == target || name == self.migration.replication_user || (name == source && !self.needed.contains(name))
    }
    fn is_carried(&self, name: &str) -> bool {
        self.carried().any(|role| role.name == name)
    }
    /// Memberships of the source's login that aren't the migration's, in words of the target's login.
    fn logins_own(&self) -> impl Iterator<Item = snapshot::Membership> {
        let (source, target) = (&self.migration.source.address.user, &self.migration.target.address.user);
        let own = |m: &&snapshot::Membership| {
            m.member == *source && !self.is_carried(source) && self.is_carried(&m.role) && !self.lent.contains(&m.role)
        };
        let all = self.source.memberships.iter().filter(own).cloned();
        all.map(|m| snapshot::Membership { member: target.clone(), grantor: None, ..m })
    }
    fn keeps_login(&self, name: &str) -> bool {
        self.migration.spec.roles.as_ref().is_some_and(|roles| roles.keep_login.iter().any(|keep| keep == name))
    }
}

/// The names of the migration's databases.
fn database_names(migration: &Migration) -> Vec<String> {
    migration.databases().iter().map(|database| database.name.clone()).collect()
}

fn bounded(mut list: Vec<String>) -> Vec<String> {
    let more = list.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        list.truncate(MOST_NAMED);
        list.push(format!("… and {more} more"));
    }
    list
}

/// After the decision the roles of the target belong to the application again.
async fn refuse_when_open(session: &Session) -> Result<(), Failure> {
    let open: bool = session
        .query_one("select exists (select from changeover.decision where outcome = 'open')", &[])
        .await
        .map_err(session.failed("reading decisions"))?
        .get(0);
    if open {
        return Err(Failure::invariant("CO0412", "the target has been opened already: its roles are not closed again"));
    }
    Ok(())
}

async fn carry_roles(view: &View<'_>, session: &mut Session) -> Result<Vec<String>, Failure> {
    let failed = session.failed("carrying roles over");
    let transaction = session.transaction().await.map_err(&failed)?;
    let have = snapshot::read(&transaction, Side::Target, &view.names).await?;
    note::put_once(&transaction, Side::Target, BASELINE, &have).await?;
    let carried: Vec<&str> = view.carried().map(|role| role.name.as_str()).collect();
    note::put(&transaction, Side::Target, CARRIED, &carried).await?;
    let mut reports = Vec::new();
    for role in view.carried() {
        reports.extend(carry_role(view, &transaction, role, have.role(&role.name)).await?);
    }
    close_others(view, &transaction, &have).await?;
    let known = |name: &str| view.is_carried(name) || (view.source.role(name).is_none());
    let memberships: Vec<_> =
        view.source.memberships.iter().filter(|m| view.is_carried(&m.member) && known(&m.role)).cloned().collect();
    let may_grant = |m: &snapshot::Membership, grantor: &str| {
        view.is_carried(grantor)
            && view.source.memberships.iter().any(|h| h.admin && h.role == m.role && h.member == grantor)
    };
    for step in steps::grant_memberships(&memberships, &have.memberships, may_grant) {
        reports.extend(run_step(&transaction, &step).await?);
    }
    reports.extend(join_as_on_source(view, &transaction, &have).await?);
    let settings: Vec<_> = view
        .source
        .settings
        .iter()
        .filter(|s| {
            s.role.as_deref().is_none_or(|role| view.is_carried(role)) && (s.role.is_some() || s.database.is_none())
        })
        .cloned()
        .collect();
    for step in steps::settings(&settings, &have.settings, false) {
        reports.extend(run_step(&transaction, &step).await?);
    }
    step(Place::RolesOpen)?;
    transaction.commit().await.map_err(&failed)?;
    Ok(reports)
}

/// Makes the target's login a member of what the source's login is a member of: an owner's database is run by who belongs to him.
async fn join_as_on_source(
    view: &View<'_>,
    transaction: &Transaction<'_>,
    have: &Snapshot,
) -> Result<Vec<String>, Failure> {
    let mut reports = Vec::new();
    let wanted: Vec<_> = view.logins_own().collect();
    for membership in &wanted {
        if !have.memberships.iter().any(|h| h.role == membership.role && h.member == membership.member) {
            note::put(transaction, Side::Target, &format!("{JOINED}{}", membership.role), &()).await?;
        }
    }
    for step in steps::grant_memberships(&wanted, &have.memberships, |_, _| false) {
        reports.extend(run_step(transaction, &step).await?);
    }
    Ok(reports)
}

/// One role: made or altered, without LOGIN (unless the spec keeps it), and remembered if it logs in.
async fn carry_role(
    view: &View<'_>,
    transaction: &Transaction<'_>,
    want: &Role,
    have: Option<&Role>,
) -> Result<Vec<String>, Failure> {
    let login = want.login && view.keeps_login(&want.name);
    let mut reports = steps::superuser_attributes(want, have);
    if have.is_some_and(|h| h.superuser) {
        reports.push(format!("role {} is a superuser on the target: it isn't closed", Ident::new(&*want.name)));
        return Ok(reports);
    }
    let step = match have {
        None => {
            note::put(transaction, Side::Target, &format!("{CREATED}{}", want.name), &()).await?;
            Some(steps::create_role(want, login))
        }
        Some(have) => steps::alter_role(want, login, have),
    };
    let comment = steps::comment("role", &want.name, want.comment.as_deref(), have.and_then(|h| h.comment.as_deref()));
    for step in step.into_iter().chain(comment) {
        reports.extend(run_step(transaction, &step).await.map_err(|e| not_closed(e, &want.name))?);
    }
    if want.login && !view.keeps_login(&want.name) {
        remember_login(transaction, &want.name).await?;
    }
    Ok(reports)
}

/// Login roles that only the target has are closed as well.
async fn close_others(view: &View<'_>, transaction: &Transaction<'_>, have: &Snapshot) -> Result<(), Failure> {
    for role in &have.roles {
        if role.login
            && !role.superuser
            && !view.is_ours(&role.name)
            && !view.keeps_login(&role.name)
            && !view.is_carried(&role.name)
        {
            let step = Step::new(format!("alter role {} nologin", Ident::new(&*role.name)));
            run_step(transaction, &step).await.map_err(|e| not_closed(e, &role.name))?;
            remember_login(transaction, &role.name).await?;
        }
    }
    Ok(())
}

/// A role that is on the target already and that the login may not alter (it has REPLICATION, or belongs to somebody else).
fn not_closed(mut failure: Failure, role: &str) -> Failure {
    if failure.sqlstate.as_deref() == Some("42501") {
        failure.code = "CO0416".to_owned();
        failure.remedy = format!(
            "if {role} is no application's login, list it in keep_login; else have an administrator drop it on the target"
        );
        return failure.during(&format!("closing the role {role}"));
    }
    failure
}

async fn remember_login(transaction: &Transaction<'_>, role: &str) -> Result<(), Failure> {
    transaction
        .execute("insert into changeover.saved_login (role) values ($1::text::name) on conflict do nothing", &[&role])
        .await
        .map(drop)
        .map_err(|e| crate::error::failure(Side::Target, "remembering a login", &e))
}

async fn carry_databases(view: &View<'_>, session: &mut Session) -> Result<Vec<String>, Failure> {
    let failed = session.failed("carrying the databases' properties over");
    let transaction = session.transaction().await.map_err(&failed)?;
    let mut reports = Vec::new();
    let have = snapshot::read(&transaction, Side::Target, &view.names).await?;
    for (want, have) in view.source.databases.iter().filter_map(|want| Some((want, have.database(&want.name)?))) {
        if want.owner == have.owner {
            continue;
        }
        if view.is_carried(&want.owner) {
            let sql = format!("alter database {} owner to {}", Ident::new(&*want.name), Ident::new(&*want.owner));
            run_step(&transaction, &Step::new(sql)).await?;
        } else {
            reports.push(format!("alter database {} owner to {}", Ident::new(&*want.name), Ident::new(&*want.owner)));
        }
    }
    let have = snapshot::read(&transaction, Side::Target, &view.names).await?;
    for (want, have) in view.source.databases.iter().filter_map(|want| Some((want, have.database(&want.name)?))) {
        let wanted = acl_for(view, want, have);
        let spared = [view.migration.target.address.user.as_str(), view.migration.replication_user.as_str()];
        let mut all = steps::database_properties(want, have);
        all.extend(acl::changes(
            &format!("database {}", Ident::new(&*want.name)),
            &have.owner,
            &wanted,
            &have.acl,
            &spared,
        ));
        for step in all {
            reports.extend(run_step(&transaction, &step).await?);
        }
    }
    let of_databases = |s: &&snapshot::Setting| s.role.is_none() && s.database.is_some();
    let want: Vec<_> = view.source.settings.iter().filter(of_databases).cloned().collect();
    for step in steps::settings(&want, &have.settings, false) {
        reports.extend(run_step(&transaction, &step).await?);
    }
    transaction.commit().await.map_err(&failed)?;
    Ok(reports)
}

/// The source's rights on a database in the target's words: its owner there stands for the owner here, and what concerns roles
/// that aren't carried over is left out.
fn acl_for(view: &View<'_>, want: &snapshot::DatabaseState, have: &snapshot::DatabaseState) -> Vec<snapshot::Grant> {
    let translate = |name: &str| if name == want.owner { have.owner.clone() } else { name.to_owned() };
    let known = |name: &str| name == have.owner || view.is_carried(name) || view.is_ours(name);
    want.acl
        .iter()
        .map(|g| snapshot::Grant {
            grantor: translate(&g.grantor),
            grantee: g.grantee.as_deref().map(translate),
            ..g.clone()
        })
        .filter(|g| known(&g.grantor) && g.grantee.as_deref().is_none_or(known))
        .collect()
}

/// Sets the passwords that the spec refers to, as SCRAM verifiers computed here. Returns who still needs one.
async fn set_passwords(view: &View<'_>, session: &mut Session) -> Result<Vec<String>, Failure> {
    let passwords = view.migration.spec.roles.as_ref().map(|roles| roles.passwords.as_slice()).unwrap_or_default();
    let mut statements = Vec::new();
    for given in passwords {
        if !view.carried().any(|role| role.name == given.role && role.login) {
            let message =
                format!("the spec gives a password for {}, which is no application's login on the source", given.role);
            return Err(Failure::refused("CO0413", message, "take it out of [roles], or correct its name"));
        }
        let password = view.migration.secret(given.password.as_ref(), &format!("role {}", given.role))?;
        let verifier = scram_sha_256(password.expose().as_bytes());
        statements.push(format!("alter role {} password {}", Ident::new(&*given.role), literal(&verifier)));
    }
    if !statements.is_empty() {
        unlogged::run(session, "setting passwords", &statements).await?;
    }
    let created: BTreeSet<String> = note::keys(&**session, Side::Target, CREATED).await?.into_iter().collect();
    let given = |name: &str| passwords.iter().any(|p| p.role == name);
    Ok(view
        .carried()
        .filter(|r| r.login && created.contains(&r.name) && !given(&r.name))
        .map(|r| r.name.clone())
        .collect())
}

/// Ends the sessions of closed roles and proves that none is left: three looks without one, since a login that was under way
/// when the role was closed shows up a moment later.
async fn end_sessions(session: &Session) -> Result<(), Failure> {
    let sql = "select count(pg_catalog.pg_terminate_backend(a.pid)) from pg_catalog.pg_stat_activity a \
               where a.usename in (select role from changeover.saved_login)";
    let begun = Instant::now();
    let mut quiet = 0;
    while quiet < 3 {
        let found: i64 =
            session.query_one(sql, &[]).await.map_err(session.failed("ending sessions of closed roles"))?.get(0);
        quiet = if found == 0 { quiet + 1 } else { 0 };
        if quiet < 3 {
            if begun.elapsed() > SESSIONS_GONE {
                let message = format!("{found} sessions of closed roles on the target don't end");
                return Err(Failure::needs_human("CO0415", message, "end them, then `changeover retry`"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Runs a step inside a savepoint. Returns what a person has to do when the server refused it for want of a right.
pub(crate) async fn run_step(transaction: &Transaction<'_>, step: &Step) -> Result<Option<String>, Failure> {
    if let Some(role) = &step.as_role
        && try_as(transaction, step, role).await?
    {
        return Ok(None);
    }
    let failed = |e| crate::error::failure(Side::Target, "carrying roles and databases over", &e);
    transaction.batch_execute("savepoint step").await.map_err(failed)?;
    match transaction.batch_execute(&step.sql).await {
        Ok(()) => transaction.batch_execute("release savepoint step").await.map_err(failed).map(|()| None),
        Err(error) => {
            let failure = failed(error);
            match (&step.or_report, failure.sqlstate.as_deref()) {
                // insufficient_privilege, undefined_object (an unknown parameter, a tablespace), invalid_parameter_value
                (Some(report), Some("42501" | "42704" | "22023")) => {
                    transaction.batch_execute("rollback to savepoint step").await.map_err(failed)?;
                    Ok(Some(report.clone()))
                }
                _ => Err(failure),
            }
        }
    }
}

/// Runs a step as another role; false when that can't be had. The membership that it takes is gone at the end.
async fn try_as(transaction: &Transaction<'_>, step: &Step, role: &str) -> Result<bool, Failure> {
    let failed = |e| crate::error::failure(Side::Target, "granting as another role", &e);
    let member: Option<bool> = transaction
        .query_opt(
            "select pg_catalog.pg_has_role(current_user, oid, 'member') from pg_catalog.pg_roles where rolname = $1",
            &[&role],
        )
        .await
        .map_err(failed)?
        .map(|row| row.get(0));
    let Some(member) = member else { return Ok(false) };
    let role = Ident::new(role);
    let (join, leave) = if member {
        (String::new(), String::new())
    } else {
        (format!("grant {role} to current_user;"), format!("revoke {role} from current_user;"))
    };
    transaction.batch_execute("savepoint other").await.map_err(failed)?;
    let sql = format!("{join} set local role {role}; {}; reset role; {leave} release savepoint other", step.sql);
    match transaction.batch_execute(&sql).await {
        Ok(()) => Ok(true),
        Err(error) => {
            let failure = failed(error);
            if !matches!(failure.sqlstate.as_deref(), Some("42501" | "0LP01")) {
                return Err(failure);
            }
            transaction.batch_execute("rollback to savepoint other").await.map_err(failed)?;
            Ok(false)
        }
    }
}
