"""Taking, sharing, copying, restoring and deleting snapshots.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CreateSnapshot.html
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html
"""

import os
import re
import shutil
import time

from ..cluster import programs
from ..wire.errors import Fault, invalid_combination, invalid_value
from . import instances, names, parameters
from .service import Call, action
from .snapshot import Snapshot, check_new, copied, copy_data, prepare
from .world import Region

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html: at most 20 accounts.
SHARED_AT_MOST = 20


def _parts(arn: str) -> tuple[str, str, str]:
    """Region, account and name in a snapshot's ARN."""
    fields = arn.split(":", 6)
    if len(fields) != 7 or fields[2] != "rds" or fields[5] != "snapshot":
        raise invalid_value(f"Invalid snapshot identifier: {arn}")
    return fields[3], fields[4], fields[6]


def find_own(call: Call, name: str) -> Snapshot:
    """A snapshot of the caller's account."""
    if name.startswith("arn:"):
        region, account, short = _parts(name)
        mine = (region, account) == (call.region.name, call.region.account)
        kept = call.region.snapshots.get(short.lower()) if mine else None
    else:
        kept = call.region.snapshots.get(name.lower())
    if kept is None:
        raise Fault("DBSnapshotNotFoundFault", f"DBSnapshot not found: {name}")
    return kept


def find_visible(call: Call, name: str) -> Snapshot:
    """A snapshot of the caller's own, or by its ARN one that another account shares."""
    if not name.startswith("arn:"):
        return find_own(call, name)
    region, account, short = _parts(name)
    kept = call.world.region(account, region).snapshots.get(short.lower())
    if kept is None or not (account == call.region.account or _is_shared_with(kept, call.region.account)):
        # Nobody learns whether a snapshot exists that isn't shared with them.
        raise Fault("DBSnapshotNotFoundFault", f"DBSnapshot not found: {name}")
    return kept


def _is_shared_with(kept: Snapshot, account: str) -> bool:
    return account in kept.shared_with or "all" in kept.shared_with


@action("CreateDBSnapshot")
def create(call: Call) -> dict:
    """Takes a snapshot of an instance at rest."""
    instance = instances.find(call.region, call["DBInstanceIdentifier"])
    if instance.status != "available":
        text = f"Cannot create a snapshot because the database instance {instance.name} is not currently in the available state."
        raise Fault("InvalidDBInstanceStateFault", text)
    kept = prepare(call, instance, call["DBSnapshotIdentifier"], "manual")
    instance.status = "backing-up"

    def failed(_: Exception) -> None:
        kept.status = "failed"
        instance.settle("available")

    call.world.background(lambda: _take(call, instance, kept), failed)
    return {"DBSnapshot": kept.describe()}


def _take(call: Call, instance, kept: Snapshot) -> None:
    began = time.monotonic()
    call.world.linger()
    with instance.work:
        copy_data(call.world, instance, kept)
    with call.world.lock:
        call.region.record("db-snapshot", kept.name, "Manual snapshot created", "creation")
    call.world.linger(began)
    with call.world.lock:
        instance.settle("available")


@action("DescribeDBSnapshots")
def describe(call: Call) -> dict:
    """The caller's snapshots, and those shared with the caller where they are asked for.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html
    """
    wanted = names.filters(call, {"db-instance-id", "db-snapshot-id", "dbi-resource-id", "snapshot-type", "engine"})
    kind = call.get("SnapshotType")
    if kind is not None and kind not in ("automated", "manual", "shared", "public", "awsbackup"):
        raise invalid_value(f"Invalid SnapshotType: {kind}")
    rows = _own_rows(call, kind) + _foreign_rows(call, kind)
    rows = [row for row in rows if _passes(call, row, wanted)]
    if call.get("DBSnapshotIdentifier") and not rows:
        raise Fault("DBSnapshotNotFoundFault", f"DBSnapshot {call['DBSnapshotIdentifier']} not found.")
    found, marker = names.page(rows, call)
    return {"DBSnapshots": found, "Marker": marker}


def _own_rows(call: Call, kind: str | None) -> list[dict]:
    kinds = {None: ("automated", "manual"), "automated": ("automated",), "manual": ("manual",)}.get(kind, ())
    return [kept.describe() for _, kept in sorted(call.region.snapshots.items()) if kept.kind in kinds]


def _foreign_rows(call: Call, kind: str | None) -> list[dict]:
    rows = []
    for region in call.world.regions():
        if region.name != call.region.name or region.account == call.region.account:
            continue
        for kept in region.snapshots.values():
            if call.region.account in kept.shared_with and (kind == "shared" or (kind is None and call.get("IncludeShared"))):
                rows.append(kept.describe("shared"))
            elif "all" in kept.shared_with and (kind == "public" or (kind is None and call.get("IncludePublic"))):
                rows.append(kept.describe("public"))
    return sorted(rows, key=lambda row: row["DBSnapshotArn"])


