//! The AWS half of the workflow on a real Temporal server, with fakes for the world.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use changeover_domain::{
    Failure,
    proto::{ApprovalKind, Approve, Aws, AwsEnd, AwsTarget, Endpoint, RolePassword, Roles, Spec, State},
};
use support::{Run, Script, approval, spec};

fn aws(end: AwsEnd) -> Spec {
    let aws = Aws {
        instance: "orders".into(),
        made: Some(AwsTarget::default()),
        publish: "/shop/endpoint".into(),
        end: Some(end),
        ..Aws::default()
    };
    Spec { aws: Some(aws), source: Some(Endpoint::default()), target: Some(Endpoint::default()), ..spec() }
}

/// Everything up to the approval of the cutover.
async fn provisioned(end: AwsEnd, script: Script) -> Run {
    provisioned_of(aws(end), script).await
}

async fn provisioned_of(spec: Spec, script: Script) -> Run {
    let run = Run::start_with(spec, script).await;
    let waiting = run.until_waiting("provision").await;
    assert_eq!(waiting.next_command, "changeover approve fake --for reboot");
    assert_eq!(waiting.doing, "it has to be rebooted");
    assert!(run.script.called("aws_act reboot").is_empty(), "no reboot without an approval");
    run.approve(ApprovalKind::Reboot).await.unwrap();
    run.until_waiting("approval").await;
    run
}

