"""What a call acts on, as ARNs, for policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html, and the other services' pages beside it
"""

from . import keys
from .request import Request

# RDS's parameters that name a resource, and the ARN's kind.
_RDS = {
    "DBInstanceIdentifier": "db",
    "DBSnapshotIdentifier": "snapshot",
    "TargetDBSnapshotIdentifier": "snapshot",
    "SourceDBSnapshotIdentifier": "snapshot",
    "DBParameterGroupName": "pg",
    "SourceDBParameterGroupIdentifier": "pg",
    "TargetDBParameterGroupIdentifier": "pg",
    "OptionGroupName": "og",
    "DBSubnetGroupName": "subgrp",
}
# Describing one takes the right to describe the kind, so an absent name means all of them.
_DESCRIBED = {
    "DescribeDBInstances": "db",
    "DescribeDBSnapshots": "snapshot",
    "DescribeDBParameterGroups": "pg",
    "DescribeDBParameters": "pg",
    "DescribeOptionGroups": "og",
    "DescribeDBSubnetGroups": "subgrp",
    "DescribePendingMaintenanceActions": "db",
}
# EC2's kinds by the prefix of an identifier.
_EC2_KINDS = {
    "vpc": "vpc",
    "pcx": "vpc-peering-connection",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
}
# The parameters that name what a call of EC2's changes.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
_EC2_CREATES = {
    "CreateVpcPeeringConnection": ("vpc-peering-connection", ("VpcId",)),
    "CreateSecurityGroup": ("security-group", ("VpcId",)),
    "CreateVpc": ("vpc", ()),
    "CreateSubnet": ("subnet", ("VpcId",)),
    "CreateRouteTable": ("route-table", ("VpcId",)),
}
_EC2_CHANGES = ("RouteTableId", "GroupId", "VpcPeeringConnectionId", "VpcId", "SubnetId")


def of(request: Request) -> list[str]:
    """The ARNs; `*` where an action has no resource or this table doesn't know it."""
    finders = {"rds": _rds, "kms": _kms, "ssm": _ssm, "secretsmanager": _secret, "sts": _role, "iam": _iam, "ec2": _ec2}
    finder = finders.get(request.service)
    return (finder(request) if finder else []) or ["*"]


def _rds(request: Request) -> list[str]:
    prefix = f"arn:aws:rds:{request.region}:{request.principal.account}"
    found = []
    for name, kind in _RDS.items():
        value = request.parameters.get(name)
        if value:
            found.append(value if value.startswith("arn:") else f"{prefix}:{kind}:{value.lower()}")
    if request.parameters.get("ResourceName"):
        found.append(request.parameters["ResourceName"])
    if not found and request.action in _DESCRIBED:
        found.append(f"{prefix}:{_DESCRIBED[request.action]}:*")
    return found


def _kms(request: Request) -> list[str]:
    reference = request.parameters.get("KeyId") or request.parameters.get("TargetKeyId")
    prefix = f"arn:aws:kms:{request.region}:{request.principal.account}"
    found = []
    if isinstance(reference, str) and reference:
        try:
            found.append(keys.find(reference, request.principal.account, request.region).arn)
        except keys.NoSuchKey:
            found.append(reference if reference.startswith("arn:") else f"{prefix}:key/{reference}")
    if request.action in ("CreateAlias", "UpdateAlias", "DeleteAlias"):
        found.append(f"{prefix}:{request.parameters.get('AliasName')}")
    return found


def _ssm(request: Request) -> list[str]:
    names = [request.parameters.get("Name"), request.parameters.get("Path"), *(request.parameters.get("Names") or [])]
    if request.parameters.get("ResourceType") == "Parameter":
        names.append(request.parameters.get("ResourceId"))
    prefix = f"arn:aws:ssm:{request.region}:{request.principal.account}:parameter"
    return [
        # The name may carry a version or a label.
        name if name.startswith("arn:") else f"{prefix}/{name.lstrip('/').split(':')[0]}"
        for name in names
        if isinstance(name, str)
    ]


def _secret(request: Request) -> list[str]:
    from moto.secretsmanager.models import secretsmanager_backends  # noqa: PLC0415 (slow to import)

    name = request.parameters.get("SecretId") or request.parameters.get("Name")
    if not isinstance(name, str):
        return []
    if name.startswith("arn:"):
        return [name]
    account = request.principal.account
    known = secretsmanager_backends[account][request.region].secrets.get(name)
    return [known.arn if known else f"arn:aws:secretsmanager:{request.region}:{account}:secret:{name}"]


def _role(request: Request) -> list[str]:
    return [request.parameters["RoleArn"]] if request.parameters.get("RoleArn") else []


def _iam(request: Request) -> list[str]:
    for name, kind in (("RoleName", "role"), ("UserName", "user")):
        if request.parameters.get(name):
            return [f"arn:aws:iam::{request.principal.account}:{kind}/{request.parameters[name]}"]
    return []


def _ec2(request: Request) -> list[str]:
    fields, action = request.parameters, request.action
    prefix = f"arn:aws:ec2:{request.region}:{request.principal.account}"
    if action.startswith("Describe"):
        return []
    if action in ("CreateTags", "DeleteTags"):
        named = [value for name, value in fields.items() if name.startswith("ResourceId.")]
        return [arn for arn in (_ec2_arn(prefix, value) for value in named) if arn]
    if action in _EC2_CREATES:
        kind, beside = _EC2_CREATES[action]
        return [f"{prefix}:{kind}/*", *(f"{prefix}:vpc/{fields[name]}" for name in beside if fields.get(name))]
    # The first that is there: a route through a peering connection changes the route table alone.
    for name in _EC2_CHANGES:
        arn = _ec2_arn(prefix, fields.get(name, ""))
        if arn:
            return [arn]
    return []


def _ec2_arn(prefix: str, identifier: str) -> str | None:
    kind = _EC2_KINDS.get(identifier.split("-", 1)[0])
    return f"{prefix}:{kind}/{identifier}" if kind else None
