//! Row-level security against the logins that copy and verify.
//!
//! Every session has `row_security = off`: a policy that would filter is an error, never a silent loss of rows. Policies
//! don't apply to superusers, to BYPASSRLS, and, unless FORCE is set, to members of the table's owner (documentation, 5.8).

use super::{
    Findings, Place,
    facts::{Database, Facts},
    finding::list,
};
use crate::{Ident, Side};

/// Tables of a database that policies would hide from us.
pub(super) fn check(facts: &Facts, database: &Database, out: &mut Findings) {
    let place = Place::database(Side::Source, &database.name);
    let filtered = filtered_logins(facts);
    let mut by_membership = Vec::new();
    for table in database.tables.iter().flatten().filter(|t| t.row_security && t.kind != "f") {
        if !table.force_row_security {
            by_membership.push(table.raw());
            continue;
        }
        if filtered.is_empty() {
            continue;
        }
        let message =
            format!("FORCE ROW LEVEL SECURITY hides its rows from {}, even as members of the owner", list(&filtered));
        let alter = filtered
            .iter()
            .map(|l| format!("as a superuser: alter role {} bypassrls;", Ident::new(l.as_str())))
            .collect::<Vec<_>>()
            .join(" ");
        let remedy = format!(
            "{alter} or for the time of the migration: alter table {} no force row level security;",
            table.sql()
        );
        out.blocker("CO0330", &place.object(table.raw()), message, remedy);
    }
    if !by_membership.is_empty() && !filtered.is_empty() {
        let message = format!(
            "row-level security is on for {}: {} read it as members of its owner",
            list(&by_membership),
            list(&filtered)
        );
        out.info(
            "CO0330",
            &place,
            message,
            "nothing to do; Changeover grants the membership for the time of the migration",
        );
    }
}

/// Our logins to which policies apply: names, each once.
fn filtered_logins(facts: &Facts) -> Vec<String> {
    let mut names = Vec::new();
    for side in [Side::Source, Side::Target] {
        let Some(server) = &facts.instance(side).server else { continue };
        if !(server.login.superuser || server.login.bypass_rls) {
            names.push(server.login.name.clone());
        }
        if let Some(login) = &server.replication_login
            && side == Side::Source
            && !(login.superuser || login.bypass_rls)
        {
            names.push(login.name.clone());
        }
    }
    names.sort();
    names.dedup();
    names
}
