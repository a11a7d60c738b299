//! The look for tables without the gate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use changeover_domain::{Failure, QualifiedName};
use tokio_postgres::{Statement, types::Type};

use crate::{Migration, Session, error, switch::relations};

const WITHOUT: &str = include_str!("../../sql/gate/without.sql");
const OUTLINE: &str = include_str!("../../sql/gate/outline.sql");
/// The oldest transaction that is running, as PostgreSQL writes it down in rows: without the count of its rounds.
const OLDEST: &str = "select (pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) & 4294967295)::text";

/// What a look for tables without a gate names at most.
const NAMED: i64 = 3;

/// Looks for tables that have no working gate: prepared, because it is asked under the fence as well.
pub(crate) struct Look {
    pub(super) function: u32,
    statement: Statement,
    outline: Statement,
    left_out: Vec<String>,
    proved: Mutex<Option<Outline>>,
}

/// What was there when it was proved that every table has the gate.
#[derive(Clone, Debug)]
struct Outline {
    /// The oldest transaction that was running then.
    since: String,
    triggers: i64,
    tables: i64,
}

impl Look {
    /// `None`: this database has no gate at all.
    pub(crate) async fn prepare(migration: &Migration, session: &Session) -> Result<Option<Self>, Failure> {
        let failed = session.failed("looking for tables without the gate");
        let function = "select pg_catalog.to_regprocedure('changeover.gate()')::oid";
        let Some(function) = session.query_one(function, &[]).await.map_err(&failed)?.get::<_, Option<u32>>(0) else {
            return Ok(None);
        };
        let types = [Type::OID, Type::TEXT_ARRAY, Type::INT8];
        let statement = session.prepare_typed(WITHOUT, &types).await.map_err(&failed)?;
        let outline = session.prepare(OUTLINE).await.map_err(&failed)?;
        let (left_out, proved) = (relations::left_out(migration), Mutex::default());
        Ok(Some(Self { function, statement, outline, left_out, proved }))
    }

    pub(super) async fn without(&self, session: &Session, most: i64) -> Result<Vec<QualifiedName>, Failure> {
        let rows = session
            .query(&self.statement, &[&self.function, &self.left_out, &most])
            .await
            .map_err(|e| error::failure(session.side, "looking for tables without the gate", &e))?;
        Ok(rows.iter().map(|row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
    }

    /// Proves that every table has the gate, and remembers what was there.
    ///
    /// # Errors
    /// CO0760 with the first that have none.
    pub(crate) async fn prove(&self, session: &Session) -> Result<(), Failure> {
        let failed = session.failed("looking for tables without the gate");
        // One snapshot for both.
        session.batch_execute("begin isolation level repeatable read read only").await.map_err(&failed)?;
        let outline = self.read_outline(session, None).await;
        let all_have_it = self.prove_each(session).await;
        session.batch_execute("rollback").await.map_err(&failed)?;
        all_have_it?;
        *self.proved() = Some(outline?.0);
        Ok(())
    }

    /// Proves it once more: nothing has changed since, or else each is looked at again.
    ///
    /// # Errors
    /// As [`Look::prove`].
    pub(crate) async fn prove_again(&self, session: &Session) -> Result<(), Failure> {
        let earlier = self.proved().clone();
        if let Some(earlier) = earlier {
            let (now, written) = self.read_outline(session, Some(&earlier.since)).await?;
            if written == 0 && (now.triggers, now.tables) == (earlier.triggers, earlier.tables) {
                return Ok(());
            }
        }
        self.prove(session).await
    }

    /// What is there, and how much of it was written since a moment, now if none is given.
    async fn read_outline(&self, session: &Session, since: Option<&str>) -> Result<(Outline, i64), Failure> {
        let failed = session.failed("looking at the catalog");
        let since = match since {
            Some(since) => since.to_owned(),
            None => session.query_one(OLDEST, &[]).await.map_err(&failed)?.get(0),
        };
        let row = session.query_one(&self.outline, &[&since]).await.map_err(&failed)?;
        let written = row.get::<_, i64>(1) + row.get::<_, i64>(3);
        Ok((Outline { since, triggers: row.get(0), tables: row.get(2) }, written))
    }

    fn proved(&self) -> MutexGuard<'_, Option<Outline>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prove_each(&self, session: &Session) -> Result<(), Failure> {
        let bare = self.without(session, NAMED).await?;
        if bare.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = bare.iter().map(QualifiedName::raw).collect();
        let message = format!(
            "tables of {} on the {} have no working gate: {}",
            session.database,
            session.side,
            names.join(", ")
        );
        Err(Failure::needs_human(
            "CO0760",
            message,
            "find out who made them or switched the trigger off; see `changeover explain CO0760`",
        ))
    }
}
