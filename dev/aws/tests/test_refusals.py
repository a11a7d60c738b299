"""The smaller refusals, one a line: what AWS doesn't take, and with which code."""

import json

import pytest
from botocore.parsers import RpcV2CBORParser
from conftest import create, instance, refused

from standin.front import answer, policy
from standin.front.identity import Asked, Principal
from standin.front.request import Request, parse
from standin.wire import model
from standin.wire.errors import AwsError

VALUE, COMBINATION, MISSING = "InvalidParameterValue", "InvalidParameterCombination", "MissingParameter"


@pytest.mark.parametrize(
    ("action", "said", "code"),
    [
        ("create_option_group", {"OptionGroupName": "g", "EngineName": "mysql", "MajorEngineVersion": "8.0"}, VALUE),
        ("create_option_group", {"OptionGroupName": "g", "EngineName": "postgres", "MajorEngineVersion": "9"}, COMBINATION),
        ("create_option_group", {"OptionGroupName": "a--b", "EngineName": "postgres", "MajorEngineVersion": "15"}, VALUE),
        ("describe_option_groups", {"OptionGroupName": "g", "EngineName": "postgres"}, COMBINATION),
        ("describe_option_group_options", {"EngineName": "mysql"}, VALUE),
        ("create_db_subnet_group", {"DBSubnetGroupName": "default", "SubnetIds": ["subnet-1"]}, VALUE),
        ("describe_db_snapshots", {"SnapshotType": "nonsense"}, VALUE),
        ("describe_events", {"SourceIdentifier": "shared"}, COMBINATION),
        ("describe_engine_default_parameters", {"DBParameterGroupFamily": "mysql8.0"}, VALUE),
        ("restore_db_instance_from_db_snapshot", {"DBInstanceIdentifier": "x"}, COMBINATION),
        ("copy_db_snapshot", {"SourceDBSnapshotIdentifier": "arn:aws:rds:x:y:db:z", "TargetDBSnapshotIdentifier": "x"}, VALUE),
        ("list_tags_for_resource", {"ResourceName": "nonsense"}, VALUE),
        ("list_tags_for_resource", {"ResourceName": "arn:aws:rds:eu-central-1:111111111111:pg:nowhere"}, VALUE),
        ("list_tags_for_resource", {"ResourceName": "arn:aws:rds:eu-central-1:222222222222:db:shared"}, VALUE),
        ("list_tags_for_resource", {"ResourceName": "arn:aws:rds:eu-central-1:111111111111:cluster:x"}, VALUE),
        (
            "download_db_log_file_portion",
            {"DBInstanceIdentifier": "shared", "LogFileName": "error/postgresql.log", "Marker": "x"},
            VALUE,
        ),
        ("modify_db_instance", {"DBInstanceIdentifier": "shared", "NewDBInstanceIdentifier": "x"}, "NotImplemented"),
        ("describe_orderable_db_instance_options", {"Engine": "mysql"}, VALUE),
    ],
)
def test_what_is_refused(stand_in, rds, shared, action, said, code):
    more = {"create_option_group": {"OptionGroupDescription": "x"}, "create_db_subnet_group": {"DBSubnetGroupDescription": "x"}}
    with refused(code, 501 if code == "NotImplemented" else 400):
        getattr(rds, action)(**said, **more.get(action, {}))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"AllocatedStorage": None}, MISSING),
        ({"MasterUsername": None}, MISSING),
        ({"MasterUserPassword": None}, MISSING),
        ({"MasterUsername": "7up"}, VALUE),
        ({"ManageMasterUserPassword": True}, COMBINATION),
        ({"StorageType": "tape"}, VALUE),
        ({"StorageType": "io1", "AllocatedStorage": 100}, COMBINATION),
        ({"StorageType": "gp3", "AllocatedStorage": 100, "Iops": 3000}, COMBINATION),
        ({"MaxAllocatedStorage": 10}, COMBINATION),
        ({"DBSecurityGroups": ["classic"]}, COMBINATION),
        ({"Port": 80}, VALUE),
        ({"PreferredMaintenanceWindow": "sometime"}, VALUE),
        ({"EnableCloudwatchLogsExports": ["slowquery"]}, COMBINATION),
        ({"Tags": [{"Key": str(number)} for number in range(51)]}, VALUE),
        ({"Tags": [{"Key": "k" * 129}]}, VALUE),
    ],
)
def test_what_more_creation_refuses(rds, name, said, code):
    whole = {
        "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "MasterUsername": "boss", "MasterUserPassword": "correct-horse-1",
        "AllocatedStorage": 20, **said,
    }  # fmt: skip
    with refused(code):
        rds.create_db_instance(DBInstanceIdentifier=name, **{key: value for key, value in whole.items() if value is not None})


