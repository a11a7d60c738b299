"""Parameter groups.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithDBInstanceParamGroups.html
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..wire.errors import Fault, invalid_combination, invalid_value
from . import formula, names
from .catalogue import FAMILY, Parameter, parameters
from .service import Call, action

if TYPE_CHECKING:
    from .world import Region

DEFAULT = f"default.{FAMILY}"
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html
AT_ONCE = 20


@dataclass
class ParameterGroup:
    """A group: what its user set, and how it shall be applied."""

    name: str
    description: str
    arn: str
    # Parameter to (value, apply method).
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, str]:
        """The values without their methods."""
        return {name: value for name, (value, _) in self.values.items()}

    def describe(self) -> dict:
        """As DescribeDBParameterGroups says it."""
        return {
            "DBParameterGroupName": self.name,
            "DBParameterGroupFamily": FAMILY,
            "Description": self.description,
            "DBParameterGroupArn": self.arn,
        }


def find(region: "Region", name: str) -> ParameterGroup:
    """A group of the region's, the default one included, which exists from the start."""
    name = name.lower()
    if name == DEFAULT and name not in region.parameter_groups:
        text = f"Default parameter group for {FAMILY}"
        region.parameter_groups[name] = ParameterGroup(name, text, region.arn("pg", name))
    group = region.parameter_groups.get(name)
    if group is None:
        raise Fault("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {name}")
    return group


def members(region: "Region", group: ParameterGroup) -> list:
    """The instances that use the group."""
    return [instance for instance in region.instances.values() if instance.parameter_group == group.name]


@action("CreateDBParameterGroup")
def create(call: Call) -> dict:
    """Makes an empty group: every parameter has its default."""
    if call["DBParameterGroupFamily"] != FAMILY:
        raise invalid_value(f"ParameterGroupFamily {call['DBParameterGroupFamily']} is not a valid parameter group family")
    return {"DBParameterGroup": _new(call, call["DBParameterGroupName"], call["Description"]).describe()}


@action("CopyDBParameterGroup")
def copy(call: Call) -> dict:
    """Makes a group with another one's values.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Copying.html: not of a default group, and
    not across accounts or regions.
    """
    source = call["SourceDBParameterGroupIdentifier"]
    short = source.rsplit(":", 1)[-1]
    if short.lower().startswith("default."):
        raise invalid_value("Cannot copy a default parameter group.")
    found = find(call.region, short)
    if source.startswith("arn:") and source != found.arn:
        raise Fault("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {source}")
    group = _new(call, call["TargetDBParameterGroupIdentifier"], call["TargetDBParameterGroupDescription"])
    group.values = dict(found.values)
    return {"DBParameterGroup": group.describe()}


def _new(call: Call, name: str, description: str) -> ParameterGroup:
    name = names.identifier("DBParameterGroupName", name, 255)
    groups = call.region.parameter_groups
    if name in groups:
        raise Fault("DBParameterGroupAlreadyExistsFault", f"Parameter group {name} already exists")
    if len([group for group in groups if group != DEFAULT]) >= call.world.quotas.of(call.region.account, "parameter-groups"):
        raise Fault("DBParameterGroupQuotaExceededFault", "You have reached the maximum number of parameter groups.")
    groups[name] = ParameterGroup(name, description, call.region.arn("pg", name), tags=names.tags(call))
    call.region.record("db-parameter-group", name, f"Created parameter group {name}", "configuration change")
    return groups[name]


@action("DescribeDBParameterGroups")
def describe_groups(call: Call) -> dict:
    """One group, or all."""
    names.filters(call, set())
    find(call.region, DEFAULT)
    if call.get("DBParameterGroupName"):
        return {"DBParameterGroups": [find(call.region, call["DBParameterGroupName"]).describe()]}
    ordered = [group.describe() for _, group in sorted(call.region.parameter_groups.items())]
    found, marker = names.page(ordered, call)
    return {"DBParameterGroups": found, "Marker": marker}


@action("DescribeDBParameters")
def describe(call: Call) -> dict:
    """Every parameter of the family, with the group's values."""
    names.filters(call, set())
    group = find(call.region, call["DBParameterGroupName"])
    wanted = call.get("Source")
    rows = [_described(parameter, group.values) for parameter in parameters().values()]
    found, marker = names.page([row for row in rows if wanted in (None, row["Source"])], call)
    return {"Parameters": found, "Marker": marker}


@action("DescribeEngineDefaultParameters")
def describe_defaults(call: Call) -> dict:
    """The family's defaults."""
    names.filters(call, set())
    if call["DBParameterGroupFamily"] != FAMILY:
        raise invalid_value(f"ParameterGroupFamily {call['DBParameterGroupFamily']} is not a valid parameter group family")
    found, marker = names.page([_described(parameter, {}) for parameter in parameters().values()], call)
    return {"EngineDefaults": {"DBParameterGroupFamily": FAMILY, "Parameters": found, "Marker": marker}}


def _described(parameter: Parameter, values: dict[str, tuple[str, str]]) -> dict:
    source = "engine-default" if parameter.default is None else "system"
    value, method = parameter.default, "pending-reboot"
    if parameter.name in values:
        source, (value, method) = "user", values[parameter.name]
    return {
        "ParameterName": parameter.name,
        "ParameterValue": value,
        "Description": parameter.description,
        "Source": source,
        "ApplyType": parameter.apply_type,
        "DataType": parameter.data_type,
        "AllowedValues": parameter.allowed,
        "IsModifiable": parameter.modifiable,
        "ApplyMethod": method,
    }