async fn switched(run: &Run) {
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_has_to_make_comes_first_and_the_old_instance_is_dealt_with_last() {
    let end = AwsEnd { final_snapshot: true, delete: true, ..AwsEnd::default() };
    let run = provisioned(end, Script::default()).await;
    let steps = ["look", "claim", "key", "source_parameters", "reboot", "target_parameters", "options", "secret"];
    let mut acts: Vec<String> = steps.iter().map(|step| format!("aws_act {step} source")).collect();
    acts.extend(["aws_act instance source"; 2].map(str::to_owned));
    acts.push("aws_act databases source".to_owned());
    assert_eq!(run.script.called("aws_act"), acts);
    assert!(run.status().await.approvals.is_empty(), "an approval is for one reboot");

    switched(&run).await;
    run.until("published", |_| run.script.called("aws_act publish") == ["aws_act publish target"]).await;
    run.rollback().await.unwrap();
    run.until("back at the approval", |s| s.serving == "source" && s.state() == State::Waiting).await;
    run.until("published", |_| run.script.called("aws_act publish").len() == 2).await;
    switched(&run).await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    let waiting = run.until_waiting("finalize").await;
    assert_eq!(waiting.next_command, "changeover approve fake --for delete --object orders");
    let unnamed = approval(ApprovalKind::Delete, waiting.epoch);
    assert!(run.approve_with(unnamed.clone()).await.is_err_and(|e| e.contains("--object")));
    run.approve_with(Approve { object: "orders".into(), ..unnamed }).await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
    let watches = run.script.called("aws_act watch");
    assert!(watches.len() >= 2, "metrics are watched in each soak: {watches:?}");
    let there = ["served source", "publish target"];
    let last = [&there[..], &["publish source"], &there, &["final_snapshot target", "delete target"]].concat();
    let after = run.script.called("aws_act")[acts.len()..].to_vec();
    let after: Vec<String> = after.into_iter().filter(|act| !act.contains(" watch ")).collect();
    assert_eq!(after, last.iter().map(|act| format!("aws_act {act}")).collect::<Vec<_>>());
    assert_eq!(run.script.called("aws_undo"), ["aws_undo delete the claim orders on the source"]);
    run.record("aws_to_the_end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_undoes_the_servers_first_and_then_all_that_was_made() {
    let run = provisioned(AwsEnd::default(), Script::default()).await;
    let undo = run.status().await.undo;
    assert_eq!(undo.last().unwrap(), "delete the claim orders on the source");
    *run.script.pending_reboot.lock().unwrap() = Some("orders".into());
    run.abort().await.unwrap();
    let parked = run.until_parked().await;
    assert_eq!(parked.failure.unwrap().code, "CO1080");
    run.approve(ApprovalKind::Reboot).await.unwrap();
    run.retry().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    let calls = run.script.calls.lock().unwrap().clone();
    let at = |start: &str| calls.iter().position(|call| call.starts_with(start)).unwrap();
    assert!(at("undo ") < at("aws_undo "), "{calls:?}");
    let kinds = ["instance", "secret", "option group", "parameter group", "key", "claim"];
    let undone = run.script.called("aws_undo");
    assert_eq!(undone.len(), kinds.len(), "{undone:?}");
    for (undone, kind) in undone.iter().zip(kinds) {
        assert!(undone.contains(&format!("delete the {kind} ")), "{undone}");
    }
    assert_eq!(run.script.called("aws_act reboot"), ["aws_act reboot source", "aws_act reboot_back source"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_get_their_logins_once_the_roles_have_their_passwords() {
    let mut spec = aws(AwsEnd::default());
    let made = AwsTarget { role_secrets: "orders/roles".into(), ..AwsTarget::default() };
    spec.aws.as_mut().unwrap().made = Some(made);
    let app = RolePassword { role: "app".into(), ..RolePassword::default() };
    spec.roles = Some(Roles { passwords: vec![app], ..Roles::default() });
    let run = provisioned_of(spec, Script::default()).await;
    let calls = run.script.calls.lock().unwrap().clone();
    let at = |start: &str| calls.iter().position(|call| call.starts_with(start)).unwrap();
    assert!(at("ensure_roles") < at("aws_act role_secrets") && at("aws_act role_secrets") < at("ensure_schema"));
    assert_eq!(run.script.called("aws_act role_secrets").len(), 1);
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    let undone = run.script.called("aws_undo");
    assert_eq!(undone[0], "aws_undo delete the secret orders/roles/app on the target");
    run.record("aws_role_secrets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_goes_on_from_there_and_an_endpoint_that_cannot_be_published_is_told() {
    let failure = || Failure::needs_human("CO1004", "beyond the quota", "raise it");
    let script = Script::default();
    script.fail("aws_act", failure());
    let run = Run::start_with(aws(AwsEnd::default()), script).await;
    let parked = run.until_parked().await;
    assert_eq!((parked.stage.as_str(), parked.failure.unwrap().code.as_str()), ("provision", "CO1004"));
    run.retry().await.unwrap();
    run.until_waiting("provision").await;
    assert_eq!(run.script.called("aws_act claim").len(), 1);
    run.approve(ApprovalKind::Reboot).await.unwrap();
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.script.fail("aws_act", failure());
    run.cutover().await.unwrap();
    assert_eq!(run.until_parked().await.serving, "source", "a target that can't be marked isn't switched to");
    run.retry().await.unwrap();
    run.until_waiting("approval").await;
    // At some looks, so that it is seen.
    (0..8).for_each(|_| run.script.fail("aws_plan", failure()));
    run.cutover().await.unwrap();
    run.until("told", |s| s.warnings.iter().any(|finding| finding.object == "published endpoint")).await;
    run.until("published", |s| s.warnings.iter().all(|finding| finding.object != "published endpoint")).await;
    assert_eq!(run.script.called("housekeeping").len(), 1, "only what failed is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_while_the_reboot_is_waited_for_reboots_nothing() {
    let run = Run::start_with(aws(AwsEnd::default()), Script::default()).await;
    run.until_waiting("provision").await;
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    assert!(run.script.called("aws_act reboot").is_empty());
    assert!(run.script.called("undo").is_empty(), "nothing was done on the servers");
    assert_eq!(run.script.called("aws_undo").last().unwrap(), "aws_undo delete the claim orders on the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_does_not_wait_for_a_deployment_that_hangs() {
    let mut spec = aws(AwsEnd::default());
    spec.aws.as_mut().unwrap().deploy = "/etc/deploy".into();
    let run = provisioned_of(spec, Script::default()).await;
    *run.script.deployments_hang.lock().unwrap() = true;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until("deploying", |_| !run.script.called("aws_act deploy target").is_empty()).await;
    assert_eq!(run.script.called("housekeeping").len(), 1, "nothing else waits for it");
    run.until("its slots are watched", |_| run.script.called("look_at_links reverse watch").len() == 1).await;
    *run.script.deployments_hang.lock().unwrap() = false;
    // The one that began to hang still does. What isn't published isn't what deployments are told.
    let quicker = || Failure::needs_human("CO1016", "somebody was quicker", "see who");
    (0..4).for_each(|_| run.script.fail("aws_plan", quicker()));
    run.rollback().await.unwrap();
    run.until("back at the approval", |s| s.serving == "source" && s.state() == State::Waiting).await;
    run.until("deployed", |s| s.warnings.is_empty() && !run.script.called("aws_act deploy source").is_empty()).await;
    assert_eq!(run.script.called("aws_act deploy target").len(), 1);
    let calls = run.script.calls.lock().unwrap().clone();
    let at = |call: &str| calls.iter().position(|other| other == call).unwrap();
    assert!(at("aws_act publish source") < at("aws_act deploy source"), "{calls:?}");
    assert_eq!(run.script.called("aws_act publish"), ["aws_act publish target", "aws_act publish source"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_deploys_and_is_gone_for_good_keeps_no_migration_from_its_end() {
    let mut spec = aws(AwsEnd::default());
    spec.aws.as_mut().unwrap().webhook = "https://gone".into();
    let run = provisioned_of(spec, Script::default()).await;
    *run.script.deployments_fail.lock().unwrap() = true;
    switched(&run).await;
    run.until("told", |s| s.warnings.iter().any(|finding| finding.object == "deployment")).await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    let parked = run.until_parked().await;
    assert_eq!((parked.stage.as_str(), parked.failure.unwrap().code.as_str()), ("finalize", "CO1086"));
    run.retry().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
    let left = run.audit_events().await.into_iter().filter(|event| event.event == "left").count();
    assert_eq!(left, 1, "it is said what wasn't done");
}