def test_incomplete_parameters_are_refused(rds, name):
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres15", Description="x")
    whole = {"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"}
    for left_out in whole:
        said = {key: value for key, value in whole.items() if key != left_out}
        with refused(VALUE, words=left_out):
            rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[said])
    with refused(COMBINATION):
        rds.reset_db_parameter_group(DBParameterGroupName=name, ResetAllParameters=True, Parameters=[whole])
    formula = {**whole, "ParameterName": "max_connections", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(
        DBParameterGroupName=name, Parameters=[{**formula, "ParameterValue": "LEAST({DBInstanceClassMemory/12582880},50)"}]
    )


def test_groups_in_use_and_over_their_quotas(clean, rds, shared, name):
    account = clean.accounts[0]
    for kind in ("option-groups", "subnet-groups"):
        clean.control("quota", {"account": account, "name": kind, "limit": 0})
    with refused("OptionGroupQuotaExceededFault"):
        rds.create_option_group(OptionGroupName=name, EngineName="postgres", MajorEngineVersion="15", OptionGroupDescription="x")
    subnets = [row["SubnetIdentifier"] for row in shared["DBSubnetGroup"]["Subnets"]]
    with refused("DBSubnetGroupQuotaExceeded"):
        rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="x", SubnetIds=subnets)
    clean.control("clear", {})
    clean.control("quota", {"account": account, "name": "subnets-per-subnet-group", "limit": 1})
    with refused("DBSubnetQuotaExceededFault"):
        rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="x", SubnetIds=subnets)
    with refused("InvalidDBSubnetGroupStateFault"):
        rds.delete_db_subnet_group(DBSubnetGroupName="default")


def test_a_region_without_a_default_vpc_needs_a_subnet_group(stand_in, name):
    region = "eu-north-1"
    ec2 = stand_in.client("ec2", region=region)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc)
    with refused("InvalidVPCNetworkStateFault"):
        create(stand_in.client("rds", region=region), name)


def test_a_change_without_effect_keeps_the_instance_at_rest(rds, shared):
    said = rds.modify_db_instance(DBInstanceIdentifier="shared", BackupRetentionPeriod=0, DBInstanceClass="db.t3.micro")
    assert said["DBInstance"]["DBInstanceStatus"] == "available"
    assert instance(rds, "shared")["PendingModifiedValues"] == {}


USER = Principal("111111111111", "arn:aws:iam::111111111111:user/u", "arn:aws:iam::111111111111:user/u", "AIDA")


def statement(effect="Allow", action="s3:Get*", resource="*", **more) -> dict:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    ("statements", "resource", "verdict"),
    [
        ([statement()], "*", "allow"),
        ([statement(action="S3:GETOBJECT")], "*", "allow"),
        ([statement(action="s3:Put*")], "*", "nothing"),
        ([statement(resource="arn:aws:s3:::a/*")], "arn:aws:s3:::a/b", "allow"),
        ([statement(resource="arn:aws:s3:::a/*")], "arn:aws:s3:::b/b", "nothing"),
        ([statement(resource="arn:aws:s3:::a/*")], "*", "nothing"),
        ([statement(), statement("Deny", resource="arn:aws:s3:::a/*")], "arn:aws:s3:::a/b", "deny"),
        ([{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}], "*", "allow"),
        ([{"Effect": "Allow", "NotAction": "s3:G*", "Resource": "*"}], "*", "nothing"),
        ([statement(Condition={"StringEquals": {"aws:RequestedRegion": ["x", "here"]}})], "*", "allow"),
        ([statement(Condition={"StringEquals": {"aws:RequestedRegion": "there"}})], "*", "nothing"),
        ([statement(Condition={"StringNotEquals": {"aws:RequestedRegion": "there"}})], "*", "allow"),
        ([statement(Condition={"StringLike": {"aws:RequestedRegion": "h*"}})], "*", "allow"),
        ([statement(Condition={"StringEquals": {"aws:RequestTag/x": "y"}})], "*", "nothing"),
        ([statement(Condition={"StringEqualsIfExists": {"aws:RequestTag/x": "y"}})], "*", "allow"),
        ([statement(Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}})], "*", "nothing"),
    ],
)
def test_what_a_policy_says(statements, resource, verdict):
    document = {"Version": "2012-10-17", "Statement": statements}
    policy.check(document)
    assert policy.evaluate(document, "s3:GetObject", resource, {"aws:RequestedRegion": "here"}) == verdict


