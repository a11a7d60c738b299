//! Secrets that a spec names by ARN, in Secrets Manager or Parameter Store of one of the two accounts; and those that a migration keeps
//! there for applications.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    Side,
    proto::{Aws, RolePassword, SecretRef, Spec, secret_ref::From},
};

/// Where a secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// As a secret of Secrets Manager.
    SecretsManager,
    /// As a parameter of Parameter Store.
    ParameterStore,
}

/// What an ARN says
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>,
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAt<'a> {
    /// Which service.
    pub store: Store,
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
}

/// How many characters, a hyphen before them, Secrets Manager puts behind a name.
const SUFFIX: usize = 6;

impl<'a> StoredAt<'a> {
    /// Reads an ARN; nothing where it is none of a secret or a parameter, or not a complete one.
    pub fn of(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts.as_slice() else { return None };
        let store = match *service {
            "secretsmanager" => Store::SecretsManager,
            "ssm" => Store::ParameterStore,
            _ => return None,
        };
        let whole = match store {
            Store::SecretsManager => resource.strip_prefix("secret:").is_some_and(is_complete),
            Store::ParameterStore => resource.strip_prefix("parameter/").is_some_and(is_name),
        };
        let named = partition.starts_with("aws") && !region.is_empty() && super::names::is_account(account);
        (whole && named).then_some(Self { store, region, account })
    }
}

/// A name of a secret with its suffix: without it, another secret could be meant.
fn is_complete(name: &str) -> bool {
    let suffix = name.rsplit_once('-').filter(|(before, _)| !before.is_empty()).map(|(_, suffix)| suffix);
    is_name(name) && suffix.is_some_and(|end| end.len() == SUFFIX && end.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What stands in a policy as it is: no pattern, no version.
fn is_name(name: &str) -> bool {
    // Those that RDS makes itself have an exclamation mark in their names.
    !name.is_empty() && name.bytes().all(|b| is_letter(b) || b == b'!')
}

/// Whether Secrets Manager takes it in a name that somebody gives.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte)
}

/// In which side's account a secret is; the target's where both are one.
pub fn side_of(aws: &Aws, arn: &str) -> Option<Side> {
    let at = StoredAt::of(arn)?;
    let is_there = |side: &Side| {
        let account = if *side == Side::Source { &aws.source } else { &aws.target };
        account.as_ref().is_some_and(|account| account.account == at.account && account.region == at.region)
    };
    [Side::Target, Side::Source].into_iter().find(is_there)
}

/// The references to secrets that whoever speaks to servers and poolers needs.
pub fn of_servers(spec: &Spec) -> impl Iterator<Item = &SecretRef> {
    let endpoints = [&spec.source, &spec.target].into_iter().flatten().map(|endpoint| &endpoint.password);
    let replication = spec.replication.iter().map(|replication| &replication.password);
    let poolers = spec.traffic.iter().flat_map(|traffic| &traffic.poolers).map(|pooler| &pooler.password);
    endpoints.chain(replication).chain(poolers).flatten()
}

/// Those of roles whose passwords are given.
pub fn of_roles(spec: &Spec) -> impl Iterator<Item = &SecretRef> {
    spec.roles.iter().flat_map(|roles| &roles.passwords).filter_map(|given| given.password.as_ref())
}

/// All references to secrets in a spec, those to none in AWS as well.
pub fn references(spec: &Spec) -> impl Iterator<Item = &SecretRef> {
    let token = spec.aws.iter().filter_map(|aws| aws.webhook_token.as_ref());
    of_servers(spec).chain(of_roles(spec)).chain(token)
}

/// The ARNs of one store that a spec names in a side's account, each once.
pub fn named(spec: &Spec, side: Side, store: Store) -> Vec<String> {
    let Some(aws) = &spec.aws else { return Vec::new() };
    let arn = |reference: &SecretRef| match &reference.from {
        Some(From::Stored(stored)) => Some(stored.arn.clone()),
        _ => None,
    };
    let here =
        |arn: &String| side_of(aws, arn) == Some(side) && StoredAt::of(arn).is_some_and(|stored| stored.store == store);
    let mut arns: Vec<String> = references(spec).filter_map(arn).filter(here).collect();
    arns.sort();
    arns.dedup();
    arns
}

/// A secret that an application gets.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleSecret<'a> {
    /// The role.
    pub role: &'a str,
    /// The secret's name.
    pub name: String,
    /// Where its password is found.
    pub password: Option<&'a SecretRef>,
}

