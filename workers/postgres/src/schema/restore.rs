//! Runs entries of a dump on the target over our own session, so that every error has its SQLSTATE and its object.
//!
//! Entries run in batches, each in one transaction together with a note per entry: what is noted has happened, what isn't has
//! not, wherever a worker died.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use changeover_domain::{Failure, Ident, QualifiedName, Side};
use serde::{Deserialize, Serialize};
use tokio_postgres::Transaction;

use super::{
    classify,
    facts::{Facts, Owned, TriggerState},
    toc::Entry,
};
use crate::{
    Migration, Session, error,
    failpoint::{Step, step},
    note, patience, triggers, unlogged,
};

/// Prefix of notes of rights to create that were given for the time of the restore.
const CREATE_RIGHT: &str = "schema:create:";
/// Prefix of notes of entries that were passed over.
const PASSED: &str = "schema:passed:";
/// Entries in one transaction before data, when nobody else is there. Each takes a handful of locks.
const BATCH_BEFORE: usize = 100;
/// Entries in one transaction while replication applies rows: few, so that it waits for few tables at once.
const BATCH_AFTER: usize = 10;
/// Pause between two attempts at a batch whose locks couldn't be had.
const PAUSE: Duration = Duration::from_millis(600);
/// After so long without its locks a batch fails, as something that passes.
const DEADLINE: Duration = Duration::from_secs(300);

/// An entry with the name by which it's remembered.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: String,
    pub entry: Entry,
}

/// An entry that was passed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Passed {
    title: String,
    why: String,
    /// It's about rights.
    right: bool,
}

impl Passed {
    fn new(entry: &Entry, why: &str) -> Self {
        Self { title: entry.title(), why: why.to_owned(), right: entry.is_acl() }
    }
}

/// Rights are many at a time, such as those on an extension's functions: they make one line.
fn in_few_lines(database: &str, all: &[Passed]) -> Vec<String> {
    let (rights, others): (Vec<&Passed>, Vec<&Passed>) = all.iter().partition(|passed| passed.right);
    let mut lines: Vec<String> =
        others.iter().map(|p| format!("{database}: {} was not carried over: {}", p.title, p.why)).collect();
    if let Some(first) = rights.first() {
        lines.push(format!(
            "{database}: rights on {} objects of superusers were not carried over, the first: {}: {}; a superuser of the target can give them",
            rights.len(),
            first.title,
            first.why
        ));
    }
    lines
}

/// Told what is going on, now and then.
pub(super) type Heartbeat<'a> = &'a (dyn Fn(String) + Send + Sync);

/// A restore into one database of the target.
pub(super) struct Restore<'a> {
    session: Session,
    facts: &'a Facts,
    /// Roles that own something, by schema; the login is in each.
    creators: BTreeMap<&'a str, Vec<&'a str>>,
    /// Schemas whose creators have been looked after.
    prepared: BTreeSet<String>,
    while_applying: bool,
    heartbeat: Heartbeat<'a>,
}

impl<'a> Restore<'a> {
    /// Opens a session with the settings of a restore; a dead worker's statements end soon after it (14+). `standard_strings`: how the script's literals are written.
    pub async fn open(
        migration: &'a Migration,
        database: &str,
        facts: &'a Facts,
        standard_strings: bool,
        while_applying: bool,
        heartbeat: Heartbeat<'a>,
    ) -> Result<Self, Failure> {
        let session = migration.target.open(database, "schema").await?;
        let strings = if standard_strings { "on" } else { "off" };
        let settings = format!(
            "set search_path = ''; set check_function_bodies = off; set xmloption = content; \
             set standard_conforming_strings = {strings}; set maintenance_work_mem = '128MB'; set lock_timeout = 0; \
             select pg_catalog.set_config(name, '2s', false) from pg_catalog.pg_settings \
              where name = 'client_connection_check_interval'"
        );
        session.batch_execute(&settings).await.map_err(session.failed("preparing the restore"))?;
        let login = migration.target.address.user.as_str();
        let mut creators: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (schema, owner) in &facts.owners {
            creators.entry(schema).or_insert_with(|| vec![login]).push(owner);
        }
        Ok(Self { session, facts, creators, prepared: BTreeSet::new(), while_applying, heartbeat })
    }

