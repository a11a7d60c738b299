//! What the application does in database `billing`. Every name here is in `tests/sql/sample/billing`.

use super::transaction::{Own, Tx, big_doc, big_value};
use tokio_postgres::Error;

/// Operations and their weights.
pub const OPERATIONS: &[(&str, u32)] = &[
    ("single", 6),
    ("account", 4),
    ("transfer", 16),
    ("receipt", 12),
    ("payment", 12),
    ("payment_kind", 4),
    ("payment_delete", 3),
    ("numbers", 4),
    ("big_value", 3),
    ("big_doc", 3),
];

/// Tables that operations choose rows from by `id`.
pub const BOUNDS: &[&str] = &["billing.account"];

/// Runs one operation as a whole transaction.
pub async fn run(tx: &mut Tx<'_>) -> Result<(), Error> {
    if tx.op == "single" {
        let message = ", message as (insert into billing.message (at, body) select pg_catalog.now(), $5 from raised)";
        let body = format!("single {} {}", tx.id.client, tx.id.seq);
        return tx.single(message, &[body.into()]).await;
    }
    tx.begin().await?;
    match tx.op {
        "account" => account(tx).await?,
        "transfer" => transfer(tx).await?,
        "receipt" => receipt(tx).await?,
        "payment" => payment(tx).await?,
        "payment_kind" | "payment_delete" => own_payment(tx).await?,
        "big_value" => big_value(tx).await?,
        "big_doc" => big_doc(tx).await?,
        _ => numbers(tx).await?,
    }
    tx.commit().await
}

async fn account(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.numbered(
        "billing.account_id_seq",
        "insert into billing.account (holder, opening, balance) values ('Neu', 10, 10) returning id",
        &[],
    )
    .await?;
    Ok(())
}

async fn transfer(tx: &mut Tx<'_>) -> Result<(), Error> {
    let from = tx.pick(1, 200);
    let to = (from + tx.pick(0, 198)) % 200 + 1;
    let amount = tx.pick(1, 5000);
    for account in [from.min(to), from.max(to)] {
        let change = if account == from { -amount } else { amount };
        let sql = "update billing.account set balance = balance + $2::numeric / 100 where id = $1 returning 1";
        let changed = tx.run(sql, &[account.into(), change.into()]).await?;
        tx.expect_changed(changed, &format!("account {account}"));
    }
    tx.numbered(
        "billing.transfer_id_seq",
        "insert into billing.transfer (from_id, to_id, amount) values ($1, $2, $3::numeric / 100) returning id",
        &[from.into(), to.into(), amount.into()],
    )
    .await?;
    Ok(())
}

async fn receipt(tx: &mut Tx<'_>) -> Result<(), Error> {
    let account = tx.key_of("billing.account");
    let receipt = tx
        .numbered(
            "billing.receipt_no",
            "insert into billing.receipt (account_id, amount, text) values ($1, 3.50, 'Quittung') returning no as id",
            &[account.into()],
        )
        .await?;
    if tx.pick(0, 2) == 0 {
        tx.numbered(
            "billing.reversal_no",
            "insert into billing.reversal (receipt_no, why) values ($1, 'Irrtum') returning no as id",
            &[receipt.into()],
        )
        .await?;
    }
    Ok(())
}

async fn payment(tx: &mut Tx<'_>) -> Result<(), Error> {
    let kind = ["card", "transfer", "Gutschein"][usize::try_from(tx.pick(0, 2)).unwrap_or(0)];
    let account = tx.key_of("billing.account");
    // Payments have their own numbers: those of receipts.
    let no = tx.next_number("billing.receipt_no").await?;
    tx.run(
        "insert into billing.payment (kind, no, account_id, amount, details, scan)
         values ($1::billing.payment_kind, $2, $3, 9.75, '{\"via\": \"app\"}', pg_catalog.decode(pg_catalog.repeat('00ff', 2000), 'hex'))",
        &[kind.into(), no.into(), account.into()],
    )
    .await?;
    tx.out.remember.push(Own::Payment(kind.to_owned(), no));
    Ok(())
}

async fn own_payment(tx: &mut Tx<'_>) -> Result<(), Error> {
    let own = tx.memory.take(|own| match own {
        Own::Payment(kind, no) => Some((kind.clone(), *no)),
        _ => None,
    });
    let Some((kind, no)) = own else { return payment(tx).await };
    let key = [kind.as_str().into(), no.into()];
    let changed = if tx.op == "payment_delete" {
        let sql = "delete from billing.payment where kind = $1::billing.payment_kind and no = $2 returning 1";
        tx.run(sql, &key).await?
    } else {
        // From one partition to the other, or within one.
        let to = if kind == "card" { "transfer" } else { "card" };
        tx.out.remember.push(Own::Payment(to.to_owned(), no));
        let [kind, no] = key;
        let sql = "update billing.payment set kind = $3::billing.payment_kind, details = details || '{\"moved\": true}'
            where kind = $1::billing.payment_kind and no = $2 returning 1";
        tx.run(sql, &[kind, no, to.into()]).await?
    };
    tx.expect_changed(changed, &format!("payment {kind} {no}"));
    Ok(())
}

async fn numbers(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.next_number("billing.receipt_no").await?;
    tx.next_number("billing.reversal_no").await?;
    Ok(())
}
