"""Modifying, failing over, stopping and starting; groups, tags, events and logs beside it."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from conftest import create, instance, psql, refused, wait_for, wait_until


def test_an_instances_changes(stand_in, rds, name):
    create(rds, name)
    found = wait_for(rds, name)
    # Waits for the window.
    said = rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t3.small", AllocatedStorage=25)["DBInstance"]
    assert said["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.small", "AllocatedStorage": 25}
    assert wait_for(rds, name)["DBInstanceClass"] == "db.t3.micro"
    started = psql(stand_in, found, "select pg_postmaster_start_time()")
    stand_in.control("maintenance-window", {"account": stand_in.accounts[0], "region": "eu-central-1", "instance": name})
    after = wait_for(rds, name)
    assert (after["DBInstanceClass"], after["AllocatedStorage"], after["PendingModifiedValues"]) == ("db.t3.small", 25, {})
    assert psql(stand_in, found, "select pg_postmaster_start_time()") > started
    with refused("InvalidParameterCombination", words="cannot be less"):
        rds.modify_db_instance(DBInstanceIdentifier=name, AllocatedStorage=20)

    # The password is set whatever ApplyImmediately says.
    said = rds.modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-horse-2")["DBInstance"]
    assert said["DBInstanceStatus"] == "resetting-master-credentials"
    assert said["PendingModifiedValues"]["MasterUserPassword"] == "****"
    with refused("InvalidDBInstanceState", words="in-progress"):
        rds.reboot_db_instance(DBInstanceIdentifier=name)
    with refused("InvalidDBInstanceState"):
        rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=True)
    wait_for(rds, name)
    assert psql(stand_in, found, "select 1", password="another-horse-2") == "1"
    assert psql(stand_in, found, "select 1").startswith("ERROR")

    # Failover takes a standby.
    with refused("InvalidParameterCombination", words="Multi-AZ"):
        rds.reboot_db_instance(DBInstanceIdentifier=name, ForceFailover=True)
    rds.modify_db_instance(DBInstanceIdentifier=name, MultiAZ=True, ApplyImmediately=True)
    zone = wait_for(rds, name)["AvailabilityZone"]
    rds.reboot_db_instance(DBInstanceIdentifier=name, ForceFailover=True)
    assert wait_for(rds, name)["AvailabilityZone"] != zone
    events = rds.describe_events(SourceType="db-instance", SourceIdentifier=name, EventCategories=["failover"])["Events"]
    assert [event["Message"] for event in events] == [
        "Multi-AZ instance failover started.",
        "Multi-AZ instance failover completed",
    ]

    # Stopped and started.
    rds.stop_db_instance(DBInstanceIdentifier=name)
    wait_for(rds, name, "stopped")
    assert psql(stand_in, found, "select 1").startswith("ERROR")
    for refusing in (rds.stop_db_instance, rds.reboot_db_instance):
        with refused("InvalidDBInstanceState"):
            refusing(DBInstanceIdentifier=name)
    rds.start_db_instance(DBInstanceIdentifier=name)
    wait_for(rds, name)
    assert psql(stand_in, found, "select 1", password="another-horse-2") == "1"
    with refused("InvalidDBInstanceState"):
        rds.start_db_instance(DBInstanceIdentifier=name)


def test_a_value_with_which_the_server_does_not_start_shows_and_can_be_mended(stand_in, rds, name):
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres15", Description="x")
    create(rds, name)
    wait_for(rds, name)
    # Both in range; together more than the server accepts.
    bad = [{"ParameterName": "max_wal_senders", "ParameterValue": "5000", "ApplyMethod": "pending-reboot"}]
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=bad)
    rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=name)
    wait_for(rds, name)
    slots = [{"ParameterName": "max_wal_senders", "ParameterValue": "262143", "ApplyMethod": "pending-reboot"}]
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=slots)
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    wait_for(rds, name, "incompatible-parameters")
    rds.reset_db_parameter_group(DBParameterGroupName=name, ResetAllParameters=True)
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    wait_until(lambda: instance(rds, name)["DBInstanceStatus"] == "available", "it is mended")
    assert psql(stand_in, instance(rds, name), "show max_wal_senders") == "20"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"DBInstanceClass": "db.nonsense"}, "InvalidParameterValue"),
        ({"EngineVersion": "16.1"}, "InvalidParameterCombination"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"VpcSecurityGroupIds": ["sg-nowhere"]}, "InvalidParameterValue"),
        ({"MonitoringInterval": 7}, "InvalidParameterValue"),
        ({"PreferredBackupWindow": "night"}, "InvalidParameterValue"),
        ({"RotateMasterUserPassword": True, "ApplyImmediately": True}, "InvalidParameterCombination"),
        ({"DBParameterGroupName": "nowhere"}, "DBParameterGroupNotFound"),
        ({"OptionGroupName": "nowhere"}, "OptionGroupNotFoundFault"),
    ],
)
def test_what_a_change_refuses(rds, shared, said, code):
    before = instance(rds, "shared")
    with refused(code, 404 if "NotFound" in code else 400):
        rds.modify_db_instance(DBInstanceIdentifier="shared", **said)
    assert instance(rds, "shared") == before


def test_tags(rds, shared):
    arn = shared["DBInstanceArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    assert instance(rds, "shared")["TagList"] == [{"Key": "b", "Value": "2"}]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["b"])
    with refused("InvalidParameterValue"):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused("DBInstanceNotFound", 404):
        rds.list_tags_for_resource(ResourceName=arn.replace(":shared", ":nowhere"))


def test_option_groups(rds, name):
    said = {"EngineName": "postgres", "MajorEngineVersion": "15", "OptionGroupDescription": "x"}
    rds.create_option_group(OptionGroupName=name, **said)
    with refused("OptionGroupAlreadyExistsFault"):
        rds.create_option_group(OptionGroupName=name, **said)
    listed = rds.describe_option_groups(EngineName="postgres", MajorEngineVersion="15")["OptionGroupsList"]
    assert {"default:postgres-15", name} <= {row["OptionGroupName"] for row in listed}
    assert rds.describe_option_group_options(EngineName="postgres")["OptionGroupOptions"] == []
    with refused("InvalidParameterValue"):
        rds.modify_option_group(OptionGroupName=name, OptionsToInclude=[{"OptionName": "TDE"}])
    with refused("InvalidOptionGroupStateFault"):
        rds.delete_option_group(OptionGroupName="default:postgres-15")
    rds.delete_option_group(OptionGroupName=name)
    with refused("OptionGroupNotFoundFault", 404):
        rds.describe_option_groups(OptionGroupName=name)


def test_subnet_groups_over_real_subnets_of_ec2(stand_in, rds, name):
    ec2 = stand_in.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    said = {"DBSubnetGroupDescription": "x"}
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        rds.create_db_subnet_group(DBSubnetGroupName=name, SubnetIds=subnets[:1], **said)
    with refused("InvalidSubnet"):
        rds.create_db_subnet_group(DBSubnetGroupName=name, SubnetIds=[*subnets, "subnet-nowhere"], **said)
    group = rds.create_db_subnet_group(DBSubnetGroupName=name, SubnetIds=subnets, **said)["DBSubnetGroup"]
    assert (group["VpcId"], len(group["Subnets"])) == (vpc, 2)
    with refused("DBSubnetGroupAlreadyExists"):
        rds.create_db_subnet_group(DBSubnetGroupName=name, SubnetIds=subnets, **said)
    # A security group of another VPC is refused.
    elsewhere = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
    foreign = next(row["GroupId"] for row in elsewhere if row["VpcId"] != vpc)
    with refused("InvalidParameterValue", words="security group"):
        create(rds, name, DBSubnetGroupName=name, VpcSecurityGroupIds=[foreign])
    rds.delete_db_subnet_group(DBSubnetGroupName=name)
    with refused("DBSubnetGroupNotFoundFault", 404):
        rds.describe_db_subnet_groups(DBSubnetGroupName=name)


def test_what_is_offered(rds, stand_in):
    version = rds.describe_db_engine_versions(Engine="postgres", EngineVersion="15")["DBEngineVersions"][0]
    assert version["DBParameterGroupFamily"] == "postgres15"
    assert rds.describe_db_engine_versions(Engine="mysql")["DBEngineVersions"] == []
    options = rds.describe_orderable_db_instance_options(Engine="postgres", DBInstanceClass="db.r5.large")[
        "OrderableDBInstanceOptions"
    ]
    assert {row["StorageType"] for row in options} >= {"gp2", "gp3", "io1"}
    assert rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == []
    assert rds.describe_certificates()["Certificates"][0]["CertificateType"] == "CA"
    quotas = {row["AccountQuotaName"]: row["Max"] for row in rds.describe_account_attributes()["AccountQuotas"]}
    assert quotas["DBInstances"] == 40


def test_the_log_of_the_real_server(stand_in, rds, shared):
    psql(stand_in, shared, "select nonsense_that_is_logged")
    listed = rds.describe_db_log_files(DBInstanceIdentifier="shared")["DescribeDBLogFiles"]
    log = listed[0]["LogFileName"]
    portion = rds.download_db_log_file_portion(DBInstanceIdentifier="shared", LogFileName=log)
    assert "nonsense_that_is_logged" in portion["LogFileData"]
    head = rds.download_db_log_file_portion(DBInstanceIdentifier="shared", LogFileName=log, Marker="0", NumberOfLines=1)
    assert (head["AdditionalDataPending"], head["LogFileData"].count("\n")) == (True, 1)
    with refused("DBLogFileNotFoundFault", 404):
        rds.download_db_log_file_portion(DBInstanceIdentifier="shared", LogFileName="../../etc/passwd")


def test_a_managed_master_password_lies_in_secrets_manager(stand_in, rds, name):
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="boss",
        AllocatedStorage=20,
        ManageMasterUserPassword=True,
        BackupRetentionPeriod=0,
        DBName="app",
    )
    found = wait_for(rds, name)
    secret = stand_in.client("secretsmanager").get_secret_value(SecretId=found["MasterUserSecret"]["SecretArn"])["SecretString"]
    said = json.loads(secret)
    assert psql(stand_in, found, "select current_user", user=said["username"], password=said["password"]) == "boss"
    with refused("InvalidParameterCombination"):
        rds.modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-horse-2")


def test_cloudwatch_gets_what_is_measured_on_the_real_server(stand_in, shared):
    cloudwatch = stand_in.client("cloudwatch")
    asked = {
        "Namespace": "AWS/RDS", "MetricName": "DatabaseConnections", "Period": 60, "Statistics": ["Maximum"],
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "shared"}],
    }  # fmt: skip
    since = datetime.now(UTC) - timedelta(minutes=2)

    def most() -> float:
        points = cloudwatch.get_metric_statistics(**asked, StartTime=since, EndTime=datetime.now(UTC) + timedelta(minutes=1))
        return max((point["Maximum"] for point in points["Datapoints"]), default=-1)

    wait_until(lambda: most() >= 0, "a measurement is there", 20)
    with ThreadPoolExecutor() as beside:
        held = [beside.submit(psql, stand_in, shared, "select pg_sleep(4)") for _ in range(3)]
        wait_until(lambda: most() >= 3, "the three connections are seen", 20)
        assert [answer.result() for answer in held] == ["", "", ""]
    names = {row["MetricName"] for row in cloudwatch.list_metrics(Namespace="AWS/RDS")["Metrics"]}
    assert names >= {"FreeStorageSpace", "TransactionLogsDiskUsage", "OldestReplicationSlotLag", "MaximumUsedTransactionIDs"}
