//! Tampering proves the checker: each fault is planted in a database that was right, and has to be found as what it is.

use anyhow::{Context, Result, ensure};
use changeover_tests::ledger::{CheckReport, check};
use changeover_tests::sample::{self, Access};
use changeover_tests::stack::{Side, Stack, StackOptions, connect, process};
use changeover_tests::workload::{Workload, WorkloadOptions};
use std::time::Duration;

/// One fault: what to do to one table of `shop`, and which counters of the report it has to raise, and no others.
struct Fault {
    name: &'static str,
    table: &'static str,
    plant: &'static str,
    kinds: &'static [&'static str],
}

const fn fault(name: &'static str, table: &'static str, plant: &'static str, kinds: &'static [&'static str]) -> Fault {
    Fault { name, table, plant, kinds }
}

const LOST: &[&str] = &["lost"];
const DOUBLED: &[&str] = &["doubled"];
const REORDERED: &[&str] = &["reordered"];
const INVARIANT: &[&str] = &["invariant"];

/// `pick` is a transaction in the middle of a slot's life, made by the test.
const FAULTS: &[Fault] = &[
    fault(
        "a row with a key is missing",
        "workload.ledger",
        "delete from workload.ledger l using pick p where (l.client, l.seq) = (p.client, p.seq)",
        LOST,
    ),
    fault(
        "a row without a key is missing",
        "workload.journal",
        "delete from workload.journal j using pick p where (j.client, j.seq) = (p.client, p.seq)",
        LOST,
    ),
    fault(
        "a row without a key is there twice",
        "workload.journal",
        "insert into workload.journal select j.* from workload.journal j join pick p using (client, seq)",
        DOUBLED,
    ),
    fault(
        "an update was carried out twice",
        "workload.slot",
        "update workload.slot s set version = s.version + 1 from pick p where (s.client, s.slot) = (p.client, p.slot)",
        DOUBLED,
    ),
    fault(
        "an update is missing",
        "workload.slot",
        "update workload.slot s set version = s.version - 1 from pick p where (s.client, s.slot) = (p.client, p.slot)",
        REORDERED,
    ),
    fault(
        "an older update came last",
        "workload.slot",
        "update workload.slot s set last_seq = p.seq from pick p where (s.client, s.slot) = (p.client, p.slot)",
        REORDERED,
    ),
    fault(
        "a slot is missing",
        "workload.slot",
        "delete from workload.slot s using pick p where (s.client, s.slot) = (p.client, p.slot)",
        LOST,
    ),
    fault(
        "two transactions changed places",
        "workload.ledger",
        "update workload.ledger l set version = p.version + p.next_version - l.version from pick p
          where l.client = p.client and l.seq in (p.seq, p.next_seq)",
        REORDERED,
    ),
    fault(
        "a row that nobody wrote",
        "workload.ledger",
        "insert into workload.ledger select client, 1000000, 1, slot, 'x' from pick",
        INVARIANT,
    ),
    fault(
        "a big value is older than its last write",
        "workload.big_value",
        "update workload.big_value set version = version - 1 where ctid = (select min(ctid) from workload.big_value)",
        REORDERED,
    ),
    fault(
        "a big value is cut",
        "workload.big_value",
        "update workload.big_value set body = left(body, -1) where ctid = (select min(ctid) from workload.big_value)",
        INVARIANT,
    ),
    fault(
        "money from nowhere",
        "bank.account",
        "update bank.account set balance = balance + 0.01 where id = 1",
        INVARIANT,
    ),
    fault(
        "money on the wrong account",
        "bank.account",
        "update bank.account set balance = balance + id * 2 - 3 where id in (1, 2)",
        INVARIANT,
    ),
    fault(
        "an ENABLE ALWAYS trigger fired on apply",
        "audit_trail.transfer_log",
        "insert into audit_trail.transfer_log (transfer_id, amount)
         select transfer_id, amount from audit_trail.transfer_log limit 1",
        INVARIANT,
    ),
    fault(
        "an ENABLE REPLICA trigger fired on apply",
        "audit_trail.movement_log",
        "insert into audit_trail.movement_log (movement_id, delta)
         select movement_id, delta from audit_trail.movement_log limit 1",
        INVARIANT,
    ),
    fault(
        "a counter counted twice",
        "audit_trail.counter",
        "update audit_trail.counter set n = n + 1 where name = 'invoices'",
        INVARIANT,
    ),
    fault(
        "an order is missing",
        "sales.orders",
        "delete from sales.orders where id = (select max(id) from sales.orders)",
        INVARIANT,
    ),
    fault(
        "a number was given twice",
        "workload.handed_out",
        "insert into workload.handed_out (sequence, value, client, seq)
         select sequence, value, client + 1, seq from workload.handed_out limit 1",
        INVARIANT,
    ),
    fault(
        "an invoice and a credit note have the same number",
        "sales.credit_note",
        "insert into sales.credit_note select max(no), max(no), 1 from sales.invoice",
        INVARIANT,
    ),
];

/// Sequences that stand before a number they handed out.
const SEQUENCES: &[&str] = &["sales.document_no", "sales.refund_ref", "crm.ticket_no"];

const PICK: &str = "
    create temporary table pick as
    select l.client, l.slot, l.seq, l.version, n.seq as next_seq, n.version as next_version
      from workload.ledger l
      join workload.ledger n on n.client = l.client and n.slot = l.slot and n.version = l.version + 1
     where l.version = 2 and l.op not like 'big%' and n.op not like 'big%'
       and exists (select from workload.ledger o where o.client = l.client and o.slot = l.slot and o.version = 4)
     limit 1";

fn kinds(report: &CheckReport) -> Vec<&'static str> {
    let counted = [
        ("lost", report.lost),
        ("doubled", report.doubled),
        ("reordered", report.reordered),
        ("invariant", report.invariant_violations),
    ];
    counted.into_iter().filter(|(_, count)| *count > 0).map(|(kind, _)| kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_as_what_it_is_and_nothing_else_is() -> Result<()> {
    let options = StackOptions { temporal: None, log_statement: "none".to_owned(), ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    let info = stack.info();
    sample::load(&Access::master(info, Side::Source), 2).await?;
    let directory = tempfile::tempdir()?;
    let options = WorkloadOptions { rate: 0.0, ..WorkloadOptions::on_stack(info, directory.path().to_path_buf()) };
    let workload = Workload::start(options).await?;
    process::wait_until("600 transactions", Duration::from_secs(60), async || workload.stats().acknowledged >= 600)
        .await?;
    let summary = workload.stop().await?;
    ensure!(summary.anomalies.is_empty(), "{:?}", summary.anomalies);
    ensure!(summary.errors.is_empty(), "{:?}", summary.errors);

    let access = Access::superuser(&info.source);
    let clean = check(directory.path(), &access).await?;
    ensure!(clean.is_clean() && clean.acknowledged == summary.acknowledged && clean.numbers > 100, "{clean:?}");

    let client = connect::as_superuser(&info.source, "shop").await?;
    // Nothing fires but what a fault does by itself.
    client.batch_execute("set session_replication_role = replica").await?;
    client.batch_execute(PICK).await?;
    for fault in FAULTS {
        let Fault { name, table, plant, kinds: expected } = fault;
        client.batch_execute(&format!("create temporary table kept as table {table}")).await?;
        let planted = client.execute(*plant, &[]).await.with_context(|| format!("planting: {name}"))?;
        ensure!(planted > 0, "{name}: nothing was planted");
        let report = check(directory.path(), &access).await?;
        ensure!(kinds(&report) == *expected, "{name}: {report:#?}");
        let repair =
            format!("delete from {table}; insert into {table} overriding system value table kept; drop table kept");
        client.batch_execute(&repair).await.with_context(|| format!("repairing: {name}"))?;
        let report = check(directory.path(), &access).await?;
        ensure!(report == clean, "after the repair of {name}: {report:#?}");
    }
    for sequence in SEQUENCES {
        let row = client
            .query_one(
                &format!(
                    "select last_value, seqstart from {sequence}, pg_sequence where seqrelid = '{sequence}'::regclass"
                ),
                &[],
            )
            .await?;
        let (stands, start): (i64, i64) = (row.get(0), row.get(1));
        client.batch_execute(&format!("select setval('{sequence}', {start})")).await?;
        let report = check(directory.path(), &access).await?;
        ensure!(kinds(&report) == INVARIANT && report.invariant_violations == 1, "{sequence} set back: {report:#?}");
        client.batch_execute(&format!("select setval('{sequence}', {stands})")).await?;
    }
    ensure!(check(directory.path(), &access).await? == clean);
    Ok(())
}