    /// Runs what isn't noted under `prefix` yet, in order. Returns how many entries are done.
    pub async fn run(&mut self, entries: &[Named], prefix: &str) -> Result<u64, Failure> {
        let done: BTreeSet<String> = note::keys(&*self.session, Side::Target, prefix).await?.into_iter().collect();
        let todo: Vec<&Named> = entries.iter().filter(|named| !done.contains(&named.name)).collect();
        for batch in batches(&todo, self.while_applying) {
            let first = batch.first().map(|named| named.entry.title()).unwrap_or_default();
            let text = format!("{}: {first}", self.session.database);
            let heartbeat = self.heartbeat;
            alive(heartbeat, &text, self.run_patiently(batch, prefix)).await?;
        }
        Ok(entries.len() as u64)
    }

    /// Gives up and tries again while replication holds a lock that the batch needs.
    async fn run_patiently(&mut self, batch: &[&Named], prefix: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match self.run_batch(batch, prefix).await {
                Err(failure) if patience::is_lock(&failure) && begun.elapsed() < DEADLINE => {
                    tokio::time::sleep(PAUSE).await
                }
                outcome => return outcome,
            }
        }
    }

    async fn run_batch(&mut self, batch: &[&Named], prefix: &str) -> Result<(), Failure> {
        let database = self.session.database.clone();
        let mut prepared = self.prepared.clone();
        let transaction = self.session.transaction().await.map_err(failed("restoring"))?;
        if self.while_applying {
            transaction.batch_execute(&patience::bound()).await.map_err(failed("restoring"))?;
        }
        for named in batch {
            let entry = &named.entry;
            if let Some(schema) = entry.schema.as_deref().filter(|s| !entry.is_acl() && !prepared.contains(*s)) {
                give_create(&transaction, schema, self.creators.get(schema).map(Vec::as_slice).unwrap_or_default())
                    .await?;
                prepared.insert(schema.to_owned());
            }
            if let Some(passed) = run_entry(&transaction, self.facts, entry, &database).await? {
                note::put(&transaction, Side::Target, &format!("{PASSED}{}", named.name), &passed).await?;
            }
            note::put(&transaction, Side::Target, &format!("{prefix}{}", named.name), &entry.title()).await?;
        }
        if batch.iter().any(|named| named.entry.kind == "TYPE") {
            set_owners(&transaction, &self.facts.multiranges).await?;
        }
        if batch.iter().any(|named| named.entry.kind == "TRIGGER" || named.entry.kind == "CONSTRAINT TRIGGER") {
            set_clones(&transaction, &self.facts.clones).await?;
            triggers::quiet(&transaction, Side::Target).await?;
        }
        step(Step::BatchOpen)?;
        transaction.commit().await.map_err(failed("restoring"))?;
        self.prepared = prepared;
        step(Step::Batch)
    }

    /// What was passed over of that which is noted under `prefixes`, in this run of the restore or an earlier one, in few lines.
    pub async fn passed_over(&self, prefixes: &[&str]) -> Result<Vec<String>, Failure> {
        let mut done = BTreeSet::new();
        for prefix in prefixes {
            done.extend(note::keys(&*self.session, Side::Target, prefix).await?);
        }
        let mut all = Vec::new();
        for key in note::keys(&*self.session, Side::Target, PASSED).await?.iter().filter(|key| done.contains(*key)) {
            all.extend(note::get::<Passed>(&*self.session, Side::Target, &format!("{PASSED}{key}")).await?);
        }
        Ok(in_few_lines(&self.session.database, &all))
    }

    /// Takes back the rights to create that were given for the time of the restore.
    pub async fn take_create_back(&mut self) -> Result<(), Failure> {
        take_create_back(&mut self.session).await?;
        self.prepared.clear();
        Ok(())
    }

    /// The session, for what comes after.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Takes back, in a database of the target, the rights to create that a restore gave.
