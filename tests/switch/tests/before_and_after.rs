//! What the gate asks of the target before a switch, and what may follow one without its poolers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::{Class, Direction};
use changeover_postgres::switch::{self, SwitchRequest};
use changeover_switch_tests::{Lab, LabOptions};
use changeover_tests::stack::{Side, StopMode, connect};
use changeover_traffic::PgBouncer;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// One attempt at a switch to the target, which the gate is to refuse.
async fn refusal(lab: &mut Lab, verified_at: Option<SystemTime>) -> String {
    let epoch = lab.next_epoch();
    let traffic = PgBouncer::new(lab.migration()).unwrap();
    let request = SwitchRequest { direction: Direction::Forward, epoch, verified_at };
    let record = switch::run(lab.migration(), &request, &traffic).await.unwrap();
    assert_eq!(record.outcome, "abort");
    record.refusal
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_compared_of_late_and_statistics_are_asked_for_and_no_pooler_at_the_end() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    let told = refusal(&mut lab, None).await;
    assert!(told.contains("when all rows were last compared could not be measured"), "{told}");
    let told = refusal(&mut lab, Some(SystemTime::now() - 2 * DAY)).await;
    assert!(told.contains("gates.max_verification_age"), "{told}");

    let target = connect::as_superuser(lab.info().cluster(Side::Target), "shop").await.unwrap();
    let forget = "delete from pg_catalog.pg_statistic where starelid = 'sales.customer'::regclass; \
                  update pg_catalog.pg_class set reltuples = -1 where oid = 'sales.customer'::regclass";
    target.batch_execute(forget).await.unwrap();
    let told = refusal(&mut lab, Some(SystemTime::now())).await;
    assert!(told.contains("sales.customer in shop on the target has no statistics"), "{told}");
    target.batch_execute("analyze sales.customer").await.unwrap();
    let opened = lab.switch_over(Direction::Forward, 8).await.unwrap();

    // Its failure touches nothing, and whatever comes later needs no pooler any more.
    lab.info().pooler.kill().await.unwrap();
    let traffic = PgBouncer::new(lab.migration()).unwrap();
    let housekeeping = switch::housekeeping(lab.migration(), Direction::Forward, opened.epoch, &traffic).await;
    assert!(housekeeping.is_err(), "the pooler is gone");
    switch::close_for_good(lab.migration(), Direction::Forward.to_side(), &traffic).await.unwrap();
}

/// An undo that comes after another one doesn't ask a target that is gone whether an attempt is left: none is.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_holds_up_no_undo_once_all_attempts_are_at_their_end() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    refusal(&mut lab, None).await;
    let (traffic, user) = (PgBouncer::new(lab.migration()).unwrap(), lab.stack().user());
    let target = &lab.info().target;
    target.stop(user, StopMode::Immediate).await.unwrap();
    let unknown = switch::close_for_good(lab.migration(), changeover_domain::Side::Source, &traffic).await.unwrap_err();
    assert_eq!(unknown.class, Class::Transient, "an attempt may have opened it: {unknown}");

    target.start(user).await.unwrap();
    switch::close_for_good(lab.migration(), changeover_domain::Side::Source, &traffic).await.unwrap();
    target.stop(user, StopMode::Immediate).await.unwrap();
    switch::close_for_good(lab.migration(), changeover_domain::Side::Source, &traffic).await.unwrap();
}
