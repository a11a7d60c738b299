//! Tables with a key that the two sides may order differently (types of extensions, arrays, a collation whose version isn't
//! the same): one pass over each side, sorted by the bytes of the key's text, an order on which everybody agrees.

use changeover_domain::{
    Failure,
    verify::{Key, RowHash},
};
use futures::StreamExt;
use tokio_postgres::Row;

use super::{chunks::report, facts::Table, pair::Pair, progress::Progress, recheck::BATCH};

struct Item {
    order: String,
    key: Key,
    hash: RowHash,
    bytes: i32,
}

impl Item {
    fn read(row: &Row, columns: usize) -> Self {
        Self {
            order: row.get(0),
            key: (1..=columns).map(|n| row.get(n)).collect(),
            hash: RowHash(row.get(columns + 1), row.get(columns + 2)),
            bytes: row.get(columns + 3),
        }
    }
}

/// Compares a table in one pass.
pub(super) async fn compare(pair: &mut Pair<'_>, table: &Table, progress: &mut Progress<'_>) -> Result<(), Failure> {
    let (ours, theirs) = tokio::try_join!(pair.another_provider(), pair.another_subscriber())?;
    let sql = table.shape.ordered_rows();
    let what = format!("sorting {} by its key", table.shape.name.raw());
    let (ours, theirs) = tokio::try_join!(ours.stream(&sql, &[], &what), theirs.stream(&sql, &[], &what))?;
    let (mut ours, mut theirs) = (std::pin::pin!(ours.fuse()), std::pin::pin!(theirs.fuse()));
    let columns = table.shape.key.len();
    let item = |row: Option<Result<Row, Failure>>| row.transpose().map(|row| row.map(|r| Item::read(&r, columns)));
    let (first, second) = tokio::join!(ours.next(), theirs.next());
    let (mut our, mut their) = (item(first)?, item(second)?);
    let mut suspects = Vec::new();
    loop {
        let order = match (&our, &their) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(our), Some(their)) => our.order.as_bytes().cmp(their.order.as_bytes()),
        };
        let same = matches!((&our, &their), (Some(our), Some(their)) if order.is_eq() && our.hash == their.hash);
        if order.is_le() {
            if let Some(our) = our.take() {
                progress.rows(1, i64::from(our.bytes));
                if !same {
                    suspects.push(our.key);
                }
            }
            our = item(ours.next().await)?;
        }
        if order.is_ge() {
            if let (false, Some(their)) = (order.is_eq(), their.take()) {
                suspects.push(their.key);
            }
            their = item(theirs.next().await)?;
        }
        if suspects.len() >= BATCH {
            report(pair, table, std::mem::take(&mut suspects), progress).await?;
            if progress.enough() {
                return Ok(());
            }
        }
        if progress.totals.rows.is_multiple_of(10_000) {
            progress.publish(|_| {});
        }
    }
    progress.totals.chunks += 1;
    report(pair, table, suspects, progress).await
}
