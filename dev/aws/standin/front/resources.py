"""What a call acts on, as ARNs, for policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html and the pages of the other services beside it
"""

from . import keys
from .request import Request

# RDS's parameters that name a resource, and the ARN's kind.
_RDS = {
    "DBInstanceIdentifier": "db", "DBSnapshotIdentifier": "snapshot", "TargetDBSnapshotIdentifier": "snapshot",
    "SourceDBSnapshotIdentifier": "snapshot", "FinalDBSnapshotIdentifier": "snapshot", "DBParameterGroupName": "pg",
    "OptionGroupName": "og", "DBSubnetGroupName": "subgrp",
}  # fmt: skip
# Describing one takes the right to describe the kind, so an absent name means all of them.
_DESCRIBED = {
    "DescribeDBInstances": "db", "DescribeDBSnapshots": "snapshot", "DescribeDBParameterGroups": "pg", "DescribeDBParameters": "pg",
    "DescribeOptionGroups": "og", "DescribeDBSubnetGroups": "subgrp", "DescribePendingMaintenanceActions": "db",
}  # fmt: skip


def of(request: Request) -> list[str]:
    """The ARNs; `*` where an action has no resource or this table doesn't know it."""
    finder = {"rds": _rds, "kms": _kms, "ssm": _ssm, "secretsmanager": _secret, "sts": _role, "iam": _iam}.get(request.service)
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
    found = []
    if isinstance(reference, str) and reference:
        try:
            found.append(keys.find(reference, request.principal.account, request.region).arn)
        except keys.NoSuchKey:
            found.append(
                reference
                if reference.startswith("arn:")
                else f"arn:aws:kms:{request.region}:{request.principal.account}:key/{reference}"
            )
    if request.action in ("CreateAlias", "UpdateAlias", "DeleteAlias"):
        found.append(f"arn:aws:kms:{request.region}:{request.principal.account}:{request.parameters.get('AliasName')}")
    return found


def _ssm(request: Request) -> list[str]:
    names = [request.parameters.get("Name"), request.parameters.get("Path"), *(request.parameters.get("Names") or [])]
    prefix = f"arn:aws:ssm:{request.region}:{request.principal.account}:parameter"
    return [f"{prefix}/{name.lstrip('/')}" for name in names if isinstance(name, str) and not name.startswith("arn:")]


def _secret(request: Request) -> list[str]:
    name = request.parameters.get("SecretId") or request.parameters.get("Name")
    if not isinstance(name, str):
        return []
    return [
        name if name.startswith("arn:") else f"arn:aws:secretsmanager:{request.region}:{request.principal.account}:secret:{name}"
    ]


def _role(request: Request) -> list[str]:
    return [request.parameters["RoleArn"]] if request.parameters.get("RoleArn") else []


def _iam(request: Request) -> list[str]:
    for name, kind in (("RoleName", "role"), ("UserName", "user")):
        if request.parameters.get(name):
            return [f"arn:aws:iam::{request.principal.account}:{kind}/{request.parameters[name]}"]
    return []
