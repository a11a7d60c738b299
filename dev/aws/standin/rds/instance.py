"""One DB instance: what AWS says of it, and the real cluster behind it."""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..cluster.authority import IDENTIFIER
from ..cluster.postgres import Cluster
from . import names, settings
from .catalogue import ENGINE
from .world import now

if TYPE_CHECKING:
    from .parameters import ParameterGroup
    from .world import Region


@dataclass
class Instance:
    """What CreateDBInstance asked for, what was modified since, and the cluster."""

    name: str
    arn: str
    resource_id: str
    cluster: Cluster
    instance_class: str
    engine_version: str
    storage: int
    master: str
    parameter_group: str
    option_group: str
    availability_zone: str
    created: datetime
    db_name: str | None = None
    status: str = "creating"
    storage_type: str = "gp2"
    iops: int | None = None
    throughput: int | None = None
    max_storage: int | None = None
    multi_az: bool = False
    publicly_accessible: bool = False
    kms_key: str | None = None
    security_groups: list[str] = field(default_factory=list)
    subnet_group: str | None = None
    retention: int = 1
    backup_window: str = "03:00-03:30"
    maintenance_window: str = "sun:04:00-sun:04:30"
    copy_tags: bool = False
    deletion_protection: bool = False
    monitoring_interval: int = 0
    monitoring_role: str | None = None
    insights: bool = False
    insights_retention: int | None = None
    insights_key: str | None = None
    lifecycle: str = "open-source-rds-extended-support"
    certificate: str = IDENTIFIER
    log_volume: bool = False
    iam_authentication: bool = False
    minor_upgrades: bool = True
    log_exports: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    secret: dict | None = None
    pending: dict = field(default_factory=dict)
    certificate_until: datetime | None = None
    replication_password: str | None = None
    # What the running server started with, and what reloads have added to it.
    applied: dict[str, str] = field(default_factory=dict)
    applied_group: str | None = None
    applying_until: float = 0.0
    # Reloads that are on their way.
    reloads: int = 0
    rebooted: list[datetime] = field(default_factory=list)
    # Held by the one who does something to the cluster.
    work: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, status: str) -> None:
        """The next status, unless the instance is on its way out."""
        if self.status != "deleting":
            self.status = status

    def boot(self, group: "ParameterGroup") -> None:
        """Starts the server with the group's values, as creation, reboot and start do."""
        values = group.plain()
        wanted = settings.of_server(values, self.instance_class, self.storage)
        self.cluster.configure(wanted, settings.plain_allowed(values))
        self.cluster.start()
        self.applied, self.applied_group = dict(values), group.name

    def take_immediate(self, changes: dict[str, str | None]) -> None:
        """Dynamic parameters, at once, by a reload.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Modifying.html; a group that was
        attached since the server started gives nothing before the next start.
        """
        if self.applied_group != self.parameter_group or not self.cluster.is_running():
            return
        for name, value in changes.items():
            if value is None:
                self.applied.pop(name, None)
            else:
                self.applied[name] = value
        wanted = settings.of_server(self.applied, self.instance_class, self.storage)
        self.cluster.configure(wanted, settings.plain_allowed(self.applied))
        self.cluster.reload()

    def apply_status(self, region: "Region") -> str:
        """The word in ParameterApplyStatus.

        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBParameterGroupStatus.html
        """
        if self.applied_group is None:
            return "in-sync"
        if self.reloads or time.monotonic() < self.applying_until:
            return "applying"
        if self.applied_group != self.parameter_group or self.applied != region.parameter_groups[self.parameter_group].plain():
            return "pending-reboot"
        return "in-sync"

    def describe(self, region: "Region") -> dict:
        """As DescribeDBInstances says it."""
        has_endpoint = self.applied_group is not None
        return {
            "DBInstanceIdentifier": self.name,
            "DBInstanceClass": self.instance_class,
            "Engine": ENGINE,
            "DBInstanceStatus": self.status,
            "MasterUsername": self.master,
            "DBName": self.db_name,
            "Endpoint": self._endpoint() if has_endpoint else None,
            "AllocatedStorage": self.storage,
            "MaxAllocatedStorage": self.max_storage,
            "InstanceCreateTime": self.created if has_endpoint else None,
            "PreferredBackupWindow": self.backup_window,
            "BackupRetentionPeriod": self.retention,
            "DBSecurityGroups": [],
            "VpcSecurityGroups": [{"VpcSecurityGroupId": group, "Status": "active"} for group in self.security_groups],
            "DBParameterGroups": [
                {"DBParameterGroupName": self.parameter_group, "ParameterApplyStatus": self.apply_status(region)}
            ],
            "AvailabilityZone": self.availability_zone,
            "DBSubnetGroup": region.subnet_groups[self.subnet_group].describe() if self.subnet_group else None,
            "PreferredMaintenanceWindow": self.maintenance_window,
            "PendingModifiedValues": self._pending(),
            "LatestRestorableTime": self._restorable(),
            "MultiAZ": self.multi_az,
            "EngineVersion": self.engine_version,
            "AutoMinorVersionUpgrade": self.minor_upgrades,
            "ReadReplicaDBInstanceIdentifiers": [],
            "LicenseModel": "postgresql-license",
            "Iops": self.iops,
            "StorageThroughput": self.throughput,
            "OptionGroupMemberships": [{"OptionGroupName": self.option_group, "Status": "in-sync"}],
            "SecondaryAvailabilityZone": f"{region.name}b" if self.multi_az else None,
            "PubliclyAccessible": self.publicly_accessible,
            "StorageType": self.storage_type,
            "DbInstancePort": 0,
            "StorageEncrypted": self.kms_key is not None,
            "KmsKeyId": self.kms_key,
            "DbiResourceId": self.resource_id,
            "CACertificateIdentifier": self.certificate,
            "CertificateDetails": {"CAIdentifier": self.certificate, "ValidTill": self.certificate_until},
            "DomainMemberships": [],
            "CopyTagsToSnapshot": self.copy_tags,
            "MonitoringInterval": self.monitoring_interval,
            "MonitoringRoleArn": self.monitoring_role,
            "DBInstanceArn": self.arn,
            "IAMDatabaseAuthenticationEnabled": self.iam_authentication,
            "PerformanceInsightsEnabled": self.insights,
            "PerformanceInsightsKMSKeyId": self.insights_key,
            "PerformanceInsightsRetentionPeriod": self.insights_retention,
            "EnabledCloudwatchLogsExports": list(self.log_exports),
            "DeletionProtection": self.deletion_protection,
            "AssociatedRoles": [],
            "TagList": names.tag_list(self.tags),
            "CustomerOwnedIpEnabled": False,
            "NetworkType": "IPV4",
            "BackupTarget": "region",
            "MasterUserSecret": self.secret,
            "ActivityStreamStatus": "stopped",
            "DedicatedLogVolume": self.log_volume,
            "EngineLifecycleSupport": self.lifecycle,
        }

    def _endpoint(self) -> dict:
        # A real endpoint is a name of Amazon's DNS; this one is where the cluster really listens.
        return {"Address": "127.0.0.1", "Port": self.cluster.port, "HostedZoneId": "Z2R2ITUGPM61AM"}

    def _pending(self) -> dict:
        shown = dict(self.pending)
        if "MasterUserPassword" in shown:
            shown["MasterUserPassword"] = "****"
        return shown

    def _restorable(self) -> datetime | None:
        if not self.retention or self.applied_group is None:
            return None
        return max(self.created, now() - timedelta(minutes=5))
