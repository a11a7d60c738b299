//! The source's schema on the target, in two parts: what rows need before they come (tables, keys, replica identities, rights),
//! and what is built over them afterwards (indexes, constraints, triggers, policies).
//!
//! `pg_dump` of the source's own version says what there is; each of its entries runs over our own session, so that every error
//! is known by object and SQLSTATE. None is ignored; what is passed over is in the outcome.

mod classify;
pub mod compare;
mod dump;
mod facts;
mod finish;
mod inventory;
mod phase;
mod restore;
pub mod toc;
mod undo;

use std::collections::BTreeSet;

use changeover_domain::{Failure, Side};
use serde::{Deserialize, Serialize};

use crate::{
    Migration,
    failpoint::{Step, step},
    membership, note, verify,
};
pub use dump::BIN_VARIABLE;
use facts::Facts;
use phase::{Keys, Phase, phase};
use restore::{Named, Restore};
use toc::{Entry, Script};
pub use undo::undo;

/// Prefix of notes of entries restored before data, without rights.
const BEFORE: &str = "schema:before:";
/// Prefix of notes of entries about rights. The source's rights change when replication is set up; its objects must not.
const RIGHTS: &str = "schema:rights:";
/// Prefix of notes of entries restored after data.
const AFTER: &str = "schema:after:";
/// A list in an outcome is never longer.
const MOST_NAMED: usize = 20;

/// What a part of the restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaOutcome {
    /// Objects of the dump that are on the target now, by this part.
    pub objects: u64,
    /// Tables among them.
    pub tables: u64,
    /// What was not carried over and why; a person should read it.
    pub reported: Vec<String>,
    /// Objects that the target's server words otherwise, although they were made by the same statements.
    pub reworded: u64,
}

/// Makes sure that each database of the target has the source's tables with their keys and replica identities, types,
/// functions, views and rights. Nothing that slows the initial copy or could fire during it.
///
/// # Errors
/// CO0410/CO0411 (memberships), CO0420/CO0421 (dump), CO0422 (extension), CO0423 (there already), CO0424/CO0425/CO0427 (an
/// entry's error).
pub async fn ensure_before_data(migration: &Migration) -> Result<SchemaOutcome, Failure> {
    membership::ensure(migration, Side::Source).await?;
    membership::ensure(migration, Side::Target).await?;
    let silent = |_: String| {};
    let mut outcome = SchemaOutcome::default();
    for database in migration.databases() {
        undo::keep_baseline(migration, &database.name).await?;
        step(Step::Baseline)?;
        let plan = Plan::read(migration, &database.name).await?;
        let mut restore =
            Restore::open(migration, &database.name, &plan.facts, plan.standard_strings, false, &silent).await?;
        let (objects, rights): (Vec<Named>, Vec<Named>) =
            plan.part(Phase::BeforeData).into_iter().partition(|n| !n.entry.is_acl());
        outcome.objects += restore.run(&objects, BEFORE).await?;
        restore.take_create_back().await?;
        outcome.objects += restore.run(&rights, RIGHTS).await?;
        outcome.tables += objects.iter().filter(|named| named.entry.kind == "TABLE").count() as u64;
        outcome.reported.extend(restore.passed_over(&[BEFORE, RIGHTS]).await?);
        outcome.reported.extend(plan.remarks(&database.name));
        outcome.reported.extend(other_versions(&plan.facts, &mut restore).await?);
        step(Step::Schema)?;
    }
    outcome.reported.truncate(MOST_NAMED);
    Ok(outcome)
}

/// Makes sure that the rest of the schema is there: indexes, constraints, triggers (those that fire on apply switched off in the
/// transaction that makes them), rules, policies; then materialized views filled and everything analyzed; then that both
/// schemas are the same. `heartbeat` is told every few seconds what is being built.
///
/// # Errors
/// CO0426 when the source's schema isn't what was restored before data, CO0427 when rows violate a constraint, CO0428 when the
/// schemas differ in the end, CO0424/CO0425 for any other error of an entry.
pub async fn ensure_after_data(
    migration: &Migration,
    heartbeat: &(dyn Fn(String) + Send + Sync),
) -> Result<SchemaOutcome, Failure> {
    membership::ensure(migration, Side::Target).await?;
    let mut outcome = SchemaOutcome::default();
    for database in migration.databases() {
        let plan = Plan::read(migration, &database.name).await?;
        let mut restore =
            Restore::open(migration, &database.name, &plan.facts, plan.standard_strings, true, heartbeat).await?;
        unchanged(&plan, &mut restore).await?;
        let entries = plan.part(Phase::AfterData);
        outcome.objects += restore.run(&entries, AFTER).await?;
        restore.take_create_back().await?;
        outcome.tables += entries.iter().filter(|named| named.entry.kind == "TABLE").count() as u64;
        outcome.reported.extend(restore.passed_over(&[AFTER]).await?);
        finish::fill_views(restore.session(), &plan.entries, &plan.facts, heartbeat).await?;
        finish::analyze(restore.session(), heartbeat).await?;
        step(Step::Finished)?;
    }
    let differences = compare::run(migration).await?;
    if let Some(first) = differences.server_rights.first() {
        let count = differences.server_rights.len();
        outcome
            .reported
            .push(format!("{count} rights on objects of superusers differ between the sides, the first: {first}"));
    }
    outcome.reworded = differences.reworded.len() as u64;
    outcome.reported.truncate(MOST_NAMED);
    if let Some(first) = differences.objects.first() {
        let message =
            format!("the schemas of both sides differ in {} objects, the first: {first}", differences.objects.len());
        let remedy = "make them alike (the message names the object), then `changeover retry`";
        return Err(Failure::needs_human("CO0428", message, remedy));
    }
    verify::keep_wording(migration).await?;
    Ok(outcome)
}

