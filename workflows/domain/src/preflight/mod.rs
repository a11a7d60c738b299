//! Preflight's rules: what was measured on both sides goes in, findings come out.
//!
//! A blocker stops the migration before it begins; a warning endangers it; an info says what will be done. A finding names
//! its object, and its remedy is a command where that is possible. Whatever could not be looked at is a finding itself.

pub mod facts;
pub mod finding;

mod activity;
mod capacity;
mod codes;
mod consumers;
mod disk;
mod extensions;
mod keys;
mod objects;
mod pooler;
mod rights;
mod security;
mod sequences;
mod server;
mod tables;
mod target;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use codes::CODES;
pub use facts::Facts;
pub use finding::{Findings, Place};

use crate::{
    Side,
    proto::{DatabaseFacts, Finding, PreflightReport, Severity, Spec},
};

/// Major versions for which this engine has been proven.
pub const PROVEN_MAJORS: std::ops::RangeInclusive<u32> = 15..=15;

/// Schemas that belong to tools, never to the application: ours, pglogical's, RDS's, and the escalation functions', whether or
/// not the spec names one.
pub fn tool_schemas(spec: &Spec) -> Vec<String> {
    let known = [crate::names::HOME, "pglogical", "rds_tools", "changeover_escalation"];
    let mut schemas: Vec<String> = known.map(str::to_owned).into();
    for endpoint in [spec.source.as_ref(), spec.target.as_ref()].into_iter().flatten() {
        if let Some((schema, _)) = endpoint.escalation.split_once('.')
            && !schemas.iter().any(|s| s == schema)
        {
            schemas.push(schema.to_owned());
        }
    }
    schemas
}

/// Judges the facts. Sorted by severity, then code.
pub fn judge(spec: &Spec, facts: &Facts) -> Vec<Finding> {
    let mut out = Findings::default();
    unseen(facts, &mut out);
    for side in [Side::Source, Side::Target] {
        server::check(spec, facts, side, &mut out);
        capacity::check(spec, facts, side, &mut out);
        rights::check(spec, facts, side, &mut out);
        activity::check(spec, facts, side, &mut out);
        consumers::check(spec, facts, side, &mut out);
    }
    server::compare(facts, &mut out);
    disk::check(spec, facts, &mut out);
    target::check(spec, facts, &mut out);
    target::roles(spec, facts, &mut out);
    for database in &facts.databases {
        let listed = spec.databases.iter().find(|d| d.name == database.name);
        let insert_only = listed.map_or(&[][..], |d| &d.insert_only_tables);
        keys::check(database, insert_only, &mut out);
        tables::check(facts, database, &mut out);
        security::check(facts, database, &mut out);
        sequences::check(spec, facts, database, &mut out);
        objects::check(facts, database, &mut out);
        extensions::check(facts, database, &mut out);
        target::occupied(database, &mut out);
    }
    pooler::check(spec, facts, &mut out);
    out.finish()
}

/// The report: the judged facts and the figures that `changeover plan` prints.
pub fn report(spec: &Spec, facts: &Facts) -> PreflightReport {
    PreflightReport {
        findings: judge(spec, facts),
        databases: facts.databases.iter().map(figures).collect(),
        source_version: facts.source.version.unwrap_or_default(),
        target_version: facts.target.version.unwrap_or_default(),
        engine: "pglogical".to_owned(),
    }
}

/// Whether anything stops the migration.
pub fn is_blocked(report: &PreflightReport) -> bool {
    report.findings.iter().any(|f| f.severity() == Severity::Blocker)
}

fn figures(database: &facts::Database) -> DatabaseFacts {
    let tables = database.tables.iter().flatten().filter(|t| t.holds_rows());
    let rows = tables.clone().map(|t| u64::try_from(t.rows).unwrap_or_default()).sum();
    DatabaseFacts {
        name: database.name.clone(),
        bytes: database.bytes.unwrap_or_default(),
        tables: tables.count() as u64,
        rows_estimated: rows,
        sequences: database.sequences.as_ref().map_or(0, Vec::len) as u64,
    }
}

fn unseen(facts: &Facts, out: &mut Findings) {
    for look in &facts.unseen {
        let place = Place::database(look.side, &look.database).object(look.what.clone());
        out.blocker(look.code, &place, look.message.clone(), look.remedy.clone());
    }
}

/// Application roles: those that log in, without superusers, tools' roles, our two logins and what the spec keeps.
/// The same definition closes the target and fences a side.
fn is_application_role(spec: &Spec, role: &str, superuser: bool) -> bool {
    let ours = [spec.source.as_ref(), spec.target.as_ref()].into_iter().flatten().any(|e| e.user == role)
        || spec.replication.as_ref().is_some_and(|r| r.user == role);
    let kept = spec.roles.as_ref().is_some_and(|r| r.keep_login.iter().any(|k| k == role));
    !superuser && !ours && !kept && !role.starts_with("rds_") && !role.starts_with("pg_") && role != "rdsadmin"
}

/// The replication login's name as the spec has it.
fn replication_user(spec: &Spec) -> &str {
    spec.replication.as_ref().map_or("", |r| r.user.as_str())
}