@action("ModifyDBParameterGroup")
def modify(call: Call) -> dict:
    """Sets values: all of them or none."""
    group = _changeable(call)
    checked = [_checked(item) for item in _few(call["Parameters"])]
    for name, value, method in checked:
        group.values[name] = (value, method)
    _spread(call, group, {name: value for name, value, method in checked if method == "immediate"})
    return {"DBParameterGroupName": group.name}


@action("ResetDBParameterGroup")
def reset(call: Call) -> dict:
    """Takes values back to their defaults.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ResetDBParameterGroup.html: resetting all of them makes dynamic
    ones immediate and static ones pending-reboot.
    """
    group = _changeable(call)
    everything = call.get("ResetAllParameters", "Parameters" not in call.params)
    if everything and call.get("Parameters"):
        raise invalid_combination("ResetAllParameters and a list of parameters must not be used together")
    if everything:
        chosen = [(name, "pending-reboot" if parameters()[name].is_static else "immediate") for name in group.values]
    else:
        chosen = [(_known(item).name, _method(_known(item), item)) for item in _few(call.get("Parameters", []))]
    for name, _ in chosen:
        group.values.pop(name, None)
    _spread(call, group, {name: None for name, method in chosen if method == "immediate"})
    return {"DBParameterGroupName": group.name}


@action("DeleteDBParameterGroup")
def delete(call: Call) -> None:
    """Deletes a group that no instance uses."""
    name = call["DBParameterGroupName"].lower()
    if name.startswith("default."):
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBParameterGroup.html: never a default group.
        raise Fault("InvalidDBParameterGroupStateFault", f"Default DBParameterGroup can't be deleted: {name}")
    group = find(call.region, name)
    if members(call.region, group):
        text = "One or more database instances are still members of this parameter group"
        raise Fault("InvalidDBParameterGroupStateFault", f"{text} {name}, so the group cannot be deleted")
    del call.region.parameter_groups[name]


def _changeable(call: Call) -> ParameterGroup:
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/parameter-groups-overview.html: a default group can't be modified.
    if call["DBParameterGroupName"].lower().startswith("default."):
        raise invalid_value("Cannot modify a default parameter group.")
    return find(call.region, call["DBParameterGroupName"])


def _few(items: list[dict]) -> list[dict]:
    if not 1 <= len(items) <= AT_ONCE:
        raise invalid_value(f"{len(items)} parameters in one request: a maximum of {AT_ONCE} can be modified")
    return items


def _known(item: dict) -> Parameter:
    name = item.get("ParameterName")
    if not name:
        raise invalid_value("The parameter ParameterName must be provided and must not be blank.")
    parameter = parameters().get(name.lower())
    if parameter is None:
        raise invalid_value(f"Could not find parameter with name: {name}")
    return parameter


def _method(parameter: Parameter, item: dict) -> str:
    method = item.get("ApplyMethod")
    if not method:
        raise invalid_value("The parameter ApplyMethod must be provided and must not be blank.")
    # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html: only for dynamic ones.
    if parameter.is_static and method == "immediate":
        raise invalid_combination("cannot use immediate apply method for static parameter")
    return method


def _checked(item: dict) -> tuple[str, str, str]:
    parameter = _known(item)
    if not parameter.modifiable:
        raise invalid_value(f"The parameter {parameter.name} cannot be modified.")
    if item.get("ParameterValue") is None:
        raise invalid_value("The parameter ParameterValue must be provided and must not be blank.")
    method, value = _method(parameter, item), item["ParameterValue"]
    if not _allows(parameter, value):
        text = f"Invalid parameter value: {value} for: {parameter.name}"
        raise invalid_value(f"{text} allowed values are: {parameter.allowed or parameter.data_type}")
    return parameter.name, value, method


def _allows(parameter: Parameter, value: str) -> bool:
    if parameter.data_type in ("integer", "float"):
        return _number_fits(parameter, value)
    if parameter.name in ("shared_preload_libraries", "session_preload_libraries"):
        known = (parameters()["shared_preload_libraries"].allowed or "").split(",")
        return all(part.strip() in known for part in value.split(",") if part.strip())
    if parameter.allowed is not None:
        return value in parameter.allowed.split(",")
    return "\n" not in value


def _number_fits(parameter: Parameter, value: str) -> bool:
    if formula.is_formula(value):
        try:
            formula.evaluate(value, dict.fromkeys(formula.NAMES, 2**33))
        except ValueError:
            return False
        return parameter.data_type == "integer"
    try:
        number = int(value) if parameter.data_type == "integer" else float(value)
    except ValueError:
        return False
    return parameter.allowed is None or _in_range(number, parameter.allowed)


def _in_range(number: float, allowed: str) -> bool:
    # `-1-2147483647`: the first character may be a sign.
    lowest, _, highest = allowed[1:].partition("-")
    return float(allowed[0] + lowest) <= number <= float(highest)


def _spread(call: Call, group: ParameterGroup, immediate: dict[str, str | None]) -> None:
    """Brings what is immediate to the servers that use the group."""
    call.region.record("db-parameter-group", group.name, f"Updated parameter group {group.name}", "configuration change")
    if immediate:
        for instance in members(call.region, group):
            _bring(call, instance, immediate)


def _bring(call: Call, instance, immediate: dict[str, str | None]) -> None:
    """Behind the answered call, and after whatever is being done to the server now."""
    instance.reloads += 1

    def work() -> None:
        began = time.monotonic()
        with instance.work:
            instance.take_immediate(immediate)
        call.world.linger(began)
        with call.world.lock:
            instance.reloads -= 1

    def failed(_: Exception) -> None:
        instance.reloads -= 1

    call.world.background(work, failed)
