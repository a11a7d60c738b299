//! The smallest IAM policy for a side, from the table of calls
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Call, Condition, Place, Resource, Service, key,
    names::{TAG, TAG_SIDE},
    plan::Route,
    table::CALLS,
};

/// How long the policies may be together that stand in a role itself, in characters without blanks
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>). A managed policy has 6,144, which is too little for
/// whatever can be asked for at once.
pub const LONGEST: usize = 10_240;

/// The policy of a side as JSON, for the calls that a route takes: one statement for each set of resources and each condition, with every action on them.
pub fn policy(place: &Place, route: &Route) -> Value {
    let statements: Vec<Value> =
        grouped(place, route).iter().map(|(on, actions)| statement(place, on, actions)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What an action is done to, and on which condition. The last says whether the key that it is done to has to be under the given alias.
type On = (Vec<String>, Condition, Option<Service>, bool);

fn grouped(place: &Place, route: &Route) -> BTreeMap<On, BTreeSet<String>> {
    let mut by_action: BTreeMap<(String, Condition, Option<Service>, bool), BTreeSet<String>> = BTreeMap::new();
    let ours = |call: &&Call| call.side == place.side && call.condition != Condition::ByKeyPolicy;
    for call in CALLS.iter().filter(ours).filter(|call| route.takes(call.when)) {
        let on = place.arns_of(call.on);
        if on.is_empty() {
            continue;
        }
        let by_alias = call.on.contains(&Resource::Key) && place.key_alias().is_some();
        let key = (call.name(), call.condition, tagged_service(call), by_alias);
        by_action.entry(key).or_default().extend(on);
    }
    let mut grouped: BTreeMap<On, BTreeSet<String>> = BTreeMap::new();
    // What carries the tag needs one statement: an action is only ever done to ARNs of its own kind, and of none are there two names.
    let tagged: BTreeSet<String> = by_action
        .iter()
        .filter(|((_, condition, ..), _)| is_tagged(*condition))
        .flat_map(|(_, on)| on.clone())
        .filter(|arn| !is_of_none(arn))
        .collect();
    for ((action, condition, service, by_alias), on) in by_action {
        let key = if is_tagged(condition) {
            (narrowed(tagged.clone()), condition, None, by_alias)
        } else {
            (narrowed(on), condition, service, by_alias)
        };
        grouped.entry(key).or_default().insert(action);
    }
    absorbed(grouped)
}

/// Puts statements into others that name the same resources and only more of other kinds, to which their actions are never done.
fn absorbed(mut grouped: BTreeMap<On, BTreeSet<String>>) -> BTreeMap<On, BTreeSet<String>> {
    for small in grouped.keys().cloned().collect::<Vec<_>>() {
        let Some(large) = grouped.keys().find(|large| absorbs(large, &small)).cloned() else { continue };
        let actions = grouped.remove(&small).unwrap_or_default();
        grouped.entry(large).or_default().extend(actions);
    }
    grouped
}

fn absorbs(large: &On, small: &On) -> bool {
    let kinds: BTreeSet<String> = small.0.iter().map(|arn| kind(arn)).collect();
    let same: Vec<&String> = large.0.iter().filter(|arn| kinds.contains(&kind(arn))).collect();
    large.0.len() > small.0.len()
        && large.1 == small.1
        && large.2 == small.2
        && large.3 == small.3
        && same == small.0.iter().collect::<Vec<_>>()
}

/// Of which kind an ARN is, such as `rds db`.
fn kind(arn: &str) -> String {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let rest = parts.nth(2).unwrap_or_default();
    format!("{service} {}", rest.split([':', '/']).next().unwrap_or_default())
}

/// Whether it is the ARN of a secret that isn't there, which has no suffix: it carries no tag.
fn is_of_none(arn: &str) -> bool {
    arn.contains(":secret:") && !arn.ends_with("-??????")
}

fn is_tagged(condition: Condition) -> bool {
    condition == Condition::TagIsThere
}

/// The names of the keys of conditions differ from service to service only for the tags of KMS and EC2; one statement for each.
fn tagged_service(call: &Call) -> Option<Service> {
    (call.condition != Condition::None).then_some(call.service)
}

/// An asterisk makes the rest needless.
fn narrowed(on: BTreeSet<String>) -> Vec<String> {
    if on.contains("*") { vec!["*".to_owned()] } else { on.into_iter().collect() }
}

fn statement(place: &Place, (on, condition, _, by_alias): &On, actions: &BTreeSet<String>) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": on });
    let mut condition = condition_of(place, *condition);
    if let (true, Some(alias)) = (by_alias, place.key_alias()) {
        condition.get_or_insert_with(|| json!({}))["ForAnyValue:StringEquals"] =
            json!({ "kms:ResourceAliases": alias });
    }
    if let (Some(condition), Some(fields)) = (condition, statement.as_object_mut()) {
        fields.insert("Condition".to_owned(), condition);
    }
    statement
}

fn condition_of(place: &Place, condition: Condition) -> Option<Value> {
    // `StringLike`, since the pattern for any migration ends with an asterisk.
    let id = place.migration();
    match condition {
        Condition::None | Condition::ByKeyPolicy => None,
        Condition::TagIsGiven => Some(json!({ "StringLike": { (format!("aws:RequestTag/{TAG}")): id } })),
        Condition::TagOfNewKey => Some(json!({
            "StringLike": { (format!("aws:RequestTag/{TAG}")): id },
            // A key that has no such tag passes, as one that is being made.
            "StringLikeIfExists": { (format!("aws:ResourceTag/{TAG}")): id },
            "ForAllValues:StringEquals": { "aws:TagKeys": [TAG, TAG_SIDE] },
        })),
        Condition::TagAsMade(action) => Some(json!({
            "StringLike": { (format!("aws:RequestTag/{TAG}")): id },
            "StringEquals": { "ec2:CreateAction": action },
        })),
        Condition::PassedToMonitoring => {
            Some(json!({ "StringEquals": { "iam:PassedToService": "monitoring.rds.amazonaws.com" } }))
        }
        Condition::TagIsThere => Some(json!({ "StringLike": { (format!("aws:ResourceTag/{TAG}")): id } })),
        Condition::GrantForAws => Some(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } })),
        Condition::OfStoredSecret => {
            Some(of_stored(place, "secretsmanager", "kms:EncryptionContext:SecretARN", &place.stored_secrets))
        }
        Condition::OfStoredParameter => {
            Some(of_stored(place, "ssm", "kms:EncryptionContext:PARAMETER_ARN", &place.stored_parameters))
        }
        Condition::ViaServices => {
            Some(json!({ "StringLike": { "kms:ViaService": key::services(&place.partition, &place.region) } }))
        }
    }
}