/// What is to be restored into one database.
struct Plan {
    standard_strings: bool,
    entries: Vec<Entry>,
    names: Vec<String>,
    keys: Keys,
    facts: Facts,
}

impl Plan {
    async fn read(migration: &Migration, database: &str) -> Result<Self, Failure> {
        let session = migration.source.open(database, "schema").await?;
        let facts = facts::read(&session).await?;
        drop(session);
        let Script { standard_strings, entries } = dump::schema(migration, Side::Source, database).await?;
        Ok(Self { standard_strings, names: phase::names(&entries), keys: Keys::new(&facts), entries, facts })
    }

    /// The entries of a phase in the script's order.
    fn part(&self, wanted: Phase) -> Vec<Named> {
        let all = self.entries.iter().zip(&self.names);
        all.filter(|(entry, _)| phase(entry, &self.keys) == wanted)
            .map(|(entry, name)| Named { name: name.clone(), entry: entry.clone() })
            .collect()
    }

    /// What isn't carried over by its nature.
    fn remarks(&self, database: &str) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .part(Phase::Report)
            .iter()
            .map(|named| {
                format!(
                    "{database}: {} is not carried over: make it on the target when its data may flow there",
                    named.entry.title()
                )
            })
            .collect();
        remarks.extend(
            self.facts
                .invalid_indexes
                .iter()
                .map(|index| format!("{database}: the index {index} is invalid on the source and was left out")),
        );
        if !self.facts.has_public {
            remarks.push(format!("{database}: the source has no schema public; the target keeps its own"));
        }
        remarks
    }
}

/// The objects restored before data must be the source's objects still.
async fn unchanged(plan: &Plan, restore: &mut Restore<'_>) -> Result<(), Failure> {
    let session = restore.session();
    let done: BTreeSet<String> = note::keys(&**session, Side::Target, BEFORE).await?.into_iter().collect();
    let now: Vec<Named> = plan.part(Phase::BeforeData).into_iter().filter(|named| !named.entry.is_acl()).collect();
    let new = now.iter().find(|named| !done.contains(&named.name)).map(|named| named.entry.title());
    let names: BTreeSet<&String> = now.iter().map(|named| &named.name).collect();
    let gone = match done.iter().find(|name| !names.contains(name)) {
        Some(name) => note::get::<String>(&**session, Side::Target, &format!("{BEFORE}{name}")).await?,
        None => None,
    };
    let Some(title) = new.or(gone) else { return Ok(()) };
    let message = format!("{} of the source: {title} is not what was restored before the copy", session.database);
    let remedy = "the source's schema was changed during the migration: change it back, or abort and start anew";
    Err(Failure::needs_human("CO0426", message, remedy))
}

/// Extensions of another version than the source's. pg_dump doesn't carry versions.
async fn other_versions(facts: &Facts, restore: &mut Restore<'_>) -> Result<Vec<String>, Failure> {
    let session = restore.session();
    let rows = session
        .query("select extname::text, extversion from pg_catalog.pg_extension order by 1", &[])
        .await
        .map_err(session.failed("reading extensions"))?;
    let differs = |name: &str, version: &str| {
        facts.extensions.get(name).filter(|e| e.version != version).map(|e| e.version.clone())
    };
    let mut found = Vec::new();
    for row in &rows {
        let (name, version): (String, String) = (row.get(0), row.get(1));
        if let Some(source) = differs(&name, &version) {
            found.push(format!(
                "{}: extension {name} is {version} on the target, {source} on the source",
                session.database
            ));
        }
    }
    Ok(found)
}

/// Schemas that belong to tools, not to the application: the same ones that preflight leaves out.
fn own_schemas(migration: &Migration) -> BTreeSet<String> {
    changeover_domain::preflight::tool_schemas(&migration.spec).into_iter().collect()
}
