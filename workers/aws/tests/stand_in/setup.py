"""What both accounts have before a migration: roles, a network, and in the first an unencrypted instance. Prints names as JSON."""

import json
import sys

import boto3

ENDPOINT, REGION, READY, EXTERNAL_ID = sys.argv[1:5]
with open(READY, encoding="utf-8") as file:
    ACCOUNTS = json.load(file)["accounts"]


def client(service: str, account: dict):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=account["access_key_id"],
        aws_secret_access_key=account["secret_access_key"],
    )


def role(account: dict) -> str:
    principal = {"AWS": f"arn:aws:iam::{account['id']}:root"}
    condition = {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return client("iam", account).create_role(RoleName="changeover", AssumeRolePolicyDocument=trust)["Role"]["Arn"]


def network(account: dict, name: str, net: int) -> str:
    """A subnet group; gives the security group of its VPC."""
    ec2 = client("ec2", account)
    vpc = ec2.create_vpc(CidrBlock=f"10.{net}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{net}.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    client("rds", account).create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="x", SubnetIds=subnets)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    return groups[0]["GroupId"]


source, target = ACCOUNTS
roles = [role(source), role(target)]
group = network(source, "source-net", 10)
target_group = network(target, "target-net", 20)
client("rds", source).create_db_instance(
    DBInstanceIdentifier="orders",
    DBInstanceClass="db.t3.micro",
    Engine="postgres",
    MasterUsername="master",
    MasterUserPassword="correct-horse-1",
    AllocatedStorage=20,
    DBName="app",
    BackupRetentionPeriod=1,
    DBSubnetGroupName="source-net",
    VpcSecurityGroupIds=[group],
    DeletionProtection=True,
    EnablePerformanceInsights=True,
    PerformanceInsightsRetentionPeriod=93,
    EnableCloudwatchLogsExports=["postgresql"],
    EngineLifecycleSupport="open-source-rds-extended-support-disabled",
    CACertificateIdentifier="rds-ca-rsa4096-g1",
    Tags=[{"Key": "team", "Value": "orders"}],
)
print(json.dumps({"roles": roles, "subnetGroup": "target-net", "securityGroup": target_group}))