pub(super) async fn take_create_back(session: &mut Session) -> Result<(), Failure> {
    let transaction = session.transaction().await.map_err(failed("taking rights back"))?;
    for key in note::keys(&transaction, Side::Target, CREATE_RIGHT).await? {
        let key = format!("{CREATE_RIGHT}{key}");
        if let Some((schema, role)) = note::get::<(String, String)>(&transaction, Side::Target, &key).await? {
            let sql = format!("revoke create on schema {} from {}", Ident::new(schema), Ident::new(role));
            transaction.batch_execute(&sql).await.map_err(failed("taking rights back"))?;
        }
        note::forget(&transaction, Side::Target, &key).await?;
    }
    transaction.commit().await.map_err(failed("taking rights back"))
}

/// An owner must be able to create in a schema before he can be given something in it (documentation, ALTER TABLE, "OWNER").
async fn give_create(transaction: &Transaction<'_>, schema: &str, creators: &[&str]) -> Result<(), Failure> {
    let doing = "giving rights for the restore";
    let rows = transaction
        .query(
            "select r.role from pg_catalog.unnest($2::text[]) as r (role) \
              where exists (select from pg_catalog.pg_namespace where nspname = $1) \
                and not pg_catalog.has_schema_privilege(r.role, $1, 'create')",
            &[&schema, &creators],
        )
        .await
        .map_err(failed(doing))?;
    for row in &rows {
        let role: String = row.get(0);
        note::put(transaction, Side::Target, &format!("{CREATE_RIGHT}{schema}/{role}"), &(schema, &role)).await?;
        let sql = format!("grant create on schema {} to {}", Ident::new(schema), Ident::new(role));
        transaction.batch_execute(&sql).await.map_err(failed(doing))?;
    }
    Ok(())
}

/// Gives partitions' copies of triggers the states that the source has, whether or not the dump named them in time.
async fn set_clones(transaction: &Transaction<'_>, clones: &[TriggerState]) -> Result<(), Failure> {
    for clone in clones {
        let table = QualifiedName::new(&*clone.schema, &*clone.table);
        let row = transaction
            .query_opt(
                "select tgenabled::text from pg_catalog.pg_trigger where tgrelid = pg_catalog.to_regclass($1) and tgname = $2",
                &[&table.to_string(), &clone.name],
            )
            .await
            .map_err(failed("looking at a partition's trigger"))?;
        if row.is_some_and(|row| row.get::<_, String>(0) != clone.state) {
            let sql = triggers::alter(&table, &clone.name, &clone.state);
            transaction.batch_execute(&sql).await.map_err(failed("setting a partition's trigger"))?;
        }
    }
    Ok(())
}

/// Gives multirange types that are there the owners that they have on the source: before version 17, `ALTER TYPE … OWNER` of
/// their range type leaves them behind.
async fn set_owners(transaction: &Transaction<'_>, multiranges: &[Owned]) -> Result<(), Failure> {
    let doing = "setting a multirange type's owner";
    for multirange in multiranges {
        let name = QualifiedName::new(&*multirange.schema, &*multirange.name);
        let owner = "select pg_catalog.pg_get_userbyid(typowner)::text from pg_catalog.pg_type where oid = pg_catalog.to_regtype($1)";
        let row = transaction.query_opt(owner, &[&name.to_string()]).await.map_err(failed(doing))?;
        if row.is_some_and(|row| row.get::<_, String>(0) != multirange.owner) {
            let sql = format!("alter type {name} owner to {}", Ident::new(&*multirange.owner));
            transaction.batch_execute(&sql).await.map_err(failed(doing))?;
        }
    }
    Ok(())
}

