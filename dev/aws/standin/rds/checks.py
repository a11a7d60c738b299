"""What must hold before an instance is created or restored.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
"""

import json
import re
from functools import cache

from ..cluster import programs
from ..cluster.authority import IDENTIFIER
from ..wire.errors import AwsError, Fault, invalid_combination, invalid_value
from . import options, subnets
from .catalogue import ENGINE, MAJOR
from .classes import CLASSES
from .service import Call

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html: smallest and largest GiB, by storage type.
# From which size on, GiB, a gp3's IOPS and throughput can be ordered with PostgreSQL.
GP3_ORDERED_FROM = 400
STORAGE = {"gp2": (20, 65536), "gp3": (20, 65536), "io1": (100, 65536), "io2": (100, 65536), "standard": (5, 3072)}
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html: by name; what they sign is the stand-in's own.
AUTHORITIES = {IDENTIFIER, "rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"}
_LOG_TYPES = {"postgresql", "upgrade", "iam-db-auth-error"}
_WINDOW = re.compile(r"\d\d:\d\d-\d\d:\d\d")
_WEEKLY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun):\d\d:\d\d-(mon|tue|wed|thu|fri|sat|sun):\d\d:\d\d", re.IGNORECASE)
RETENTION = range(36)


@cache
def local_version() -> str:
    """The real server's version, `15.18` for instance: the only one there is here."""
    return programs.run([str(programs.BIN / "postgres"), "--version"]).split()[2]


def version(asked: str | None) -> str:
    """The version that an instance gets."""
    if asked in (None, MAJOR, local_version()):
        return local_version()
    raise invalid_combination(f"Cannot find version {asked} for {ENGINE}")


def creation(call: Call) -> None:
    """What CreateDBInstance needs beyond the model's required members."""
    if call["Engine"] != ENGINE:
        raise invalid_value(f"Invalid DB engine: {call['Engine']} (the stand-in has {ENGINE} alone)")
    if "AllocatedStorage" not in call.params:
        raise AwsError("MissingParameter", "The request must contain the parameter AllocatedStorage.")
    _master(call)
    if call.get("KmsKeyId") and not call.get("StorageEncrypted"):
        raise invalid_combination("KmsKeyId can only be specified when StorageEncrypted is true.")


def _master(call: Call) -> None:
    name, password = call.get("MasterUsername"), call.get("MasterUserPassword")
    if not name:
        raise AwsError("MissingParameter", "The request must contain the parameter MasterUsername.")
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,62}", name):
        raise invalid_value("The parameter MasterUsername must begin with a letter and contain only alphanumeric characters.")
    if name.lower() in ("rdsadmin", "rdsrepladmin", "rds_superuser", "postgres_rds", "admin"):
        raise invalid_value(f"MasterUsername {name} cannot be used as it is a reserved word used by the engine")
    if call.get("ManageMasterUserPassword"):
        if password:
            raise invalid_combination(
                "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
            )
    elif not password:
        raise AwsError("MissingParameter", "The request must contain the parameter MasterUserPassword.")
    else:
        check_password(password)
    database = call.get("DBName")
    if database is not None and not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}", database):
        raise invalid_value("DBName must begin with a letter and contain only alphanumeric characters.")


def check_password(password: str) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html, MasterUserPassword."""
    if not 8 <= len(password) <= 128:
        raise invalid_value(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 or longer than 128."
        )
    if any(character in '/"@ ' or not character.isprintable() or not character.isascii() for character in password):
        text = "The parameter MasterUserPassword is not a valid password."
        raise invalid_value(f"{text} Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")


def key(call: Call) -> str:
    """The ARN of the key that an encrypted instance gets: the one asked for, or the account's default."""
    return call.keys.for_use(call.get("KmsKeyId") or "alias/aws/rds", "KMS key").arn


def option_group(call: Call) -> str:
    """The option group's name; it must exist."""
    return options.find(call.region, call.get("OptionGroupName", options.DEFAULT)).name