def _passes(call: Call, row: dict, wanted: dict[str, list[str]]) -> bool:
    name = call.get("DBSnapshotIdentifier")
    if name is not None and name not in (row["DBSnapshotArn"],) and name.lower() != row["DBSnapshotIdentifier"].lower():
        return False
    if call.get("DBInstanceIdentifier") and call["DBInstanceIdentifier"].lower() != row["DBInstanceIdentifier"]:
        return False
    if call.get("DbiResourceId") and call["DbiResourceId"] != row["DbiResourceId"]:
        return False
    has = {
        "db-instance-id": row["DBInstanceIdentifier"],
        "db-snapshot-id": row["DBSnapshotIdentifier"],
        "dbi-resource-id": row["DbiResourceId"],
        "snapshot-type": row["SnapshotType"],
        "engine": row["Engine"],
    }
    return all(has[key] in values for key, values in wanted.items())


@action("DescribeDBSnapshotAttributes")
def describe_attributes(call: Call) -> dict:
    """With whom a manual snapshot is shared."""
    return {"DBSnapshotAttributesResult": _attributes(find_own(call, call["DBSnapshotIdentifier"]))}


def _attributes(kept: Snapshot) -> dict:
    shared = [{"AttributeName": "restore", "AttributeValues": sorted(kept.shared_with)}]
    return {"DBSnapshotIdentifier": kept.name, "DBSnapshotAttributes": shared}


@action("ModifyDBSnapshotAttribute")
def share(call: Call) -> dict:
    """Shares a manual snapshot with accounts, or takes that back.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html
    """
    kept = find_own(call, call["DBSnapshotIdentifier"])
    if call["AttributeName"] != "restore":
        raise invalid_value(f"Invalid snapshot attribute: {call['AttributeName']}")
    if kept.kind == "automated":
        # The User Guide, "Sharing a DB snapshot": an automated snapshot must be copied, and the copy shared.
        raise Fault("InvalidDBSnapshotStateFault", "Automated snapshots cannot be shared; copy it and share the manual copy.")
    if kept.status != "available":
        raise Fault("InvalidDBSnapshotStateFault", f"The snapshot {kept.name} is not in the available state.")
    adding = _accounts(call.get("ValuesToAdd", []))
    if adding and kept.kms_key is not None:
        _check_encrypted_sharing(call, kept, adding)
    left = (kept.shared_with | adding) - _accounts(call.get("ValuesToRemove", []))
    if len(left - {"all"}) > SHARED_AT_MOST:
        raise Fault(
            "SharedSnapshotQuotaExceededFault", f"A manual snapshot can be shared with {SHARED_AT_MOST} accounts at most."
        )
    kept.shared_with = left
    return {"DBSnapshotAttributesResult": _attributes(kept)}


def _accounts(values: list[str]) -> set[str]:
    for value in values:
        if value != "all" and not re.fullmatch(r"\d{12}", value):
            raise invalid_value(f"The account ID {value} is invalid: 12 digits are expected, or all")
    return set(values)


def _check_encrypted_sharing(call: Call, kept: Snapshot, adding: set[str]) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html: neither as public nor under the
    # default key.
    if "all" in adding:
        raise Fault("InvalidDBSnapshotStateFault", "Encrypted snapshots cannot be shared as public.")
    if call.keys.look(kept.kms_key).manager == "AWS":
        text = "You can't share a snapshot that has been encrypted using the default KMS key of the account that shares it."
        raise Fault("InvalidDBSnapshotStateFault", f"{text} Copy it under a customer managed key, and share the copy.")


@action("CopyDBSnapshot")
def copy(call: Call) -> dict:
    """Copies a snapshot, also one that another account shares, also under another key.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html
    """
    source = find_visible(call, call["SourceDBSnapshotIdentifier"])
    if source.status != "available":
        raise Fault("InvalidDBSnapshotStateFault", f"The snapshot {source.name} is not in the available state.")
    name = names.identifier("TargetDBSnapshotIdentifier", call["TargetDBSnapshotIdentifier"], 255)
    kms_key = _key_of_copy(call, source)
    check_new(call.region, call.world, name)
    kept = copied(source, call.region, call.world, name, kms_key)
    if call.get("CopyTags") and source.account == call.region.account:
        kept.tags.update(source.tags)
    kept.tags.update(names.tags(call))
    call.region.snapshots[name] = kept

    def work() -> None:
        began = time.monotonic()
        # Nobody ever writes into a snapshot, so that two of them may share their files.
        shutil.copytree(source.directory, kept.directory, symlinks=True, copy_function=os.link)
        call.world.linger(began)
        with call.world.lock:
            kept.status, kept.progress = "available", 100
            call.region.record("db-snapshot", name, f"Finished copy of snapshot {source.name}", "notification")

    def failed(_: Exception) -> None:
        kept.status = "failed"

    call.world.background(work, failed)
    return {"DBSnapshot": kept.describe()}


