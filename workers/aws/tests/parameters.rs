//! Values that aren't ours: those that wait for the source's reboot, and those that don't fit a target of another class; on the stand-in.

#![allow(clippy::unwrap_used)]

mod stand_in;

use std::collections::BTreeMap;

use changeover_aws::{
    claim, groups, pending, source_parameters,
    target_parameters::{ensure_group_of_other_class, ensure_target_group},
    undo,
};
use changeover_domain::{Side, aws::status::Progress};
use serde_json::json;
use stand_in::{StandIn, becomes, sizing};

const SOURCE: &str = "orders";

fn running() -> BTreeMap<String, String> {
    [("max_connections", "100"), ("max_worker_processes", "64"), ("max_logical_replication_workers", "4")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn set(stand_in: &StandIn, group: &str, values: &[(&str, &str)]) {
    let parameters: Vec<_> = values
        .iter()
        .map(|(name, value)| json!({ "ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot" }))
        .collect();
    let fields = json!({ "DBParameterGroupName": group, "Parameters": parameters });
    stand_in.somebody(Side::Source, "rds", "modify_db_parameter_group", fields);
}

#[tokio::test]
async fn what_else_a_reboot_brings_and_what_does_not_fit_is_named() {
    let stand_in = StandIn::start();
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    becomes(&source, SOURCE, Progress::Ready).await;
    claim::ensure_claim(&source, SOURCE).await.unwrap();
    let fields =
        json!({ "DBParameterGroupName": "theirs", "DBParameterGroupFamily": "postgres15", "Description": "theirs" });
    stand_in.somebody(Side::Source, "rds", "create_db_parameter_group", fields);
    let formula = "GREATEST({DBInstanceVCPU*2},8)";
    set(
        &stand_in,
        "theirs",
        &[("max_connections", "150"), ("shared_buffers", "16384"), ("max_worker_processes", formula)],
    );
    let fields = json!({ "DBInstanceIdentifier": SOURCE, "DBParameterGroupName": "theirs" });
    stand_in.somebody(Side::Source, "rds", "modify_db_instance", fields);
    becomes(&source, SOURCE, Progress::Ready).await;

    let (plan, set_before) =
        source_parameters::plan_source_parameters(&source, SOURCE, &sizing(1), &running()).await.unwrap();
    assert_eq!(plan.made_because, None);
    source_parameters::ensure_source_parameters(&source, &plan).await.unwrap();
    let planned = pending::Planned {
        before: &plan.before,
        changes: &plan.changes,
        replaced: plan.made_because.is_some(),
        was_pending: false,
    };
    let others = pending::pending_of_others(&source, &planned, &running()).await.unwrap();
    assert_eq!(others.iter().map(ToString::to_string).collect::<Vec<_>>(), ["max_connections from 100 to 150"]);

    // Of the source's class: as on the source. Of another: no share of its memory, and a number for the formula.
    let of_source = groups::parameters(&source, "theirs").await.unwrap();
    let value = async |name: &str| {
        let all = groups::parameters(&target, &target.names().parameter_group(Side::Target)).await.unwrap();
        all.into_iter().find(|parameter| parameter.name == name).unwrap()
    };
    for _ in 0..2 {
        let group =
            ensure_group_of_other_class(&target, "postgres15", &of_source, &sizing(1), &running()).await.unwrap();
        assert_eq!(group.left, ["shared_buffers"]);
        assert!(!value("shared_buffers").await.is_set());
        assert_eq!(value("max_worker_processes").await.value.as_deref(), Some("64"));
        assert_eq!(value("max_connections").await.value.as_deref(), Some("150"));
    }
    ensure_target_group(&target, "postgres15", &of_source, &sizing(1), &running()).await.unwrap();
    assert_eq!(value("shared_buffers").await.value.as_deref(), Some("16384"));
    assert_eq!(value("max_worker_processes").await.value.as_deref(), Some(formula));

    // What somebody else has changed since stays, and hides no reboot that the rest waits for.
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 1);
    let changed = plan.changes.iter().filter(|change| change.waits_for_reboot);
    let (name, value) = changed.filter_map(|change| Some((change.name.clone(), number(&change.to)?))).next().unwrap();
    set(&stand_in, "theirs", &[(name.as_str(), &(value + 1).to_string())]);
    let undo = plan.undo(&set_before);
    let [back] = undo.as_slice() else { panic!("{undo:?}") };
    let done = undo::undo(&source, back).await.unwrap();
    assert_eq!(done, undo::Undone::PendingReboot { instance: SOURCE.to_owned(), left: vec![name] });
}
