"""One DB snapshot: what AWS says of it, and the copy of the data behind it."""

import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..wire.errors import Fault
from . import names
from .catalogue import ENGINE
from .instance import Instance
from .world import Region, World, now

if TYPE_CHECKING:
    from .service import Call


@dataclass
class Snapshot:
    """A snapshot's facts. They outlive the instance."""

    name: str
    arn: str
    account: str
    region: str
    directory: Path
    instance: str
    resource_id: str
    kind: str
    created: datetime
    instance_created: datetime
    storage: int
    storage_type: str
    iops: int | None
    throughput: int | None
    engine_version: str
    master: str
    db_name: str | None
    option_group: str
    vpc: str | None
    availability_zone: str
    kms_key: str | None
    # What no answer shows, and a restored instance inherits.
    instance_class: str
    retention: int
    replication_password: str | None
    status: str = "creating"
    progress: int = 0
    original_created: datetime | None = None
    source_arn: str | None = None
    source_region: str | None = None
    shared_with: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)

    def describe(self, kind: str | None = None) -> dict:
        """As DescribeDBSnapshots says it; another account sees it as `shared` or `public`."""
        return {
            "DBSnapshotIdentifier": self.name if kind in (None, self.kind) else self.arn,
            "DBInstanceIdentifier": self.instance,
            "SnapshotCreateTime": self.created if self.status == "available" else None,
            "OriginalSnapshotCreateTime": (self.original_created or self.created) if self.status == "available" else None,
            "SnapshotDatabaseTime": self.created if self.status == "available" else None,
            "Engine": ENGINE,
            "AllocatedStorage": self.storage,
            "Status": self.status,
            "Port": 5432,
            "AvailabilityZone": self.availability_zone,
            "VpcId": self.vpc,
            "InstanceCreateTime": self.instance_created,
            "MasterUsername": self.master,
            "EngineVersion": self.engine_version,
            "LicenseModel": "postgresql-license",
            "SnapshotType": kind or self.kind,
            "Iops": self.iops,
            "StorageThroughput": self.throughput,
            "OptionGroupName": self.option_group,
            "PercentProgress": self.progress,
            "SourceRegion": self.source_region,
            "SourceDBSnapshotIdentifier": self.source_arn,
            "StorageType": self.storage_type,
            "Encrypted": self.kms_key is not None,
            "KmsKeyId": self.kms_key,
            "DBSnapshotArn": self.arn,
            "IAMDatabaseAuthenticationEnabled": False,
            "DbiResourceId": self.resource_id,
            "TagList": names.tag_list(self.tags),
            "SnapshotTarget": "region",
            "DedicatedLogVolume": False,
        }


def prepare(call: "Call", instance: Instance, name: str, kind: str) -> Snapshot:
    """Registers a snapshot of an instance that is about to be taken."""
    name = names.identifier("DBSnapshotIdentifier", name, 255)
    check_new(call.region, call.world, name)
    kept = _of(call.world, call.region, instance, name, kind)
    kept.tags = {**(instance.tags if instance.copy_tags else {}), **names.tags(call)}
    call.region.snapshots[name] = kept
    return kept


def check_new(region: Region, world: World, name: str) -> None:
    """The name is free and the quota not used up."""
    if name in region.snapshots:
        raise Fault(
            "DBSnapshotAlreadyExistsFault",
            f"Cannot create the snapshot because a snapshot with the identifier {name} already exists.",
        )
    manual = [kept for kept in region.snapshots.values() if kept.kind == "manual"]
    if len(manual) >= world.quotas.of(region.account, "manual-snapshots"):
        raise Fault("SnapshotQuotaExceededFault", "You have reached the quota of manual DB snapshots for this account.")


def _of(world: World, region: Region, instance: Instance, name: str, kind: str) -> Snapshot:
    return Snapshot(
        name=name,
        arn=region.arn("snapshot", name),
        account=region.account,
        region=region.name,
        directory=world.snapshot_directory / secrets.token_hex(6),
        instance=instance.name,
        resource_id=instance.resource_id,
        kind=kind,
        created=now(),
        instance_created=instance.created,
        storage=instance.storage,
        storage_type=instance.storage_type,
        iops=instance.iops,
        throughput=instance.throughput,
        engine_version=instance.engine_version,
        master=instance.master,
        db_name=instance.db_name,
        option_group=instance.option_group,
        vpc=region.subnet_groups[instance.subnet_group].vpc if instance.subnet_group else None,
        availability_zone=instance.availability_zone,
        kms_key=instance.kms_key,
        instance_class=instance.instance_class,
        retention=instance.retention,
        replication_password=instance.replication_password,
    )


def copied(source: Snapshot, region: Region, world: World, name: str, kms_key: str | None) -> Snapshot:
    """A snapshot's copy in this account and region, under this key."""
    return replace(
        source,
        name=name,
        arn=region.arn("snapshot", name),
        account=region.account,
        region=region.name,
        kind="manual",
        created=now(),
        directory=world.snapshot_directory / secrets.token_hex(6),
        kms_key=kms_key,
        status="copying",
        progress=0,
        original_created=source.original_created or source.created,
        source_arn=source.arn,
        source_region=source.region,
        shared_with=set(),
        tags={},
    )


def copy_data(world: World, instance: Instance, kept: Snapshot) -> None:
    """Takes the data. The caller holds the instance's work."""
    try:
        instance.cluster.back_up(kept.directory)
    except Exception:
        with world.lock:
            kept.status = "failed"
        raise
    with world.lock:
        kept.created, kept.status, kept.progress = now(), "available", 100


def automated(world: World, region: Region, instance: Instance) -> None:
    """The automated backup after creation.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html
    """
    began = time.monotonic()
    name = f"rds:{instance.name}-{now():%Y-%m-%d-%H-%M}"
    with world.lock:
        instance.settle("backing-up")
        kept = region.snapshots[name] = _of(world, region, instance, name, "automated")
        region.record("db-instance", instance.name, "Backing up DB instance", "backup")
    with instance.work:
        copy_data(world, instance, kept)
    world.linger(began)
    with world.lock:
        region.record("db-instance", instance.name, "Finished DB Instance backup", "backup")


def drop_automated(region: Region, instance: Instance) -> None:
    """The automated backups of a deleted instance go with it."""
    for name, kept in list(region.snapshots.items()):
        if kept.kind == "automated" and kept.resource_id == instance.resource_id:
            del region.snapshots[name]
