//! The fence of one database: one transaction that locks every table. Until its commit it is a dead man's handle: the session
//! says something every 50 ms, and the server ends it, and so frees the tables, 300 ms after the last word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use changeover_domain::{Failure, fence::Fence as Means, ident::literal};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::types::Type;

use super::{
    acl,
    effect::{Change, Effect, perform, say},
    epoch, flag, login,
    proof::Proof,
    relations::{self, Relation},
    turn::{self, Turn},
};
use crate::{Migration, Session, triggers};

/// How often the session says something.
const BEAT: Duration = Duration::from_millis(50);
/// How long the fence may be held at most, whatever happens: after this the beats stop and the server frees the tables.
const PREPARING: Duration = Duration::from_secs(30);
/// How long vacuum and DDL are waited for while writers are not touched.
const GENTLE_LOCK: &str = "5s";

/// See FENCE's measurements in `docs/adr`: each of these bounds one way of dying.
const DEAD_MAN: &str = "set idle_in_transaction_session_timeout = '300ms'; set client_connection_check_interval = '100ms'; \
    set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 2; set synchronous_commit = on";

/// The fence of one database.
pub(crate) struct Fence {
    session: Arc<Session>,
    beats: JoinHandle<()>,
    until: Arc<AtomicU64>,
    begun: Instant,
    relations: Vec<Relation>,
    fingerprint: String,
    lock: String,
    revoke: String,
    /// Statements that turn over the triggers which fire on apply: this side begins to apply.
    silence: String,
    /// Takes the rights, in a transaction of its own that waits for its commit: that needs no lock, and nobody sees it before.
    rights: Option<Session>,
    /// With the gate: proves that every table has it. Then of the six above only `silence` is used.
    gate: Option<Proof>,
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Fence {
    /// Prepares it; writers aren't touched. Keeps vacuum, index builds and DDL out from here on, remembers the rights
    /// (committed, by `keeper`) and takes the catalog's fingerprint. `second`: the session that will take them, or with the gate
    /// prove that every table has it.
    pub(crate) async fn prepare(
        migration: &Migration,
        means: Means,
        [session, second]: [Session; 2],
        keeper: &mut Session,
        epoch: u64,
    ) -> Result<Self, Failure> {
        say(&session, DEAD_MAN).await.map_err(session.failed("preparing the fence"))?;
        match means {
            Means::Lock => Self::prepare_locks(migration, [session, second], keeper, epoch).await,
            Means::Gate => Self::prepare_gate(migration, [session, second], keeper).await,
        }
    }

    /// Begins the transaction, and the beats.
    async fn begin(session: Session, relations: Vec<Relation>, gate: Option<Proof>) -> Result<Self, Failure> {
        let begin = say(&session, "begin isolation level read committed").await;
        begin.map_err(session.failed("preparing the fence"))?;
        let (begun, until) = (Instant::now(), Arc::new(AtomicU64::new(millis(PREPARING))));
        let session = Arc::new(session);
        let beats = tokio::spawn(beat(Arc::clone(&session), begun, Arc::clone(&until)));
        let (fingerprint, lock, revoke, silence) = Default::default();
        Ok(Self { session, beats, until, begun, relations, fingerprint, lock, revoke, silence, rights: None, gate })
    }

    /// No table is locked, however many there are, but those whose triggers will be turned: against vacuum.
    async fn prepare_gate(
        migration: &Migration,
        [session, prover]: [Session; 2],
        keeper: &Session,
    ) -> Result<Self, Failure> {
        let look = flag::prepare(migration, &prover, keeper).await?;
        let mut fence = Self::begin(session, Vec::new(), Some(Proof::new(look, prover))).await?;
        let session = &*fence.session;
        let keep = |change| turn::keep_vacuum_off(change, &**session, session.side, Turn::Applies);
        perform(Effect::PreFence, keep).await?;
        // Under this lock no trigger of those comes or goes.
        let silence = triggers::always_off_sql(&**session, session.side).await?;
        fence.silence = silence;
        Ok(fence)
    }

    async fn prepare_locks(
        migration: &Migration,
        [session, taker]: [Session; 2],
        keeper: &mut Session,
        epoch: u64,
    ) -> Result<Self, Failure> {
        let side = session.side;
        let relations = relations::list(migration, &session).await?;
        let tables = relations::names(relations.iter().filter(|r| !r.is_sequence()));
        let mut fence = Self::begin(session, relations, None).await?;
        if !tables.is_empty() {
            fence.lock = format!("lock table {tables} in exclusive mode");
            let gentle =
                format!("set local lock_timeout = '{GENTLE_LOCK}'; lock table {tables} in share update exclusive mode");
            perform(Effect::PreFence, |change| fence.batch(change, "keeping vacuum and DDL out", &gentle)).await?;
        }
        // Under this lock no trigger comes or goes.
        fence.silence = triggers::always_off_sql(&**fence.session, side).await?;
        // Before the rights are read: whatever changes in between is found under the lock.
        fence.fingerprint = relations::fingerprint(migration, &fence.session).await?;
        perform(Effect::SaveRights, |change| acl::save(change, keeper, migration, epoch, &fence.relations)).await?;
        let rights = acl::read(&**keeper, keeper.side).await?;
        let members = acl::prove_returnable(&fence.session, &rights).await?;
        fence.revoke = acl::revoke_sql(&fence.relations, &rights, &migration.site(side).address.user, &members);
        say(&taker, HELD_READY).await.map_err(taker.failed("preparing the fence"))?;
        fence.rights = Some(taker);
        Ok(fence)
    }

    /// Takes the rights and proves it, in a transaction that waits for [`Fence::take_rights`]; with the gate only the note is
    /// written, in the fence's own. The epoch's row is locked from here on. Whoever grants on a table meanwhile waits.
    /// `beside`: see [`Fence::check`].
    pub(crate) async fn hold_rights(
        &self,
        change: Change,
        migration: &Migration,
        epoch: u64,
        beside: &Session,
    ) -> Result<(), Failure> {
        let note = format!("insert into changeover.note (key, value) values ({}, '{epoch}')", literal(acl::FENCE));
        let Some(rights) = &self.rights else {
            return self.batch(change, "writing a note", &note).await;
        };
        let (hold, revoke) = (epoch::hold_sql(migration, epoch)?, &self.revoke);
        let sql =
            format!("begin isolation level read committed; set local lock_timeout = '2s'; {hold}; {revoke}{note}");
        let (held, gone, same) = futures::join!(
            rights.batch_execute(&sql),
            acl::prove_gone(rights, migration, &self.relations),
            self.check(migration, beside)
        );
        let held = held.map_err(rights.failed("preparing to take rights"));
        held.map_err(|failure| epoch::explain(rights.side, epoch, failure))?;
        // What has changed since may be why a right is left.
        same.and(gone)
    }

    /// Sets the budgets of [`Fence::lock`]; a round trip that the pause needn't contain.
    pub(crate) async fn aim(&self, budget: Duration) -> Result<(), Failure> {
        let ms = millis(budget).max(1);
        let means = if self.gate.is_some() { Means::Gate } else { Means::Lock };
        let all = means.given_up_after_ms(ms, self.relations.len() as u64);
        let sql = format!("set local lock_timeout = '{ms}ms'; set local statement_timeout = '{all}ms'");
        say(&self.session, &sql).await.map_err(self.session.failed("preparing the fence"))
    }

    /// Locks every table against writes, or takes the gate's lock. From the moment it is sent new writers wait.
    ///
    /// # Errors
    /// CO0710 when it can't be had in time: who held it is named as far as can be seen.
    pub(crate) async fn lock(&self, _: Change, hold_at_most: Duration) -> Result<(), Failure> {
        let gate = self.gate.is_some().then(flag::lock_sql);
        // Sent at once: what follows has other budgets than the wait for the lock.
        let (result, relaxed) = futures::join!(
            self.session.batch_execute(gate.as_ref().unwrap_or(&self.lock)),
            say(&self.session, "set local statement_timeout = '30s'; set local lock_timeout = '200ms'")
        );
        if let Err(error) = result {
            let failure = self.session.failed("locking the tables")(error);
            let gave_up = matches!(failure.sqlstate.as_deref(), Some("55P03" | "57014" | "40P01"));
            return Err(if gave_up { self.no_lock() } else { failure });
        }
        relaxed.map_err(self.session.failed("locking the tables"))?;
        self.until.store(millis(self.begun.elapsed() + hold_at_most), Ordering::Relaxed);
        Ok(())
    }

    fn no_lock(&self) -> Failure {
        let message =
            format!("the tables of {} on the {} could not be locked in time", self.session.database, self.session.side);
        Failure::transient("CO0710", message, "it is tried again; look for long transactions that write or lock")
    }

    /// Under the lock: is the catalog still the one that the fence was prepared for? `beside` is another session of the database,
    /// which doesn't see the rights taken yet.
    pub(crate) async fn check(&self, migration: &Migration, beside: &Session) -> Result<(), Failure> {
        if let Some(proof) = &self.gate {
            return proof.prove().await;
        }
        if relations::fingerprint(migration, beside).await? == self.fingerprint {
            return Ok(());
        }
        Err(self.changed())
    }

    /// The same within the pause; with the gate the proof goes on beside everything else, until [`Fence::shut`] asks for it.
    pub(crate) async fn look(&self, migration: &Migration, beside: &Session) -> Result<(), Failure> {
        match &self.gate {
            Some(proof) => {
                proof.begin();
                Ok(())
            }
            None => self.check(migration, beside).await,
        }
    }

    fn changed(&self) -> Failure {
        let (database, side) = (&self.session.database, self.session.side);
        let message = format!("tables, rights or roles of {database} on the {side} changed while it was fenced");
        Failure::transient("CO0722", message, "it is tried again; keep GRANT, CREATE and ALTER away from the switch")
    }

    /// When no session of an application is left: fails when something has come that the fence doesn't cover, be it a table or a
    /// role that may log in.
    fn confirm_sql(&self, migration: &Migration) -> String {
        let (relations, applications) = (relations::outline_sql(migration), login::applications_sql(migration));
        let (count, sum) = (self.relations.len(), self.relations.iter().map(|r| i64::from(r.oid)).sum::<i64>());
        format!(
            "do $changeover$ begin if exists ({applications}) or ({relations}) <> '{count} {sum}' then \
               raise exception 'the catalog has changed' using errcode = '{CHANGED}'; end if; end $changeover$"
        )
    }

    /// Under the lock: turns the triggers over to applying, within its transaction. Behind the gate writers wait that have a lock
    /// on their table already: there [`Fence::shut`] does it, when they are gone.
    pub(crate) async fn silence(&self) -> Result<(), Failure> {
        if self.gate.is_some() || self.silence.is_empty() {
            return Ok(());
        }
        perform(Effect::SilenceClosing, |change| self.batch(change, "silencing triggers", &self.silence)).await
    }

    /// When no session of an application is left: commits what [`Fence::hold_rights`] has made ready, and beside it holds the epoch
    /// and fails when something has come that the fence doesn't cover. Only [`Fence::commit`] proves that the lock was held until
    /// then. With the gate there is nothing to do: [`Fence::shut`] has held the epoch.
    pub(crate) async fn take_rights(&self, _: Change, migration: &Migration, epoch: u64) -> Result<(), Failure> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let sql = format!("{}; {}", epoch::hold_sql(migration, epoch)?, self.confirm_sql(migration));
        let (taken, confirmed) =
            futures::join!(rights.batch_execute(login::COMMIT_LIVING), self.session.batch_execute(&sql));
        confirmed.map_err(self.session.failed("confirming the fence")).map_err(|failure| {
            match failure.sqlstate.as_deref() {
                Some(CHANGED) => self.changed(),
                _ => epoch::explain(self.session.side, epoch, failure),
            }
        })?;
        taken.map_err(rights.failed("taking rights"))
    }

