"""The parameters of the family postgres15: names, types, values allowed, what RDS lets a customer change.

`data/postgres15.jsonl` is `pg_settings` of a real PostgreSQL 15 (a test holds it against the server). What RDS adds and withholds
is below, after
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FAMILY = "postgres15"
ENGINE = "postgres"
MAJOR = "15"

_FILE = Path(__file__).resolve().parents[1] / "data" / "postgres15.jsonl"

# RDS runs these itself: where files are, how the server is reached, what keeps data safe. Customers only see them.
_WITHHELD = frozenset({
    "allow_in_place_tablespaces", "allow_system_table_mods", "archive_cleanup_command", "archive_command", "archive_library",
    "archive_mode", "bonjour", "bonjour_name", "cluster_name", "config_file", "data_directory", "data_sync_retry",
    "db_user_namespace", "debug_discard_caches", "dynamic_library_path", "dynamic_shared_memory_type", "event_source",
    "exit_on_error", "external_pid_file", "fsync", "full_page_writes", "hba_file", "hot_standby", "huge_page_size",
    "ident_file", "ignore_checksum_failure", "ignore_invalid_pages", "ignore_system_indexes", "jit_provider",
    "krb_caseins_users", "krb_server_keyfile", "listen_addresses", "local_preload_libraries", "log_directory",
    "log_file_mode", "log_truncate_on_rotation", "logging_collector", "port", "primary_conninfo", "primary_slot_name",
    "promote_trigger_file", "recovery_end_command", "recovery_init_sync_method", "recovery_min_apply_delay",
    "recovery_target", "recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name",
    "recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "remove_temp_files_after_crash",
    "restore_command", "shared_memory_type", "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_crl_dir", "ssl_crl_file",
    "ssl_dh_params_file", "ssl_ecdh_curve", "ssl_key_file", "ssl_passphrase_command",
    "ssl_passphrase_command_supports_reload", "ssl_prefer_server_ciphers", "superuser_reserved_connections",
    "syslog_facility", "syslog_ident", "syslog_sequence_numbers", "syslog_split_messages", "trace_recovery_messages",
    "unix_socket_directories", "unix_socket_group", "unix_socket_permissions", "update_process_title",
    "wal_consistency_checking", "wal_level", "wal_log_hints", "wal_sync_method", "zero_damaged_pages",
})  # fmt: skip

# Defaults that RDS sets itself (Source `system`); formulas are evaluated over the instance class.
_SYSTEM = {
    "autovacuum_max_workers": "GREATEST({DBInstanceClassMemory/64371566592},3)",
    "effective_cache_size": "{DBInstanceClassMemory/16384}",
    "log_filename": "postgresql.log.%Y-%m-%d-%H",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "maintenance_work_mem": "GREATEST({DBInstanceClassMemory*1024/63963136},65536)",
    "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)",
    "max_parallel_workers": "GREATEST({DBInstanceVCPU/2},8)",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_worker_processes": "GREATEST({DBInstanceVCPU*2},8)",
    "shared_buffers": "{DBInstanceClassMemory/32768}",
    "shared_preload_libraries": "pg_stat_statements",
    "wal_sender_timeout": "30000",
}

# https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-extensions.html: what may be preloaded on 15.
PRELOADABLE = (
    "auto_explain", "orafce", "pg_bigm", "pg_cron", "pg_hint_plan", "pg_prewarm", "pg_similarity", "pg_stat_statements", "pg_tle",
    "pg_transport", "pgaudit", "pglogical", "plprofiler", "plrust",
)  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One parameter of the family."""

    name: str
    data_type: str
    apply_type: str
    modifiable: bool
    description: str
    allowed: str | None = None
    default: str | None = None
    # How postgresql.conf names it; RDS's own parameters have no such name.
    setting: str | None = None

    @property
    def is_static(self) -> bool:
        """Whether a value takes effect only when the server starts."""
        return self.apply_type == "static"


def _own(  # noqa: PLR0917 (a row of the table below)
    name: str, data_type: str, apply_type: str, allowed: str | None, default: str | None, description: str
) -> Parameter:
    return Parameter(name, data_type, apply_type, True, description, allowed, default)


# Not settings of PostgreSQL's: RDS makes something else of them.
_RDS = (
    _own(
        "rds.accepted_password_auth_method",
        "string",
        "dynamic",
        "md5+scram,scram",
        "md5+scram",
        "Password authentication accepted.",
    ),
    _own("rds.adaptive_autovacuum", "boolean", "dynamic", "0,1", "1", "Tunes autovacuum when transaction ids run short."),
    _own("rds.force_admin_logging_level", "string", "dynamic", None, None, "Log level for the actions of RDS's own superuser."),
    _own("rds.force_autovacuum_logging_level", "string", "dynamic", None, "WARNING", "Log level for autovacuum."),
    _own("rds.force_ssl", "boolean", "dynamic", "0,1", "1", "Refuses connections without TLS."),
    _own("rds.log_retention_period", "integer", "dynamic", "1440-10080", "4320", "Minutes for which logs are kept."),
    _own("rds.logical_replication", "boolean", "static", "0,1", "0", "Sets wal_level to logical."),
    _own("rds.rds_superuser_reserved_connections", "integer", "static", "0-8388607", "2", "Connections kept for rds_superuser."),
    _own("rds.restrict_password_commands", "boolean", "static", "0,1", "0", "Only members of rds_password may set passwords."),
)


@cache
def parameters() -> dict[str, Parameter]:
    """All parameters by their names, which RDS writes in lower case."""
    rows = [json.loads(line) for line in _FILE.read_text().splitlines()]
    found = [_of_server(row) for row in rows] + list(_RDS)
    return {parameter.name: parameter for parameter in sorted(found, key=lambda parameter: parameter.name)}


def _of_server(row: dict) -> Parameter:
    name = row["name"].lower()
    return Parameter(
        name=name,
        data_type={"bool": "boolean", "integer": "integer", "real": "float", "enum": "string", "string": "string"}[row["type"]],
        apply_type="static" if row["context"] == "postmaster" else "dynamic",
        modifiable=name not in _WITHHELD,
        description=row["desc"],
        allowed=_allowed(name, row),
        default=_SYSTEM.get(name),
        setting=row["name"],
    )


def _allowed(name: str, row: dict) -> str | None:
    if name == "shared_preload_libraries":
        return ",".join(PRELOADABLE)
    if row["type"] == "bool":
        return "0,1"
    if row["type"] == "enum":
        return ",".join(row["enum"])
    if row["type"] in ("integer", "real"):
        return f"{row['min']}-{row['max']}"
    return None
