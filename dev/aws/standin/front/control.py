"""The stand-in's own URLs, `/_stand-in/…`: what tests set and read. Nothing of AWS's is here."""

import json
import re
from typing import TYPE_CHECKING

from ..rds import modify
from ..wire.errors import AwsError
from . import policy
from .answer import Answer
from .faults import Fault

if TYPE_CHECKING:
    from .app import Application

PREFIX = "/_stand-in/"


class BadRequest(Exception):
    """The control request is wrong."""


def answer(application: "Application", environ: dict, path: str, body: bytes) -> Answer:
    """Finds what a control URL means."""
    method, name = environ["REQUEST_METHOD"], path.removeprefix(PREFIX)
    function = _URLS.get((method, name))
    try:
        if function is None:
            raise BadRequest(f"no {method} {name}; there are: " + ", ".join(f"{verb} {url}" for verb, url in _URLS))
        return _json(200, function(application, json.loads(body or b"{}"), environ.get("QUERY_STRING", "")))
    except (AwsError, BadRequest, policy.Unsupported, ValueError, KeyError, TypeError) as error:
        return _json(400, {"error": f"{type(error).__name__}: {error}"})


def _json(status: int, value) -> Answer:
    return Answer(status, json.dumps(value, default=str, indent=1).encode(), {"Content-Type": "application/json"})


def describe(application: "Application") -> dict:
    """What a client needs: accounts with their keys, and the CA bundle."""
    return {
        "accounts": [
            {
                "id": account.number,
                "access_key_id": account.administrator.access_key,
                "secret_access_key": account.administrator.secret_key,
                "principal": account.administrator.principal.arn,
            }
            for account in application.identities.accounts.values()
        ],
        "ca_bundle": str(application.world.bundle),
        "pace_seconds": application.world.pace,
    }


def _about(application: "Application", _: dict, __: str) -> dict:
    return describe(application)


def _add_fault(application: "Application", said: dict, _: str) -> dict:
    application.faults.add(Fault(**{"times": 1, "service": "rds", **said}))
    return {}


def _clear(application: "Application", _: dict, __: str) -> dict:
    application.faults.clear()
    application.world.failing_creations.clear()
    application.world.quotas.limits.clear()
    application.policies.clear()
    return {}


def _faults(application: "Application", _: dict, __: str) -> list:
    return [vars(fault) for fault in application.faults.list()]


def _fail_creations(application: "Application", said: dict, _: str) -> dict:
    application.world.failing_creations[said["account"]] = int(said.get("times", 1))
    return {}


def _quota(application: "Application", said: dict, _: str) -> dict:
    if said["name"] not in application.world.quotas.DEFAULTS:
        raise BadRequest(f"there is no quota {said['name']}: {', '.join(application.world.quotas.DEFAULTS)}")
    application.world.quotas.limits[said["account"], said["name"]] = int(said["limit"])
    return {}


def _policy(application: "Application", said: dict, _: str) -> dict:
    application.policies.give(said["principal"], said["policy"])
    return {}


def _expire(application: "Application", said: dict, _: str) -> dict:
    return {"ended": application.identities.expire(said["session"])}


def _calls(application: "Application", _: dict, query: str) -> list:
    since = re.search(r"(?:^|&)since=(\d+)", query)
    return application.log.since(int(since[1]) if since else 0)


def _instances(application: "Application", _: dict, __: str) -> list:
    """The clusters behind the instances: where they are, how often they were restarted, and what only RDS knows of a real one."""
    with application.world.lock:
        return [
            {
                "account": region.account,
                "region": region.name,
                "name": instance.name,
                "status": instance.status,
                "port": instance.cluster.port,
                "directory": str(instance.cluster.directory),
                "socket": str(instance.cluster.socket_directory),
                "replication_login": "changeover_repl",
                "replication_password": instance.replication_password,
                "reboots": [moment.isoformat() for moment in instance.rebooted],
            }
            for region in application.world.regions()
            for instance in region.instances.values()
        ]


def _pace(application: "Application", said: dict, _: str) -> dict:
    application.world.pace = float(said["seconds"])
    return {}


def _window(application: "Application", said: dict, _: str) -> dict:
    with application.world.lock:
        region = application.world.region(said["account"], said["region"])
        return {"applied": modify.open_window(application.world, region, said["instance"])}


_URLS = {
    ("GET", "about"): _about,
    ("GET", "calls"): _calls,
    ("GET", "instances"): _instances,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("POST", "failing-creations"): _fail_creations,
    ("POST", "quota"): _quota,
    ("POST", "policy"): _policy,
    ("POST", "expire-session"): _expire,
    ("POST", "pace"): _pace,
    ("POST", "maintenance-window"): _window,
    ("POST", "clear"): _clear,
}
