//! The smallest IAM policy for a side, from the table of calls
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Call, Condition, Place, Service, names::TAG, table::CALLS};

/// How long a policy may be that is attached to a role by itself, in characters without blanks
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
pub const LONGEST: usize = 6_144;

/// The policy of a side as JSON: one statement for each set of resources and each condition, with every action on them.
pub fn policy(place: &Place) -> Value {
    let statements: Vec<Value> = grouped(place).iter().map(|(on, actions)| statement(place, on, actions)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What an action is done to, and on which condition.
type On = (Vec<String>, Condition, Option<Service>);

fn grouped(place: &Place) -> BTreeMap<On, BTreeSet<String>> {
    let mut by_action: BTreeMap<(String, Condition, Option<Service>), BTreeSet<String>> = BTreeMap::new();
    for call in CALLS.iter().filter(|call| call.side == place.side) {
        let key = (call.name(), call.condition, tagged_service(call));
        by_action.entry(key).or_default().extend(call.on.iter().flat_map(|resource| place.arns(*resource)));
    }
    let mut grouped: BTreeMap<On, BTreeSet<String>> = BTreeMap::new();
    for ((action, condition, service), on) in by_action {
        grouped.entry((narrowed(on), condition, service)).or_default().insert(action);
    }
    grouped
}

/// The names of the keys of conditions differ from service to service only for the tags of KMS and EC2; one statement for each.
fn tagged_service(call: &Call) -> Option<Service> {
    (call.condition != Condition::None).then_some(call.service)
}

/// An asterisk makes the rest needless.
fn narrowed(on: BTreeSet<String>) -> Vec<String> {
    if on.contains("*") { vec!["*".to_owned()] } else { on.into_iter().collect() }
}

fn statement(place: &Place, (on, condition, _): &On, actions: &BTreeSet<String>) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": on });
    if let (Some(condition), Some(fields)) = (condition_of(place, *condition), statement.as_object_mut()) {
        fields.insert("Condition".to_owned(), condition);
    }
    statement
}

fn condition_of(place: &Place, condition: Condition) -> Option<Value> {
    // `StringLike`, since the pattern for any migration ends with an asterisk.
    let id = place.migration();
    match condition {
        Condition::None => None,
        Condition::TagIsGiven => Some(json!({ "StringLike": { (format!("aws:RequestTag/{TAG}")): id } })),
        Condition::TagIsThere => Some(json!({ "StringLike": { (format!("aws:ResourceTag/{TAG}")): id } })),
        Condition::GrantForAws => Some(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } })),
        Condition::ViaServices => {
            let of = |service: &str| format!("{service}.{}.amazonaws.com", place.region);
            Some(json!({ "StringLike": { "kms:ViaService": [of("rds"), of("ssm"), of("secretsmanager")] } }))
        }
    }
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
            names: Some(AwsNames::new(&MigrationId::parse("shop").unwrap())),
            source_instance: "orders".into(),
            ..Place::anywhere(side)
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
            let wanted: BTreeSet<String> = CALLS.iter().filter(|c| c.side == side).map(Call::name).collect();
            assert_eq!(actions(&policy(&place(side))), wanted);
        }
    }

    #[test]
    fn no_action_is_a_pattern() {
        for side in [Side::Source, Side::Target] {
            assert!(actions(&policy(&Place::anywhere(side))).iter().all(|action| !action.contains('*')));
        }
    }

    #[test]
    fn only_the_own_source_can_be_deleted() {
        let policy = policy(&place(Side::Source));
        for statement in policy["Statement"].as_array().unwrap() {
            let deletes = statement["Action"].as_array().unwrap().iter().any(|a| a == "rds:DeleteDBInstance");
            if deletes {
                assert_eq!(statement["Resource"], json!(["arn:aws:rds:eu-central-1:222222222222:db:orders"]));
            }
        }
    }

    #[test]
    fn nothing_but_reads_is_allowed_on_everything_without_a_condition() {
        for side in [Side::Source, Side::Target] {
            for statement in policy(&place(side))["Statement"].as_array().unwrap() {
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
    fn a_policy_fits_into_one() {
        for side in [Side::Source, Side::Target] {
            let text = policy(&place(side)).to_string();
            assert!(text.len() <= LONGEST, "{side}: {}", text.len());
        }
    }
}
