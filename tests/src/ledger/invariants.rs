//! What holds in the sample databases whatever was written: sums, counters, sequences.

use super::check::{CheckReport, Kind};
use anyhow::{Context, Result};
use tokio_postgres::Client;

/// What must hold, and a query whose rows are the exceptions: each a text.
type Invariant = (&'static str, &'static str);

const SHOP: &[Invariant] = &[
    (
        "the sum over all accounts is constant",
        "select 'it is ' || pg_catalog.sum(balance) || ', it was ' || pg_catalog.sum(opening) from bank.account
         having pg_catalog.sum(balance) <> pg_catalog.sum(opening)",
    ),
    (
        "an account's balance is what its transfers make it",
        "select 'account ' || a.id || ' has ' || a.balance
           from bank.account a
           left join (select account, pg_catalog.sum(change) as change
                        from (select from_id, -amount from bank.transfer union all select to_id, amount from bank.transfer) t (account, change)
                       group by account) m on m.account = a.id
          where a.balance <> a.opening + coalesce(m.change, 0)",
    ),
    (
        "every transfer is logged once",
        "select 'transfer ' || coalesce(t.id, l.transfer_id) || ' is logged ' || coalesce(l.n, 0) || ' times'
           from bank.transfer t
           full join (select transfer_id, pg_catalog.count(*) as n from audit_trail.transfer_log group by 1) l on l.transfer_id = t.id
          where t.id is null or l.n is distinct from 1",
    ),
    (
        "orders are counted",
        "select 'shard ' || c.shard || ' says ' || c.n || ' and has ' || pg_catalog.count(o.id)
           from audit_trail.counter c left join sales.orders o on o.id % 16 = c.shard
          where c.name = 'orders' group by c.shard, c.n having c.n <> pg_catalog.count(o.id)",
    ),
    (
        "invoices are counted",
        "select 'it says ' || c.n from audit_trail.counter c
          where c.name = 'invoices' and c.n <> (select pg_catalog.count(*) from sales.invoice)",
    ),
    (
        "an order has one more event of insertion than of deletion while it is there",
        "select 'order ' || coalesce(o.id, e.order_id) || ' has ' || coalesce(e.n, 0)
           from sales.orders o
           full join (select order_id, pg_catalog.sum(case what when 'insert' then 1 else -1 end) as n
                        from audit_trail.order_event group by 1) e on e.order_id = o.id
          where coalesce(e.n, 0) <> case when o.id is null then 0 else 1 end",
    ),
    (
        "every movement is logged once",
        "select 'movement ' || coalesce(m.id, l.movement_id) || ' is logged ' || coalesce(l.n, 0) || ' times'
           from stock.movement m
           full join (select movement_id, pg_catalog.count(*) as n from audit_trail.movement_log group by 1) l on l.movement_id = m.id
          where m.id is null or l.n is distinct from 1",
    ),
    (
        "every ticket has one event",
        "select 'ticket ' || coalesce(t.no, e.ticket_no) || ' has ' || coalesce(e.n, 0)
           from crm.ticket t
           full join (select ticket_no, pg_catalog.count(*) as n from crm.ticket_event group by 1) e on e.ticket_no = t.no
          where t.no is not null and e.n is distinct from 1 or e.n > 1",
    ),
    (
        "a document's number is an invoice's or a credit note's",
        "select 'number ' || no from sales.invoice join sales.credit_note using (no)",
    ),
    (
        "lines have an order",
        "select 'line ' || l.line_no || ' of order ' || l.order_id from sales.order_line l
          where not exists (select from sales.orders o where o.placed_on = l.placed_on and o.id = l.order_id)",
    ),
    (
        "heads of departments and departments of employees exist",
        "select 'department ' || d.id from crm.department d left join crm.employee e on e.id = d.head_id where e.id is null
         union all
         select 'employee ' || e.id from crm.employee e left join crm.department d on d.id = e.department_id where d.id is null",
    ),
    BIG_VALUES,
];

const BILLING: &[Invariant] = &[
    (
        "the sum over all accounts is constant",
        "select 'it is ' || pg_catalog.sum(balance) || ', it was ' || pg_catalog.sum(opening) from billing.account
         having pg_catalog.sum(balance) <> pg_catalog.sum(opening)",
    ),
    (
        "an account's balance is what its transfers make it",
        "select 'account ' || a.id || ' has ' || a.balance
           from billing.account a
           left join (select account, pg_catalog.sum(change) as change
                        from (select from_id, -amount from billing.transfer union all select to_id, amount from billing.transfer) t (account, change)
                       group by account) m on m.account = a.id
          where a.balance <> a.opening + coalesce(m.change, 0)",
    ),
    (
        "every transfer is logged once",
        "select 'transfer ' || coalesce(t.id, l.transfer_id) || ' is logged ' || coalesce(l.n, 0) || ' times'
           from billing.transfer t
           full join (select transfer_id, pg_catalog.count(*) as n from billing.transfer_log group by 1) l on l.transfer_id = t.id
          where t.id is null or l.n is distinct from 1",
    ),
    (
        "reversals have a receipt",
        "select 'reversal ' || v.no from billing.reversal v left join billing.receipt r on r.no = v.receipt_no where r.no is null",
    ),
    BIG_VALUES,
];

const BIG_VALUES: Invariant = (
    "a big value is whole",
    "select 'client ' || client || ' slot ' || slot from workload.big_value
      where digest <> pg_catalog.md5(body) or raw is not null and digest <> pg_catalog.encode(raw, 'hex')",
);

/// Looks at every invariant of the database, and at what its sequences will hand out next.
pub(super) async fn check(report: &mut CheckReport, database: &str, client: &Client) -> Result<()> {
    let invariants = match database {
        "shop" => SHOP,
        "billing" => BILLING,
        other => anyhow::bail!("nothing is known about database {other}"),
    };
    for (name, query) in invariants {
        for row in client.query(*query, &[]).await.with_context(|| format!("asking whether {name}"))? {
            let exception: String = row.try_get(0).with_context(|| format!("reading whether {name}"))?;
            report.add(Kind::Invariant, format!("{database}: {name}: {exception}"));
        }
    }
    sequences(report, database, client).await
}

/// A sequence stands at or beyond every number that it handed out, or it would hand one out again.
async fn sequences(report: &mut CheckReport, database: &str, client: &Client) -> Result<()> {
    let rows = client
        .query(
            "select h.sequence, s.seqincrement > 0, pg_catalog.pg_sequence_last_value(s.seqrelid), pg_catalog.min(h.value), pg_catalog.max(h.value)
               from workload.handed_out h join pg_catalog.pg_sequence s on s.seqrelid = h.sequence::pg_catalog.regclass
              group by h.sequence, s.seqrelid, s.seqincrement",
            &[],
        )
        .await?;
    for row in rows {
        let (sequence, rising): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let (stands, lowest, highest): (Option<i64>, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let farthest = if rising { highest } else { lowest };
        let beyond = stands.is_some_and(|stands| if rising { stands >= farthest } else { stands <= farthest });
        if !beyond {
            let stands = stands.map_or("unused".to_owned(), |stands| stands.to_string());
            report.add(
                Kind::Invariant,
                format!("{database}: {sequence} stands at {stands} and has handed out {farthest}"),
            );
        }
    }
    Ok(())
}
