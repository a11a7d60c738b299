"""Every call: who, what, with which parameters, and how it ended. Secrets are left out."""

import json
import re
import threading
from pathlib import Path

from ..rds.world import now

_SECRET = re.compile(
    r"password|secretstring|secretbinary|plaintext|ciphertext|secretaccesskey|sessiontoken|presignedurl|externalid", re.I
)
_HIDDEN = "****"


class CallLog:
    """The calls so far, in memory and as lines of JSON in a file."""

    def __init__(self, path: Path):
        """Begins a fresh file."""
        self._lock = threading.Lock()
        self._calls: list[dict] = []
        self._file = path.open("w", buffering=1)

    def add(self, parameters: dict, **facts) -> None:
        """One more call: its principal, account, region, service, action, status and code."""
        entry = {"at": now().isoformat(), **facts, "parameters": hide(facts["service"], facts["action"], parameters)}
        with self._lock:
            entry["number"] = len(self._calls)
            self._calls.append(entry)
            self._file.write(json.dumps(entry, default=str) + "\n")

    def since(self, number: int) -> list[dict]:
        """The calls from a number on."""
        with self._lock:
            return self._calls[number:]


def hide(service: str, action: str, parameters: dict) -> dict:
    """The parameters without what must not be read: secrets by their names, and a parameter's value in SSM."""
    value_is_secret = service == "ssm" and action.startswith("PutParameter")

    def hidden(name: str, value):
        last = name.rsplit(".", 1)[-1]
        if isinstance(value, dict):
            return {key: hidden(key, member) for key, member in value.items()}
        if isinstance(value, list):
            return [hidden(name, member) for member in value]
        return (
            _HIDDEN
            if (_SECRET.search(last) and value not in (True, False, "true", "false")) or (value_is_secret and last == "Value")
            else value
        )

    return {name: hidden(name, value) for name, value in parameters.items() if name not in ("Action", "Version")}
