//! One read-only session per database, one JSON document per statement, and a note of everything that couldn't be seen.

use changeover_domain::{Class, Failure, Side, preflight::facts::Unseen};
use serde::de::DeserializeOwned;
use tokio_postgres::types::ToSql;

use crate::{Session, Site};

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A session through which facts are read, and what it failed to see.
pub(super) struct Look {
    session: Session,
    side: Side,
    database: String,
    pub(super) unseen: Vec<Unseen>,
}

impl Look {
    /// Opens a read-only session; a failure is returned as what couldn't be seen.
    pub(super) async fn open(site: &Site, database: &str) -> Result<Self, Unseen> {
        let session =
            site.open_to_look(database, "preflight").await.map_err(|f| unreachable(site.side(), database, &f))?;
        // What would write anything fails: preflight changes nothing.
        let read_only = session.batch_execute("set default_transaction_read_only = on").await;
        read_only
            .map_err(session.failed("making the session read-only"))
            .map_err(|f| unreachable(site.side(), database, &f))?;
        Ok(Self { session, side: site.side(), database: database.to_owned(), unseen: Vec::new() })
    }

    /// Runs a statement that returns one JSON document. `None`, and a note, when it can't be had.
    pub(super) async fn at<T: DeserializeOwned>(
        &mut self,
        what: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Option<T> {
        match self.try_at(what, sql, parameters).await {
            Ok(fact) => Some(fact),
            Err(failure) => {
                self.unseen.push(couldnt_look(self.side, &self.database, what, &failure));
                None
            }
        }
    }

    async fn try_at<T: DeserializeOwned>(
        &self,
        what: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<T, Failure> {
        let doing = format!("looking at {what}");
        let row = self.session.query_one(sql, parameters).await.map_err(self.session.failed(&doing))?;
        let json: serde_json::Value = row.try_get(0).map_err(self.session.failed(&doing))?;
        serde_json::from_value(json).map_err(|error| {
            // The text may quote a value; where it is in the document is enough.
            Failure::invariant("CO0302", format!("{doing}: an answer of another shape (column {})", error.column()))
        })
    }
}

fn unreachable(side: Side, database: &str, failure: &Failure) -> Unseen {
    Unseen {
        code: "CO0301",
        side,
        database: database.to_owned(),
        what: failure.code.clone(),
        message: failure.message.clone(),
        remedy: failure.remedy.clone(),
        passing: failure.class == Class::Transient,
    }
}

fn couldnt_look(side: Side, database: &str, what: &str, failure: &Failure) -> Unseen {
    let at = if database.is_empty() { side.word().to_owned() } else { format!("{side}'s {database}") };
    Unseen {
        code: "CO0302",
        side,
        database: database.to_owned(),
        what: what.to_owned(),
        message: format!("{} ({at} was not judged in this)", failure.message),
        remedy: failure.remedy.clone(),
        passing: failure.class == Class::Transient,
    }
}
