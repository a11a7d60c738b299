//! At finalize: what became of the target's last writes on their way to the source.

use changeover_domain::{Failure, Side};

use crate::{Migration, home, note, switch};

/// Note on the target: what became of them.
const NOTE: &str = "drained_back";

/// Waits until the source holds what the target has committed so far, and says what became of that, in words. Only the first run
/// can know it, since the links are taken down afterwards: so its answer is remembered on the target, and later runs give it again.
/// A link that is down doesn't hold finalize up: the source is left behind, and the target holds everything.
pub async fn drain_back(migration: &Migration) -> Result<String, Failure> {
    let book = migration.target.open(migration.control_database(), "drain").await?;
    if !home::is_ours(migration, &book).await? {
        return Ok("replication had been removed before".to_owned());
    }
    if let Some(told) = note::get::<String>(&*book, Side::Target, NOTE).await? {
        return Ok(told);
    }
    let told = match switch::drain_back(migration).await {
        Ok(()) => "the source holds the last write".to_owned(),
        Err(failure) => format!("the source was left behind: {failure}"),
    };
    note::put(&*book, Side::Target, NOTE, &told).await?;
    Ok(told)
}
