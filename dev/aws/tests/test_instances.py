"""An instance's life, on a real server."""

import pytest
from conftest import PASSWORD, create, gone, instance, psql, refused, status, wait_for, wait_until


def test_an_instance_is_created_used_rebooted_and_deleted(stand_in, rds, name):
    assert create(rds, name, BackupRetentionPeriod=1)["DBInstanceStatus"] == "creating"
    seen = []

    def available():
        now = status(rds, name)
        if seen[-1:] != [now]:
            seen.append(now)
        return now == "available"

    wait_until(available, "it is available")
    assert seen == ["creating", "backing-up", "available"]
    described = instance(rds, name)
    assert described["Endpoint"]["Address"] == "127.0.0.1"
    assert psql(stand_in, described, "create table t (x int); insert into t values (7); select x from t") == "7"
    assert "15." in psql(stand_in, described, "show server_version")
    before = psql(stand_in, described, "select pg_postmaster_start_time()")

    assert rds.reboot_db_instance(DBInstanceIdentifier=name)["DBInstance"]["DBInstanceStatus"] == "rebooting"
    assert psql(stand_in, wait_for(rds, name), "select pg_postmaster_start_time()") > before
    assert psql(stand_in, described, "select x from t") == "7"

    assert (
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)["DBInstance"]["DBInstanceStatus"] == "deleting"
    )
    gone(rds, name)
    assert psql(stand_in, described, "select 1").startswith("ERROR")


def test_only_tls_of_the_own_authority_and_the_right_password_get_in(stand_in, shared):
    assert psql(stand_in, shared, "select 1") == "1"
    assert "no encryption" in psql(stand_in, shared, "select 1", sslmode="disable")
    assert "password authentication failed" in psql(stand_in, shared, "select 1", password="wrong-horse-1")
    assert "pg_hba.conf rejects" in psql(stand_in, shared, "select 1", user="rdsadmin", database="postgres")


def test_the_master_user_is_no_superuser_but_rds_superuser(stand_in, shared):
    said = psql(
        stand_in,
        shared,
        "select rolsuper, pg_has_role(rolname, 'rds_superuser', 'member') from pg_roles where rolname = current_user",
    )
    assert said == "f|t"


def test_an_unknown_instance_is_not_found(rds):
    with refused("DBInstanceNotFound", 404, "nowhere not found"):
        rds.describe_db_instances(DBInstanceIdentifier="nowhere")
    with refused("DBInstanceNotFound", 404):
        rds.reboot_db_instance(DBInstanceIdentifier="nowhere")


def test_a_second_instance_of_a_name_is_refused(rds, shared):
    with refused("DBInstanceAlreadyExists"):
        create(rds, "shared")
    with refused("DBInstanceAlreadyExists"):
        create(rds, "SHARED")


def test_the_same_name_is_free_in_another_account_and_region(stand_in, other, shared):
    assert other.describe_db_instances()["DBInstances"] == []
    assert stand_in.client("rds", region="eu-west-1").describe_db_instances()["DBInstances"] == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"DBInstanceClass": "db.nonsense"}, "InvalidParameterValue"),
        ({"Engine": "mysql"}, "InvalidParameterValue"),
        ({"EngineVersion": "9.1"}, "InvalidParameterCombination"),
        ({"AllocatedStorage": 1}, "InvalidParameterValue"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "has@sign-in-it"}, "InvalidParameterValue"),
        ({"DBName": "7up"}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
        ({"KmsKeyId": "alias/x"}, "InvalidParameterCombination"),
        ({"StorageEncrypted": True, "KmsKeyId": "alias/nowhere"}, "KMSKeyNotAccessibleFault"),
        ({"VpcSecurityGroupIds": ["sg-nowhere"]}, "InvalidParameterValue"),
        ({"MultiAZ": True, "AvailabilityZone": "eu-central-1a"}, "InvalidParameterCombination"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidParameterValue"),
    ],
)
def test_what_creation_refuses(rds, name, said, code):
    with refused(code):
        create(rds, name, **said)


def test_what_creation_does_not_find(rds, name):
    with refused("DBParameterGroupNotFound", 404):
        create(rds, name, DBParameterGroupName="nowhere")
    with refused("DBSubnetGroupNotFoundFault", 404):
        create(rds, name, DBSubnetGroupName="nowhere")
    with refused("OptionGroupNotFoundFault", 404):
        create(rds, name, OptionGroupName="nowhere")
    with refused("InvalidParameterValue", words="valid identifier"):
        create(rds, "double--hyphen")


def test_a_password_never_shows(stand_in, rds, shared):
    assert PASSWORD not in str(instance(rds, "shared"))
    assert PASSWORD not in str(stand_in.calls())
    assert PASSWORD not in (stand_in.directory / "state" / "calls.jsonl").read_text()
