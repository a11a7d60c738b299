"""What RDS offers: engine versions, classes that can be ordered, certificates, quotas.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBEngineVersions.html
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeOrderableDBInstanceOptions.html
"""

from ..cluster.authority import IDENTIFIER
from ..wire.errors import invalid_value
from . import names
from .catalogue import ENGINE, FAMILY, MAJOR
from .checks import STORAGE, local_version
from .classes import CLASSES
from .service import Call, action


@action("DescribeDBEngineVersions")
def engine_versions(call: Call) -> dict:
    """The one version that is installed here."""
    names.filters(call, {"db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"})
    wanted = call.get("Engine", ENGINE) == ENGINE and call.get("EngineVersion", MAJOR) in (MAJOR, local_version())
    wanted = wanted and call.get("DBParameterGroupFamily", FAMILY) == FAMILY
    version = {
        "Engine": ENGINE,
        "MajorEngineVersion": MAJOR,
        "EngineVersion": local_version(),
        "DBParameterGroupFamily": FAMILY,
        "DBEngineDescription": "PostgreSQL",
        "DBEngineVersionDescription": f"PostgreSQL {local_version()}-R1",
        "ValidUpgradeTarget": [],
        "ExportableLogTypes": ["iam-db-auth-error", "postgresql", "upgrade"],
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": True,
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": False,
        "SupportsBabelfish": False,
        "SupportsCertificateRotationWithoutRestart": True,
        "SupportedCACertificateIdentifiers": [IDENTIFIER],
        "TagList": [],
    }
    found, marker = names.page([version] if wanted else [], call)
    return {"DBEngineVersions": found, "Marker": marker}


@action("DescribeOrderableDBInstanceOptions")
def orderable(call: Call) -> dict:
    """Classes by storage types."""
    names.filters(call, set())
    if call["Engine"] != ENGINE:
        raise invalid_value(f"Invalid DB engine: {call['Engine']}")
    wanted = call.get("EngineVersion", MAJOR) in (MAJOR, local_version())
    chosen = [name for name in sorted(CLASSES) if call.get("DBInstanceClass", name) == name] if wanted else []
    rows = [_order(call.region.name, name, storage) for name in chosen for storage in STORAGE]
    found, marker = names.page(rows, call)
    return {"OrderableDBInstanceOptions": found, "Marker": marker}


def _order(region: str, name: str, storage: str) -> dict:
    least, most = STORAGE[storage]
    return {
        "Engine": ENGINE,
        "EngineVersion": local_version(),
        "DBInstanceClass": name,
        "LicenseModel": "postgresql-license",
        "AvailabilityZones": [{"Name": f"{region}{letter}"} for letter in "abc"],
        "MultiAZCapable": True,
        "ReadReplicaCapable": True,
        "Vpc": True,
        "SupportsStorageEncryption": True,
        "StorageType": storage,
        "SupportsIops": storage in ("io1", "io2", "gp3"),
        "SupportsEnhancedMonitoring": True,
        "SupportsIAMDatabaseAuthentication": True,
        "SupportsPerformanceInsights": True,
        "MinStorageSize": least,
        "MaxStorageSize": most,
        "SupportedEngineModes": ["provisioned"],
        "SupportsStorageAutoscaling": True,
        "SupportsKerberosAuthentication": False,
        "OutpostCapable": False,
        "SupportedNetworkTypes": ["IPV4"],
        "SupportsClusters": False,
    }


@action("DescribeCertificates")
def certificates(call: Call) -> dict:
    """The authority that signs instances' certificates: the stand-in's own."""
    names.filters(call, set())
    certificate = call.world.authority.certificate
    row = {
        "CertificateIdentifier": IDENTIFIER,
        "CertificateType": "CA",
        "Thumbprint": call.world.authority.thumbprint(),
        "ValidFrom": certificate.not_valid_before_utc,
        "ValidTill": certificate.not_valid_after_utc,
        "CertificateArn": f"arn:aws:rds:{call.region.name}::cert:{IDENTIFIER}",
        "CustomerOverride": False,
    }
    return {"Certificates": [row], "DefaultCertificateForNewLaunches": IDENTIFIER}


@action("DescribeAccountAttributes")
def account_attributes(call: Call) -> dict:
    """Quotas and how much of them is used. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_AccountQuota.html."""
    region, quotas = call.region, call.world.quotas
    used = {
        "DBInstances": (len(region.instances), "instances"),
        "ManualSnapshots": (len([kept for kept in region.snapshots.values() if kept.kind == "manual"]), "manual-snapshots"),
        "DBParameterGroups": (len(region.parameter_groups), "parameter-groups"),
        "OptionGroups": (len(region.option_groups), "option-groups"),
        "DBSubnetGroups": (len(region.subnet_groups), "subnet-groups"),
        "AllocatedStorage": (sum(instance.storage for instance in region.instances.values()), "storage"),
    }
    rows = [
        {"AccountQuotaName": name, "Used": count, "Max": quotas.of(region.account, quota)}
        for name, (count, quota) in used.items()
    ]
    return {"AccountQuotas": rows}
