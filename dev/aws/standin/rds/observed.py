"""What RDS tells of what has happened and what is there: tags, events, pending maintenance, log files."""

from datetime import datetime, timedelta

from ..wire.errors import Fault, invalid_combination, invalid_value
from . import instances, names, options, parameters, snapshots, subnets
from .service import Call, action
from .world import now

# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DownloadDBLogFilePortion.html: 1 MB or 10,000 lines at most.
PORTION = 1024 * 1024
_LOG = "error/postgresql.log"


def _tagged(call: Call) -> dict[str, str]:
    """The tags of the resource that an ARN names."""
    arn = call["ResourceName"]
    fields = arn.split(":", 6)
    if len(fields) != 7 or fields[2] != "rds":
        raise invalid_value(f"Invalid resource name: {arn}")
    if (fields[3], fields[4]) != (call.region.name, call.region.account):
        raise invalid_value(f"The resource {arn} is not of this account and region")
    kind, name = fields[5], fields[6]
    if kind == "db":
        return instances.find(call.region, arn).tags
    if kind == "snapshot":
        return snapshots.find_own(call, arn).tags
    finders = {"pg": parameters.find, "og": options.find, "subgrp": subnets.find}
    if kind not in finders:
        raise invalid_value(f"Invalid resource name: {arn}")
    try:
        return finders[kind](call.region, name).tags
    except Fault as fault:
        # The model of the three actions names no fault for these kinds.
        raise invalid_value(fault.message) from None


@action("AddTagsToResource")
def add_tags(call: Call) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_AddTagsToResource.html."""
    existing = _tagged(call)
    merged = names.tag_list({**existing, **names.tags(call)})
    existing.update(names.checked_tags(merged))


@action("RemoveTagsFromResource")
def remove_tags(call: Call) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RemoveTagsFromResource.html."""
    existing = _tagged(call)
    for key in call["TagKeys"]:
        existing.pop(key, None)


@action("ListTagsForResource")
def list_tags(call: Call) -> dict:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ListTagsForResource.html."""
    return {"TagList": names.tag_list(_tagged(call))}


@action("DescribeEvents")
def events(call: Call) -> dict:
    """The last hour's events unless asked otherwise.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html
    """
    names.filters(call, set())
    if call.get("SourceIdentifier") and not call.get("SourceType"):
        raise invalid_combination("SourceType must be specified when SourceIdentifier is.")
    start, end = _span(call)
    rows = [
        {
            "SourceIdentifier": event.source,
            "SourceType": event.source_type,
            "Message": event.message,
            "EventCategories": event.categories,
            "Date": event.date,
            "SourceArn": event.source_arn,
        }
        for event in call.region.events
        if start <= event.date <= end
        and call.get("SourceType", event.source_type) == event.source_type
        and call.get("SourceIdentifier", event.source).lower() == event.source
        and (not call.get("EventCategories") or set(call["EventCategories"]) & set(event.categories))
    ]
    found, marker = names.page(rows, call)
    return {"Events": found, "Marker": marker}


def _span(call: Call) -> tuple[datetime, datetime]:
    end = call.get("EndTime") or now() + timedelta(seconds=1)
    return call.get("StartTime") or end - timedelta(minutes=call.get("Duration", 60)), end


@action("DescribePendingMaintenanceActions")
def pending_maintenance(call: Call) -> dict:
    """Nothing is ever waiting: there is one version here."""
    names.filters(call, {"db-cluster-id", "db-instance-id"})
    return {"PendingMaintenanceActions": []}


@action("DescribeDBLogFiles")
def log_files(call: Call) -> dict:
    """The server's log: one file here."""
    names.filters(call, set())
    instance = instances.find(call.region, call["DBInstanceIdentifier"])
    log = instance.cluster.log
    rows = []
    if log.exists() and call.get("FilenameContains", "") in _LOG:
        facts = log.stat()
        written = int(facts.st_mtime * 1000)
        if facts.st_size >= call.get("FileSize", 0) and written >= call.get("FileLastWritten", 0):
            rows.append({"LogFileName": _LOG, "LastWritten": written, "Size": facts.st_size})
    return {"DescribeDBLogFiles": rows}


@action("DownloadDBLogFilePortion")
def download_log(call: Call) -> dict:
    """A part of the log: from a marker on, or by default its end."""
    instance = instances.find(call.region, call["DBInstanceIdentifier"])
    if call["LogFileName"] != _LOG or not instance.cluster.log.exists():
        raise Fault(
            "DBLogFileNotFoundFault", f"DBLog File: {call['LogFileName']}, is not found on the DB instance {instance.name}"
        )
    text = instance.cluster.log.read_bytes()
    marker, lines = call.get("Marker"), call.get("NumberOfLines")
    if marker is None:
        tail = text.splitlines(keepends=True)[-(lines or 10_000) :]
        portion, end = b"".join(tail)[-PORTION:], len(text)
    else:
        start = _position(marker)
        portion = text[start : start + PORTION]
        if lines:
            portion = b"".join(portion.splitlines(keepends=True)[:lines])
        end = start + len(portion)
    return {"LogFileData": portion.decode(errors="replace"), "Marker": str(end), "AdditionalDataPending": end < len(text)}


def _position(marker: str) -> int:
    if not marker.isdigit():
        raise invalid_value("The Marker is not valid")
    return int(marker)
