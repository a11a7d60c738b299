//! The laboratory itself: a switch there and back under load, one killed on its way, and a judge that isn't blind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::Direction;
use changeover_switch_tests::{Ended, Lab, LabOptions, Verb};
use changeover_tests::stack::{Side, connect};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_switches_recovers_and_judges() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    lab.load().await.unwrap();

    lab.switch_over(Direction::Forward, 8).await.unwrap();
    lab.until_writes_flow(MINUTE).await.unwrap();
    assert_eq!(lab.serving().await.unwrap().open, Some(Side::Target));

    a_killed_switch_is_settled_by_the_next_one(&mut lab).await;
    lab.until_writes_flow(MINUTE).await.unwrap();
    lab.check().await.unwrap().expect_clean().unwrap();
    lab.judge().await.unwrap().expect_clean().unwrap();
    the_judge_sees_a_stray_write(&mut lab).await;
}

async fn a_killed_switch_is_settled_by_the_next_one(lab: &mut Lab) {
    lab.until_ready(MINUTE).await.unwrap();
    let (epoch, mut child) = loop {
        let epoch = lab.next_epoch();
        let mut child = lab.switcher(Verb::Run, Direction::Reverse, epoch).start().unwrap();
        // A direct writer's transaction may keep it from its lock: then it ends by itself.
        if child.until_step("locked", MINUTE).await {
            break (epoch, child);
        }
    };
    child.kill().await.unwrap();
    let Ended::Record(record) = lab.switcher(Verb::Run, Direction::Reverse, epoch).finish(MINUTE).await.unwrap() else {
        panic!("no record")
    };
    let wanted = if record.outcome == "open" { Side::Source } else { Side::Target };
    assert_eq!(lab.serving().await.unwrap().open, Some(wanted));
}

/// What nobody was told of, on the side that serves: the ledger, and the rows of both sides, must say so.
async fn the_judge_sees_a_stray_write(lab: &mut Lab) {
    let open = lab.serving().await.unwrap().open.unwrap();
    let client = connect::as_superuser(lab.info().cluster(open), "shop").await.unwrap();
    let sql = "insert into workload.journal values (1, 999999999, 1); select pg_catalog.setval('sales.order_id', 1000)";
    client.batch_execute(sql).await.unwrap();
    let judgement = lab.judge().await.unwrap();
    assert!(judgement.sequences.iter().any(|fault| fault.sequence == "sales.order_id"), "{judgement:?}");
    assert!(judgement.ledger.lost + judgement.ledger.invariant_violations > 0, "{judgement:?}");
    let sql = "set session_replication_role = replica; grant insert on workload.journal to shop_app; \
               alter role shop_app login";
    let closed = if open == Side::Source { Side::Target } else { Side::Source };
    let client = connect::as_superuser(lab.info().cluster(closed), "shop").await.unwrap();
    client.batch_execute(sql).await.unwrap();
    let serving = lab.serving().await.unwrap();
    assert!(serving.open.is_none() && !serving.faults.is_empty(), "{serving:?}");
}