/// A service gives the ARN of what it decrypts as encryption context.
fn of_stored(place: &Place, service: &str, context: &str, arns: &[String]) -> Value {
    let services = key::services(&place.partition, &place.region);
    let via = services.iter().filter(|name| name.starts_with(service)).collect::<Vec<_>>();
    json!({ "StringEquals": { context: arns }, "StringLike": { "kms:ViaService": via } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MigrationId, Side, aws::AwsNames};

    fn place(side: Side) -> Place {
        Place {
            region: "eu-central-1".into(),
            account: "222222222222".into(),
            other_account: "111111111111".into(),
            other_region: "eu-central-1".into(),
            names: Some(AwsNames::new(&MigrationId::parse("shop").unwrap())),
            source_instance: "orders".into(),
            ..Place::anywhere(side)
        }
    }

    /// Whatever can be asked for, by a snapshot.
    fn all() -> Route {
        Route {
            key_is_made: true,
            source_group_is_default: true,
            parameters_differ: true,
            reboot_needed: true,
            has_options: true,
            network_is_joined: true,
            by_snapshot: true,
            source_is_encrypted: true,
            monitored: true,
            published: true,
            final_snapshot: true,
            stopped: true,
            deleted: true,
        }
    }

    fn actions(policy: &Value) -> BTreeSet<String> {
        let statements = policy["Statement"].as_array().unwrap();
        let all = statements.iter().flat_map(|s| s["Action"].as_array().unwrap());
        all.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_call_is_allowed_and_nothing_else() {
        for side in [Side::Source, Side::Target] {
            for route in [Route::default(), all(), Route { by_snapshot: false, ..all() }] {
                let taken = CALLS.iter().filter(|c| c.side == side && route.takes(c.when));
                let by_key = |call: &&Call| call.condition == Condition::ByKeyPolicy;
                let wanted: BTreeSet<String> = taken.clone().filter(|c| !by_key(c)).map(Call::name).collect();
                let place = Place {
                    role_secrets: vec!["orders/app".into()],
                    stored_secrets: vec!["arn:aws:secretsmanager:eu-central-1:222222222222:secret:x-AbC123".into()],
                    stored_parameters: vec!["arn:aws:ssm:eu-central-1:222222222222:parameter/x".into()],
                    ..place(side)
                };
                assert_eq!(actions(&policy(&place, &route)), wanted);
                assert!(taken.filter(by_key).all(|call| key::KEEPING.contains(&call.name().as_str())));
            }
        }
    }

    #[test]
    fn secrets_that_the_spec_names_are_read_and_no_others() {
        let secret = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:theirs-AbC123";
        let parameter = "arn:aws:ssm:eu-central-1:222222222222:parameter/theirs";
        for side in [Side::Source, Side::Target] {
            let named =
                Place { stored_secrets: vec![secret.into()], stored_parameters: vec![parameter.into()], ..place(side) };
            let policy = policy(&named, &all());
            let statements = policy["Statement"].as_array().unwrap();
            let of = |part: &str| statements.iter().filter(|s| s.to_string().contains(part)).collect::<Vec<_>>();
            for (context, arn, via) in [("SecretARN", secret, "secretsmanager"), ("PARAMETER_ARN", parameter, "ssm")] {
                let decrypting = of(context);
                assert_eq!(decrypting.len(), 1, "{policy}");
                assert_eq!(decrypting[0]["Action"], json!(["kms:Decrypt"]));
                assert_eq!(decrypting[0]["Resource"], json!(["arn:aws:kms:eu-central-1:*:key/*"]));
                let condition = &decrypting[0]["Condition"];
                assert_eq!(condition["StringEquals"][format!("kms:EncryptionContext:{context}")], json!([arn]));
                assert_eq!(
                    condition["StringLike"]["kms:ViaService"],
                    json!([format!("{via}.eu-central-1.amazonaws.com")])
                );
            }
            for statement in statements.iter().filter(|s| s["Resource"].to_string().contains("theirs")) {
                for action in statement["Action"].as_array().unwrap().iter().filter_map(Value::as_str) {
                    let known = action == "ssm:GetParameter" || action == "secretsmanager:GetSecretValue";
                    assert!(known && statement.get("Condition").is_none(), "{side}: {statement}");
                }
            }
            let without = super::policy(&place(side), &all()).to_string();
            assert!(!without.contains("EncryptionContext") && !without.contains("[]"), "{without}");
        }
    }

    #[test]
    fn applications_secrets_are_made_by_name_and_changed_only_with_the_tag() {
        let named = Place { role_secrets: vec!["orders/app".into()], ..place(Side::Target) };
        let policy = policy(&named, &all());
        for (action, condition) in [
            ("secretsmanager:CreateSecret", None),
            ("secretsmanager:GetSecretValue", Some(["aws:ResourceTag"].as_slice())),
            ("secretsmanager:RestoreSecret", Some(["aws:ResourceTag"].as_slice())),
            ("secretsmanager:UpdateSecret", Some(["aws:ResourceTag"].as_slice())),
            ("secretsmanager:DeleteSecret", Some(["aws:ResourceTag"].as_slice())),
            ("secretsmanager:TagResource", Some(["aws:RequestTag"].as_slice())),
        ] {
            let statements = policy["Statement"].as_array().unwrap().iter();
            let allowing: Vec<_> = statements.filter(|s| s["Action"].to_string().contains(action)).collect();
            assert_eq!(allowing.len(), condition.map_or(1, <[_]>::len), "{action}: {policy}");
            for (at, statement) in allowing.into_iter().enumerate() {
                assert!(statement["Resource"].to_string().contains("secret:orders/app-??????"), "{action}: {policy}");
                let said = statement.get("Condition").map(Value::to_string);
                assert_eq!(said.is_some(), condition.is_some(), "{action}: {policy}");
                assert!(condition.is_none_or(|keys| said.unwrap().contains(keys[at])), "{action}: {policy}");
            }
        }
        let without = super::policy(&place(Side::Target), &all()).to_string();
        assert!(!without.contains("orders/app"), "{without}");
    }

    #[test]
    fn no_right_goes_by_the_tag_of_a_key_and_a_given_one_is_the_only_one() {
        let made = Route { by_snapshot: false, ..all() };
        let text = policy(&place(Side::Target), &made).to_string();
        for absent in
            key::KEEPING.iter().filter(|action| !action.ends_with("Alias")).chain(&["kms:CreateGrant", "kms:Decrypt"])
        {
            assert!(!text.contains(absent), "{absent}");
        }
        let arn = "arn:aws:kms:eu-central-1:222222222222:key/1";
        for (given, seen) in [(arn, arn), ("1", arn)] {
            let place = Place { key: Some(given.into()), ..place(Side::Target) };
            let policy = policy(&place, &Route { key_is_made: false, ..made });
            for statement in policy["Statement"].as_array().unwrap() {
                let on = statement["Resource"].as_array().unwrap().iter().filter_map(Value::as_str);
                assert!(on.filter(|arn| arn.contains(":key/")).all(|arn| arn == seen), "{given}: {statement}");
            }
            assert!(actions(&policy).contains("kms:CreateGrant") && !actions(&policy).contains("kms:TagResource"));
        }
    }

    #[test]
    fn a_key_that_is_given_by_alias_is_the_only_one() {
        let there = "arn:aws:kms:eu-west-1:333333333333:key/*";
        for (given, on) in [
            ("alias/theirs", "arn:aws:kms:eu-central-1:222222222222:key/*"),
            ("arn:aws:kms:eu-west-1:333333333333:alias/theirs", there),
        ] {
            let place = Place { key: Some(given.into()), ..place(Side::Target) };
            let policy = policy(&place, &Route { key_is_made: false, ..all() });
            let statements = policy["Statement"].as_array().unwrap();
            let of_keys: Vec<_> = statements.iter().filter(|s| s["Resource"].to_string().contains(":key/")).collect();
            // Those of the source's key, which the snapshot is read under, are in the other account.
            let (of_source, ours): (Vec<_>, Vec<_>) =
                of_keys.into_iter().partition(|s| s["Resource"].to_string().contains(":111111111111:"));
            assert_eq!((of_source.len(), ours.len()), (3, 3), "{policy}");
            for statement in ours {
                assert_eq!(statement["Resource"], json!([on]));
                assert_eq!(statement["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/theirs");
            }
            assert!(of_source.iter().all(|s| !s.to_string().contains("ResourceAliases")));
            let text = policy.to_string();
            assert!(text.contains("kms:GrantIsForAWSResource") && text.contains("kms:ViaService"), "{text}");
        }
    }

    #[test]
    fn nothing_is_allowed_that_the_route_does_not_come_to() {
        let spare = Route { key_is_made: false, ..Route::default() };
        for side in [Side::Source, Side::Target] {
            let allowed = actions(&policy(&place(side), &spare));
            for absent in ["ec2:", "rds:DescribeDBSubnetGroups", "rds:DescribeDBSnapshot", "ssm:GetParameterHistory"] {
                assert!(!allowed.iter().any(|action| action.starts_with(absent)), "{side}: {absent}");
            }
            assert!(!allowed.iter().any(|action| action.starts_with("kms:ReEncrypt")), "{side}");
        }
        assert!(
            actions(&policy(&place(Side::Source), &Route { final_snapshot: true, ..spare }))
                .contains("rds:DescribeDBSnapshots")
        );
        assert!(
            actions(&policy(&place(Side::Target), &Route { key_is_made: true, ..spare }))
                .contains("rds:DescribeDBSnapshots")
        );
    }

    #[test]
    fn a_parameter_that_is_named_is_the_only_one_that_is_published() {
        let place = Place { published: Some("/shop/db/endpoint".into()), ..place(Side::Target) };
        let text = policy(&place, &all()).to_string();
        assert!(text.contains("parameter/shop/db/endpoint") && !text.contains("parameter/changeover/shop"), "{text}");
    }

    #[test]
    fn tags_are_given_only_with_the_migrations_own() {
        for (side, of) in [
            (Side::Source, "rds:AddTags"),
            (Side::Source, "ssm:AddTags"),
            (Side::Target, "rds:AddTags"),
            (Side::Target, "ssm:AddTags"),
            (Side::Target, "secretsmanager:TagResource"),
        ] {
            let policy = policy(&place(side), &all());
            let all = policy["Statement"].as_array().unwrap();
            let tagging: Vec<_> = all.iter().filter(|s| s["Action"].to_string().contains(of)).collect();
            assert!(!tagging.is_empty(), "{side} {of}");
            for statement in tagging {
                let condition = statement["Condition"].to_string();
                let told = condition.contains(r#"Tag/changeover:migration":"shop""#);
                assert!(told, "{side} {of}: {statement}");
            }
        }
    }

    #[test]
    fn services_are_named_as_their_partition_has_them() {
        let place = Place { partition: "aws-cn".into(), region: "cn-north-1".into(), ..place(Side::Target) };
        let text = policy(&place, &Route { key_is_made: false, ..all() }).to_string();
        assert!(text.contains("rds.cn-north-1.amazonaws.com.cn"), "{text}");
        assert!(text.contains("secret:changeover/shop/master-user-??????"), "{text}");
    }

    #[test]
    fn what_the_route_does_not_take_is_not_allowed() {
        let source = actions(&policy(&place(Side::Source), &Route::default()));
        for absent in ["rds:DeleteDBInstance", "rds:StopDBInstance", "rds:RebootDBInstance", "rds:DeleteDBSnapshot"] {
            assert!(!source.contains(absent), "{absent}");
        }
        let target = actions(&policy(&place(Side::Target), &Route::default()));
        for absent in ["kms:ScheduleKeyDeletion", "kms:TagResource", "kms:CreateKey", "iam:PassRole", "ec2:CreateTags"]
        {
            assert!(!target.contains(absent), "{absent}");
        }
    }

    /// The statements that allow an action.
    fn allowing(side: Side, action: &str) -> Vec<Value> {
        let policy = policy(&place(side), &all());
        let statements = policy["Statement"].as_array().unwrap().clone();
        statements.into_iter().filter(|s| s["Action"].as_array().unwrap().iter().any(|a| a == action)).collect()
    }

    #[test]
    fn what_an_undo_deletes_has_to_carry_the_tag_and_the_last_snapshot_stays() {
        for (side, actions) in [
            (Side::Source, ["rds:DeleteDBSnapshot", "rds:DeleteDBParameterGroup", "ssm:DeleteParameter"].as_slice()),
            (
                Side::Target,
                [
                    "rds:DeleteDBInstance",
                    "rds:DeleteDBSnapshot",
                    "rds:DeleteOptionGroup",
                    "secretsmanager:DeleteSecret",
                ]
                .as_slice(),
            ),
        ] {
            for action in actions {
                for statement in allowing(side, action) {
                    assert!(statement["Condition"].to_string().contains("aws:ResourceTag/"), "{action}");
                    assert!(!statement["Resource"].to_string().contains("-final"), "{action}");
                }
            }
        }
    }

    #[test]
    fn one_statement_for_what_is_tagged_names_nothing_twice() {
        for (side, action) in [(Side::Source, "ssm:DeleteParameter"), (Side::Target, "rds:DeleteDBInstance")] {
            let statements = allowing(side, action);
            let on = statements[0]["Resource"].as_array().unwrap().iter().filter_map(Value::as_str);
            let on: Vec<&str> = on.collect();
            let kinds: BTreeSet<String> = on.iter().map(|arn| kind(arn)).collect();
            assert!(statements.len() == 1 && kinds.len() == on.len(), "{on:?}");
        }
    }

    #[test]
    fn a_key_gets_our_tags_alone_and_no_other_migrations_key_does() {
        let statements = allowing(Side::Target, "kms:TagResource");
        let condition = &statements[0]["Condition"];
        assert_eq!(statements.len(), 1);
        assert_eq!(condition["StringLike"]["aws:RequestTag/changeover:migration"], "shop");
        assert_eq!(condition["StringLikeIfExists"]["aws:ResourceTag/changeover:migration"], "shop");
        let keys = &condition["ForAllValues:StringEquals"]["aws:TagKeys"];
        assert_eq!(keys, &json!(["changeover:migration", "changeover:side"]));
    }

    #[test]
    fn tags_of_the_network_are_given_only_as_it_is_made() {
        for side in [Side::Source, Side::Target] {
            for statement in allowing(side, "ec2:CreateTags") {
                assert!(statement["Condition"].to_string().contains("ec2:CreateAction"), "{statement}");
            }
        }
    }

    #[test]
    fn an_encrypted_source_and_monitoring_have_what_they_need() {
        let there = |action: &str, part: &str| {
            allowing(Side::Target, action).iter().any(|s| s["Resource"].to_string().contains(part))
        };
        for action in ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt"] {
            assert!(there(action, "kms:eu-central-1:111111111111:key/*"), "{action}");
        }
        assert!(there("iam:PassRole", "iam::222222222222:role/*"));
        assert!(there("rds:ModifyDBInstance", ":og:"));
    }

    #[test]
    fn no_action_is_a_pattern() {
        for side in [Side::Source, Side::Target] {
            assert!(actions(&policy(&Place::anywhere(side), &all())).iter().all(|action| !action.contains('*')));
        }
    }

    #[test]
    fn only_the_own_source_can_be_deleted() {
        let policy = policy(&place(Side::Source), &all());
        for statement in policy["Statement"].as_array().unwrap() {
            let deletes = statement["Action"].as_array().unwrap().iter().any(|a| a == "rds:DeleteDBInstance");
            if deletes {
                // Parameter groups may stand beside it: no deletion of an instance is done to one.
                let on = statement["Resource"].as_array().unwrap().iter().filter_map(Value::as_str);
                let instances: Vec<&str> = on.filter(|arn| !arn.contains(":pg:")).collect();
                assert_eq!(instances, ["arn:aws:rds:eu-central-1:222222222222:db:orders"]);
            }
        }
    }

    #[test]
    fn nothing_but_reads_is_allowed_on_everything_without_a_condition() {
        for side in [Side::Source, Side::Target] {
            for statement in policy(&place(side), &all())["Statement"].as_array().unwrap() {
                if statement["Resource"] == json!(["*"]) && statement.get("Condition").is_none() {
                    for action in statement["Action"].as_array().unwrap() {
                        let verb = action.as_str().unwrap().split(':').nth(1).unwrap();
                        assert!(
                            verb.starts_with("Describe") || verb.starts_with("Get") || verb.starts_with("List"),
                            "{verb}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_policy_fits_into_a_role() {
        for side in [Side::Source, Side::Target] {
            let longest = Place {
                names: Some(AwsNames::new(&MigrationId::parse(&"m".repeat(24)).unwrap())),
                published: Some(format!("/{}", "p".repeat(200))),
                monitoring_role: Some(format!("arn:aws:iam::222222222222:role/{}", "r".repeat(64))),
                source_group: "g".repeat(255),
                subnet_group: "s".repeat(255),
                ..place(side)
            };
            let arns = |place: &str| (0..3).map(|at| format!("arn:aws:{place}app{at}-AbC123")).collect::<Vec<_>>();
            let with_secrets = Place {
                role_secrets: (0..3).map(|at| format!("orders/roles/app{at}")).collect(),
                stored_secrets: arns("secretsmanager:eu-central-1:222222222222:secret:orders/"),
                stored_parameters: arns("ssm:eu-central-1:222222222222:parameter/orders/"),
                ..place(side)
            };
            for place in [longest, with_secrets] {
                let text = policy(&place, &all()).to_string();
                assert!(text.len() <= LONGEST, "{side}: {}", text.len());
            }
        }
    }
}
