"""Snapshots: taken, shared, copied across accounts and keys, restored."""

import json

import pytest
from conftest import PASSWORD, create, gone, instance, psql, refused, snapshot_available, wait_for, wait_until


def key(stand_in, account: int, allow: str | None = None, region: str = "eu-central-1") -> str:
    """A customer managed key, whose policy may let another account use it."""
    kms = stand_in.client("kms", account, region)
    root = {"AWS": f"arn:aws:iam::{stand_in.accounts[account]}:root"}
    statements = [{"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}]
    if allow:
        actions = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"]
        statements.append({"Effect": "Allow", "Principal": {"AWS": allow}, "Action": actions, "Resource": "*"})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]


def share(rds, name: str, *accounts: str):
    return rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=list(accounts))


@pytest.fixture(scope="module")
def plain(stand_in, shared):
    """A snapshot of an unencrypted instance with a row in it."""
    rds = stand_in.client("rds")
    psql(stand_in, shared, "create table if not exists kept (x int); delete from kept; insert into kept values (42)")
    assert (
        rds.create_db_snapshot(DBSnapshotIdentifier="plain", DBInstanceIdentifier="shared")["DBSnapshot"]["Status"] == "creating"
    )
    assert instance(rds, "shared")["DBInstanceStatus"] == "backing-up"
    with refused("InvalidDBInstanceState", words="in-progress"):
        rds.reboot_db_instance(DBInstanceIdentifier="shared")
    with refused("InvalidDBInstanceState"):
        rds.create_db_snapshot(DBSnapshotIdentifier="plain-too", DBInstanceIdentifier="shared")
    with refused("InvalidDBSnapshotState"):
        share(rds, "plain", stand_in.accounts[1])
    wait_for(rds, "shared")
    return snapshot_available(rds, "plain")


def test_the_way_to_an_encrypted_instance_in_another_account(stand_in, rds, other, plain, name):
    mine, theirs = stand_in.accounts
    assert plain["Encrypted"] is False
    with refused("DBSnapshotNotFound", 404):
        other.copy_db_snapshot(SourceDBSnapshotIdentifier=plain["DBSnapshotArn"], TargetDBSnapshotIdentifier=name)
    share(rds, "plain", theirs)
    attributes = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier="plain")["DBSnapshotAttributesResult"]
    assert attributes["DBSnapshotAttributes"][0]["AttributeValues"] == [theirs]
    seen = other.describe_db_snapshots(SnapshotType="shared")["DBSnapshots"]
    assert [(row["DBSnapshotArn"], row["SnapshotType"]) for row in seen] == [(plain["DBSnapshotArn"], "shared")]
    assert other.describe_db_snapshots()["DBSnapshots"] == []

    with refused("DBSnapshotNotFound", 404):
        other.copy_db_snapshot(SourceDBSnapshotIdentifier="plain", TargetDBSnapshotIdentifier=name)
    cmk = key(stand_in, 1)
    said = {"SourceDBSnapshotIdentifier": plain["DBSnapshotArn"], "TargetDBSnapshotIdentifier": name, "KmsKeyId": cmk}
    assert other.copy_db_snapshot(**said)["DBSnapshot"]["Status"] == "copying"
    with refused("DBSnapshotAlreadyExists"):
        other.copy_db_snapshot(**said)
    copied = snapshot_available(other, name)
    assert (copied["Encrypted"], copied["KmsKeyId"], copied["SourceDBSnapshotIdentifier"]) == (True, cmk, plain["DBSnapshotArn"])

    other.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=name, DBSnapshotIdentifier=name, DBInstanceClass="db.t3.small"
    )
    restored = wait_for(other, name)
    assert (restored["StorageEncrypted"], restored["KmsKeyId"], restored["DBInstanceClass"]) == (True, cmk, "db.t3.small")
    assert restored["Endpoint"]["Port"] != instance(rds, "shared")["Endpoint"]["Port"]
    assert psql(stand_in, restored, "select x from kept") == "42"
    with refused("DBInstanceAlreadyExists"):
        other.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=name)

    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="plain", AttributeName="restore", ValuesToRemove=[theirs])
    with refused("DBSnapshotNotFound", 404):
        other.copy_db_snapshot(**{**said, "TargetDBSnapshotIdentifier": f"{name}b"})
    assert mine != theirs