def fill(call: Call, instance) -> None:
    """Checks and takes over everything that creation and restore have in common."""
    check_class(instance.instance_class)
    _storage(call, instance)
    _network(call, instance)
    instance.multi_az = call.get("MultiAZ", False)
    if instance.multi_az and call.get("AvailabilityZone"):
        # The same page, on AvailabilityZone.
        raise invalid_combination("Requesting a specific availability zone is not valid for Multi-AZ instances.")
    instance.retention = check_retention(call.get("BackupRetentionPeriod", 1))
    instance.backup_window = check_window(call.get("PreferredBackupWindow", instance.backup_window))
    instance.maintenance_window = check_weekly(call.get("PreferredMaintenanceWindow", instance.maintenance_window))
    instance.minor_upgrades = call.get("AutoMinorVersionUpgrade", True)
    instance.copy_tags = call.get("CopyTagsToSnapshot", False)
    instance.deletion_protection = call.get("DeletionProtection", False)
    instance.iam_authentication = call.get("EnableIAMDatabaseAuthentication", False)
    instance.log_exports = check_logs(call.get("EnableCloudwatchLogsExports", []))
    check_monitoring(call.get("MonitoringInterval", 0), call.get("MonitoringRoleArn"))
    instance.monitoring_interval, instance.monitoring_role = call.get("MonitoringInterval", 0), call.get("MonitoringRoleArn")
    instance.insights = call.get("EnablePerformanceInsights", False)
    if instance.insights:
        instance.insights_retention = check_insights(call.get("PerformanceInsightsRetentionPeriod", 7))
        instance.insights_key = insights_key(call)
    instance.lifecycle = check_lifecycle(call.get("EngineLifecycleSupport", instance.lifecycle))
    instance.certificate = check_certificate(call.get("CACertificateIdentifier", instance.certificate))
    instance.log_volume = call.get("DedicatedLogVolume", False)
    if instance.log_volume and instance.storage_type not in ("io1", "io2"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#CHAP_Storage.dlv
        raise invalid_combination("A dedicated log volume needs Provisioned IOPS storage.")


def insights_key(call: Call) -> str:
    """The key of Performance Insights: the one asked for, or the account's default."""
    return call.keys.for_use(call.get("PerformanceInsightsKMSKeyId") or "alias/aws/rds", "KMS key").arn


def check_insights(days: int) -> int:
    """Days that Performance Insights keeps. The same page, on PerformanceInsightsRetentionPeriod."""
    if days not in (7, 731) and (days % 31 or not 1 <= days // 31 <= 23):
        raise invalid_value(f"Invalid Performance Insights retention period: {days}")
    return days


def check_lifecycle(word: str) -> str:
    """What becomes of the instance at the end of its version's support. The same page, on EngineLifecycleSupport."""
    if word not in ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled"):
        raise invalid_value(f"Invalid engine lifecycle support: {word}")
    return word


def check_certificate(name: str) -> str:
    """An authority that is there."""
    if name not in AUTHORITIES:
        raise Fault("CertificateNotFoundFault", f"The certificate authority {name} was not found.")
    return name


def check_class(name: str) -> None:
    """The instance classes that the stand-in knows."""
    if name not in CLASSES:
        raise invalid_value(f"Invalid DB Instance class: {name}")


def _storage(call: Call, instance) -> None:
    instance.storage_type = call.get("StorageType", "io1" if call.get("Iops") else "gp2")
    check_storage(instance.storage_type, instance.storage)
    instance.iops, instance.throughput = call.get("Iops"), call.get("StorageThroughput")
    if instance.storage_type in ("io1", "io2") and not instance.iops:
        raise invalid_combination("You must specify an iops value when you choose provisioned IOPS storage.")
    if instance.storage_type == "gp3" and instance.storage < GP3_ORDERED_FROM and (instance.iops or instance.throughput):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage: below it they are 3000 and 125.
        raise invalid_combination(
            "You can't specify IOPS or storage throughput for engine postgres and a storage size less than 400."
        )
    if instance.storage_type == "gp3":
        instance.iops, instance.throughput = instance.iops or 3000, instance.throughput or 125
    instance.max_storage = call.get("MaxAllocatedStorage")
    if instance.max_storage is not None and instance.max_storage < instance.storage:
        raise invalid_combination("Max storage size must be greater than storage size")
    used = sum(other.storage for other in call.region.instances.values())
    if used + instance.storage > call.world.quotas.of(call.region.account, "storage"):
        raise Fault("StorageQuotaExceededFault", "You have exceeded the quota of allocated storage for this account.")


def check_storage(storage_type: str, size: int) -> None:
    """Whether RDS has storage of this type and size."""
    if storage_type not in STORAGE:
        raise invalid_value(f"Invalid storage type: {storage_type}")
    least, most = STORAGE[storage_type]
    if not least <= size <= most:
        raise invalid_value(f"Invalid storage size for engine name {ENGINE} and storage type {storage_type}: {size}")


def _network(call: Call, instance) -> None:
    if call.get("DBSecurityGroups"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.RDSSecurityGroups.html: of the retired EC2-Classic.
        raise invalid_combination("DB security groups can be used with EC2-Classic only.")
    instance.subnet_group = subnets.for_instance(call)
    instance.security_groups = call.network.security_groups(
        call.get("VpcSecurityGroupIds"), subnets.vpc_of(call.region, instance.subnet_group)
    )
    instance.publicly_accessible = call.get("PubliclyAccessible", False)
    port = call.get("Port")
    if port is not None and not 1150 <= port <= 65535:
        raise invalid_value(f"Invalid port {port}: valid are 1150-65535")


def check_retention(days: int) -> int:
    """Days for which automated backups are kept."""
    if days not in RETENTION:
        raise invalid_value(f"Invalid backup retention period: {days}. Must be a value from 0 to 35.")
    return days


def check_window(window: str) -> str:
    """A daily window."""
    if not _WINDOW.fullmatch(window):
        raise invalid_value(f"Invalid backup window: {window}. The format is hh24:mi-hh24:mi.")
    return window


def check_weekly(window: str) -> str:
    """A weekly window."""
    if not _WEEKLY.fullmatch(window):
        raise invalid_value(f"Invalid maintenance window: {window}. The format is ddd:hh24:mi-ddd:hh24:mi.")
    return window.lower()


def check_logs(types: list[str]) -> list[str]:
    """Logs that may be exported."""
    for name in types:
        if name not in _LOG_TYPES:
            raise invalid_combination(f"You cannot use the log types '{name}' with engine version {ENGINE} {local_version()}.")
    return list(types)


def check_monitoring(interval: int, role: str | None) -> None:
    """Enhanced monitoring needs a role. The same page, on MonitoringInterval and MonitoringRoleArn."""
    if interval not in (0, 1, 5, 10, 15, 30, 60):
        raise invalid_value(f"Invalid monitoring interval: {interval}. Valid are 0, 1, 5, 10, 15, 30, 60.")
    if interval and not role:
        raise invalid_combination("A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.")


def manage_secret(call: Call, instance, password: str) -> None:
    """The master password's secret, where RDS shall manage it.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
    """
    if not call.get("ManageMasterUserPassword"):
        return
    key_ref = call.get("MasterUserSecretKmsKeyId")
    key_arn = call.keys.for_use(key_ref, "KMS key").arn if key_ref else call.keys.default("secretsmanager").arn
    text = json.dumps({"username": instance.master, "password": password})
    arn = call.secrets.create(f"rds!{instance.resource_id.lower()}", text, key_arn)
    instance.secret = {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": key_arn}
