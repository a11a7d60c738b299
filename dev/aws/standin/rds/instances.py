"""Creating, describing, rebooting, stopping, starting and deleting instances.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html
"""

import secrets
import shutil
import time
from collections.abc import Callable

from ..cluster import roles
from ..cluster.postgres import Cluster, free_port
from ..wire.errors import AwsError, Fault, invalid_combination, invalid_value
from . import checks, names, parameters, snapshot
from .instance import Instance
from .service import Call, action
from .world import Region, World, now


def find(region: Region, name: str) -> Instance:
    """An instance of the region's, by its name or ARN."""
    short = name.rsplit(":", 1)[-1].lower() if name.startswith("arn:") else name.lower()
    instance = region.instances.get(short)
    if instance is None or (name.startswith("arn:") and name != instance.arn):
        raise Fault("DBInstanceNotFoundFault", f"DBInstance {name} not found.")
    return instance


@action("CreateDBInstance")
def create(call: Call) -> dict:
    """A new instance with a fresh cluster."""
    checks.creation(call)
    instance = new(call, call["DBInstanceIdentifier"], checks.key(call) if call.get("StorageEncrypted") else None)
    instance.master, instance.db_name = call["MasterUsername"], call.get("DBName")
    password = call.get("MasterUserPassword") or secrets.token_urlsafe(24)
    checks.manage_secret(call, instance, password)
    instance.replication_password = call.world.replication_password or secrets.token_hex(16)
    call.region.instances[instance.name] = instance

    def fill() -> None:
        instance.cluster.initialise()
        instance.boot(parameters.find(call.region, instance.parameter_group))
        roles.apply(instance.cluster, instance.master, password, instance.replication_password)
        if instance.db_name:
            roles.create_database(instance.cluster, instance.db_name, instance.master)

    bring_up(call.world, call.region, instance, fill)
    return {"DBInstance": instance.describe(call.region)}


def new(call: Call, identifier: str, kms_key: str | None) -> Instance:
    """An instance as the call describes it, without a cluster's data yet."""
    region, world = call.region, call.world
    name = names.identifier("DBInstanceIdentifier", identifier)
    if name in region.instances:
        raise Fault("DBInstanceAlreadyExistsFault", "DB instance already exists")
    if len(region.instances) >= world.quotas.of(region.account, "instances"):
        raise Fault("InstanceQuotaExceededFault", "You have reached the quota of DB instances for this account.")
    resource_id = f"db-{secrets.token_hex(13).upper()}"
    group = parameters.find(region, call.get("DBParameterGroupName", parameters.DEFAULT))
    instance = Instance(
        name=name,
        arn=region.arn("db", name),
        resource_id=resource_id,
        cluster=Cluster(world.instance_directory / resource_id[3:11].lower(), free_port()),
        instance_class=call.get("DBInstanceClass", "db.t3.micro"),
        engine_version=checks.version(call.get("EngineVersion")),
        storage=call.get("AllocatedStorage", 20),
        master="",
        parameter_group=group.name,
        option_group=checks.option_group(call),
        availability_zone=call.get("AvailabilityZone", f"{region.name}a"),
        created=now(),
        kms_key=kms_key,
        tags=names.tags(call),
    )
    checks.fill(call, instance)
    return instance


def bring_up(world: World, region: Region, instance: Instance, fill: Callable[[], None]) -> None:
    """The way from `creating` to `available`: `fill` makes the data and starts the server."""
    began = time.monotonic()
    fails = world.failing_creations.get(region.account, 0)
    if fails:
        world.failing_creations[region.account] = fails - 1

    def work() -> None:
        with instance.work:
            instance.cluster.lay_out()
            instance.certificate_until = world.authority.issue(instance.name, instance.cluster.directory)
            if fails:
                world.linger(began)
                raise AwsError("InternalFailure", "a fault was asked for")
            fill()
            world.linger(began)
        with world.lock:
            region.record("db-instance", instance.name, "DB instance created", "creation")
        if instance.retention and instance.status == "creating":
            snapshot.automated(world, region, instance)
        with world.lock:
            instance.settle("available")

    def failed(error: Exception) -> None:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html: `failed`, the instance has
        # failed and RDS can't recover it.
        instance.settle("failed")
        region.record("db-instance", instance.name, f"The DB instance could not be created: {error}", "failure")

    world.background(work, failed)


@action("DescribeDBInstances")
def describe(call: Call) -> dict:
    """One instance, or all."""
    wanted = names.filters(call, {"db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"})
    if call.get("DBInstanceIdentifier"):
        found = [find(call.region, call["DBInstanceIdentifier"])]
    else:
        found = [instance for _, instance in sorted(call.region.instances.items())]
    found = [instance for instance in found if _matches(instance, wanted)]
    rows, marker = names.page([instance.describe(call.region) for instance in found], call)
    return {"DBInstances": rows, "Marker": marker}


def _matches(instance: Instance, wanted: dict[str, list[str]]) -> bool:
    has = {
        "db-instance-id": (instance.name, instance.arn),
        "dbi-resource-id": (instance.resource_id,),
        "engine": ("postgres",),
    }
    return all(set(values) & set(has.get(name, ())) for name, values in wanted.items())


