//! Secrets that a spec names, and those that applications get; on the stand-in.

#![allow(clippy::unwrap_used)]

mod stand_in;

use changeover_aws::{
    Session, key,
    secret::{self, Password},
    stored,
    undo::{Undone, undo},
};
use changeover_domain::{
    MigrationId, Side,
    aws::{
        AwsNames, Place,
        names::{TAG, TAG_SERVED},
        plan::Route,
        policy,
        undo::{AwsUndo, Kind},
    },
    proto::Stored,
};
use serde_json::{Value, json};
use stand_in::{REGION, StandIn};

const ROLE: &str = "orders/roles/app";

fn named(arn: &str, field: &str) -> Stored {
    Stored { arn: arn.to_owned(), field: field.to_owned() }
}

async fn read(session: &Session, arn: &str, field: &str) -> Result<String, String> {
    let text = stored::text(session, arn).await;
    let read = text.and_then(|text| stored::secret(session.side(), &named(arn, field), text.expose()));
    read.map_err(|failure| format!("{} {}; {}", failure.code, failure.message, failure.remedy))
}

/// Somebody's secret under a key of theirs.
fn theirs(stand_in: &StandIn, name: &str, text: &str, key: &Value) -> String {
    let fields = json!({ "Name": name, "SecretString": text, "KmsKeyId": key });
    let made = stand_in.somebody(Side::Source, "secretsmanager", "create_secret", fields);
    made["ARN"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_spec_names_can_be_read_under_the_printed_policy_and_nothing_else() {
    let stand_in = StandIn::start();
    let key = stand_in.somebody(Side::Source, "kms", "create_key", json!({}))["KeyMetadata"]["Arn"].clone();
    let login = theirs(&stand_in, "orders/app", r#"{"username":"app","password":"of-app","token":"t"}"#, &key);
    let plain = theirs(&stand_in, "orders/plain", "of-plain\n", &key);
    let other = theirs(&stand_in, "orders/other", "of-other", &key);
    let fields = json!({ "Name": "/orders/report", "Value": "of-report", "Type": "SecureString", "KeyId": key });
    stand_in.somebody(Side::Source, "ssm", "put_parameter", fields);
    let parameter = format!("arn:aws:ssm:{REGION}:{}:parameter/orders/report", stand_in.account(Side::Source));
    let place = Place {
        region: REGION.into(),
        account: stand_in.account(Side::Source),
        names: Some(AwsNames::new(&MigrationId::parse("shop").unwrap())),
        stored_secrets: vec![login.clone(), plain.clone()],
        stored_parameters: vec![parameter.clone()],
        ..Place::anywhere(Side::Source)
    };
    stand_in.policy(&stand_in.role(Side::Source), &policy::policy(&place, &Route::default()));
    let source = stand_in.session(Side::Source, "shop").await.unwrap();

    assert_eq!(read(&source, &login, "").await.unwrap(), "of-app");
    assert_eq!(read(&source, &login, "token").await.unwrap(), "t");
    assert_eq!(read(&source, &plain, "").await.unwrap(), "of-plain");
    assert_eq!(read(&source, &parameter, "").await.unwrap(), "of-report");
    assert!(read(&source, &other, "").await.unwrap_err().starts_with("CO1003"));
    let unlike = read(&source, &login, "user").await.unwrap_err();
    assert!(unlike.starts_with("CO1009") && unlike.contains("`user`") && !unlike.contains("of-app"), "{unlike}");
    assert!(read(&source, &plain, "user").await.unwrap_err().starts_with("CO1009"));

    // Gone, and to be taken back.
    stand_in.policy(&stand_in.role(Side::Source), &Value::Null);
    stand_in.somebody(Side::Source, "secretsmanager", "delete_secret", json!({ "SecretId": plain }));
    let gone = read(&source, &plain, "").await.unwrap_err();
    assert!(gone.starts_with("CO1006") && gone.contains("restore-secret"), "{gone}");
    let fields = json!({ "Name": "bytes", "SecretBinary": "AAEC" });
    let bytes = stand_in.somebody(Side::Source, "secretsmanager", "create_secret", fields);
    let bytes = read(&source, bytes["ARN"].as_str().unwrap(), "").await.unwrap_err();
    assert!(bytes.starts_with("CO1009") && bytes.contains("no text"), "{bytes}");
    stand_in.somebody(
        Side::Source,
        "ssm",
        "put_parameter",
        json!({ "Name": "/clear", "Value": "c", "Type": "String" }),
    );
    let clear = read(&source, &parameter.replace("orders/report", "clear"), "").await.unwrap_err();
    assert!(clear.starts_with("CO1009") && clear.contains("SecureString"), "{clear}");
    stand_in.somebody(Side::Source, "ssm", "delete_parameter", json!({ "Name": "/orders/report" }));
    assert!(read(&source, &parameter, "").await.unwrap_err().starts_with("CO1006"));
}

fn target_place(stand_in: &StandIn) -> Place {
    Place {
        region: REGION.into(),
        account: stand_in.account(Side::Target),
        names: Some(AwsNames::new(&MigrationId::parse("shop").unwrap())),
        role_secrets: vec![ROLE.to_owned()],
        ..Place::anywhere(Side::Target)
    }
}

fn text(stand_in: &StandIn, name: &str) -> Value {
    let said = stand_in.somebody(Side::Target, "secretsmanager", "get_secret_value", json!({ "SecretId": name }));
    serde_json::from_str(said["SecretString"].as_str().unwrap()).unwrap()
}

/// How many versions it has had.
fn versions(stand_in: &StandIn, name: &str) -> usize {
    let said =
        stand_in.somebody(Side::Target, "secretsmanager", "list_secret_version_ids", json!({ "SecretId": name }));
    said["Versions"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_application_has_its_login_once_and_an_abort_takes_it_away() {
    let stand_in = StandIn::start();
    let route = Route { key_is_made: true, ..Route::default() };
    stand_in.policy(&stand_in.role(Side::Target), &policy::policy(&target_place(&stand_in), &route));
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;
    let password = |text: &str| Password::new(text.to_owned());
    let ensure = async |of: &str, key: &str| secret::ensure_role_secret(&target, ROLE, "app", &password(of), key).await;

    secret::check_role_secret(&target, ROLE).await.unwrap();
    stand_in.fault(json!({ "service": "secretsmanager", "action": "CreateSecret", "kind": "lose-answer" }));
    let made = match ensure("one", &key).await {
        Ok(made) => made,
        Err(_) => ensure("one", &key).await.unwrap(),
    };
    assert_eq!(ensure("one", &key).await.unwrap(), made);
    assert_eq!(versions(&stand_in, ROLE), 1);
    assert_eq!(text(&stand_in, ROLE), json!({ "engine": "postgres", "username": "app", "password": "one" }));

    // Another password, beside what somebody has added.
    let fields = json!({ "SecretId": ROLE, "SecretString": r#"{"host":"h","username":"app","password":"one"}"# });
    stand_in.somebody(Side::Target, "secretsmanager", "put_secret_value", fields);
    let again = ensure("two", &key).await.unwrap();
    assert_ne!(again.version, made.version);
    let expected = json!({ "engine": "postgres", "host": "h", "username": "app", "password": "two" });
    assert_eq!(text(&stand_in, ROLE), expected);

    let master = secret::ensure_master_secret(&target, "master", &key).await.unwrap();
    assert_eq!(secret::ensure_master_secret(&target, "master", &key).await.unwrap(), master);
    let deletion = |kind, name: &str| AwsUndo::Delete { side: Side::Target, kind, name: name.to_owned() };
    let undoing = stand_in.session_to_undo(Side::Target, "shop").await.unwrap();
    let names = [
        (Kind::Secret, ROLE.to_owned()),
        (Kind::Secret, target.names().master_secret()),
        (Kind::Key, target.names().alias()),
    ];
    for (kind, name) in &names {
        assert_eq!(undo(&undoing, &deletion(*kind, name)).await.unwrap(), Undone::Done, "{name}");
    }

    // The next run has a key of its own: what is under the old one can't be read any more.
    let newer = key::ensure_key(&target, &[]).await.unwrap().arn;
    assert_ne!(newer, key);
    ensure("two", &newer).await.unwrap();
    assert_eq!(text(&stand_in, ROLE), json!({ "engine": "postgres", "username": "app", "password": "two" }));
    stand_in.fault(json!({ "service": "secretsmanager", "action": "UpdateSecret", "kind": "lose-answer" }));
    let attempts = async || secret::ensure_master_secret(&target, "master", &newer).await;
    let (one, other) = tokio::join!(attempts(), attempts());
    let anew = attempts().await.unwrap();
    for attempt in [one, other].into_iter().flatten() {
        assert_eq!(attempt, anew);
    }
    assert_ne!(anew.version, master.version);
    assert_eq!(versions(&stand_in, &target.names().master_secret()), 2);
    assert!(secret::current(&target).await.unwrap().expose().len() >= 20);

    // What applications may live on is nothing that an abort takes: an instance that has served says so, whatever it is called by now.
    let fields = json!({
        "DBInstanceIdentifier": "renamed", "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "MasterUsername": "master",
        "MasterUserPassword": "correct-horse-1", "AllocatedStorage": 20, "DBSubnetGroupName": "target-net",
        "Tags": [{ "Key": TAG, "Value": "shop" }, { "Key": TAG_SERVED, "Value": "2026-01-01T00:00:00Z" }],
    });
    stand_in.somebody(Side::Target, "rds", "create_db_instance", fields);
    for name in [ROLE.to_owned(), target.names().master_secret()] {
        assert_eq!(undo(&undoing, &deletion(Kind::Secret, &name)).await.unwrap_err().code, "CO1060");
    }
    assert_eq!(text(&stand_in, ROLE)["password"], "two");
    let fields = json!({ "ResourceName": format!("arn:aws:rds:{REGION}:{}:db:renamed", stand_in.account(Side::Target)), "TagKeys": [TAG_SERVED] });
    stand_in.somebody(Side::Target, "rds", "remove_tags_from_resource", fields);
    assert_eq!(undo(&undoing, &deletion(Kind::Secret, ROLE)).await.unwrap(), Undone::Done);
}

#[tokio::test]
async fn somebody_elses_secret_is_neither_used_nor_changed() {
    let stand_in = StandIn::start();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;
    stand_in.somebody(Side::Target, "secretsmanager", "create_secret", json!({ "Name": ROLE, "SecretString": "{}" }));
    let code = secret::check_role_secret(&target, ROLE).await.unwrap_err().code;
    let refused = secret::ensure_role_secret(&target, ROLE, "app", &Password::new("x".into()), &key).await.unwrap_err();
    assert_eq!((code.as_str(), refused.code.as_str()), ("CO1008", "CO1008"));
    let undoing = AwsUndo::Delete { side: Side::Target, kind: Kind::Secret, name: ROLE.to_owned() };
    assert_eq!(undo(&target, &undoing).await.unwrap(), Undone::Left { names: vec![ROLE.to_owned()] });
    assert_eq!(text(&stand_in, ROLE), json!({}));

    // One of ours that somebody has put something else into.
    let other = "orders/roles/report";
    let ensure = async || secret::ensure_role_secret(&target, other, "report", &Password::new("x".into()), &key).await;
    ensure().await.unwrap();
    let fields = json!({ "SecretId": other, "SecretString": "postgres://report@h" });
    stand_in.somebody(Side::Target, "secretsmanager", "put_secret_value", fields);
    assert_eq!(ensure().await.unwrap_err().code, "CO1009");
}
