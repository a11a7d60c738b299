"""Option groups. For PostgreSQL RDS has no option to put into one, but every instance has a group.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithOptionGroups.html
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..wire.errors import Fault, invalid_combination, invalid_value
from . import names
from .catalogue import ENGINE, MAJOR
from .service import Call, action

if TYPE_CHECKING:
    from .world import Region

DEFAULT = f"default:{ENGINE}-{MAJOR}"


@dataclass
class OptionGroup:
    """A group without options."""

    name: str
    description: str
    arn: str
    tags: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict:
        """As DescribeOptionGroups says it."""
        return {
            "OptionGroupName": self.name,
            "OptionGroupDescription": self.description,
            "EngineName": ENGINE,
            "MajorEngineVersion": MAJOR,
            "Options": [],
            "AllowsVpcAndNonVpcInstanceMemberships": True,
            "OptionGroupArn": self.arn,
        }


def find(region: "Region", name: str) -> OptionGroup:
    """A group of the region's, the default one included."""
    name = name.lower()
    if name == DEFAULT and name not in region.option_groups:
        region.option_groups[name] = OptionGroup(name, f"Default option group for {ENGINE} {MAJOR}", region.arn("og", name))
    group = region.option_groups.get(name)
    if group is None:
        raise Fault("OptionGroupNotFoundFault", f"Specified OptionGroupName: {name} not found.")
    return group


@action("CreateOptionGroup")
def create(call: Call) -> dict:
    """Makes a group."""
    name = names.identifier("OptionGroupName", call["OptionGroupName"], 255)
    if call["EngineName"] != ENGINE:
        raise invalid_value(f"Invalid DB engine: {call['EngineName']}")
    if call["MajorEngineVersion"] != MAJOR:
        raise invalid_combination(f"Cannot find major version {call['MajorEngineVersion']} for {ENGINE}")
    groups = call.region.option_groups
    if name in groups:
        raise Fault("OptionGroupAlreadyExistsFault", f"Option group already exists: {name}")
    if len([group for group in groups if group != DEFAULT]) >= call.world.quotas.of(call.region.account, "option-groups"):
        raise Fault("OptionGroupQuotaExceededFault", "You have reached the quota of option groups for this account.")
    groups[name] = OptionGroup(name, call["OptionGroupDescription"], call.region.arn("og", name), names.tags(call))
    return {"OptionGroup": groups[name].describe()}


@action("DescribeOptionGroups")
def describe(call: Call) -> dict:
    """One group, or all."""
    names.filters(call, set())
    if call.get("OptionGroupName") and call.get("EngineName"):
        raise invalid_combination("OptionGroupName can't be supplied together with EngineName or MajorEngineVersion.")
    find(call.region, DEFAULT)
    if call.get("OptionGroupName"):
        return {"OptionGroupsList": [find(call.region, call["OptionGroupName"]).describe()]}
    groups = [group for _, group in sorted(call.region.option_groups.items())]
    if call.get("EngineName", ENGINE) != ENGINE or call.get("MajorEngineVersion", MAJOR) != MAJOR:
        groups = []
    found, marker = names.page([group.describe() for group in groups], call)
    return {"OptionGroupsList": found, "Marker": marker}


@action("DescribeOptionGroupOptions")
def describe_options(call: Call) -> dict:
    """The options that the engine has: none."""
    if call["EngineName"] != ENGINE:
        raise invalid_value(f"Invalid DB engine: {call['EngineName']}")
    return {"OptionGroupOptions": []}


@action("ModifyOptionGroup")
def modify(call: Call) -> dict:
    """Refuses every option, since PostgreSQL has none."""
    group = _changeable(call)
    asked = [option["OptionName"] for option in call.get("OptionsToInclude", [])]
    if asked:
        raise invalid_value(f"Invalid option(s) for {ENGINE} {MAJOR}: {', '.join(asked)}")
    return {"OptionGroup": group.describe()}


@action("DeleteOptionGroup")
def delete(call: Call) -> None:
    """Deletes a group that no instance and no manual snapshot uses."""
    group = _changeable(call)
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithOptionGroups.html, deleting an option group
    users = [instance.name for instance in call.region.instances.values() if instance.option_group == group.name]
    users += [kept.name for kept in call.region.snapshots.values() if kept.option_group == group.name]
    if users:
        raise Fault("InvalidOptionGroupStateFault", f"The option group {group.name} is in use by {', '.join(users)}.")
    del call.region.option_groups[group.name]


def _changeable(call: Call) -> OptionGroup:
    group = find(call.region, call["OptionGroupName"])
    if group.name == DEFAULT:
        raise Fault("InvalidOptionGroupStateFault", f"The default option group {DEFAULT} can't be modified or deleted.")
    return group