/// Runs one entry. Returns it when it was passed over.
async fn run_entry(
    transaction: &Transaction<'_>,
    facts: &Facts,
    entry: &Entry,
    database: &str,
) -> Result<Option<Passed>, Failure> {
    let fail =
        |e: &tokio_postgres::Error| classify::failure(entry, database, error::failure(Side::Target, "running it", e));
    if let Some(owner) = maker(facts, entry)
        && run_as(transaction, owner, &entry.sql).await?
    {
        return Ok(None);
    }
    if entry.is_public() && facts.public_owner_stays {
        let why = "the schema public belongs to a superuser of the source; the target's keeps its owner";
        return Ok(Some(Passed::new(entry, why)));
    }
    if entry.kind == "TRIGGER" && !entry.sql.starts_with("CREATE ") {
        // the state of a partition's copy, which `set_clones` sets
        return Ok(None);
    }
    if is_there_for_an_extension(transaction, entry).await? {
        let sql: String = entry.sql.lines().filter(|l| !l.starts_with("CREATE SCHEMA ")).collect::<Vec<_>>().join("\n");
        return transaction.batch_execute(&sql).await.map(|()| None).map_err(|e| fail(&e));
    }
    let owner = owner_to_be(transaction, entry).await?;
    let guarded = classify::may_be_tolerated(entry);
    if guarded {
        transaction.batch_execute("savepoint entry").await.map_err(|e| fail(&e))?;
    }
    let outcome = if may_hold_secret(entry) {
        unlogged::within(transaction, std::slice::from_ref(&entry.sql)).await
    } else {
        transaction.batch_execute(&statements(entry, owner)).await
    };
    let Err(error) = outcome else { return Ok(None) };
    let plain = error::failure(Side::Target, "running it", &error);
    if guarded && classify::is_tolerated(entry, facts, &plain) {
        transaction.batch_execute("rollback to savepoint entry").await.map_err(|e| fail(&e))?;
        return Ok(Some(Passed::new(entry, &plain.message)));
    }
    Err(fail(&error))
}

/// Whether the entry is a schema that an administrator has made beforehand, with an extension that only he can create.
async fn is_there_for_an_extension(transaction: &Transaction<'_>, entry: &Entry) -> Result<bool, Failure> {
    if entry.kind != "SCHEMA" {
        return Ok(false);
    }
    let sql = "select exists (select from pg_catalog.pg_extension e \
                 join pg_catalog.pg_namespace n on n.oid = e.extnamespace where n.nspname = $1)";
    let row = transaction.query_one(sql, &[&entry.tag]).await.map_err(failed("looking for a schema"))?;
    Ok(row.get(0))
}

/// The statements of an entry as the login can run them. pg_dump writes rights for a superuser, who grants as the owner, and
/// as others by SET SESSION AUTHORIZATION. The login belongs to all of them and would leave the choice of the grantor to the
/// server, so it becomes the owner first, and the others by SET ROLE. `owner`: whom it can become.
fn statements(entry: &Entry, owner: Option<&str>) -> String {
    if !entry.is_acl() {
        return format!("{}{}", entry.setup, entry.sql);
    }
    let begin =
        owner.map_or_else(|| "reset role;\n".to_owned(), |owner| format!("set local role {};\n", Ident::new(owner)));
    let line = |line: &str| match line.strip_prefix("SET SESSION AUTHORIZATION ") {
        Some(role) => format!("set local role {role}\n"),
        None if line == "RESET SESSION AUTHORIZATION;" => begin.clone(),
        None => format!("{line}\n"),
    };
    let body: String = entry.sql.lines().map(line).collect();
    format!("{begin}{body}reset role;\n")
}

/// The owner of an entry about an object's rights, when the login can become him. Default privileges name their role themselves.
async fn owner_to_be<'a>(transaction: &Transaction<'_>, entry: &'a Entry) -> Result<Option<&'a str>, Failure> {
    let Some(owner) = entry.owner.as_deref().filter(|_| entry.kind == "ACL") else { return Ok(None) };
    let row = transaction
        .query_opt(
            "select pg_catalog.pg_has_role(current_user, oid, 'member') from pg_catalog.pg_roles where rolname = $1",
            &[&owner],
        )
        .await
        .map_err(failed("looking at memberships"))?;
    Ok(row.is_some_and(|row| row.get(0)).then_some(owner))
}

/// Options of servers and user mappings hold passwords.
fn may_hold_secret(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "USER MAPPING" | "SERVER" | "FOREIGN SERVER")
}

/// Who has to make an extension: there is no statement that hands it over afterwards.
fn maker<'a>(facts: &'a Facts, entry: &Entry) -> Option<&'a str> {
    (entry.kind == "EXTENSION").then(|| facts.extensions.get(&entry.tag)?.owner.as_deref())?
}

/// Runs statements as another role; false when he may not.
async fn run_as(transaction: &Transaction<'_>, role: &str, sql: &str) -> Result<bool, Failure> {
    let doing = "creating an extension as its owner";
    transaction.batch_execute("savepoint other").await.map_err(failed(doing))?;
    let text = format!("set local role {}; {sql}; reset role; release savepoint other", Ident::new(role));
    match transaction.batch_execute(&text).await {
        Ok(()) => Ok(true),
        Err(_) => transaction.batch_execute("rollback to savepoint other").await.map_err(failed(doing)).map(|()| false),
    }
}