@action("RebootDBInstance")
def reboot(call: Call) -> dict:
    """Restarts the server; with failover only where there is a standby.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RebootDBInstance.html
    """
    instance = find(call.region, call["DBInstanceIdentifier"])
    if instance.status not in ("available", "incompatible-parameters"):
        text = "Instance cannot currently reboot due to an in-progress management operation."
        raise Fault("InvalidDBInstanceStateFault", text)
    failover = call.get("ForceFailover", False)
    # The same page, on ForceFailover: you can't specify it if the instance isn't configured for Multi-AZ.
    if failover and not instance.multi_az:
        raise invalid_combination("Reboot with failover cannot be requested for a DB instance that is not Multi-AZ.")
    instance.status = "rebooting"

    def work() -> None:
        instance.cluster.stop()
        with call.world.lock:
            if failover:
                instance.availability_zone = _other_zone(call.region, instance.availability_zone)
                call.region.record("db-instance", instance.name, "Multi-AZ instance failover started.", "failover")
            call.region.record("db-instance", instance.name, "DB instance shutdown", "availability")
        instance.boot(parameters.find(call.region, instance.parameter_group))
        with call.world.lock:
            instance.rebooted.append(now())
            call.region.record("db-instance", instance.name, "DB instance restarted", "availability")
            if failover:
                call.region.record("db-instance", instance.name, "Multi-AZ instance failover completed", "failover")

    transition(call.world, call.region, instance, work, "available")
    return {"DBInstance": instance.describe(call.region)}


def _other_zone(region: Region, zone: str) -> str:
    return f"{region.name}b" if zone == f"{region.name}a" else f"{region.name}a"


def transition(world: World, region: Region, instance: Instance, work: Callable[[], None], then: str) -> None:
    """Does something to the cluster behind an answered call; the status is already set and shows for the pace at least."""
    began = time.monotonic()

    def all_of_it() -> None:
        with instance.work:
            work()
        world.linger(began)
        with world.lock:
            instance.settle(then)

    def failed(error: Exception) -> None:
        # The usual reason is a parameter by which the server doesn't start.
        instance.settle("incompatible-parameters")
        region.record("db-instance", instance.name, f"The server did not come up: {error}", "failure")

    world.background(all_of_it, failed)


@action("StopDBInstance")
def stop(call: Call) -> dict:
    """Stops the server. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html."""
    instance = find(call.region, call["DBInstanceIdentifier"])
    if instance.status != "available":
        raise Fault("InvalidDBInstanceStateFault", f"Instance {instance.name} is not in available state.")
    snapshot_name = call.get("DBSnapshotIdentifier")
    kept = snapshot.prepare(call, instance, snapshot_name, "manual") if snapshot_name else None
    instance.status = "stopping"

    def work() -> None:
        instance.cluster.stop()
        if kept:
            snapshot.copy_data(call.world, instance, kept)
        call.region.record("db-instance", instance.name, "DB instance stopped", "notification")

    transition(call.world, call.region, instance, work, "stopped")
    return {"DBInstance": instance.describe(call.region)}


@action("StartDBInstance")
def start(call: Call) -> dict:
    """Starts a stopped server. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StartInstance.html."""
    instance = find(call.region, call["DBInstanceIdentifier"])
    if instance.status != "stopped":
        raise Fault("InvalidDBInstanceStateFault", f"Instance {instance.name} is not stopped, so that it cannot be started.")
    instance.status = "starting"

    def work() -> None:
        instance.boot(parameters.find(call.region, instance.parameter_group))
        call.region.record("db-instance", instance.name, "DB instance started", "notification")

    transition(call.world, call.region, instance, work, "available")
    return {"DBInstance": instance.describe(call.region)}


@action("DeleteDBInstance")
def delete(call: Call) -> dict:
    """Deletes an instance, with a final snapshot unless it is skipped.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
    """
    instance = find(call.region, call["DBInstanceIdentifier"])
    skip, final = call.get("SkipFinalSnapshot", False), call.get("FinalDBSnapshotIdentifier")
    if instance.deletion_protection:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html
        raise invalid_combination("Cannot delete protected DB Instance, please disable deletion protection and try again.")
    if instance.status == "deleting":
        raise Fault("InvalidDBInstanceStateFault", f"Instance {instance.name} is already being deleted.")
    if not skip and not final:
        raise invalid_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if skip and final:
        raise invalid_combination("FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is true.")
    if final and instance.status not in ("available", "stopped", "storage-full"):
        # The same page: an instance in a failure state can only be deleted without a final snapshot.
        text = f"Instance {instance.name} is in state {instance.status}: no final snapshot can be taken."
        raise Fault("InvalidDBInstanceStateFault", text)
    kept = snapshot.prepare(call, instance, final, "manual") if final else None
    instance.status = "deleting"
    call.world.background(lambda: _delete(call, instance, kept), lambda error: _could_not_delete(call, instance, error))
    return {"DBInstance": instance.describe(call.region)}


def _delete(call: Call, instance: Instance, kept) -> None:
    began = time.monotonic()
    with instance.work:
        if kept:
            snapshot.copy_data(call.world, instance, kept)
        instance.cluster.remove()
    call.world.linger(began)
    with call.world.lock:
        if call.get("DeleteAutomatedBackups", True):
            snapshot.drop_automated(call.region, instance)
        call.region.instances.pop(instance.name, None)
        call.region.record("db-instance", instance.name, "DB instance deleted", "deletion")
    shutil.rmtree(instance.cluster.directory, ignore_errors=True)


def _could_not_delete(call: Call, instance: Instance, error: Exception) -> None:
    call.region.record("db-instance", instance.name, f"The DB instance could not be deleted: {error}", "failure")
    instance.status = "failed"


def check_available(instance: Instance, what: str) -> None:
    """For actions that AWS carries out only on an instance at rest."""
    if instance.status != "available":
        raise Fault("InvalidDBInstanceStateFault", f"Database instance {instance.name} is not in available state: {what}")


__all__ = ["bring_up", "check_available", "find", "invalid_value", "new", "transition"]