def test_an_encrypted_snapshot_is_shared_only_under_a_customer_key_that_lets_the_other_account(stand_in, rds, other, plain, name):
    theirs = stand_in.accounts[1]
    source = {"SourceDBSnapshotIdentifier": "plain"}
    # Under the account's default key.
    rds.copy_db_snapshot(**source, TargetDBSnapshotIdentifier=f"{name}-default", KmsKeyId="alias/aws/rds")
    closed, opened = key(stand_in, 0), key(stand_in, 0, allow=theirs)
    rds.copy_db_snapshot(**source, TargetDBSnapshotIdentifier=f"{name}-closed", KmsKeyId=closed)
    rds.copy_db_snapshot(**source, TargetDBSnapshotIdentifier=f"{name}-opened", KmsKeyId=opened)
    snapshot_available(rds, f"{name}-default")
    with refused("InvalidDBSnapshotState", words="default KMS key"):
        share(rds, f"{name}-default", theirs)
    arns = {kind: snapshot_available(rds, f"{name}-{kind}")["DBSnapshotArn"] for kind in ("closed", "opened")}
    with refused("InvalidDBSnapshotState", words="public"):
        share(rds, f"{name}-opened", "all")
    for kind in arns:
        share(rds, f"{name}-{kind}", theirs)

    own = key(stand_in, 1)
    with refused("KMSKeyNotAccessibleFault", words="The source snapshot KMS key"):
        other.copy_db_snapshot(SourceDBSnapshotIdentifier=arns["closed"], TargetDBSnapshotIdentifier=name, KmsKeyId=own)
    with refused("KMSKeyNotAccessibleFault", words="The target KMS key [None]"):
        other.copy_db_snapshot(SourceDBSnapshotIdentifier=arns["opened"], TargetDBSnapshotIdentifier=name)
    with refused("KMSKeyNotAccessibleFault", words="The target KMS key"):
        other.copy_db_snapshot(
            SourceDBSnapshotIdentifier=arns["opened"], TargetDBSnapshotIdentifier=name, KmsKeyId="alias/nowhere"
        )
    with refused("InvalidDBSnapshotState", words="copy"):
        other.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=arns["opened"])
    far = stand_in.client("rds", account=1, region="eu-west-1")
    with refused("InvalidParameterCombination", words="across AWS Regions"):
        far.copy_db_snapshot(
            SourceDBSnapshotIdentifier=arns["opened"],
            TargetDBSnapshotIdentifier=name,
            KmsKeyId=key(stand_in, 1, region="eu-west-1"),
        )
    other.copy_db_snapshot(SourceDBSnapshotIdentifier=arns["opened"], TargetDBSnapshotIdentifier=name, KmsKeyId=own)
    assert snapshot_available(other, name)["KmsKeyId"] == own

    # Of one's own, a copy in another region takes a key of that region.
    there = stand_in.client("rds", region="eu-west-1")
    said = {"SourceDBSnapshotIdentifier": arns["opened"], "TargetDBSnapshotIdentifier": name}
    with refused("InvalidParameterValue", words="Must specify new KMS key"):
        there.copy_db_snapshot(**said)
    with refused("KMSKeyNotAccessibleFault", words="target KMS key"):
        there.copy_db_snapshot(**said, KmsKeyId=opened)
    far_key = key(stand_in, 0, region="eu-west-1")
    there.copy_db_snapshot(**said, KmsKeyId=far_key)
    assert snapshot_available(there, name)["SourceRegion"] == "eu-central-1"

    disabled = key(stand_in, 0)
    stand_in.client("kms").disable_key(KeyId=disabled)
    with refused("KMSKeyNotAccessibleFault"):
        rds.copy_db_snapshot(**source, TargetDBSnapshotIdentifier=f"{name}-x", KmsKeyId=disabled)


