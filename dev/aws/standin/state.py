"""The directory that one stand-in works in."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

from .cluster import programs
from .cluster.programs import ProgramFailed

_MARK = "stand-in.lock"
_OURS = ("i", "s", "calls.jsonl", "rds-ca-bundle.pem", _MARK)
# sun_path holds 107 bytes; the rest is /i/01234567/run/.s.PGSQL.65535
_LONGEST = 107 - 34
_locks = []


def claim(directory: Path) -> Path:
    """Makes the directory ours: nobody else uses it, and nothing of an earlier run is in it, its servers included.

    AWS's state is in memory, so that a cluster of an earlier run belongs to no instance any more.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(directory)) > _LONGEST:
        raise ProgramFailed(f"{directory} is too long for the servers' unix sockets: choose a shorter --state")
    strange = [entry.name for entry in directory.iterdir() if entry.name not in _OURS]
    if any(directory.iterdir()) and not (directory / _MARK).exists():
        raise ProgramFailed(
            f"{directory} isn't empty and isn't a stand-in's (it has {', '.join(strange[:3])}): choose another --state"
        )
    lock = (directory / _MARK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ProgramFailed(f"{directory} is another running stand-in's: choose another --state, or stop that one") from None
    _locks.append(lock)
    if not programs.can_reach(directory):
        raise ProgramFailed(
            f"the user {programs.SERVER_USER} can't reach {directory}: choose a --state whose parents are open to it"
        )
    for data in (directory / "i").glob("*/data"):
        end_server(data)
    for name in ("i", "s"):
        shutil.rmtree(directory / name, ignore_errors=True)
        (directory / name).mkdir(mode=0o755)
    return directory


def end_server(data: Path) -> None:
    """Ends a server that an earlier run left, if one still works in this directory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        process = int((data / "postmaster.pid").read_text().splitlines()[0])
        until = time.monotonic() + 20
        while time.monotonic() < until and Path(f"/proc/{process}/cwd").readlink() == data:
            os.kill(process, signal.SIGQUIT)
            time.sleep(0.1)
