//! Taking slots and origins away by name, whatever pglogical remembers of them.

use std::time::Duration;

use changeover_domain::{Failure, Ident};
use tokio::time::{Instant, sleep};

use super::remove::END_DEADLINE;
use crate::Session;

/// How long a walsender may need to see that its worker has gone, before it is ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Slots and origins of single tables are named like the subscription's, with `_` and eight hexadecimal digits after it.
const NAMED_LIKE_IT: &str = "(name = $1 or (left(name, length($1) + 1) = $1 || '_' and length(name) = length($1) + 9))";

struct Slot {
    name: String,
    reader: Option<i32>,
    doing: String,
}

/// Makes sure that a slot isn't there, nor those of single tables of the same subscription.
///
/// A reader that stays is ended. It can be that of a worker which pglogical's manager started in the same moment as the
/// subscription was dropped: nobody stops that one for minutes, and only a superuser could. When it loses its walsender it
/// ends, and isn't started again.
pub(super) async fn remove(provider: &Session, slot: &str, subscription: &Ident) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let slots = slots(provider, slot).await?;
        if slots.is_empty() {
            return Ok(());
        }
        for slot in slots {
            match slot.reader {
                Some(pid) if begun.elapsed() > END_DEADLINE => return Err(still_read(provider, &slot, pid)),
                Some(pid) if begun.elapsed() > PATIENCE => end_reader(provider, pid, subscription).await?,
                Some(_) => {}
                None => drop_slot(provider, &slot.name).await?,
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn still_read(provider: &Session, slot: &Slot, pid: i32) -> Failure {
    let message =
        format!("slot {} on the {} is still read by process {pid} ({})", slot.name, provider.side, slot.doing);
    Failure::transient("CO0516", message, "it is tried again; pg_terminate_backend ends the reader")
}

async fn slots(provider: &Session, slot: &str) -> Result<Vec<Slot>, Failure> {
    let sql = format!(
        "select name, active_pid,
                coalesce((select concat_ws(', ', a.application_name, a.state, a.wait_event_type, a.wait_event)
                            from pg_catalog.pg_stat_activity a where a.pid = active_pid), '')
           from (select slot_name::text as name, active_pid from pg_catalog.pg_replication_slots
                  where plugin = 'pglogical_output' and database = current_database()) s
          where {NAMED_LIKE_IT}"
    );
    let rows = provider.query(&sql, &[&slot]).await.map_err(provider.failed("looking at slots"))?;
    Ok(rows.iter().map(|r| Slot { name: r.get(0), reader: r.get(1), doing: r.get(2) }).collect())
}

/// Ends the walsender, if it is one of our subscription.
async fn end_reader(provider: &Session, pid: i32, subscription: &Ident) -> Result<(), Failure> {
    provider
        .execute(
            "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
              where pid = $1 and starts_with(application_name, $2)",
            &[&pid, &subscription.raw()],
        )
        .await
        .map(drop)
        .map_err(provider.failed("ending the reader of a slot"))
}

async fn drop_slot(provider: &Session, name: &str) -> Result<(), Failure> {
    match provider.execute("select pg_drop_replication_slot($1::text::name)", &[&name]).await {
        Ok(_) => Ok(()),
        // in use again, or gone: the loop looks again
        Err(e) if e.code().is_some_and(|c| matches!(c.code(), "55006" | "42704")) => Ok(()),
        Err(e) => Err(provider.failed("dropping a slot")(e)),
    }
}

/// Makes sure that the origin named like a slot isn't there, nor those of single tables.
pub(super) async fn remove_origins(subscriber: &Session, slot: &str) -> Result<(), Failure> {
    let sql = format!(
        "select pg_replication_origin_drop(name) from (select roname as name from pg_catalog.pg_replication_origin) o
          where {NAMED_LIKE_IT}"
    );
    let begun = Instant::now();
    loop {
        match subscriber.execute(&sql, &[&slot]).await {
            Ok(_) => return Ok(()),
            // A worker that is about to end still uses it, or somebody else dropped it first.
            Err(e)
                if e.code().is_some_and(|c| matches!(c.code(), "55006" | "42704"))
                    && begun.elapsed() < END_DEADLINE => {}
            Err(e) => return Err(subscriber.failed("dropping replication origins")(e)),
        }
        sleep(Duration::from_millis(50)).await;
    }
}
