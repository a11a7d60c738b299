"""ModifyDBInstance: what takes effect at once, what waits for the maintenance window, what restarts the server.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html
"""

import json
import secrets
import time

from ..cluster import roles
from ..wire.errors import AwsError, Fault, invalid_combination, invalid_value
from . import checks, instances, options, parameters, subnets
from .classes import CLASSES
from .instance import Instance
from .service import Call, action
from .world import Region, World

# Wait for the window unless ApplyImmediately is given. The name in PendingModifiedValues, and the instance's attribute.
WAITING = {
    "DBInstanceClass": "instance_class",
    "AllocatedStorage": "storage",
    "MultiAZ": "multi_az",
    "StorageType": "storage_type",
    "Iops": "iops",
    "StorageThroughput": "throughput",
    "BackupRetentionPeriod": "retention",
    "IAMDatabaseAuthenticationEnabled": "iam_authentication",
}
# The server restarts for these.
_RESTARTING = {"DBInstanceClass"}
# Of no meaning here; refusing says so instead of forgetting them.
_MISSING = (
    "NewDBInstanceIdentifier",
    "DBPortNumber",
    "Domain",
    "DomainFqdn",
    "ReplicaMode",
    "AutomationMode",
    "ProcessorFeatures",
    "TdeCredentialArn",
    "DBSubnetGroupName",
    "NetworkType",
    "AwsBackupRecoveryPointArn",
    "Engine",
    "DedicatedLogVolume",
    "MultiTenant",
)


@action("ModifyDBInstance")
def modify(call: Call) -> dict:
    """Checks everything first, so that a refused call has changed nothing."""
    instance = instances.find(call.region, call["DBInstanceIdentifier"])
    if instance.status not in ("available", "incompatible-parameters"):
        raise Fault("InvalidDBInstanceStateFault", f"Database instance {instance.name} is not in available state.")
    for name in _MISSING:
        if name in call.params:
            raise AwsError("NotImplemented", f"The stand-in's ModifyDBInstance doesn't have {name}.", 501)
    waiting = _checked_waiting(call, instance)
    at_once = _checked_at_once(call, instance)
    password = _checked_password(call, instance)
    if not waiting and not at_once and password is None and not (call.get("ApplyImmediately") and instance.pending):
        return {"DBInstance": instance.describe(call.region)}
    _take_over(call, instance, waiting, at_once)
    applied = dict(instance.pending) if call.get("ApplyImmediately") else {}
    if password is not None:
        instance.pending["MasterUserPassword"] = password
        applied["MasterUserPassword"] = password
    instance.status = "resetting-master-credentials" if list(applied) == ["MasterUserPassword"] and not at_once else "modifying"
    instances.transition(
        call.world, call.region, instance, lambda: apply_pending(call.world, call.region, instance, applied), "available"
    )
    return {"DBInstance": instance.describe(call.region)}


def _take_over(call: Call, instance: Instance, waiting: dict, at_once: dict) -> None:
    for attribute, value in at_once.items():
        if attribute == "parameter_group" and value != instance.parameter_group:
            instance.applying_until = time.monotonic() + call.world.pace
        setattr(instance, attribute, value)
    for name, value in waiting.items():
        instance.pending[name] = value


def apply_pending(world: World, region: Region, instance: Instance, applied: dict) -> None:
    """Carries out what waited. The caller holds the instance's work."""
    with world.lock:
        for name, value in applied.items():
            if name in WAITING:
                setattr(instance, WAITING[name], value)
    if _RESTARTING & set(applied):
        instance.cluster.stop()
        instance.boot(parameters.find(region, instance.parameter_group))
    if "MasterUserPassword" in applied:
        roles.set_password(instance.cluster, instance.master, applied["MasterUserPassword"])
    with world.lock:
        for name in applied:
            instance.pending.pop(name, None)
        what = "Reset master credentials" if "MasterUserPassword" in applied else "Finished applying modification to DB instance"
        region.record("db-instance", instance.name, what, "configuration change")


def _checked_waiting(call: Call, instance: Instance) -> dict:
    found = {name: call[name] for name in WAITING if name in call.params}
    if "EnableIAMDatabaseAuthentication" in call.params:
        found["IAMDatabaseAuthenticationEnabled"] = call["EnableIAMDatabaseAuthentication"]
    if "DBInstanceClass" in found and found["DBInstanceClass"] not in CLASSES:
        raise invalid_value(f"Invalid DB Instance class: {found['DBInstanceClass']}")
    if "BackupRetentionPeriod" in found:
        checks.check_retention(found["BackupRetentionPeriod"])
    if "EngineVersion" in call.params and checks.version(call["EngineVersion"]) != instance.engine_version:
        raise invalid_combination(f"Cannot upgrade postgres from {instance.engine_version} to {call['EngineVersion']}")
    if "StorageType" in found or "AllocatedStorage" in found:
        checks.check_storage(found.get("StorageType", instance.storage_type), found.get("AllocatedStorage", instance.storage))
    if found.get("AllocatedStorage", instance.storage) < instance.storage:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html: storage can't be reduced.
        raise invalid_combination("Requested storage size cannot be less than the current size of the DB instance.")
    return {name: value for name, value in found.items() if value != getattr(instance, WAITING[name])}


