"""Subnet groups over the subnets that the EC2 beside us has.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..wire.errors import Fault, invalid_value
from . import names
from .service import Call, action

if TYPE_CHECKING:
    from .world import Region

DEFAULT = "default"


@dataclass
class SubnetGroup:
    """A group: subnets of one VPC in two availability zones at least."""

    name: str
    description: str
    arn: str
    vpc: str
    # Subnet to availability zone.
    subnets: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict:
        """As DescribeDBSubnetGroups says it."""
        return {
            "DBSubnetGroupName": self.name,
            "DBSubnetGroupDescription": self.description,
            "VpcId": self.vpc,
            "SubnetGroupStatus": "Complete",
            "Subnets": [
                {"SubnetIdentifier": subnet, "SubnetAvailabilityZone": {"Name": zone}, "SubnetStatus": "Active"}
                for subnet, zone in sorted(self.subnets.items())
            ],
            "DBSubnetGroupArn": self.arn,
            "SupportedNetworkTypes": ["IPV4"],
        }


def find(region: "Region", name: str) -> SubnetGroup:
    """A group of the region's."""
    group = region.subnet_groups.get(name.lower())
    if group is None:
        raise Fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    return group


def for_instance(call: Call) -> str | None:
    """The group of a new instance: the one asked for, or the default VPC's."""
    asked = call.get("DBSubnetGroupName")
    if asked:
        return find(call.region, asked).name
    if DEFAULT not in call.region.subnet_groups:
        vpc, found = call.network.default_subnets()
        if vpc is None:
            # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html: InvalidVPCNetworkStateFault.
            raise Fault("InvalidVPCNetworkStateFault", "There is no default VPC: DBSubnetGroupName must be given.")
        call.region.subnet_groups[DEFAULT] = SubnetGroup(DEFAULT, "default", call.region.arn("subgrp", DEFAULT), vpc, found)
    return DEFAULT


def vpc_of(region: "Region", name: str | None) -> str | None:
    """The VPC that a group's instances are in."""
    return region.subnet_groups[name].vpc if name else None


@action("CreateDBSubnetGroup")
def create(call: Call) -> dict:
    """Makes a group."""
    name = call["DBSubnetGroupName"].lower()
    if name == DEFAULT or len(name) > 255 or not all(character.isalnum() or character in " ._-" for character in name):
        raise invalid_value(f"The parameter DBSubnetGroupName is not a valid name: {name}")
    groups = call.region.subnet_groups
    if name in groups:
        raise Fault("DBSubnetGroupAlreadyExistsFault", f"The DB subnet group '{name}' already exists.")
    if len(groups) >= call.world.quotas.of(call.region.account, "subnet-groups"):
        raise Fault("DBSubnetGroupQuotaExceededFault", "You have reached the quota of DB subnet groups for this account.")
    vpc, subnets = _subnets(call)
    groups[name] = SubnetGroup(
        name, call["DBSubnetGroupDescription"], call.region.arn("subgrp", name), vpc, subnets, names.tags(call)
    )
    return {"DBSubnetGroup": groups[name].describe()}


def _subnets(call: Call) -> tuple[str, dict[str, str]]:
    asked = list(dict.fromkeys(call["SubnetIds"]))
    if len(asked) > call.world.quotas.of(call.region.account, "subnets-per-subnet-group"):
        raise Fault("DBSubnetQuotaExceededFault", "You have reached the quota of subnets in a DB subnet group.")
    found = call.network.subnets(asked)
    unknown = [subnet for subnet in asked if subnet not in found]
    if unknown:
        raise Fault("InvalidSubnet", f"Some input subnets in {unknown} are invalid.")
    if len({vpc for vpc, _ in found.values()}) != 1:
        raise Fault("InvalidSubnet", "The specified subnets are not in one VPC.")
    zones = {subnet: zone for subnet, (_, zone) in found.items()}
    if len(set(zones.values())) < 2:
        text = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement."
        raise Fault("DBSubnetGroupDoesNotCoverEnoughAZs", f"{text} Add subnets to cover at least 2 AZs.")
    return next(iter(found.values()))[0], zones


@action("DescribeDBSubnetGroups")
def describe(call: Call) -> dict:
    """One group, or all."""
    names.filters(call, set())
    if call.get("DBSubnetGroupName"):
        return {"DBSubnetGroups": [find(call.region, call["DBSubnetGroupName"]).describe()]}
    rows = [group.describe() for _, group in sorted(call.region.subnet_groups.items())]
    found, marker = names.page(rows, call)
    return {"DBSubnetGroups": found, "Marker": marker}


@action("ModifyDBSubnetGroup")
def modify(call: Call) -> dict:
    """Other subnets or another description."""
    group = find(call.region, call["DBSubnetGroupName"])
    group.vpc, group.subnets = _subnets(call)
    group.description = call.get("DBSubnetGroupDescription", group.description)
    return {"DBSubnetGroup": group.describe()}


@action("DeleteDBSubnetGroup")
def delete(call: Call) -> None:
    """Deletes a group without instances."""
    group = find(call.region, call["DBSubnetGroupName"])
    users = [instance.name for instance in call.region.instances.values() if instance.subnet_group == group.name]
    if users:
        text = f"Cannot delete the subnet group '{group.name}' because at least one database instance"
        raise Fault("InvalidDBSubnetGroupStateFault", f"{text}: {users[0]} is still using it.")
    del call.region.subnet_groups[group.name]
