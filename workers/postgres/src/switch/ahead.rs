//! Sequences of the opening side are moved under the epoch's lock: a late attempt must not touch them. A cycling one isn't moved
//! ahead but to where the closing side's stands, and that may be back.

use changeover_domain::Failure;

use super::{effect::Change, epoch};
use crate::{
    Migration, Session,
    sequences::{self, Move},
};

/// Sets them, [`sequences::AT_ONCE`] in one transaction, since each is locked until its end; one round trip each. Durable by the
/// decision's commit, without which it counts for nothing.
///
/// # Errors
/// CO0211, CO0711: the attempt may not act any more, and nothing more is set.
pub(super) async fn set(
    _: Change,
    session: &Session,
    migration: &Migration,
    epoch: u64,
    moves: &[Move],
) -> Result<(), Failure> {
    let hold = epoch::hold_sql(migration, epoch)?;
    let begin = format!("begin isolation level read committed; set local synchronous_commit = off; {hold}");
    for moves in moves.chunks(sequences::AT_ONCE) {
        // Sent at once: where the epoch can't be held the transaction has failed, and so does what follows.
        let (held, set, ended) = futures::join!(
            session.batch_execute(&begin),
            sequences::apply(session, moves),
            session.batch_execute("commit")
        );
        let failed = session.failed("setting sequences");
        held.map_err(&failed).map_err(|failure| epoch::explain(session.side, epoch, failure))?;
        set?;
        ended.map_err(&failed)?;
    }
    Ok(())
}