/// The secrets that applications get in the target's account; none where the spec doesn't ask for them.
pub fn role_secrets(spec: &Spec) -> Vec<RoleSecret<'_>> {
    let prefix = spec.aws.as_ref().and_then(|aws| aws.made.as_ref()).map_or("", |made| made.role_secrets.as_str());
    if prefix.is_empty() {
        return Vec::new();
    }
    let given = spec.roles.iter().flat_map(|roles| &roles.passwords);
    let secret = |given: &'_ RolePassword| role_secret(prefix, &given.role);
    given.map(|it| RoleSecret { role: &it.role, name: secret(it), password: it.password.as_ref() }).collect()
}

/// The name of a role's secret.
pub fn role_secret(prefix: &str, role: &str) -> String {
    format!("{}/{role}", prefix.trim_end_matches('/'))
}

/// Whether Secrets Manager takes a name
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>).
pub fn is_secret_name(name: &str) -> bool {
    name.len() <= 512 && name.bytes().all(is_letter)
}

/// Why no password is found in what is stored. Says nothing of what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is a JSON object without this field, or with something else in it than a text.
    NoField(String),
    /// A field is asked for, and it is no JSON object.
    NoObject(String),
    /// There is nothing in it.
    Empty,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::NoField(field) => write!(f, "it is a JSON object without a text as `{field}`"),
            Unreadable::NoObject(field) => write!(f, "it is no JSON object that could have a field `{field}`"),
            Unreadable::Empty => f.write_str("it is empty"),
        }
    }
}

/// The field that holds a password in the form of AWS' own rotation functions
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>).
const PASSWORD: &str = "password";

/// The secret in a stored text: a field of a JSON object (`password` unless another one is named), else the text without its last line break.
pub fn secret_in(text: &str, field: &str) -> Result<String, Unreadable> {
    let found = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => {
            let field = if field.is_empty() { PASSWORD } else { field };
            let value = object.get(field).and_then(Value::as_str);
            value.ok_or_else(|| Unreadable::NoField(field.to_owned()))?.to_owned()
        }
        Err(_) if !field.is_empty() => return Err(Unreadable::NoObject(field.to_owned())),
        Err(_) => text.trim_end_matches(['\r', '\n']).to_owned(),
    };
    if found.is_empty() { Err(Unreadable::Empty) } else { Ok(found) }
}

