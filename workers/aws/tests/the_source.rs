//! What is done to the source is done to that very instance, once, and to nothing else of it; on the stand-in.

#![allow(clippy::unwrap_used)]

mod stand_in;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use changeover_aws::{claim, instance, reboot, source_parameters};
use changeover_domain::{Class, Side, aws::status::Progress};
use serde_json::json;
use stand_in::{StandIn, becomes, sizing};

const SOURCE: &str = "orders";

fn running() -> BTreeMap<String, String> {
    [("max_worker_processes", "8"), ("max_logical_replication_workers", "4")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn what_owners_have_ordered_for_their_window_waits_for_it() {
    let stand_in = StandIn::start();
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    becomes(&source, SOURCE, Progress::Ready).await;
    claim::ensure_claim(&source, SOURCE).await.unwrap();
    let order = json!({ "DBInstanceIdentifier": SOURCE, "BackupRetentionPeriod": 5 });
    stand_in.somebody(Side::Source, "rds", "modify_db_instance", order);
    becomes(&source, SOURCE, Progress::Ready).await;

    let (plan, _) = source_parameters::plan_source_parameters(&source, SOURCE, &sizing(1), &running()).await.unwrap();
    assert_eq!(plan.pending, ["backups: 5"]);
    source_parameters::ensure_source_parameters(&source, &plan).await.unwrap();
    for _ in 0..100 {
        if instance::look_at_existing(&source, SOURCE).await.unwrap().parameter_status == "pending-reboot" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    becomes(&source, SOURCE, Progress::Ready).await;
    let seen = instance::look_at_existing(&source, SOURCE).await.unwrap();
    assert_eq!(seen.parameter_group, plan.group);
    assert_eq!((seen.pending.as_slice(), seen.shape.backup_days), (["backups: 5".to_owned()].as_slice(), 1));

    // A reboot is asked for once, whatever becomes of the answer, and only once under one approval.
    stand_in.fault(json!({ "service": "rds", "action": "RebootDBInstance", "kind": "throttle", "times": 1 }));
    let order = reboot::Order { until: Some(SystemTime::now() + Duration::from_secs(60)), ..reboot::Order::default() };
    let failure = reboot::ensure_reboot(&source, SOURCE, order, &[]).await.unwrap_err();
    assert_eq!(failure.class, Class::Transient);
    assert_eq!(stand_in.calls().iter().filter(|call| call["action"] == "RebootDBInstance").count(), 1);
    let expired = reboot::Order { until: Some(SystemTime::now()), ..order };
    assert_eq!(reboot::ensure_reboot(&source, SOURCE, expired, &[]).await.unwrap_err().code, "CO1089");
    let nobodys = reboot::Order { until: None, ..order };
    assert_eq!(reboot::ensure_reboot(&source, SOURCE, nobodys, &[]).await.unwrap_err().code, "CO1089");
    let started = reboot::Order { started: true, ..order };
    assert_eq!(reboot::ensure_reboot(&source, SOURCE, started, &[]).await.unwrap_err().code, "CO1027");
    assert_eq!(reboot::ensure_reboot(&source, SOURCE, order, &[]).await.unwrap(), reboot::Reboot::Asked);
    becomes(&source, SOURCE, Progress::Ready).await;
    // `in-sync` is no proof.
    let lacks = ["max_wal_senders".to_owned()];
    let now = reboot::observe_reboot(&source, SOURCE, &lacks).await.unwrap();
    assert!(matches!(now, reboot::Reboot::Working { .. }), "{now:?}");
    assert_eq!(reboot::observe_reboot(&source, SOURCE, &[]).await.unwrap(), reboot::Reboot::Done);
}

#[tokio::test]
async fn an_instance_that_took_the_sources_name_is_left_alone() {
    let stand_in = StandIn::start();
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    becomes(&source, SOURCE, Progress::Ready).await;
    claim::ensure_claim(&source, "Orders").await.unwrap();
    claim::check_claim(&source, SOURCE).await.unwrap();
    let again = stand_in.session_of_run(Side::Source, "shop", "2").await.unwrap();
    let failure = claim::ensure_claim(&again, SOURCE).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1013", Class::Refused));

    let call = |method: &str, fields| stand_in.somebody(Side::Source, "rds", method, fields);
    call("modify_db_instance", json!({ "DBInstanceIdentifier": SOURCE, "DeletionProtection": false }));
    becomes(&source, SOURCE, Progress::Ready).await;
    call("delete_db_instance", json!({ "DBInstanceIdentifier": SOURCE, "SkipFinalSnapshot": true }));
    becomes(&source, SOURCE, Progress::Absent).await;
    let fields = json!({
        "DBInstanceIdentifier": SOURCE, "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "MasterUsername": "master",
        "MasterUserPassword": "correct-horse-1", "AllocatedStorage": 20, "DBSubnetGroupName": "source-net",
    });
    call("create_db_instance", fields);
    becomes(&source, SOURCE, Progress::Ready).await;
    let failure = claim::check_claim(&source, SOURCE).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1013", Class::NeedsHuman));
    let refused = changeover_aws::retire::ensure_deleted(&source, SOURCE, SOURCE, 0, None).await.unwrap_err();
    assert_eq!(refused.code, "CO1013");
}
