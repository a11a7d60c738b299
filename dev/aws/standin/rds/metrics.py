"""What RDS tells CloudWatch of its instances, measured on the real servers.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html; RDS sends each once a minute.
"""

import contextlib
from collections.abc import Callable

from ..cluster.programs import ProgramFailed
from .instance import Instance
from .world import World, now

# Numbers in the order of _METRICS, in one row.
_QUERY = """
select (select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()),
       (select coalesce(sum(pg_database_size(oid)), 0) from pg_database),
       (select coalesce(sum(size), 0) from pg_ls_waldir()),
       (select coalesce(sum(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0) from pg_replication_slots),
       (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0) / 1048576.0 from pg_replication_slots),
       (select max(age(datfrozenxid)) from pg_database)
"""
_METRICS = (
    ("DatabaseConnections", "Count"),
    ("FreeStorageSpace", "Bytes"),
    ("TransactionLogsDiskUsage", "Bytes"),
    ("ReplicationSlotDiskUsage", "Bytes"),
    ("OldestReplicationSlotLag", "Megabytes"),
    ("MaximumUsedTransactionIDs", "Count"),
)


def publish(world: World, seconds: float, put: Callable[[str, str, list[dict]], None]) -> None:
    """Measures every instance at rest until the stand-in closes. `put` takes account, region and the data."""
    while not world.closing.wait(seconds):
        for region in world.regions():
            for instance in list(region.instances.values()):
                if instance.status == "available":
                    with contextlib.suppress(ProgramFailed):
                        put(region.account, region.name, measure(instance))


def measure(instance: Instance) -> list[dict]:
    """One measurement of one instance, as PutMetricData takes it."""
    values = [float(text) for text in instance.cluster.psql(_QUERY).strip().split("|")]
    values[1] = instance.storage * 1024.0**3 - values[1] - values[2]
    dimensions = [{"Name": "DBInstanceIdentifier", "Value": instance.name}]
    moment = now()
    return [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit, "Timestamp": moment}
        for (name, unit), value in zip(_METRICS, values, strict=True)
    ]