fn failed(what: &'static str) -> impl Fn(tokio_postgres::Error) -> Failure {
    move |e| error::failure(Side::Target, what, &e)
}

/// Cuts the list into transactions.
fn batches<'a, 'b>(todo: &'b [&'a Named], while_applying: bool) -> Vec<&'b [&'a Named]> {
    let most = if while_applying { BATCH_AFTER } else { BATCH_BEFORE };
    let alone = |named: &Named| while_applying && builds(&named.entry);
    let mut all = Vec::new();
    let mut begin = 0;
    for end in 1..=todo.len() {
        let full = end - begin >= most || end == todo.len() || alone(todo[end - 1]) || alone(todo[end]);
        if full {
            all.push(&todo[begin..end]);
            begin = end;
        }
    }
    all
}

/// Kinds that read a whole table.
fn builds(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "FK CONSTRAINT" | "CHECK CONSTRAINT" | "MATERIALIZED VIEW")
}

/// Drives `work` and tells every few seconds that it's alive.
pub(super) async fn alive<T>(heartbeat: Heartbeat<'_>, text: &str, work: impl Future<Output = T>) -> T {
    heartbeat(text.to_owned());
    let mut tick = tokio::time::interval(Duration::from_secs(3));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => heartbeat(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::toc::{Id, Section};

    fn named(kind: &str, sql: &str) -> Named {
        let entry = Entry {
            id: Id { entry: 1, class: 0, oid: 0 },
            kind: kind.into(),
            tag: "x".into(),
            schema: None,
            owner: None,
            section: Section::PostData,
            setup: "SET default_tablespace = '';\n".into(),
            sql: sql.into(),
        };
        Named { name: "n".into(), entry }
    }

    #[test]
    fn what_builds_stands_alone_while_rows_are_applied() {
        let kinds = ["TRIGGER", "TRIGGER", "INDEX", "INDEX", "RULE"];
        let all: Vec<Named> = kinds.iter().map(|kind| named(kind, "")).collect();
        let all: Vec<&Named> = all.iter().collect();
        let lengths = |batches: Vec<&[&Named]>| batches.iter().map(|b| b.len()).collect::<Vec<_>>();
        assert_eq!(lengths(batches(&all, true)), [2, 1, 1, 1]);
        assert_eq!(lengths(batches(&all, false)), [5]);
        assert!(batches(&[], true).is_empty());
    }

    #[test]
    fn many_rights_make_one_line() {
        let passed = |kind: &str, title: &str| Passed {
            title: title.to_owned(),
            ..Passed::new(&named(kind, "").entry, "permission denied")
        };
        let all = [passed("ACL", "ACL s.f"), passed("EVENT TRIGGER", "EVENT TRIGGER e"), passed("ACL", "ACL s.g")];
        let lines = in_few_lines("shop", &all);
        assert_eq!(lines[0], "shop: EVENT TRIGGER e was not carried over: permission denied");
        assert!(
            lines[1].starts_with("shop: rights on 2 objects of superusers were not carried over, the first: ACL s.f: ")
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn long_lists_are_cut() {
        let one = named("TRIGGER", "");
        let all: Vec<&Named> = std::iter::repeat_n(&one, 25).collect();
        assert_eq!(batches(&all, true).len(), 3);
    }

    #[test]
    fn grants_by_others_are_made_by_set_role() {
        let sql =
            "SET SESSION AUTHORIZATION \"Prüfer\";\nGRANT SELECT ON TABLE s.t TO x;\nRESET SESSION AUTHORIZATION;";
        let expected = "set local role \"o\";\nset local role \"Prüfer\";\nGRANT SELECT ON TABLE s.t TO x;\nset local role \"o\";\nreset role;\n";
        assert_eq!(statements(&named("ACL", sql).entry, Some("o")), expected);
        // elsewhere the text is nobody's but the application's
        assert!(statements(&named("FUNCTION", sql).entry, None).contains("SET SESSION AUTHORIZATION"));
    }
}
