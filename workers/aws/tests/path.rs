//! The whole way on the stand-in, whose RDS is real PostgreSQL: an unencrypted instance of one account becomes an encrypted one of another,
//! under policies that refuse whatever isn't in the table of calls; and back, with nothing left.

#![allow(clippy::unwrap_used)]

mod stand_in;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use changeover_aws::{
    Session, claim, groups, instance, key, publish, reboot, retire, secret, seed_end, snapshot, source_parameters,
    target, target_parameters, undo,
};
use changeover_domain::{
    Class, Failure, MigrationId, Side,
    aws::{
        AwsNames, Place,
        names::TAG_SERVED,
        plan::Route,
        policy,
        status::Progress,
        target::{Given, InstanceSeen},
        undo::{AwsUndo, Kind},
    },
};
use serde_json::json;
use stand_in::{StandIn, sizing};

const SOURCE: &str = "orders";
const PATIENCE: Duration = Duration::from_secs(90);

async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Result<Option<T>, Failure>) -> T {
    stand_in::until(PATIENCE, Duration::from_millis(100), what, ask).await
}

async fn ready(session: &Session, identifier: &str) {
    until(identifier, async || Ok((instance::observe(session, identifier).await? == Progress::Ready).then_some(())))
        .await;
}

/// What the server says of itself, which the worker reads by SQL.
fn running() -> BTreeMap<String, String> {
    let values = [
        ("max_worker_processes", "8"),
        ("max_logical_replication_workers", "4"),
        ("max_replication_slots", "20"),
        ("max_wal_senders", "20"),
        ("wal_sender_timeout", "30000"),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn under_policies(stand_in: &StandIn, names: &AwsNames) {
    for side in [Side::Source, Side::Target] {
        let place = Place {
            region: stand_in::REGION.into(),
            account: stand_in.account(side),
            other_account: stand_in.account(side.other()),
            other_region: stand_in::REGION.into(),
            names: Some(names.clone()),
            source_instance: SOURCE.into(),
            published: Some("/shop/db/endpoint".into()),
            ..Place::anywhere(side)
        };
        let route = Route {
            key_is_made: true,
            source_group_is_default: true,
            parameters_differ: true,
            reboot_needed: true,
            by_snapshot: true,
            published: true,
            ..Route::default()
        };
        stand_in.policy(&stand_in.role(side), &policy::policy(&place, &route));
    }
}

async fn undone(session: &Session, what: &AwsUndo) {
    until(&what.describe(), async || match undo::undo(session, what).await? {
        undo::Undone::Working { .. } => Ok(None),
        _ => Ok(Some(())),
    })
    .await;
}

#[tokio::test]
async fn from_an_unencrypted_instance_to_an_encrypted_one_in_another_account_and_back() {
    let stand_in = StandIn::start();
    let names = AwsNames::new(&MigrationId::parse("shop").unwrap());
    under_policies(&stand_in, &names);
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    ready(&source, SOURCE).await;
    let mut stack: Vec<AwsUndo> = Vec::new();
    let made = |side, kind, name: &str| AwsUndo::Delete { side, kind, name: name.to_owned() };

    stack.push(made(Side::Source, Kind::Claim, SOURCE));
    claim::ensure_claim(&source, SOURCE).await.unwrap();
    claim::ensure_claim(&source, SOURCE).await.unwrap();

    assert_eq!(key::check_given_key(&target, "alias/aws/rds").await.unwrap_err().code, "CO1011");
    stack.push(made(Side::Target, Kind::Key, &names.alias()));
    let cmk = key::ensure_key(&target, &[stand_in.account(Side::Source)]).await.unwrap();
    assert_eq!(key::ensure_key(&target, &[stand_in.account(Side::Source)]).await.unwrap(), cmk);
    assert_eq!(cmk.rotated, Some(true));

    // The source's parameters: a default group, so that one of ours is made and attached.
    let (plan, set) = source_parameters::plan_source_parameters(&source, SOURCE, &sizing(2), &running()).await.unwrap();
    assert!(plan.made_because.is_some() && plan.needs_reboot());
    stack.extend(plan.undo(&set));
    source_parameters::ensure_source_parameters(&source, &plan).await.unwrap();
    source_parameters::ensure_source_parameters(&source, &plan).await.unwrap();
    until("the group is taken over", async || {
        Ok(matches!(reboot::observe_reboot(&source, SOURCE, &[]).await?, reboot::Reboot::Needed { .. }).then_some(()))
    })
    .await;
    let over = async {
        until("the reboot", async || {
            Ok((reboot::observe_reboot(&source, SOURCE, &[]).await? == reboot::Reboot::Done).then_some(()))
        })
        .await;
        Ok(())
    };
    let order = reboot::Order { until: Some(SystemTime::now() + PATIENCE), ..reboot::Order::default() };
    let evidence = reboot::reboot_measured(&source, SOURCE, order, &[], over).await.unwrap();
    println!("the reboot kept users away for {} ms", evidence.away_ms.unwrap());

    stack.push(made(Side::Target, Kind::ParameterGroup, &names.parameter_group(Side::Target)));
    let of_source = groups::parameters(&source, &plan.group).await.unwrap();
    let group = target_parameters::ensure_target_group(&target, "postgres15", &of_source, &sizing(2), &running())
        .await
        .unwrap();
    assert_eq!(group.left, Vec::<String>::new());

    stack.push(made(Side::Target, Kind::Secret, &names.master_secret()));
    let seen = instance::look_at_existing(&source, SOURCE).await.unwrap();
    let master = secret::ensure_master_secret(&target, &seen.master_user, &cmk.arn).await.unwrap();
    assert_eq!(secret::ensure_master_secret(&target, &seen.master_user, &cmk.arn).await.unwrap(), master);

    // The seed.
    stack.push(made(Side::Source, Kind::Snapshot, &names.seed_snapshot()));
    let seed = until("the seed", async || {
        let seen = snapshot::ensure_snapshot(&source, SOURCE, &names.seed_snapshot()).await?;
        Ok((seen.progress == Progress::Ready).then_some(seen))
    })
    .await;
    assert_eq!(seed.kms_key, None);
    let account = stand_in.account(Side::Target);
    stack.push(AwsUndo::Unshare { snapshot: names.seed_snapshot(), account: account.clone() });
    snapshot::ensure_shared(&source, &names.seed_snapshot(), &account).await.unwrap();
    snapshot::ensure_shared(&source, &names.seed_snapshot(), &account).await.unwrap();
    stack.push(made(Side::Target, Kind::Snapshot, &names.seed_copy()));
    until("the copy", async || {
        let seen = snapshot::ensure_copy(&target, &seed.arn, &names.seed_copy(), &cmk.arn).await?;
        Ok((seen.progress == Progress::Ready).then_some(()))
    })
    .await;

    // The target.
    let given = Given {
        identifier: names.instance(),
        subnet_group: stand_in.setup["subnetGroup"].as_str().unwrap().into(),
        security_groups: vec![stand_in.setup["securityGroup"].as_str().unwrap().into()],
        parameter_group: group.group.clone(),
        kms_key: cmk.arn.clone(),
        ..Given::default()
    };
    let wanted = changeover_domain::aws::target::modelled(&seen, &given).unwrap();
    stack.push(made(Side::Target, Kind::Instance, &names.instance()));
    let begin = target::Begin::Snapshot { name: names.seed_copy() };
    let done = until("the target", async || {
        let now = target::ensure_target(&target, &wanted, &begin, &master.version, Some(&[]), 0).await?;
        Ok((now.progress == Progress::Ready).then_some(now))
    })
    .await;
    let there = instance::look_at_existing(&target, &names.instance()).await.unwrap();
    assert_eq!(there.kms_key.as_deref(), Some(cmk.arn.as_str()));
    assert_eq!(there.tags.get("team").map(String::as_str), Some("orders"));
    assert!(there.shape.deletion_protection && there.shape.backup_days == 1);
    like_the_source(&seen, &there, &cmk.arn);
    seed_ends(&source, &target).await;
    has_served(&stand_in, &target).await;
    let (host, port) = done.endpoint.unwrap();
    assert!(changeover_aws::probe::takes_connections(&host, port).await);

    // The endpoint.
    let endpoint = publish::Endpoint { name: "/shop/db/endpoint".into(), value: format!("{host}:{port}"), expected: 0 };
    stack.push(endpoint.undo());
    let published = publish::ensure_published(&target, &endpoint, &cmk.arn).await.unwrap();
    assert_eq!(publish::ensure_published(&target, &endpoint, &cmk.arn).await.unwrap(), published);

    // And back, by sessions that send nothing but reads and what the table has for an undo.
    let source = stand_in.session_to_undo(Side::Source, "shop").await.unwrap();
    let target = stand_in.session_to_undo(Side::Target, "shop").await.unwrap();
    while let Some(what) = stack.pop() {
        let session = if what.side() == Side::Source { &source } else { &target };
        undone(session, &what).await;
        undone(session, &what).await;
    }
    check_nothing_left(&source, &target, &plan.before, &cmk.arn).await;
    check_nothing_denied(&stand_in);
}

fn check_nothing_denied(stand_in: &StandIn) {
    let denied: Vec<_> =
        stand_in.calls().into_iter().filter(|call| call["code"].to_string().contains("Denied")).collect();
    assert!(denied.is_empty(), "{denied:?}");
}

/// Whoever has the role isn't held by our guard.
#[tokio::test]
async fn tags_give_the_role_no_power_over_what_is_somebody_elses() {
    let stand_in = StandIn::start();
    under_policies(&stand_in, &AwsNames::new(&MigrationId::parse("shop").unwrap()));
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let made = stand_in.somebody(Side::Target, "kms", "create_key", json!({}));
    let (theirs, kms) = (made["KeyMetadata"]["Arn"].as_str().unwrap(), aws_sdk_kms::Client::new(target.config()));
    let tag =
        |key: &str, value: &str| aws_sdk_kms::types::Tag::builder().tag_key(key).tag_value(value).build().unwrap();
    // AWS has whoever makes a key with tags be allowed this.
    let ours = kms.tag_resource().key_id(theirs).tags(tag("changeover:migration", "shop"));
    ours.tags(tag("changeover:side", "target")).send().await.unwrap();
    let root = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": stand_in.role(Side::Target) }, "Action": "kms:*", "Resource": "*" } ] });
    let put = kms.put_key_policy().key_id(theirs).policy_name("default").policy(root.to_string()).send().await;
    refused(&put, "kms:PutKeyPolicy");
    refused(&kms.schedule_key_deletion().key_id(theirs).send().await, "kms:ScheduleKeyDeletion");
    refused(&kms.enable_key_rotation().key_id(theirs).send().await, "kms:EnableKeyRotation");
    let alias = kms.create_alias().alias_name("alias/changeover/shop").target_key_id(theirs).send().await;
    refused(&alias, "kms:CreateAlias");

    let group = json!({ "DBParameterGroupName": "theirs", "DBParameterGroupFamily": "postgres15", "Description": "x" });
    stand_in.somebody(Side::Target, "rds", "create_db_parameter_group", group);
    let rds = aws_sdk_rds::Client::new(target.config());
    let arn = |name: &str| format!("arn:aws:rds:{}:{}:pg:{name}", stand_in::REGION, stand_in.account(Side::Target));
    for (name, migration) in [("theirs", "shop"), ("changeover-shop-target", "other")] {
        let tag = aws_sdk_rds::types::Tag::builder().key("changeover:migration").value(migration).build();
        let tagged = rds.add_tags_to_resource().resource_name(arn(name)).tags(tag).send().await;
        refused(&tagged, "rds:AddTagsToResource");
    }
    let gone = rds.delete_db_parameter_group().db_parameter_group_name("theirs").send().await;
    refused(&gone, "rds:DeleteDBParameterGroup");
}

fn refused<T: std::fmt::Debug, E: std::fmt::Debug>(answer: &Result<T, E>, action: &str) {
    let text = format!("{answer:?}");
    assert!(answer.is_err() && text.contains("AccessDenied") && text.contains(action), "{action}: {text}");
}

/// What a restore doesn't take over by itself.
fn like_the_source(source: &InstanceSeen, target: &InstanceSeen, key: &str) {
    assert!(source.shape.insights && source.insights_key.as_deref() != Some(key));
    assert_eq!((target.shape.insights, target.shape.insights_days), (true, Some(93)));
    assert_eq!(target.insights_key.as_deref(), Some(key));
    assert_eq!(target.shape.log_exports, ["postgresql"]);
    assert_eq!(target.shape.lifecycle, "open-source-rds-extended-support-disabled");
    assert_eq!(target.shape.certificate, "rds-ca-rsa4096-g1");
}

async fn seed_ends(source: &Session, target: &Session) {
    let names = source.names();
    for _ in 0..2 {
        until("the seed's end", async || {
            let now = seed_end::ensure_seed_gone(source, target, &names.instance()).await?;
            Ok((now == Progress::Absent).then_some(()))
        })
        .await;
    }
    for (session, name) in [(source, names.seed_snapshot()), (target, names.seed_copy())] {
        assert_eq!(snapshot::observe_snapshot(session, &name).await.unwrap(), Progress::Absent, "{name}");
    }
}

/// Once it has served, an abort deletes it only where a person has taken the tag off.
async fn has_served(stand_in: &StandIn, target: &Session) {
    let name = target.names().instance();
    let since = target::mark_served(target, &name).await.unwrap();
    let given = || stand_in.calls().iter().filter(|call| call["action"] == "AddTagsToResource").count();
    let times = given();
    assert_eq!((target::mark_served(target, &name).await.unwrap(), given()), (since, times));
    let delete = AwsUndo::Delete { side: Side::Target, kind: Kind::Instance, name: name.clone() };
    let failure = undo::undo(target, &delete).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1060", Class::NeedsHuman), "{failure}");
    let there = instance::look_at_existing(target, &name).await.unwrap();
    assert!(there.shape.deletion_protection && there.status == "available");
    let fields = json!({ "ResourceName": there.arn, "TagKeys": [TAG_SERVED] });
    stand_in.somebody(Side::Target, "rds", "remove_tags_from_resource", fields);
}

async fn check_nothing_left(source: &Session, target: &Session, group_before: &str, key_arn: &str) {
    let names = source.names();
    assert!(instance::look(target, &names.instance()).await.unwrap().is_none());
    for (session, name) in [(source, names.seed_snapshot()), (target, names.seed_copy())] {
        assert_eq!(snapshot::observe_snapshot(session, &name).await.unwrap(), Progress::Absent);
    }
    for (session, side) in [(source, Side::Source), (target, Side::Target)] {
        assert_eq!(groups::family(session, &names.parameter_group(side)).await.unwrap(), None);
    }
    let after = instance::look_at_existing(source, SOURCE).await.unwrap();
    assert_eq!(after.parameter_group, group_before);
    assert_eq!(claim::holder(source, SOURCE).await.unwrap(), None);
    assert_eq!(publish::latest_version(target, "/shop/db/endpoint").await.unwrap(), 0);
    // The key waits for its deletion, and its name is free.
    let alias = key::check_given_key(target, &names.alias()).await.unwrap_err();
    assert_eq!(alias.code, "CO1006");
    assert_eq!(key::check_given_key(target, key_arn).await.unwrap_err().code, "CO1012");
}

#[tokio::test]
async fn faults_leave_a_clear_state_and_nothing_twice() {
    let stand_in = StandIn::start();
    let names = AwsNames::new(&MigrationId::parse("shop").unwrap());
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();

    ready(&source, SOURCE).await;
    // Two migrations for one source.
    claim::ensure_claim(&source, SOURCE).await.unwrap();
    let other = stand_in.session(Side::Source, "other").await.unwrap();
    let failure = claim::ensure_claim(&other, SOURCE).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1013", Class::Refused));
    ready(&source, SOURCE).await;
    assert_eq!(snapshot::ensure_snapshot(&other, SOURCE, "changeover-other-seed").await.unwrap_err().code, "CO1013");

    // Throttled, fewer times than the SDK tries.
    stand_in.fault(json!({ "service": "rds", "action": "DescribeDBInstances", "kind": "throttle", "times": 2 }));
    instance::look_at_existing(&source, SOURCE).await.unwrap();

    // Answers lost: carried out, and found again.
    stand_in.fault(json!({ "service": "kms", "action": "CreateKey", "kind": "lose-answer" }));
    let cmk = until("the key", async || key::ensure_key(&target, &[]).await.map(Some)).await;
    for action in ["CreateDBParameterGroup", "ModifyDBParameterGroup"] {
        stand_in.fault(json!({ "service": "rds", "action": action, "kind": "lose-answer" }));
    }
    let group = until("the group", async || {
        target_parameters::ensure_target_group(&target, "postgres15", &[], &sizing(2), &running()).await.map(Some)
    })
    .await;
    assert!(group.set > 0);
    stand_in.fault(json!({ "service": "rds", "action": "CreateDBSnapshot", "kind": "lose-answer" }));
    until("the seed", async || {
        let seen = snapshot::ensure_snapshot(&source, SOURCE, &names.seed_snapshot()).await?;
        Ok((seen.progress == Progress::Ready).then_some(()))
    })
    .await;

    // A session that ends: the next one goes on.
    stand_in.control("expire-session", Some(json!({ "session": "*" })));
    let failure = instance::look_at_existing(&source, SOURCE).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1002", Class::Transient));
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    instance::look_at_existing(&source, SOURCE).await.unwrap();

    // A creation that fails, and one beyond the quota.
    let master = secret::ensure_master_secret(&target, "master", &cmk.arn).await.unwrap();
    let given = Given {
        identifier: names.instance(),
        subnet_group: stand_in.setup["subnetGroup"].as_str().unwrap().into(),
        security_groups: vec![stand_in.setup["securityGroup"].as_str().unwrap().into()],
        parameter_group: group.group,
        kms_key: cmk.arn.clone(),
        ..Given::default()
    };
    let seen = instance::look_at_existing(&source, SOURCE).await.unwrap();
    let wanted = changeover_domain::aws::target::modelled(&seen, &given).unwrap();
    let account = stand_in.account(Side::Target);
    stand_in.control("quota", Some(json!({ "account": account, "name": "instances", "limit": 0 })));
    let make =
        async || target::ensure_target(&target, &wanted, &target::Begin::Empty, &master.version, Some(&[]), 0).await;
    assert_eq!(make().await.unwrap_err().code, "CO1004");
    stand_in.control("clear", Some(json!({})));
    stand_in.control("failing-creations", Some(json!({ "account": account, "times": 1 })));
    let failure = until("the creation has failed", async || match make().await {
        Err(failure) if failure.code == "CO1015" => Ok(Some(failure)),
        other => other.map(|_| None),
    })
    .await;
    assert_eq!(failure.class, Class::NeedsHuman);

    // Nothing twice, and the key isn't deleted while something is encrypted with it.
    let made = |side, kind, name: &str| AwsUndo::Delete { side, kind, name: name.to_owned() };
    let key_undo = made(Side::Target, Kind::Key, &names.alias());
    assert_eq!(undo::undo(&target, &key_undo).await.unwrap_err().code, "CO1019");
    undone(&target, &made(Side::Target, Kind::Instance, &names.instance())).await;
    assert_eq!(undo::undo(&target, &key_undo).await.unwrap_err().code, "CO1019");
    undone(&target, &made(Side::Target, Kind::Secret, &names.master_secret())).await;
    undone(&target, &key_undo).await;
    for action in ["CreateKey", "CreateDBSnapshot"] {
        let carried_out =
            |call: &&serde_json::Value| call["action"] == action && matches!(call["status"].as_i64(), Some(0 | 200));
        let times = stand_in.calls().iter().filter(carried_out).count();
        assert_eq!(times, 1, "{action}");
    }
    // What isn't ours is never deleted.
    let group = "default.postgres15".to_owned();
    let foreign = undo::undo(&source, &made(Side::Source, Kind::ParameterGroup, &group)).await.unwrap();
    assert_eq!(foreign, undo::Undone::Left { names: vec![group.clone()] });
    assert!(groups::family(&source, &group).await.unwrap().is_some());
}

fn given() -> Option<std::time::SystemTime> {
    Some(std::time::SystemTime::now() + std::time::Duration::from_secs(60))
}

#[tokio::test]
async fn the_old_instance_ends_only_by_its_name_and_a_label_is_taken_back() {
    let stand_in = StandIn::start();
    let source = stand_in.session(Side::Source, "shop").await.unwrap();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let other = stand_in.session(Side::Target, "other").await.unwrap();
    let cmk = key::ensure_key(&target, &[]).await.unwrap();

    // A parameter of somebody else's, whose readers go by a label.
    let name = "/shop/db/endpoint";
    let theirs = publish::Endpoint { name: name.into(), value: "old:5432".into(), expected: 0 };
    publish::ensure_published(&other, &theirs, &cmk.arn).await.unwrap();
    let ours = publish::Endpoint { name: name.into(), value: "new:5432".into(), expected: 1 };
    assert_eq!(publish::ensure_published(&target, &ours, &cmk.arn).await.unwrap().version, 2);
    let raced = publish::Endpoint { value: "third:5432".into(), ..ours.clone() };
    assert_eq!(publish::ensure_published(&other, &raced, &cmk.arn).await.unwrap_err().code, "CO1016");
    undone(&target, &ours.undo()).await;
    undone(&target, &ours.undo()).await;
    assert_eq!(publish::latest_version(&target, name).await.unwrap(), 3);

    ready(&source, SOURCE).await;
    claim::ensure_claim(&source, SOURCE).await.unwrap();
    assert_eq!(retire::ensure_deleted(&source, SOURCE, "order", 0, given()).await.unwrap_err().code, "CO1019");
    assert_eq!(retire::ensure_deleted(&source, SOURCE, SOURCE, 0, given()).await.unwrap_err().code, "CO1019");
    until("the last snapshot", async || {
        Ok((retire::ensure_final_snapshot(&source, SOURCE, 0).await?.progress == Progress::Ready).then_some(()))
    })
    .await;
    ready(&source, SOURCE).await;
    // One of before the switch isn't the last.
    let later = 4_000_000_000;
    assert_eq!(retire::ensure_final_snapshot(&source, SOURCE, later).await.unwrap_err().code, "CO1019");
    assert_eq!(retire::ensure_deleted(&source, SOURCE, SOURCE, later, given()).await.unwrap_err().code, "CO1019");
    // An approval that is over, or was never given, allows nothing.
    for until in [None, Some(std::time::SystemTime::now())] {
        assert_eq!(retire::ensure_deleted(&source, SOURCE, SOURCE, 0, until).await.unwrap_err().code, "CO1089");
        assert_eq!(retire::ensure_stopped(&source, SOURCE, until).await.unwrap_err().code, "CO1089");
    }
    let asked =
        |call: &serde_json::Value| ["DeleteDBInstance", "StopDBInstance"].iter().any(|it| call["action"] == *it);
    assert!(!stand_in.calls().iter().any(asked));
    until("the end of the old instance", async || {
        // What has begun goes on after its approval.
        let began = stand_in.calls().iter().any(asked);
        let word = if began { None } else { given() };
        Ok((retire::ensure_deleted(&source, SOURCE, SOURCE, 0, word).await? == Progress::Absent).then_some(()))
    })
    .await;
}