    /// Whether [`Fence::take_rights`] has something to do.
    pub(crate) fn takes_rights(&self) -> bool {
        self.rights.is_some()
    }

    /// With the gate, when no session of an application is left: silences triggers that fire on apply, and shuts the gate, if every
    /// table had it. Nothing but the COMMIT may follow.
    pub(crate) async fn shut(&self, migration: &Migration, epoch: u64) -> Result<(), Failure> {
        let Some(proof) = &self.gate else { return Ok(()) };
        proof.end().await?;
        if !self.silence.is_empty() {
            let silence = |change| self.batch(change, "silencing triggers", &self.silence);
            perform(Effect::SilenceClosing, silence).await?;
        }
        perform(Effect::ShutGate, |change| flag::shut(change, &self.session, migration, epoch)).await
    }

    /// Commits: the fence is durable. By now no application may log in nor has a session, and the rights are taken. Only this
    /// success proves that the locks were never lost.
    pub(crate) async fn commit(&self, _: Change, epoch: u64) -> Result<(), Failure> {
        let failed = self.session.failed("committing the fence");
        if self.gate.is_none() {
            return self.session.batch_execute(login::COMMIT_LIVING).await.map_err(failed);
        }
        // A COMMIT of a failed transaction "succeeds" as a rollback, so what it wrote is looked at.
        let (committed, found) = futures::join!(
            self.session.batch_execute("commit"),
            self.session.query_typed("select value from changeover.note where key = $1", &[(&acl::FENCE, Type::TEXT)])
        );
        committed.map_err(&failed)?;
        let found = found.map_err(&failed)?;
        if found.first().is_some_and(|row| row.get::<_, serde_json::Value>(0) == serde_json::json!(epoch)) {
            return Ok(());
        }
        Err(Failure::transient(
            "CO0723",
            format!("the fence of {} was lost before its commit", self.session.database),
            "it is tried again",
        ))
    }

