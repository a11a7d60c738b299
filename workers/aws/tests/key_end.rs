//! A key of ours ends only where nothing uses it; on the stand-in. Grants are those of KMS' stand-in, which RDS' own doesn't give.

#![allow(clippy::unwrap_used)]

mod stand_in;

use changeover_aws::{
    Session, key, publish, secret,
    undo::{Undone, undo},
};
use changeover_domain::{
    Side,
    aws::{
        status::Progress,
        undo::{AwsUndo, Kind},
    },
};
use serde_json::{Value, json};
use stand_in::{StandIn, becomes};

const OTHER: &str = "somebodys";

fn deletion(kind: Kind, name: &str) -> AwsUndo {
    AwsUndo::Delete { side: Side::Target, kind, name: name.to_owned() }
}

/// That the key stays, and why.
async fn stays(target: &Session, why: &str) {
    let failure = undo(target, &deletion(Kind::Key, &target.names().alias())).await.unwrap_err();
    assert_eq!(failure.code, "CO1019", "{failure}");
    assert!(failure.message.contains(why), "{failure}");
}

fn grant(stand_in: &StandIn, key: &str, to: &str, context: &Value) -> String {
    let fields = json!({
        "KeyId": key, "GranteePrincipal": to, "Operations": ["Decrypt"], "Constraints": { "EncryptionContextSubset": context },
    });
    let answer = stand_in.somebody(Side::Target, "kms", "create_grant", fields);
    answer["GrantId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn secrets_parameters_and_grants_keep_a_key_and_what_rds_left_does_not() {
    let stand_in = StandIn::start();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;

    secret::ensure_master_secret(&target, "master", &key).await.unwrap();
    stays(&target, "the secret changeover/shop/master-user").await;
    assert_eq!(undo(&target, &deletion(Kind::Secret, &target.names().master_secret())).await.unwrap(), Undone::Done);

    // Also one that isn't ours, by whatever name it calls the key.
    let alias = target.names().alias();
    for id in [key.as_str(), key.rsplit('/').next().unwrap(), alias.as_str()] {
        let fields = json!({ "Name": "theirs", "KmsKeyId": id, "SecretString": "x" });
        stand_in.somebody(Side::Target, "secretsmanager", "create_secret", fields);
        stays(&target, "the secret theirs").await;
        let fields = json!({ "SecretId": "theirs", "ForceDeleteWithoutRecovery": true });
        stand_in.somebody(Side::Target, "secretsmanager", "delete_secret", fields);
    }

    let endpoint = publish::Endpoint { name: "/shop/db".into(), value: "h:5432".into(), expected: 0 };
    publish::ensure_published(&target, &endpoint, &key).await.unwrap();
    stays(&target, "the parameter /shop/db").await;
    assert_eq!(undo(&target, &endpoint.undo()).await.unwrap(), Undone::Done);

    let role = stand_in.role(Side::Target);
    let given = grant(&stand_in, &key, &role, &json!({ "aws:rds:db-id": "db-GONE" }));
    stays(&target, &format!("by the grant {given}")).await;
    stand_in.somebody(Side::Target, "kms", "revoke_grant", json!({ "KeyId": key, "GrantId": given }));

    grant(&stand_in, &key, "rds.eu-central-1.amazonaws.com", &json!({ "aws:rds:db-id": "db-GONE" }));
    for _ in 0..2 {
        assert_eq!(undo(&target, &deletion(Kind::Key, &alias)).await.unwrap(), Undone::Done);
    }
    assert_eq!(key::check_given_key(&target, &alias).await.unwrap_err().code, "CO1006");
    assert_eq!(key::check_given_key(&target, &key).await.unwrap_err().code, "CO1012");
}

#[tokio::test]
async fn backups_that_outlive_their_instance_keep_a_key() {
    let stand_in = StandIn::start();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;
    let fields = json!({
        "DBInstanceIdentifier": OTHER, "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "MasterUsername": "master",
        "MasterUserPassword": "correct-horse-1", "AllocatedStorage": 20, "DBSubnetGroupName": "target-net",
        "StorageEncrypted": true, "KmsKeyId": key, "BackupRetentionPeriod": 1,
    });
    stand_in.somebody(Side::Target, "rds", "create_db_instance", fields);
    becomes(&target, OTHER, Progress::Ready).await;
    stays(&target, &format!("the instance {OTHER}")).await;
    let fields = json!({
        "DBInstanceIdentifier": OTHER, "SkipFinalSnapshot": true, "DeleteAutomatedBackups": false,
    });
    stand_in.somebody(Side::Target, "rds", "delete_db_instance", fields);
    becomes(&target, OTHER, Progress::Absent).await;
    stays(&target, &format!("the automated backups of {OTHER}")).await;
}

#[tokio::test]
async fn an_alias_of_another_key_stays() {
    let stand_in = StandIn::start();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let alias = target.names().alias();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;
    let theirs = stand_in.somebody(Side::Target, "kms", "create_key", json!({}))["KeyMetadata"]["Arn"].clone();
    let fields = json!({ "AliasName": alias, "TargetKeyId": theirs });
    stand_in.somebody(Side::Target, "kms", "update_alias", fields);
    stand_in.somebody(Side::Target, "kms", "schedule_key_deletion", json!({ "KeyId": theirs }));

    assert_eq!(undo(&target, &deletion(Kind::Key, &alias)).await.unwrap(), Undone::Done);
    assert_eq!(key::check_given_key(&target, &key).await.unwrap_err().code, "CO1012");
    let there = stand_in.somebody(Side::Target, "kms", "describe_key", json!({ "KeyId": alias }));
    assert_eq!(there["KeyMetadata"]["Arn"], theirs);
}
