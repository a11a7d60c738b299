"""From a parameter group's values to lines of postgresql.conf."""

from pathlib import Path

from ..cluster import programs
from . import formula
from .catalogue import parameters
from .classes import CLASSES

_LIBRARIES = programs.BIN.parent / "lib"
# A class's real memory would be taken from this machine: these values are cut to what a local server needs.
_AT_MOST = {"shared_buffers": 8192, "effective_cache_size": 65536, "maintenance_work_mem": 65536, "max_connections": 300}
# What is not a parameter of the group's here.
_LOCAL = {"huge_pages": "off", "log_timezone": "UTC"}
# The server of a later minor version lets only listed libraries decode; RDS's value isn't known.
_DECODERS = ("output_plugin_libraries", "pgoutput, test_decoding, pglogical_output")


def of_server(values: dict[str, str], instance_class: str, storage: int) -> dict[str, str]:
    """The settings of a server whose group has these values set by its user."""
    settings = dict(_LOCAL)
    for parameter in parameters().values():
        value = values.get(parameter.name, parameter.default)
        if value is not None and parameter.setting is not None and parameter.modifiable:
            settings[parameter.setting] = _evaluated(parameter.name, value, instance_class, storage)
    settings["shared_preload_libraries"] = _installed(settings["shared_preload_libraries"])
    settings["wal_level"] = "logical" if value_of("rds.logical_replication", values) == "1" else "replica"
    # The log is one file here; its names are RDS's only in the API.
    settings.pop("log_filename", None)
    if _server_knows(_DECODERS[0]):
        settings[_DECODERS[0]] = _DECODERS[1]
    return settings


def value_of(name: str, values: dict[str, str]) -> str | None:
    """A parameter's value in force: the user's, or the default."""
    return values.get(name, parameters()[name].default)


def plain_allowed(values: dict[str, str]) -> bool:
    """Whether connections without TLS are let in."""
    return value_of("rds.force_ssl", values) == "0"


def _evaluated(name: str, value: str, instance_class: str, storage: int) -> str:
    if formula.is_formula(value):
        processors, memory = CLASSES[instance_class]
        names = {
            "DBInstanceClassMemory": memory, "DBInstanceVCPU": processors, "AllocatedStorage": storage * 1024**3,
            "EndPointPort": 5432, "DBInstanceClassHugePagesDefault": 0,
        }  # fmt: skip
        value = str(formula.evaluate(value, names))
    if name in _AT_MOST:
        value = str(min(int(value), _AT_MOST[name]))
    return value


def _installed(libraries: str) -> str:
    """Without those that this machine doesn't have: with one of them the server would not start."""
    names = [name.strip() for name in libraries.split(",") if name.strip()]
    return ",".join(name for name in names if Path(_LIBRARIES, f"{name}.so").exists())


def _server_knows(setting: str, known: dict[str, bool] = {}) -> bool:  # noqa: B006 (a memory over calls)
    """Asking the binary's text needs no running server."""
    if setting not in known:
        known[setting] = setting.encode() in (programs.BIN / "postgres").read_bytes()
    return known[setting]