    /// The session, for what follows the commit on the same way.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Lets go. Nothing of the transaction remains.
    pub(crate) async fn roll_back(self, _: Change) -> Result<(), Failure> {
        // Dropping the sessions does the same when this fails or isn't answered.
        let rights = async {
            match &self.rights {
                Some(rights) => say(rights, "rollback").await,
                None => Ok(()),
            }
        };
        match timeout(Duration::from_secs(1), async { futures::try_join!(say(&self.session, "rollback"), rights) })
            .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "rolling the fence back"),
            Err(_) => tracing::debug!("rolling the fence back: no answer"),
        }
        Ok(())
    }

    /// Who keeps it from its lock, seen by another session of its database.
    pub(crate) async fn blockers(&self, session: &Session) -> Result<Vec<String>, Failure> {
        if self.gate.is_some() {
            return flag::blockers(session).await;
        }
        let oids: Vec<u32> = self.relations.iter().map(|r| r.oid).collect();
        blockers(session, &oids).await
    }

    async fn batch(&self, _: Change, what: &str, sql: &str) -> Result<(), Failure> {
        self.session.batch_execute(sql).await.map_err(self.session.failed(what))
    }
}

/// Settings of a session that holds something ready: when nothing is heard of it, its server lets go by itself.
pub(super) const HELD_READY: &str = "set idle_in_transaction_session_timeout = '20s'; set client_connection_check_interval = '100ms'; \
    set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 2";

