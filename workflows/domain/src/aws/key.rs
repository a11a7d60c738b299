//! The key that the target is encrypted with: which keys serve, and who may use snapshots under the one that we make.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Failure;

/// The alias of the key that AWS makes for RDS by itself.
pub const DEFAULT_ALIAS: &str = "alias/aws/rds";

/// How long a key that we made waits for its deletion, in days: the longest that AWS allows, since a snapshot under it is lost with it
/// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html>).
pub const DELETION_DAYS: i32 = 30;

/// A key as KMS describes it
/// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySeen {
    /// Its ARN.
    pub arn: String,
    /// `CUSTOMER` or `AWS`.
    pub manager: String,
    /// Such as `Enabled`, `Disabled`, `PendingDeletion`.
    pub state: String,
    /// Such as `ENCRYPT_DECRYPT`.
    pub usage: String,
    /// Such as `SYMMETRIC_DEFAULT`.
    pub spec: String,
    /// Its aliases, where they are known.
    pub aliases: Vec<String>,
}

/// Refuses the name of a key before it is looked up: the default key of a service can't be used.
pub fn check_reference(reference: &str) -> Result<(), Failure> {
    if reference.starts_with("alias/aws/") || reference.contains(":alias/aws/") {
        return Err(default_key(reference));
    }
    Ok(())
}

/// Checks a key that is to encrypt the target. `region` is the target's.
pub fn check(key: &KeySeen, region: &str) -> Result<(), Failure> {
    if key.manager == "AWS" || key.aliases.iter().any(|alias| alias.starts_with("alias/aws/")) {
        return Err(default_key(&key.arn));
    }
    let mut reasons = Vec::new();
    if key.state != "Enabled" {
        reasons.push(format!("it is {}, not Enabled", key.state));
    }
    if key.usage != "ENCRYPT_DECRYPT" || key.spec != "SYMMETRIC_DEFAULT" {
        reasons.push(format!("it is {} for {}; RDS needs a symmetric key for encryption", key.spec, key.usage));
    }
    if arn_part(&key.arn, 3) != region {
        reasons.push(format!("it is in {}, the target in {region}", arn_part(&key.arn, 3)));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let message = format!("the key {} can't encrypt the target: {}", key.arn, reasons.join("; "));
    Err(Failure::refused("CO1012", message, "name another key in the spec, or none, and one is made"))
}

fn default_key(key: &str) -> Failure {
    Failure::refused(
        "CO1011",
        format!(
            "{key} is a key that AWS manages: its policy can't be changed, so that no other account could ever use a snapshot of \
             the target, and nobody can withdraw it"
        ),
        "name a key of your own in the spec, or none, and one is made",
    )
}

/// How long a new key, its tags and its alias may not count everywhere yet, seconds
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency>: up to five minutes for a tag
/// in a condition).
const YOUNG_SECONDS: i64 = 600;

/// The failure of a call about a key of this age: one that is new may be denied or not found for a while.
pub fn young(failure: Failure, age_seconds: i64) -> Failure {
    let passes = matches!(failure.code.as_str(), "CO1003" | "CO1006") && age_seconds < YOUNG_SECONDS;
    if !passes {
        return failure;
    }
    let remedy = "nothing: the key is new and may not count everywhere yet; it is tried again";
    Failure::transient("CO1001", failure.message, remedy)
}

/// The part of an ARN at a place, counted from 0: partition 1, service 2, region 3, account 4.
pub fn arn_part(arn: &str, at: usize) -> &str {
    arn.split(':').nth(at).unwrap_or_default()
}

/// The partition that a region belongs to
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
pub fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// By which services a key is used in our name (<https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html>,
/// `kms:ViaService`).
pub fn services(partition: &str, region: &str) -> [String; 3] {
    let suffix = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    ["rds", "ssm", "secretsmanager"].map(|service| format!("{service}.{region}.{suffix}"))
}

/// Who makes a key and keeps it, by the caller's ARN: a session of a role stands for the role. A role's path isn't in that; who has one
/// names the role in the spec.
pub fn keeper(caller: &str) -> String {
    let parts: Vec<&str> = caller.splitn(6, ':').collect();
    let [_, partition, "sts", _, account, session] = parts.as_slice() else { return caller.to_owned() };
    match session.split('/').collect::<Vec<_>>().as_slice() {
        ["assumed-role", role, ..] => format!("arn:{partition}:iam::{account}:role/{role}"),
        _ => caller.to_owned(),
    }
}

/// Refuses a caller whose role's path isn't known, and who can't be named in a key's policy therefore: those of IAM Identity Center
/// (<https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html>). CO1012.
pub fn check_keeper(keeper: &str) -> Result<(), Failure> {
    if !keeper.contains(":role/AWSReservedSSO_") {
        return Ok(());
    }
    let message = format!("a key can't be made as {keeper}: its policy has to name the role, whose path isn't known");
    Err(Failure::refused("CO1012", message, "name a `role_arn` in [aws.target], or a key of your own as `kms_key`"))
}

/// Whose key it is that we make, and who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'a> {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'a str,
    /// The key's region.
    pub region: &'a str,
    /// Its account.
    pub account: &'a str,
    /// Who makes it, by ARN ([`keeper`]).
    pub keeper: &'a str,
    /// Accounts that may use snapshots under it.
    pub users: &'a [String],
}