def test_what_sharing_and_copying_refuse(clean, rds, plain, name):
    with refused("InvalidParameterValue", words="attribute"):
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="plain", AttributeName="nonsense", ValuesToAdd=["123456789012"])
    with refused("InvalidParameterValue", words="12 digits"):
        share(rds, "plain", "12")
    with refused("SharedSnapshotQuotaExceeded"):
        share(rds, "plain", *[f"{number:012}" for number in range(21)])
    with refused("DBSnapshotNotFound", 404):
        share(rds, "nowhere", "123456789012")
    with refused("DBSnapshotAlreadyExists"):
        rds.copy_db_snapshot(SourceDBSnapshotIdentifier="plain", TargetDBSnapshotIdentifier="plain")
    clean.control("quota", {"account": clean.accounts[0], "name": "manual-snapshots", "limit": 1})
    with refused("SnapshotQuotaExceeded"):
        rds.copy_db_snapshot(SourceDBSnapshotIdentifier="plain", TargetDBSnapshotIdentifier=name)
    with refused("DBInstanceNotFound", 404):
        rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier="nowhere")
    with refused("DBSnapshotNotFound", 404):
        rds.delete_db_snapshot(DBSnapshotIdentifier="nowhere")
    with refused("DBSnapshotNotFound", 404):
        rds.describe_db_snapshots(DBSnapshotIdentifier="nowhere")


def test_the_end_of_an_instance(stand_in, rds, name):
    create(
        rds,
        name,
        BackupRetentionPeriod=1,
        DBInstanceClass="db.t3.small",
        AllocatedStorage=30,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        Tags=[{"Key": "of", "Value": "me"}],
    )
    found = wait_for(rds, name)
    psql(stand_in, found, "create table last (x int); insert into last values (1)")
    automated = rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"][0]
    assert automated["DBSnapshotIdentifier"].startswith(f"rds:{name}-")
    with refused("InvalidDBSnapshotState", words="Automated"):
        share(rds, automated["DBSnapshotIdentifier"], stand_in.accounts[1])
    with refused("InvalidDBSnapshotState", words="Automated"):
        rds.delete_db_snapshot(DBSnapshotIdentifier=automated["DBSnapshotIdentifier"])

    with refused("InvalidParameterCombination", words="protected"):
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
    wait_for(rds, name)
    with refused("InvalidParameterCombination", words="FinalDBSnapshotIdentifier is required"):
        rds.delete_db_instance(DBInstanceIdentifier=name)
    with refused("InvalidParameterCombination"):
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="x")
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=automated["DBSnapshotIdentifier"], TargetDBSnapshotIdentifier=f"{name}-copy")
    with refused("DBSnapshotAlreadyExists"):
        rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-copy")

    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    with refused("InvalidDBInstanceState", words="already being deleted"):
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    gone(rds, name)
    final = snapshot_available(rds, f"{name}-final")
    assert (final["SnapshotType"], final["TagList"]) == ("manual", [{"Key": "of", "Value": "me"}])
    assert rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"] == []

    said = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": f"{name}-final"}
    with refused("InvalidParameterValue", words="smaller"):
        rds.restore_db_instance_from_db_snapshot(**said, AllocatedStorage=20)
    rds.restore_db_instance_from_db_snapshot(**said, BackupRetentionPeriod=0)
    restored = wait_for(rds, name)
    assert (restored["DBInstanceClass"], restored["AllocatedStorage"]) == ("db.t3.small", 30)
    assert psql(stand_in, restored, "select x from last", password=PASSWORD) == "1"
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-final")
    wait_until(lambda: "final" not in str(rds.describe_db_snapshots(DBInstanceIdentifier=name)), "the snapshot is deleted")
