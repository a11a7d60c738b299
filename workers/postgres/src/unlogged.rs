//! Statements that hold a secret: their text reaches the server as COPY data and runs from there, so that `log_statement` shows
//! only the block that runs them.

use changeover_domain::Failure;
use futures::SinkExt;

use crate::Session;

const RUN: &str = include_str!("../sql/run_unlogged.sql");

/// Runs statements in one transaction without their text in the server's log. `what` says what is being done.
/// An error carries the server's primary message and SQLSTATE and nothing else.
pub async fn run(session: &mut Session, what: &str, statements: &[String]) -> Result<(), Failure> {
    let failed = session.failed(what);
    let transaction = session.transaction().await.map_err(&failed)?;
    within(&transaction, statements).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// The same inside a transaction.
pub async fn within(
    transaction: &tokio_postgres::Transaction<'_>,
    statements: &[String],
) -> Result<(), tokio_postgres::Error> {
    transaction
        .batch_execute(
            "create temporary table if not exists changeover_statement (n int, statement text) on commit drop; \
             delete from pg_temp.changeover_statement",
        )
        .await?;
    let sink = transaction.copy_in("copy pg_temp.changeover_statement from stdin").await?;
    futures::pin_mut!(sink);
    let rows: String = statements.iter().enumerate().map(|(n, text)| format!("{n}\t{}\n", escape(text))).collect();
    sink.send(std::io::Cursor::new(rows.into_bytes())).await?;
    sink.finish().await?;
    transaction.batch_execute(RUN).await
}

/// COPY's text format (documentation, COPY, "Text Format").
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_reads_it_back() {
        assert_eq!(escape("a\\b\tc\nd\r"), "a\\\\b\\tc\\nd\\r");
    }
}