/// SQLSTATE of [`Fence::confirm_sql`].
const CHANGED: &str = "CO722";

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Says something until the time is over. An empty query isn't logged and resets the server's idle timer.
async fn beat(session: Arc<Session>, begun: Instant, until: Arc<AtomicU64>) {
    while millis(begun.elapsed()) < until.load(Ordering::Relaxed) && say(&session, "").await.is_ok() {
        sleep(BEAT).await;
    }
}

/// Who holds locks that a fence waits for, in words without anything of their statements.
async fn blockers(session: &Session, oids: &[u32]) -> Result<Vec<String>, Failure> {
    // A prepared transaction has no process; what it locked is found by the lock on its number.
    let sql = "select distinct coalesce('prepared transaction ' || p.gid || ' (' || p.owner::text || ')', \
                               'pid ' || a.pid || ' (' || coalesce(a.usename::text, a.backend_type) || ', ' || a.application_name || ')'), \
                      l.mode, l.relation::pg_catalog.regclass::text, \
                      coalesce(extract(epoch from clock_timestamp() - coalesce(p.prepared, a.xact_start)) * 1000, 0)::bigint \
                 from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
                 left join pg_catalog.pg_locks x on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = l.virtualtransaction \
                 left join pg_catalog.pg_prepared_xacts p on p.transaction = x.transactionid \
                where l.relation = any ($1::oid[]) and l.granted and l.mode <> 'AccessShareLock' \
                  and (p.gid is not null or a.application_name not like 'changeover/%') limit 3";
    let rows = session.query(sql, &[&oids]).await.map_err(session.failed("looking for blockers"))?;
    Ok(rows
        .iter()
        .map(|row| {
            let (who, mode, relation, age): (&str, &str, &str, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
            format!("{who} holds {mode} on {relation} for {age} ms")
        })
        .collect())
}
