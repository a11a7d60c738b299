"""Automated backups: of instances that are there, and what is kept of those that were deleted.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.Retaining.html
"""

from . import names
from .catalogue import ENGINE
from .instance import Instance
from .service import Call, action
from .snapshot import Snapshot


@action("DescribeDBInstanceAutomatedBackups")
def describe(call: Call) -> dict:
    """Those in force, and those that outlive their instance."""
    wanted = names.filters(call, {"status", "db-instance-id", "dbi-resource-id"})
    here = call.region.instances.values()
    rows = {instance.resource_id: _in_force(call, instance) for instance in here if instance.retention}
    for kept in call.region.snapshots.values():
        if kept.kind == "automated" and kept.resource_id not in rows and not _lives(call, kept):
            rows[kept.resource_id] = _retained(call, kept)
    found, marker = names.page([row for row in rows.values() if _passes(call, row, wanted)], call)
    return {"DBInstanceAutomatedBackups": found, "Marker": marker}


def _lives(call: Call, kept: Snapshot) -> bool:
    return any(instance.resource_id == kept.resource_id for instance in call.region.instances.values())


def _in_force(call: Call, instance: Instance) -> dict:
    status = "active" if instance.applied_group is not None else "creating"
    return _row(call, instance, {"Status": status, "MasterUsername": instance.master, "DBInstanceIdentifier": instance.name})


def _retained(call: Call, kept: Snapshot) -> dict:
    return _row(call, kept, {"Status": "retained", "MasterUsername": kept.master, "DBInstanceIdentifier": kept.instance})


def _row(call: Call, of: Instance | Snapshot, more: dict) -> dict:
    return {
        "DBInstanceArn": call.region.arn("db", more["DBInstanceIdentifier"]),
        "DbiResourceId": of.resource_id,
        "Region": call.region.name,
        "AllocatedStorage": of.storage,
        "Port": 5432,
        "AvailabilityZone": of.availability_zone,
        "Engine": ENGINE,
        "EngineVersion": of.engine_version,
        "LicenseModel": "postgresql-license",
        "OptionGroupName": of.option_group,
        "Encrypted": of.kms_key is not None,
        "StorageType": of.storage_type,
        "KmsKeyId": of.kms_key,
        "BackupRetentionPeriod": of.retention,
        **more,
    }


def _passes(call: Call, row: dict, wanted: dict[str, list[str]]) -> bool:
    asked = {"DbiResourceId": call.get("DbiResourceId"), "DBInstanceIdentifier": call.get("DBInstanceIdentifier")}
    if any(value is not None and value != row[name] for name, value in asked.items()):
        return False
    has = {"status": "Status", "db-instance-id": "DBInstanceIdentifier", "dbi-resource-id": "DbiResourceId"}
    return all(row[has[name]] in values for name, values in wanted.items())