def _checked_at_once(call: Call, instance: Instance) -> dict:
    found = {}
    if "DBParameterGroupName" in call.params:
        found["parameter_group"] = parameters.find(call.region, call["DBParameterGroupName"]).name
    if "OptionGroupName" in call.params:
        found["option_group"] = options.find(call.region, call["OptionGroupName"]).name
    if "VpcSecurityGroupIds" in call.params:
        vpc = subnets.vpc_of(call.region, instance.subnet_group)
        found["security_groups"] = call.network.security_groups(call["VpcSecurityGroupIds"], vpc)
    if "PreferredBackupWindow" in call.params:
        found["backup_window"] = checks.check_window(call["PreferredBackupWindow"])
    if "PreferredMaintenanceWindow" in call.params:
        found["maintenance_window"] = checks.check_weekly(call["PreferredMaintenanceWindow"])
    found |= _checked_monitoring(call, instance)
    found |= _checked_insights(call, instance)
    if "EngineLifecycleSupport" in call.params:
        found["lifecycle"] = checks.check_lifecycle(call["EngineLifecycleSupport"])
    if "CACertificateIdentifier" in call.params:
        found["certificate"] = checks.check_certificate(call["CACertificateIdentifier"])
    for name, attribute in (
        ("DeletionProtection", "deletion_protection"),
        ("CopyTagsToSnapshot", "copy_tags"),
        ("AutoMinorVersionUpgrade", "minor_upgrades"),
        ("PubliclyAccessible", "publicly_accessible"),
        ("MaxAllocatedStorage", "max_storage"),
    ):
        if name in call.params:
            found[attribute] = call[name]
    if "CloudwatchLogsExportConfiguration" in call.params:
        asked = call["CloudwatchLogsExportConfiguration"]
        on, off = checks.check_logs(asked.get("EnableLogTypes", [])), checks.check_logs(asked.get("DisableLogTypes", []))
        found["log_exports"] = sorted((set(instance.log_exports) | set(on)) - set(off))
    return {attribute: value for attribute, value in found.items() if value != getattr(instance, attribute)}


def _checked_monitoring(call: Call, instance: Instance) -> dict:
    if not {"MonitoringInterval", "MonitoringRoleArn"} & set(call.params):
        return {}
    interval = call.get("MonitoringInterval", instance.monitoring_interval)
    role = call.get("MonitoringRoleArn", instance.monitoring_role)
    checks.check_monitoring(interval, role)
    return {"monitoring_interval": interval, "monitoring_role": role}


def _checked_insights(call: Call, instance: Instance) -> dict:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Enabling.html; the key stays while it is on."""
    if not call.get("EnablePerformanceInsights", instance.insights):
        return {"insights": False, "insights_retention": None, "insights_key": None}
    days = checks.check_insights(call.get("PerformanceInsightsRetentionPeriod", instance.insights_retention or 7))
    asked = checks.insights_key(call) if "PerformanceInsightsKMSKeyId" in call.params or not instance.insights else None
    if instance.insights and asked not in (None, instance.insights_key):
        raise invalid_combination("You can't change the KMS key of Performance Insights while it is enabled.")
    return {"insights": True, "insights_retention": days, "insights_key": asked or instance.insights_key}


def _checked_password(call: Call, instance: Instance) -> str | None:
    """The master's next password. It is set at once, whatever ApplyImmediately says."""
    password = call.get("MasterUserPassword")
    if password is not None:
        if instance.secret is not None:
            raise invalid_combination(
                "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
            )
        checks.check_password(password)
        return password
    if call.get("ManageMasterUserPassword") and instance.secret is None:
        password = secrets.token_urlsafe(24)
        checks.manage_secret(call, instance, password)
        return password
    if call.get("RotateMasterUserPassword"):
        if instance.secret is None:
            raise invalid_combination("RotateMasterUserPassword needs an instance whose master password RDS manages.")
        if not call.get("ApplyImmediately"):
            # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html, on RotateMasterUserPassword
            raise invalid_combination("You must apply the change immediately when rotating the master user password.")
        password = secrets.token_urlsafe(24)
        call.secrets.put(instance.secret["SecretArn"], json.dumps({"username": instance.master, "password": password}))
        return password
    return None


def open_window(world: World, region: Region, name: str) -> list[str]:
    """The maintenance window comes: what waited is carried out. Only a test asks for this."""
    instance = instances.find(region, name)
    instances.check_available(instance, "its maintenance window can't be opened")
    applied = dict(instance.pending)
    instance.status = "modifying"
    instances.transition(world, region, instance, lambda: apply_pending(world, region, instance, applied), "available")
    return sorted(applied)
