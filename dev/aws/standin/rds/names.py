"""Identifiers, pages of lists, filters and tags."""

import base64
import binascii
import re

from ..wire.errors import invalid_value

_IDENTIFIER = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9]|-(?!-)(?!$))*")


def identifier(parameter: str, value: str, most: int = 63) -> str:
    """A name for something new, in the lower case that RDS stores.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
    """
    if not _IDENTIFIER.fullmatch(value) or len(value) > most:
        raise invalid_value(
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII "
            f"letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )
    return value.lower()


def page(items: list, call, default: int = 100) -> tuple[list, str | None]:
    """One page of a list and the marker of the next: MaxRecords is 20 to 100.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
    """
    most = call.get("MaxRecords", default)
    if not 20 <= most <= 100:
        raise invalid_value(f"Invalid value {most} for MaxRecords. Must be between 20 and 100")
    start = _position(call.get("Marker"))
    marker = base64.b64encode(f"at {start + most}".encode()).decode() if start + most < len(items) else None
    return items[start : start + most], marker


def _position(marker: str | None) -> int:
    if not marker:
        return 0
    try:
        return int(base64.b64decode(marker, validate=True).decode().removeprefix("at "))
    except (ValueError, binascii.Error):
        raise invalid_value("The request token provided in the Marker is not valid") from None


def filters(call, known: set[str]) -> dict[str, list[str]]:
    """The request's filters; AWS refuses those that an action doesn't have."""
    found = {}
    for item in call.get("Filters", []):
        if item["Name"] not in known:
            raise invalid_value(f"Unrecognized filter name: {item['Name']}")
        found[item["Name"]] = item["Values"]
    return found


def tags(call) -> dict[str, str]:
    """The request's tags. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html."""
    return checked_tags(call.get("Tags", []))


def checked_tags(items: list[dict]) -> dict[str, str]:
    """Tags by key, within what RDS allows."""
    found: dict[str, str] = {}
    for tag in items:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not key or len(key) > 128 or len(value) > 256:
            raise invalid_value(f"Tag key {key!r} or its value is too short or too long")
        if key.lower().startswith(("aws:", "rds:")):
            raise invalid_value("Tag keys cannot start with the reserved prefix 'aws:' or 'rds:'")
        found[key] = value
    if len(found) > 50:
        raise invalid_value("A resource can have 50 tags at most")
    return found


def tag_list(tags: dict[str, str]) -> list[dict]:
    """Tags as answers have them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