/// What a role's secret is to hold: login and password, and whatever else somebody has put there. Nothing where what is there is no JSON
/// object, which somebody else has written.
pub fn with_login(before: Option<&str>, role: &str, password: &str) -> Option<String> {
    let mut object: Map<String, Value> = before.map_or(Some(Map::new()), |text| serde_json::from_str(text).ok())?;
    for (key, value) in [("engine", "postgres"), ("username", role), (PASSWORD, password)] {
        object.insert(key.to_owned(), Value::from(value));
    }
    Some(Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        MigrationId,
        aws::{
            AwsNames,
            provision::{AwsStep, undo_of},
        },
        proto::{AwsAccount, AwsTarget, Roles, Stored},
    };

    const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app-AbC123";

    fn account(id: &str) -> Option<AwsAccount> {
        Some(AwsAccount { region: "eu-central-1".into(), account: id.into(), ..AwsAccount::default() })
    }

    fn spec(references: &[(&str, &str)]) -> Spec {
        let password = |(role, arn): &(&str, &str)| RolePassword {
            role: (*role).into(),
            password: Some(SecretRef { from: Some(From::Stored(Stored { arn: (*arn).into(), field: String::new() })) }),
        };
        Spec {
            roles: Some(Roles { passwords: references.iter().map(password).collect(), ..Roles::default() }),
            aws: Some(Aws {
                source: account("111111111111"),
                target: account("222222222222"),
                made: Some(AwsTarget { role_secrets: "orders/".into(), ..AwsTarget::default() }),
                ..Aws::default()
            }),
            ..Spec::default()
        }
    }

    #[rstest]
    #[case(SECRET, Some(Store::SecretsManager))]
    #[case("arn:aws:secretsmanager:eu-central-1:111111111111:secret:rds!db-0a1b-AbC123", Some(Store::SecretsManager))]
    #[case("arn:aws-cn:ssm:cn-north-1:111111111111:parameter/shop/db/password", Some(Store::ParameterStore))]
    #[case("arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app", None)]
    #[case("arn:aws:secretsmanager:eu-central-1:111111111111:secret:-AbC123", None)]
    #[case("arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/*-AbC123", None)]
    #[case("arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app-AbC123:password::", None)]
    #[case("arn:aws:secretsmanager:eu-central-1:1111:secret:orders/app-AbC123", None)]
    #[case("arn:aws:ssm:eu-central-1:111111111111:parameter/", None)]
    #[case("arn:aws:ssm:eu-central-1:111111111111:parameter/shop/db/password:3", None)]
    #[case("arn:aws:ssm::111111111111:parameter/shop", None)]
    #[case("arn:aws:rds:eu-central-1:111111111111:db:orders", None)]
    #[case("orders/app", None)]
    fn an_arn_is_a_complete_one_of_either_store(#[case] arn: &str, #[case] store: Option<Store>) {
        assert_eq!(StoredAt::of(arn).map(|at| at.store), store);
    }

    #[test]
    fn it_is_known_in_whose_account_each_is() {
        let there = SECRET.replace("111111111111", "222222222222");
        let elsewhere = SECRET.replace("eu-central-1", "eu-west-1");
        let spec = spec(&[("app", SECRET), ("report", &there), ("other", SECRET), ("far", &elsewhere)]);
        assert_eq!(named(&spec, Side::Source, Store::SecretsManager), [SECRET]);
        assert_eq!(named(&spec, Side::Target, Store::SecretsManager), [there]);
        assert!(named(&spec, Side::Source, Store::ParameterStore).is_empty());
        assert_eq!(side_of(spec.aws.as_ref().unwrap(), &elsewhere), None);
    }

    #[test]
    fn a_roles_secret_has_its_name_and_an_abort_deletes_it() {
        let names = AwsNames::new(&MigrationId::parse("shop").unwrap());
        let mut spec = spec(&[("app", SECRET)]);
        let secrets = role_secrets(&spec);
        assert_eq!((secrets.len(), secrets[0].role, secrets[0].name.as_str()), (1, "app", "orders/app"));
        assert_eq!(
            undo_of(AwsStep::RoleSecrets, &spec, &names)[0].describe(),
            "delete the secret orders/app on the target"
        );
        spec.aws.as_mut().unwrap().made = None;
        assert!(role_secrets(&spec).is_empty());
    }

    #[rstest]
    #[case("pa ss\n", "", Ok("pa ss"))]
    #[case("{not json", "", Ok("{not json"))]
    #[case("12345678", "", Ok("12345678"))]
    #[case(r#"{"username":"app","password":"x"}"#, "", Ok("x"))]
    #[case(r#"{"token":"t","password":"x"}"#, "token", Ok("t"))]
    #[case(r#"{"password":""}"#, "", Err(Unreadable::Empty))]
    #[case(r#"{"password":5}"#, "", Err(Unreadable::NoField("password".into())))]
    #[case(r#"{"username":"app"}"#, "", Err(Unreadable::NoField("password".into())))]
    #[case("plain", "password", Err(Unreadable::NoObject("password".into())))]
    #[case("\n", "", Err(Unreadable::Empty))]
    fn a_secret_is_a_field_of_an_object_or_the_whole_text(
        #[case] text: &str,
        #[case] field: &str,
        #[case] expected: Result<&str, Unreadable>,
    ) {
        assert_eq!(secret_in(text, field), expected.map(str::to_owned));
    }

    #[test]
    fn what_somebody_has_put_beside_a_login_stays() {
        let text = with_login(Some(r#"{"host":"h","password":"old"}"#), "app", "new").unwrap();
        assert_eq!(text, r#"{"engine":"postgres","host":"h","password":"new","username":"app"}"#);
        assert_eq!(with_login(None, "app", "new"), with_login(Some("{}"), "app", "new"));
        assert_eq!(with_login(Some(&text), "app", "new"), Some(text));
        assert_eq!(with_login(Some("no object"), "app", "new"), None);
    }
}