@pytest.mark.parametrize(
    "odd",
    [{"NotResource": "*"}, {"Condition": {"StringEquals": {"aws:Weather": "fair"}}}, {"NotAction": "x"}, {"Effect": "Maybe"}],
)
def test_a_statement_that_is_not_understood_is_refused(odd):
    with pytest.raises(policy.Unsupported):
        policy.check({"Statement": [statement(**odd)]} if "Effect" not in odd else {"Statement": [{**statement(), **odd}]})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("*", "account"),
        ({"AWS": "*"}, "account"),
        ({"AWS": "111111111111"}, "account"),
        ({"AWS": ["arn:aws:iam::222222222222:root", "arn:aws:iam::111111111111:root"]}, "account"),
        ({"AWS": USER.arn}, "principal"),
        ({"AWS": "arn:aws:iam::222222222222:root"}, "nothing"),
        ({"Service": "rds.amazonaws.com"}, "nothing"),
    ],
)
def test_whom_a_keys_policy_names(said, found):
    document = {"Statement": {**statement(action="kms:*"), "Principal": said}}
    assert policy.resource_policy(document, USER, "kms:Encrypt", "arn") == found
    denying = {"Statement": [document["Statement"], {**statement("Deny", "kms:Enc*"), "Principal": "*"}]}
    assert policy.resource_policy(denying, USER, "kms:Encrypt", "arn") == "denied"


def test_errors_in_cbor_are_read_by_botocore():
    """CloudWatch's newest protocol, which other SDKs speak."""
    asked = Request("POST", "/", "", {}, b"", Asked("k", "r", "monitoring"), "cloudwatch", "cbor", "PutMetricData")
    said = answer.error(asked, AwsError("Throttling", "Rate exceeded"))
    response = {"status_code": said.status, "headers": said.headers, "body": said.body}
    parsed = RpcV2CBORParser().parse(response, model.service("cloudwatch").operation_model("PutMetricData").output_shape)
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"], said.status) == ("ThrottlingException", "Rate exceeded", 400)


def test_requests_in_cbor_are_read():
    # {"Namespace": "n"}
    body = bytes([0xA1, 0x69]) + b"Namespace" + bytes([0x61]) + b"n"
    signed = "AWS4-HMAC-SHA256 Credential=k/20260101/r/monitoring/aws4_request, SignedHeaders=host, Signature=00"
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    asked = parse("POST", path, "", {"authorization": signed}, body)
    assert (asked.service, asked.protocol, asked.action) == ("cloudwatch", "cbor", "ListMetrics")
    assert asked.parameters == {"Namespace": "n"}


def test_sessions_of_roles_have_limits(stand_in, name):
    trust = {"Effect": "Allow", "Principal": {"AWS": stand_in.accounts[0]}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = stand_in.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    sts = stand_in.client("sts")
    with refused("ValidationError", words="MaxSessionDuration"):
        sts.assume_role(RoleArn=arn, RoleSessionName="of-a-test", DurationSeconds=7200)
    with refused("NotImplemented", 501, "session policies"):
        sts.assume_role(RoleArn=arn, RoleSessionName="of-a-test", Policy="{}")
    with refused("NotImplemented", 501, "GetSessionToken"):
        sts.get_session_token()