/// The policy of the key that we make. Its own account rules it by IAM; whoever makes it, and nobody else, has the rights that this takes
/// from the key itself, so that the role needs none on other keys; the accounts named can use it, and give a grant to a service of AWS, as
/// copying a shared snapshot under it takes
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html>,
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html>).
pub fn policy(of: &Keeping<'_>) -> Value {
    let root = |account: &String| format!("arn:{}:iam::{account}:root", of.partition);
    let allow = |sid: &str, who: Value, actions: Value| json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": who }, "Action": actions, "Resource": "*" });
    let only = |mut statement: Value, condition: Value| {
        statement["Condition"] = condition;
        statement
    };
    let for_aws = || json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } });
    let by_services = json!({ "StringEquals": { "kms:ViaService": services(of.partition, of.region) } });
    let mut statements = vec![
        allow("OwnAccount", json!(root(&of.account.to_owned())), json!("kms:*")),
        allow("Keeping", json!(of.keeper), json!(KEEPING)),
        only(allow("UseByServices", json!(of.keeper), json!(USE)), by_services),
        only(allow("GrantsByServices", json!(of.keeper), json!("kms:CreateGrant")), for_aws()),
    ];
    let mut users: Vec<String> = of.users.iter().filter(|user| *user != of.account).map(root).collect();
    users.sort();
    users.dedup();
    if !users.is_empty() {
        let uses = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"];
        statements.push(allow("UseOfSnapshots", json!(users), json!(uses)));
        let grants = json!(["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]);
        statements.push(only(allow("GrantsForServices", json!(users), grants), for_aws()));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What its maker does with the key itself, from its alias to its end.
pub const KEEPING: [&str; 7] = [
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:ListGrants",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
];

/// What services do with it in its maker's name.
const USE: [&str; 6] = [
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];

/// Whether two policies say the same: AWS gives a list of one back as a single word, and lists in an order of its own.
pub fn same_policy(a: &Value, b: &Value) -> bool {
    normal(a) == normal(b)
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), normal(value))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_key(ToString::to_string);
            match items.as_slice() {
                [one] if one.is_string() => one.clone(),
                _ => Value::Array(items),
            }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KEPT: Keeping<'_> = Keeping {
        partition: "aws",
        region: "eu-central-1",
        account: "222222222222",
        keeper: "arn:aws:iam::222222222222:role/changeover",
        users: &[],
    };

    fn key() -> KeySeen {
        KeySeen {
            arn: "arn:aws:kms:eu-central-1:222222222222:key/1".into(),
            manager: "CUSTOMER".into(),
            state: "Enabled".into(),
            usage: "ENCRYPT_DECRYPT".into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            aliases: Vec::new(),
        }
    }

    #[test]
    fn a_key_of_ones_own_serves() {
        check(&key(), "eu-central-1").unwrap();
    }

    #[rstest]
    #[case(KeySeen { manager: "AWS".into(), ..key() }, "CO1011")]
    #[case(KeySeen { aliases: vec![DEFAULT_ALIAS.into()], ..key() }, "CO1011")]
    #[case(KeySeen { state: "PendingDeletion".into(), ..key() }, "CO1012")]
    #[case(KeySeen { usage: "SIGN_VERIFY".into(), ..key() }, "CO1012")]
    #[case(KeySeen { spec: "RSA_2048".into(), ..key() }, "CO1012")]
    #[case(KeySeen { arn: "arn:aws:kms:us-east-1:222222222222:key/1".into(), ..key() }, "CO1012")]
    fn others_are_refused(#[case] key: KeySeen, #[case] code: &str) {
        assert_eq!(check(&key, "eu-central-1").unwrap_err().code, code);
    }

    #[rstest]
    #[case("alias/aws/rds", false)]
    #[case("arn:aws:kms:eu-central-1:222222222222:alias/aws/rds", false)]
    #[case("alias/orders", true)]
    fn a_default_alias_is_refused_by_its_name(#[case] reference: &str, #[case] fits: bool) {
        assert_eq!(check_reference(reference).is_ok(), fits);
    }

    #[test]
    fn a_new_key_may_be_denied_for_a_while() {
        use crate::Class;
        let class = |code: &str, age| young(Failure::refused(code, "m", "r"), age).class;
        assert_eq!((class("CO1003", 599), class("CO1006", 0)), (Class::Transient, Class::Transient));
        assert_eq!((class("CO1003", 600), class("CO1012", 0)), (Class::Refused, Class::Refused));
    }

    #[test]
    fn named_accounts_use_the_key_and_nobody_else() {
        let users = ["333333333333".to_owned(), "222222222222".to_owned(), "333333333333".to_owned()];
        let policy = policy(&Keeping { users: &users, ..KEPT });
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 6);
        assert_eq!(statements[4]["Principal"]["AWS"], json!(["arn:aws:iam::333333333333:root"]));
        assert_eq!(statements[5]["Condition"]["Bool"]["kms:GrantIsForAWSResource"], "true");
        assert!(statements[1..].iter().all(|s| s["Action"] != "kms:*"));
    }

    #[test]
    fn without_named_accounts_there_is_the_own_one() {
        assert_eq!(policy(&KEPT)["Statement"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn its_maker_keeps_it_and_uses_it_by_services_alone() {
        let said = policy(&Keeping { partition: "aws-cn", region: "cn-north-1", ..KEPT });
        let statements = said["Statement"].as_array().unwrap();
        assert!(statements[1..4].iter().all(|s| s["Principal"]["AWS"] == KEPT.keeper));
        assert_eq!(statements[2]["Condition"]["StringEquals"]["kms:ViaService"][0], "rds.cn-north-1.amazonaws.com.cn");
        assert_eq!(statements[3]["Condition"]["Bool"]["kms:GrantIsForAWSResource"], "true");
    }

    #[rstest]
    #[case("cn-north-1", "aws-cn")]
    #[case("us-gov-west-1", "aws-us-gov")]
    #[case("eu-central-1", "aws")]
    #[case("*", "aws")]
    fn a_region_tells_its_partition(#[case] region: &str, #[case] of: &str) {
        assert_eq!(partition(region), of);
    }

    #[test]
    fn a_session_stands_for_its_role() {
        let of_role = "arn:aws:sts::222222222222:assumed-role/changeover/changeover-shop";
        assert_eq!(keeper(of_role), KEPT.keeper);
        assert!(check_keeper(KEPT.keeper).is_ok());
        let sso = keeper("arn:aws:sts::222222222222:assumed-role/AWSReservedSSO_Admin_0a1b/ada");
        assert_eq!(check_keeper(&sso).unwrap_err().code, "CO1012");
        for itself in ["arn:aws:iam::222222222222:user/ada", "arn:aws:sts::2:federated-user/ada", "x"] {
            assert_eq!(keeper(itself), itself);
        }
    }

    #[test]
    fn the_same_policy_is_known_in_the_form_of_aws() {
        let a = json!({ "Action": ["b", "a"], "Principal": { "AWS": ["x"] } });
        let b = json!({ "Principal": { "AWS": "x" }, "Action": ["a", "b"] });
        assert!(same_policy(&a, &b));
        assert!(!same_policy(&a, &json!({ "Action": ["a"] })));
    }
}
