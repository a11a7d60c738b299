"""What makes a vanilla cluster look like Amazon RDS to its users: the same files as the Rust harness, dev/rds/*.sql."""

from pathlib import Path

from .postgres import Cluster

_FILES = Path(__file__).resolve().parents[3] / "rds"
# The files' master user; an instance may have another name for it.
_MASTER = "changeover"
REPLICATION = "changeover_repl"
# Statements that hold passwords stay out of the server's log.
_UNLOGGED = "set log_statement = 'none';\nset log_min_error_statement = 'panic';\n"


def apply(cluster: Cluster, master: str, password: str, replication_password: str) -> None:
    """Makes the roles, and opens in every database what RDS opens."""
    roles = (
        (_FILES / "roles.sql")
        .read_text()
        .replace(f"create role {_MASTER} login", f"create role {identifier(master)} login")
        .replace(f"rds_replication to {_MASTER};", f"rds_replication to {identifier(master)};")
        .replace(":changeover_password", literal(password))
        .replace(":replication_password", literal(replication_password))
    )
    database = (_FILES / "database.sql").read_text().replace(f" to {_MASTER};", f" to {identifier(master)};")
    cluster.psql(f"{_UNLOGGED}{roles}")
    cluster.psql("alter database template0 allow_connections true")
    for name in ("template0", "template1", "postgres"):
        cluster.psql(database, name)
    cluster.psql("alter database template0 allow_connections false")


def create_database(cluster: Cluster, name: str, owner: str) -> None:
    """The database that CreateDBInstance's DBName asks for."""
    cluster.psql(f"create database {identifier(name)} owner {identifier(owner)};")


def set_password(cluster: Cluster, role: str, password: str) -> None:
    """Another password for the master user."""
    cluster.psql(f"{_UNLOGGED}alter role {identifier(role)} password {literal(password)};")


def literal(text: str) -> str:
    """Text as an SQL literal."""
    quoted = text.replace("'", "''")
    return f"E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{quoted}'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    quoted = name.replace('"', '""')
    return f'"{quoted}"'
