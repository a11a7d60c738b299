"""What is kept of an instance beside its data: automated backups, and settings that nothing here follows from."""

from conftest import create, gone, instance, refused, wait_for


def backups(rds, **asked) -> list[tuple[str, str]]:
    rows = rds.describe_db_instance_automated_backups(**asked)["DBInstanceAutomatedBackups"]
    return [(row["DBInstanceIdentifier"], row["Status"]) for row in rows]


def test_automated_backups_outlive_their_instance_where_that_is_asked_for(stand_in, rds, name):
    create(rds, name, BackupRetentionPeriod=2, StorageEncrypted=True)
    found = wait_for(rds, name)
    own = {"DbiResourceId": found["DbiResourceId"]}
    assert backups(rds, **own) == [(name, "active")]
    row = rds.describe_db_instance_automated_backups(**own)["DBInstanceAutomatedBackups"][0]
    assert (row["KmsKeyId"], row["BackupRetentionPeriod"]) == (found["KmsKeyId"], 2)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    gone(rds, name)
    assert backups(rds, **own) == [(name, "retained")]
    retained = [{"Name": "status", "Values": ["retained"]}]
    assert (name, "retained") in backups(rds, Filters=retained)

    other = f"{name}b"
    create(rds, other, BackupRetentionPeriod=1)
    wait_for(rds, other)
    rds.delete_db_instance(DBInstanceIdentifier=other, SkipFinalSnapshot=True)
    gone(rds, other)
    assert backups(rds, DBInstanceIdentifier=other) == []


def test_insights_lifecycle_and_authority_are_kept_and_can_be_changed(stand_in, rds, name):
    kms = stand_in.client("kms")
    key, another = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    with refused("InvalidParameterCombination", words="Provisioned IOPS"):
        create(rds, name, DedicatedLogVolume=True)
    with refused("CertificateNotFound", 404):
        create(rds, name, CACertificateIdentifier="rds-ca-2019")
    with refused("InvalidParameterValue", words="retention"):
        create(rds, name, EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=94)
    create(rds, name)
    found = wait_for(rds, name)
    assert found["PerformanceInsightsEnabled"] is False and "PerformanceInsightsKMSKeyId" not in found
    rds.modify_db_instance(
        DBInstanceIdentifier=name,
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=key,
        PerformanceInsightsRetentionPeriod=93,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        CACertificateIdentifier="rds-ca-ecc384-g1",
    )
    found = wait_for(rds, name)
    assert (found["PerformanceInsightsKMSKeyId"], found["PerformanceInsightsRetentionPeriod"]) == (key, 93)
    assert found["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert found["CACertificateIdentifier"] == "rds-ca-ecc384-g1"
    with refused("InvalidParameterCombination", words="KMS key of Performance Insights"):
        rds.modify_db_instance(DBInstanceIdentifier=name, PerformanceInsightsKMSKeyId=another)
    rds.modify_db_instance(DBInstanceIdentifier=name, EnablePerformanceInsights=False)
    assert wait_for(rds, name)["PerformanceInsightsEnabled"] is False
    assert "PerformanceInsightsKMSKeyId" not in instance(rds, name)