def _key_of_copy(call: Call, source: Snapshot) -> str | None:
    asked = call.get("KmsKeyId")
    foreign, elsewhere = source.account != call.region.account, source.region != call.region.name
    if source.kms_key is None:
        # The same page: an unencrypted snapshot's copy is encrypted where a key is given.
        return call.keys.for_use(asked, "target KMS key").arn if asked else None
    if foreign and elsewhere:
        # The User Guide, "Copying a DB snapshot": first a copy within the region, then one across regions.
        raise invalid_combination("You can't copy an encrypted snapshot that another account shares across AWS Regions.")
    if elsewhere and not asked:
        raise invalid_value("Must specify new KMS key for cross region encrypted snapshot copy.")
    if foreign and not asked:
        # The same page: a key must be given for the copy of an encrypted snapshot that another account shares.
        raise Fault("KMSKeyNotAccessibleFault", call.keys.refusal("target KMS key", None))
    call.keys.for_use(source.kms_key, "source snapshot KMS key")
    return call.keys.for_use(asked, "target KMS key").arn if asked else source.kms_key


@action("DeleteDBSnapshot")
def delete(call: Call) -> dict:
    """Deletes a manual snapshot. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBSnapshot.html."""
    kept = find_own(call, call["DBSnapshotIdentifier"])
    if kept.kind == "automated":
        raise Fault(
            "InvalidDBSnapshotStateFault", "Automated snapshots cannot be deleted by hand; they go with their retention period."
        )
    if kept.status not in ("available", "failed", "copying"):
        raise Fault("InvalidDBSnapshotStateFault", f"The snapshot {kept.name} is in state {kept.status}.")
    del call.region.snapshots[kept.name]
    call.region.record("db-snapshot", kept.name, "Deleted manual snapshot", "deletion")
    if kept.status == "available":
        call.world.background(lambda: shutil.rmtree(kept.directory, ignore_errors=True), lambda _: None)
    return {"DBSnapshot": {**kept.describe(), "Status": "deleted"}}


@action("RestoreDBInstanceFromDBSnapshot")
def restore(call: Call) -> dict:
    """A new instance with a snapshot's data.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    """
    name = call.get("DBSnapshotIdentifier")
    if not name:
        raise invalid_combination("DBSnapshotIdentifier must be specified for a DB instance.")
    source = find_visible(call, name)
    if source.status != "available":
        raise Fault("InvalidDBSnapshotStateFault", f"The snapshot {source.name} is not in the available state.")
    if source.region != call.region.name:
        raise Fault("DBSnapshotNotFoundFault", f"DBSnapshot not found: {name}")
    if source.kms_key is not None:
        _check_encrypted_restore(call, source)
    # The same page: at least as large as the snapshot's; class, backup retention and storage are the original's unless given.
    if call.get("AllocatedStorage", source.storage) < source.storage:
        raise invalid_value("AllocatedStorage must not be smaller than that of the snapshot.")
    call.params.setdefault("DBInstanceClass", source.instance_class)
    call.params.setdefault("BackupRetentionPeriod", source.retention)
    call.params.setdefault("AllocatedStorage", source.storage)
    call.params.setdefault("StorageType", source.storage_type)
    if source.iops and source.storage_type in ("io1", "io2"):
        call.params.setdefault("Iops", source.iops)
    instance = instances.new(call, call["DBInstanceIdentifier"], source.kms_key)
    instance.master, instance.db_name = source.master, source.db_name
    instance.replication_password = source.replication_password
    call.region.instances[instance.name] = instance
    instances.bring_up(call.world, call.region, instance, lambda: _fill(call.region, instance, source))
    return {"DBInstance": instance.describe(call.region)}


def _check_encrypted_restore(call: Call, source: Snapshot) -> None:
    if source.account != call.region.account:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_RestoreFromSnapshot.html: not from a snapshot that is shared
        # and encrypted; make a copy of it, and restore from the copy.
        text = "You can't restore a DB instance from a shared encrypted snapshot; copy the snapshot and restore from the copy."
        raise Fault("InvalidDBSnapshotStateFault", text)
    call.keys.for_use(source.kms_key, "KMS key")


def _fill(region: Region, instance, source: Snapshot) -> None:
    instance.cluster.fill_from(source.directory)
    # Replication slots belong to a server, not to its data: RDS restores without them.
    for slot in (instance.cluster.data / "pg_replslot").iterdir():
        shutil.rmtree(slot)
    programs.own(instance.cluster.data)
    instance.boot(parameters.find(region, instance.parameter_group))
