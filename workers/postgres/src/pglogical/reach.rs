//! Whether one server reaches the other, tried before anything is made.
//!
//! Only a server can try its own way to another one, and SQL has nothing for it but pglogical's own attempt to read a provider.
//! So extension and node are made in a transaction that is rolled back in any case: nothing of it is ever there for anybody.

use changeover_domain::{Direction, Failure};

use super::{install, node, subscription};
use crate::{
    Migration,
    escalate::{self, Escalated},
};

/// How long it may take: TCP that nobody answers is given up by pglogical after 20 s.
const LIMITS: &str = "set local statement_timeout = '30s'; set local lock_timeout = '2s'";

/// Lets the side that rows go to try its way to the side that they come from. `None` when it could not be tried; why is
/// the finding of another rule then.
///
/// # Errors
/// CO0508 when it doesn't come through, with the server's own words.
pub(crate) async fn reaches(migration: &Migration, direction: Direction) -> Option<Result<(), Failure>> {
    let site = migration.subscriber(direction);
    let session = site.open(migration.control_database(), "preflight").await.ok()?;
    session.batch_execute("begin").await.ok()?;
    let tried = async {
        session.batch_execute(LIMITS).await.map_err(session.failed("limiting an attempt"))?;
        if !install::exists(&session).await? {
            escalate::run(&session, site, &Escalated::CreatePglogical).await?;
        }
        if node::local(&session).await?.is_some() {
            return Ok(None);
        }
        node::make_without_password(migration, site, &session).await?;
        Ok::<_, Failure>(Some(subscription::probe(migration, direction, &session).await))
    }
    .await;
    // The end of the session would do as much; an attempt that can't be taken back at once isn't one to go on from.
    session.batch_execute("rollback").await.ok()?;
    match tried {
        Ok(outcome) => outcome,
        Err(failure) => {
            tracing::debug!(error = %failure, "the way from server to server can't be tried yet");
            None
        }
    }
}
