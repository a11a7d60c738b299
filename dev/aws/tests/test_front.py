"""Who may do what: signatures, roles, policies, keys across accounts; faults; the call log."""

import json
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from conftest import create, instance, refused, status, wait_for, wait_until


def role(stand_in, name: str, account: int = 1, external_id: str | None = "migration-7", trusted: int = 0) -> str:
    """A role in an account, which the other account's administrator may assume."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{stand_in.accounts[trusted]}:root"},
        "Action": "sts:AssumeRole",
    }
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return stand_in.client("iam", account).create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]


def assume(stand_in, arn: str, external_id: str | None = "migration-7") -> dict:
    said = {"RoleArn": arn, "RoleSessionName": "of-a-test", **({"ExternalId": external_id} if external_id else {})}
    keys = stand_in.client("sts").assume_role(**said)["Credentials"]
    return {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }


def policy(*statements: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions, resources="*", **more) -> dict:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def test_a_role_is_assumed_with_its_external_id_alone(stand_in, name):
    arn = role(stand_in, name)
    with refused("AccessDenied", 403, f"is not authorized to perform: sts:AssumeRole on resource: {arn}"):
        assume(stand_in, arn, None)
    with refused("AccessDenied", 403):
        assume(stand_in, arn, "another")
    with refused("AccessDenied", 403):
        assume(stand_in, arn.replace(name, "nobody"))
    credentials = assume(stand_in, arn)
    said = stand_in.client("sts", **credentials).get_caller_identity()
    assert said["Account"] == stand_in.accounts[1]
    assert said["Arn"] == f"arn:aws:sts::{stand_in.accounts[1]}:assumed-role/{name}/of-a-test"
    closed = role(stand_in, f"{name}x", trusted=1, external_id=None)
    with refused("AccessDenied", 403):
        assume(stand_in, closed)


def test_every_service_sees_the_sessions_account(stand_in, name):
    credentials = assume(stand_in, role(stand_in, name))
    stand_in.client("ssm", **credentials).put_parameter(Name=f"/{name}", Value="v", Type="String")
    assert stand_in.client("ssm", 1).get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "v"
    with refused("ParameterNotFound"):
        stand_in.client("ssm", 0).get_parameter(Name=f"/{name}")
    stand_in.client("rds", **credentials).create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily="postgres15", Description="x"
    )
    assert stand_in.client("rds", 1).describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"]
    with refused("DBParameterGroupNotFound", 404):
        stand_in.client("rds", 0).describe_db_parameter_groups(DBParameterGroupName=name)


def test_an_expired_session_is_told_so_by_every_service(stand_in, name):
    arn = role(stand_in, name)
    credentials = assume(stand_in, arn)
    stand_in.client("rds", **credentials).describe_db_instances()
    assert stand_in.control("expire-session", {"session": arn}) == {"ended": 1}
    with refused("ExpiredToken", 403, "expired"):
        stand_in.client("rds", **credentials).describe_db_instances()
    with refused("ExpiredTokenException"):
        stand_in.client("kms", **credentials).list_keys()
    with refused("RequestExpired"):
        stand_in.client("ec2", **credentials).describe_vpcs()


def test_wrong_keys_are_refused(stand_in):
    known = stand_in.credentials(0)
    with refused("InvalidClientTokenId", 403):
        stand_in.client("rds", aws_access_key_id="AKIANOBODY", aws_secret_access_key="x").describe_db_instances()
    with refused("SignatureDoesNotMatch", 403):
        stand_in.client("rds", **{**known, "aws_secret_access_key": "wrong"}).describe_db_instances()
    with refused("InvalidSignatureException"):
        stand_in.client("kms", **{**known, "aws_secret_access_key": "wrong"}).list_keys()
    with refused("InvalidClientTokenId", 403):
        stand_in.client("rds", **known, aws_session_token="made-up").describe_db_instances()


def test_a_user_of_iam_has_keys_that_work(stand_in, name):
    iam = stand_in.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    said = stand_in.client("sts", **credentials).get_caller_identity()
    assert said["Arn"] == f"arn:aws:iam::{stand_in.accounts[0]}:user/{name}"


def test_a_policy_refuses_every_action_outside_it(clean, shared, name):
    arn = role(clean, name, account=0)
    credentials = assume(clean, arn)
    rds = clean.client("rds", **credentials)
    mine = f"arn:aws:rds:eu-central-1:{clean.accounts[0]}"
    tagged = {"StringEquals": {"aws:RequestTag/migration": "seven"}}
    clean.control("policy", {
        "principal": arn,
        "policy": policy(
            allow(["rds:DescribeDBInstances", "rds:AddTagsToResource"]),
            allow("rds:CreateDBParameterGroup", f"{mine}:pg:{name}*", Condition=tagged),
            {"Effect": "Deny", "Action": "rds:DeleteDB*", "Resource": "*"},
        ),
    })  # fmt: skip
    assert rds.describe_db_instances(DBInstanceIdentifier="shared")["DBInstances"]
    who = (
        f"User: arn:aws:sts::{clean.accounts[0]}:assumed-role/{name}/of-a-test is not authorized to perform: rds:RebootDBInstance"
    )
    with refused("AccessDenied", 403, f"{who} on resource: {mine}:db:shared because no identity-based policy allows"):
        rds.reboot_db_instance(DBInstanceIdentifier="shared")
    with refused("AccessDenied", 403, "with an explicit deny in an identity-based policy"):
        rds.delete_db_instance(DBInstanceIdentifier="shared", SkipFinalSnapshot=True)
    said = {"DBParameterGroupFamily": "postgres15", "Description": "x"}
    tags = [{"Key": "migration", "Value": "seven"}]
    with refused("AccessDenied", 403):
        rds.create_db_parameter_group(DBParameterGroupName=name, **said)
    with refused("AccessDenied", 403):
        rds.create_db_parameter_group(DBParameterGroupName=f"other-{name}", Tags=tags, **said)
    rds.create_db_parameter_group(DBParameterGroupName=name, Tags=tags, **said)
    with refused("AccessDeniedException", words="kms:CreateKey"):
        clean.client("kms", **credentials).create_key()
    with refused("AccessDeniedException", words="ssm:PutParameter"):
        clean.client("ssm", **credentials).put_parameter(Name="x", Value="v", Type="String")
    with refused("UnauthorizedOperation", 403, "ec2:CreateVpc"):
        clean.client("ec2", **credentials).create_vpc(CidrBlock="10.9.0.0/16")
    with refused("AccessDeniedException", words="secretsmanager:CreateSecret"):
        clean.client("secretsmanager", **credentials).create_secret(Name=name, SecretString="x")
    with pytest.raises(ClientError, match="not authorized to perform: cloudwatch:PutMetricData"):
        clean.client("cloudwatch", **credentials).put_metric_data(Namespace="x", MetricData=[{"MetricName": "m", "Value": 1}])
    with refused("AccessDenied", 403, "iam:CreateUser"):
        clean.client("iam", **credentials).create_user(UserName=name)
    assert status(clean.client("rds"), "shared") == "available"


def test_rds_needs_the_callers_right_to_the_key(clean, shared, name):
    arn = role(clean, name, account=0)
    rds = clean.client("rds", **assume(clean, arn))
    key = clean.client("kms").create_key()["KeyMetadata"]["Arn"]
    said = {"StorageEncrypted": True, "KmsKeyId": key}
    clean.control("policy", {"principal": arn, "policy": policy(allow("rds:*"), allow("kms:DescribeKey", key))})
    with refused("KMSKeyNotAccessibleFault", words=key):
        create(rds, name, **said)
    clean.control(
        "policy", {"principal": arn, "policy": policy(allow("rds:*"), allow(["kms:DescribeKey", "kms:CreateGrant"], key))}
    )
    assert create(rds, name, **said)["KmsKeyId"] == key
    # Through RDS alone.
    via = {"StringEquals": {"kms:ViaService": "rds.eu-central-1.amazonaws.com"}, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    rights = policy(allow("rds:*"), allow(["kms:DescribeKey", "kms:CreateGrant"], key, Condition=via))
    clean.control("policy", {"principal": arn, "policy": rights})
    with refused("AccessDeniedException"):
        clean.client("kms", **assume(clean, arn)).describe_key(KeyId=key)
    assert create(rds, f"{name}-via", **said)["KmsKeyId"] == key
    clean.control("policy", {"principal": arn, "policy": policy(allow("rds:*"))})
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-via", SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_a_keys_own_policy_is_enough_for_whom_it_names(clean, name):
    arn, account = role(clean, name, account=0), clean.accounts[0]
    named = {**allow(["kms:CreateAlias", "kms:DeleteAlias", "kms:EnableKeyRotation"]), "Principal": {"AWS": arn}}
    root = {**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
    kms = clean.client("kms")
    mine, other = kms.create_key()["KeyMetadata"]["KeyId"], kms.create_key()["KeyMetadata"]["KeyId"]
    kms.put_key_policy(KeyId=mine, PolicyName="default", Policy=json.dumps(policy(root, named)))
    alias = f"alias/{name}"
    of_alias = allow(["kms:CreateAlias", "kms:DeleteAlias"], f"arn:aws:kms:eu-central-1:{account}:{alias}")
    clean.control("policy", {"principal": arn, "policy": policy(of_alias)})
    as_role = clean.client("kms", **assume(clean, arn))
    as_role.enable_key_rotation(KeyId=mine)
    as_role.create_alias(AliasName=alias, TargetKeyId=mine)
    as_role.delete_alias(AliasName=alias)
    with refused("AccessDeniedException", words="kms:ScheduleKeyDeletion"):
        as_role.schedule_key_deletion(KeyId=mine)
    with refused("AccessDeniedException", words="kms:CreateAlias"):
        as_role.create_alias(AliasName=alias, TargetKeyId=other)
    kms.create_alias(AliasName=alias, TargetKeyId=other)
    with refused("AccessDeniedException", words="kms:DeleteAlias"):
        as_role.delete_alias(AliasName=alias)


def test_a_right_by_alias_is_one_on_the_keys_that_have_it(clean, name):
    arn = role(clean, name, account=0)
    kms = clean.client("kms")
    mine, other = kms.create_key()["KeyMetadata"]["Arn"], kms.create_key()["KeyMetadata"]["Arn"]
    by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{name}"}}
    keys = f"arn:aws:kms:eu-central-1:{clean.accounts[0]}:key/*"
    uses = allow(["kms:DescribeKey", "kms:CreateGrant"], keys, Condition=by_alias)
    clean.control("policy", {"principal": arn, "policy": policy(allow("rds:*"), uses)})
    as_role, rds = clean.client("kms", **assume(clean, arn)), clean.client("rds", **assume(clean, arn))
    with refused("AccessDeniedException", words="kms:DescribeKey"):
        as_role.describe_key(KeyId=mine)
    kms.create_alias(AliasName=f"alias/{name}-other", TargetKeyId=mine)
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=mine)
    assert as_role.describe_key(KeyId=f"alias/{name}")["KeyMetadata"]["Arn"] == mine
    with refused("AccessDeniedException", words="kms:DescribeKey"):
        as_role.describe_key(KeyId=other)
    with refused("KMSKeyNotAccessibleFault", words=other):
        create(rds, name, StorageEncrypted=True, KmsKeyId=other)
    assert create(rds, name, StorageEncrypted=True, KmsKeyId=f"alias/{name}")["KmsKeyId"] == mine
    clean.control("policy", {"principal": arn, "policy": policy(allow("rds:*"))})
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_a_policy_that_cannot_be_evaluated_is_refused(stand_in):
    odd = policy(allow("*", Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}))
    with pytest.raises(AssertionError, match="DateLessThan"):
        stand_in.control("policy", {"principal": "arn:aws:iam::1:user/x", "policy": odd})
    with pytest.raises(AssertionError, match="no GET nonsense"):
        stand_in.control("nonsense")


def test_keys_of_another_account(stand_in):
    mine, theirs = stand_in.client("kms", 0), stand_in.client("kms", 1)
    account = stand_in.accounts[1]
    key = mine.create_key()["KeyMetadata"]["Arn"]
    with refused("AccessDeniedException", words="no resource-based policy allows the kms:DescribeKey action"):
        theirs.describe_key(KeyId=key)
    root = {"AWS": f"arn:aws:iam::{stand_in.accounts[0]}:root"}
    other = {"AWS": f"arn:aws:iam::{account}:root"}
    document = policy(
        {**allow("kms:*"), "Principal": root}, {**allow(["kms:DescribeKey", "kms:CreateGrant"]), "Principal": other}
    )
    mine.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))
    described = theirs.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["Arn"], described["AWSAccountId"], described["KeyManager"]) == (key, stand_in.accounts[0], "CUSTOMER")
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        theirs.schedule_key_deletion(KeyId=key)
    with refused("AccessDeniedException"):
        theirs.describe_key(KeyId=key[:-1] + ("0" if key[-1] != "0" else "1"))
    with refused("NotFoundException"):
        mine.describe_key(KeyId="alias/nowhere")


def test_aws_managed_keys_are_told_from_customer_managed_ones(stand_in, name):
    kms = stand_in.client("kms")
    managed = kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    assert managed["KeyManager"] == "AWS"
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    assert kms.describe_key(KeyId=f"alias/{name}")["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    with refused("AccessDeniedException"):
        kms.schedule_key_deletion(KeyId=managed["KeyId"])
    with refused("AccessDeniedException"):
        stand_in.client("kms", 1).describe_key(KeyId=managed["Arn"])


def test_throttling_and_refusals_strike_as_often_as_asked(clean, rds, shared):
    clean.control("faults", {"action": "DescribeDBInstances", "kind": "throttle", "times": 2})
    for _ in range(2):
        with refused("Throttling", 400, "Rate exceeded"):
            rds.describe_db_instances()
    rds.describe_db_instances()
    clean.control("faults", {"action": "RebootDBInstance", "kind": "refuse", "code": "InternalFailure", "status": 500})
    with refused("InternalFailure", 500):
        rds.reboot_db_instance(DBInstanceIdentifier="shared")
    assert status(rds, "shared") == "available"
    clean.control("faults", {"service": "kms", "action": "ListKeys", "kind": "throttle"})
    with refused("ThrottlingException"):
        clean.client("kms").list_keys()
    clean.control("faults", {"service": "ec2", "action": "DescribeVpcs", "kind": "throttle"})
    with refused("RequestLimitExceeded", 503):
        clean.client("ec2").describe_vpcs()
    clean.control("faults", {"action": "DescribeDBInstances", "kind": "throttle", "account": clean.accounts[1]})
    rds.describe_db_instances()
    with pytest.raises(AssertionError, match="kind"):
        clean.control("faults", {"action": "x", "kind": "nonsense"})


def test_a_lost_answer_is_of_a_call_that_happened(clean, rds, name):
    for service, action in (("rds", "CreateDBParameterGroup"), ("ssm", "PutParameter")):
        clean.control("faults", {"service": service, "action": action, "kind": "lose-answer"})
    said = {"DBParameterGroupName": name, "DBParameterGroupFamily": "postgres15", "Description": "x"}
    with pytest.raises(ConnectionClosedError):
        rds.create_db_parameter_group(**said)
    with refused("DBParameterGroupAlreadyExists"):
        rds.create_db_parameter_group(**said)
    with pytest.raises(ConnectionClosedError):
        clean.client("ssm").put_parameter(Name=name, Value="v", Type="String")
    assert clean.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "v"
    assert [call["status"] for call in clean.calls() if call["action"] == "CreateDBParameterGroup"][-2:] == [0, 400]


def test_a_creation_that_fails_and_quotas(clean, rds, name):
    clean.control("failing-creations", {"account": clean.accounts[0]})
    create(rds, name)
    wait_until(lambda: status(rds, name) == "failed", "the creation has failed")
    with refused("InvalidDBInstanceState"):
        rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    clean.control("quota", {"account": clean.accounts[0], "name": "instances", "limit": 0})
    with refused("InstanceQuotaExceeded"):
        create(rds, f"{name}b")
    clean.control("quota", {"account": clean.accounts[0], "name": "storage", "limit": 10})
    clean.control("quota", {"account": clean.accounts[0], "name": "instances", "limit": 40})
    with refused("StorageQuotaExceeded"):
        create(rds, f"{name}b")


def test_the_call_log_says_who_did_what_without_secrets(stand_in, rds, name):
    start = len(stand_in.calls())
    ssm = stand_in.client("ssm", 1)
    ssm.put_parameter(Name=f"/{name}", Value="a-secret-value", Type="SecureString")
    secrets = stand_in.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="another-secret-value")
    with refused("DBInstanceNotFound", 404):
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    calls = stand_in.calls(start)
    said = [(call["account"], call["service"], call["action"], call["status"], call["code"]) for call in calls]
    mine, theirs = stand_in.accounts
    assert said == [
        (theirs, "ssm", "PutParameter", 200, None),
        (mine, "secretsmanager", "CreateSecret", 200, None),
        (mine, "rds", "DeleteDBInstance", 404, "DBInstanceNotFound"),
    ]
    assert calls[0]["parameters"] == {"Name": f"/{name}", "Value": "****", "Type": "SecureString"}
    assert calls[2]["parameters"] == {"DBInstanceIdentifier": name, "SkipFinalSnapshot": "true"}
    assert calls[2]["principal"] == f"arn:aws:iam::{mine}:user/admin"
    assert "secret-value" not in json.dumps(calls)


def test_the_other_services_answer(stand_in, name):
    cloudwatch = stand_in.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace=name, MetricData=[{"MetricName": "m", "Value": 1.0}])
    wait_until(lambda: cloudwatch.list_metrics(Namespace=name)["Metrics"], "the metric is there", seconds=10)
    mine, theirs = stand_in.client("ec2", 0), stand_in.client("ec2", 1)
    here = mine.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    there = theirs.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    peering = mine.create_vpc_peering_connection(VpcId=here, PeerVpcId=there, PeerOwnerId=stand_in.accounts[1])
    identifier = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    theirs.accept_vpc_peering_connection(VpcPeeringConnectionId=identifier)

    def active() -> bool:
        seen = mine.describe_vpc_peering_connections(VpcPeeringConnectionIds=[identifier])["VpcPeeringConnections"][0]
        return seen["Status"]["Code"] == "active"

    wait_until(active, "the peering is active", seconds=10)
    with pytest.raises(ClientError, match="NotImplemented"):
        stand_in.client("dynamodb").list_tables()


def test_calls_run_beside_each_other(stand_in, rds, name):
    """A long creation keeps nobody waiting."""
    create(rds, name)
    began = time.monotonic()
    for _ in range(5):
        instance(rds, name)
    assert time.monotonic() - began < 3
    wait_for(rds, name)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_making_a_key_with_tags_takes_the_right_to_tag_all_keys(clean, name):
    arn = role(clean, name, account=0)
    kms = clean.client("kms", **assume(clean, arn))
    keys = f"arn:aws:kms:eu-central-1:{clean.accounts[0]}:key"
    only = {"StringLikeIfExists": {"aws:ResourceTag/a": "1"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}
    tags = [{"TagKey": word, "TagValue": "1"} for word in "ab"]
    clean.control("policy", {"principal": arn, "policy": policy(allow("kms:CreateKey"))})
    kms.create_key()
    with refused("AccessDeniedException", words="kms:TagResource"):
        kms.create_key(Tags=tags)
    may = policy(allow("kms:CreateKey"), allow("kms:TagResource", f"{keys}/*", Condition=only))
    clean.control("policy", {"principal": arn, "policy": may})
    own = kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    kms.tag_resource(KeyId=own, Tags=tags)
    with refused("AccessDeniedException", words="kms:TagResource"):
        kms.create_key(Tags=[*tags, {"TagKey": "c", "TagValue": "1"}])
    theirs = clean.client("kms").create_key(Tags=[{"TagKey": "a", "TagValue": "2"}])["KeyMetadata"]["KeyId"]
    with refused("AccessDeniedException", words="kms:TagResource"):
        kms.tag_resource(KeyId=theirs, Tags=tags)


def test_policies_see_the_resources_of_ec2_and_tags_that_are_there(clean, rds, name):
    arn = role(clean, name, account=0)
    credentials = assume(clean, arn)
    tag = {"Key": "migration", "Value": name}
    admin = clean.client("ec2")
    vpc = admin.create_vpc(CidrBlock="10.4.0.0/16")["Vpc"]["VpcId"]
    foreign = admin.create_security_group(GroupName=f"{name}-foreign", Description="x", VpcId=vpc)["GroupId"]
    prefix = f"arn:aws:ec2:eu-central-1:{clean.accounts[0]}"
    requested, existing = ({"StringEquals": {f"aws:{what}Tag/migration": name}} for what in ("Request", "Resource"))
    clean.control("policy", {
        "principal": arn,
        "policy": policy(
            allow("ec2:CreateSecurityGroup", f"{prefix}:security-group/*", Condition=requested),
            allow("ec2:CreateSecurityGroup", f"{prefix}:vpc/{vpc}"),
            # The right to tag only what is being made.
            allow("ec2:CreateTags", "*", Condition={"StringEquals": {"ec2:CreateAction": "CreateSecurityGroup"}}),
            allow("ec2:AuthorizeSecurityGroupIngress", f"{prefix}:security-group/*", Condition=existing),
            allow("rds:DeleteDBParameterGroup", "*", Condition=existing),
            allow("kms:ScheduleKeyDeletion", "*", Condition=existing),
        ),
    })  # fmt: skip
    ec2 = clean.client("ec2", **credentials)
    with refused("UnauthorizedOperation", 403):
        ec2.create_security_group(GroupName=f"{name}-untagged", Description="x", VpcId=vpc)
    specification = [{"ResourceType": "security-group", "Tags": [tag]}]
    own = ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc, TagSpecifications=specification)["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "10.5.0.0/16"}]}]
    ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=rule)
    with refused("UnauthorizedOperation", 403, "ec2:CreateTags"):
        specification[0]["ResourceType"] = "security-group-rule"
        ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=rule, TagSpecifications=specification)
    with refused("UnauthorizedOperation", 403, "ec2:CreateTags"):
        ec2.create_tags(Resources=[own], Tags=[tag])
    with refused("UnauthorizedOperation", 403, f"{prefix}:security-group/{foreign}"):
        ec2.authorize_security_group_ingress(GroupId=foreign, IpPermissions=rule)

    said = {"DBParameterGroupFamily": "postgres15", "Description": "x"}
    rds.create_db_parameter_group(DBParameterGroupName=name, Tags=[tag], **said)
    rds.create_db_parameter_group(DBParameterGroupName=f"{name}-foreign", **said)
    limited = clean.client("rds", **credentials)
    with refused("AccessDenied", 403):
        limited.delete_db_parameter_group(DBParameterGroupName=f"{name}-foreign")
    limited.delete_db_parameter_group(DBParameterGroupName=name)

    keys = clean.client("kms")
    tagged = keys.create_key(Tags=[{"TagKey": "migration", "TagValue": name}])["KeyMetadata"]["KeyId"]
    with refused("AccessDeniedException"):
        clean.client("kms", **credentials).schedule_key_deletion(KeyId=keys.create_key()["KeyMetadata"]["KeyId"])
    clean.client("kms", **credentials).schedule_key_deletion(KeyId=tagged)


def test_a_secure_string_needs_a_key_that_can_be_used(stand_in, name):
    ssm, kms = stand_in.client("ssm"), stand_in.client("kms")
    said = {"Name": f"/{name}", "Value": "v", "Type": "SecureString"}
    with refused("InvalidKeyId"):
        ssm.put_parameter(KeyId="alias/nowhere", **said)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    with refused("InvalidKeyId", words="state Disabled"):
        ssm.put_parameter(KeyId=key, **said)
    kms.enable_key(KeyId=key)
    assert ssm.put_parameter(KeyId=key, **said)["Version"] == 1
    assert ssm.get_parameter(Name=f"/{name}", WithDecryption=True)["Parameter"]["Value"] == "v"


def test_a_secret_under_a_key_needs_the_key_for_this_secret(clean, name):
    arn = role(clean, name, account=0)
    credentials = assume(clean, arn)
    secrets, ssm, kms = clean.client("secretsmanager"), clean.client("ssm"), clean.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    secret = secrets.create_secret(Name=name, SecretString="s", KmsKeyId=key)["ARN"]
    other = secrets.create_secret(Name=f"{name}-other", SecretString="s", KmsKeyId=key)["ARN"]
    ssm.put_parameter(Name=f"/{name}", Value="v", Type="SecureString", KeyId=key)
    parameter = f"arn:aws:ssm:eu-central-1:{clean.accounts[0]}:parameter/{name}"

    def limit(*more):
        reads = allow(["secretsmanager:*", "ssm:GetParameter"])
        clean.control("policy", {"principal": arn, "policy": policy(reads, *more)})

    def decrypts(context, of, via):
        told = {f"kms:EncryptionContext:{context}": of}
        service = {"kms:ViaService": f"{via}.eu-central-1.amazonaws.com"}
        return allow("kms:Decrypt", key, Condition={"StringEquals": told, "StringLike": service})

    theirs, parameters = clean.client("secretsmanager", **credentials), clean.client("ssm", **credentials)
    limit()
    with refused("AccessDeniedException", words="Access to KMS is not allowed"):
        theirs.get_secret_value(SecretId=secret)
    with refused("InvalidKeyId"):
        parameters.get_parameter(Name=parameter, WithDecryption=True)
    limit(decrypts("SecretARN", secret, "secretsmanager"), decrypts("PARAMETER_ARN", parameter, "ssm"))
    assert theirs.get_secret_value(SecretId=secret)["SecretString"] == "s"
    assert parameters.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"] == "v"
    with refused("AccessDeniedException"):
        theirs.get_secret_value(SecretId=other)
    with refused("AccessDeniedException", words="Access to KMS is not allowed"):
        theirs.update_secret(SecretId=secret, SecretString="t")
    kms.disable_key(KeyId=key)
    with refused("InvalidRequestException", words="Disabled"):
        secrets.get_secret_value(SecretId=secret)
    secrets.create_secret(Name=f"{name}-plain", SecretString="s")
    assert theirs.get_secret_value(SecretId=f"{name}-plain")["SecretString"] == "s"


def test_large_compressed_requests_are_read(stand_in, name):
    data = [{"MetricName": f"m{number}", "Value": float(number)} for number in range(900)]
    stand_in.client("cloudwatch").put_metric_data(Namespace=name, MetricData=data)
    assert len(stand_in.client("cloudwatch").list_metrics(Namespace=name)["Metrics"]) > 100
