"""Starting PostgreSQL's programs: under a user of their own where we are root, and never longer alive than we are."""

import os
import pwd
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BIN = Path("/usr/lib/postgresql/15/bin")
SERVER_USER = "postgres"

# A child is told that its parent died when the *thread* that made it ends: one thread, which lives as long as we do, makes them.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class ProgramFailed(Exception):
    """A program of PostgreSQL's ended with an error."""


def check() -> None:
    """Says what is missing before anything is started."""
    if not (BIN / "postgres").exists():
        raise ProgramFailed(f"PostgreSQL 15 isn't in {BIN}: run dev/setup.sh")
    if shutil.which("setpriv") is None:
        raise ProgramFailed("setpriv isn't on PATH: install util-linux")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(SERVER_USER)
        except KeyError:
            raise ProgramFailed(
                f"the user {SERVER_USER} doesn't exist, and PostgreSQL refuses to run as root: run dev/setup.sh"
            ) from None


def command(program: str, *arguments: str | Path) -> list[str]:
    """How a program is called: it dies with us, and gives root's rights away first. setpriv does both without another process."""
    return [*_as_server_user(), str(BIN / program), *map(str, arguments)]


def _as_server_user() -> list[str]:
    words = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        words += ["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"]
    return words


def can_reach(directory: Path) -> bool:
    """Whether the servers' user may enter a directory."""
    return subprocess.run([*_as_server_user(), "test", "-x", str(directory)], check=False).returncode == 0


def own(path: Path) -> None:
    """Gives a file or a whole directory to the servers' user."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{SERVER_USER}:{SERVER_USER}", str(path)], check=True)


def spawn(words: list[str], log: Path) -> subprocess.Popen:
    """Starts a program that stays, in a session of its own; what it says goes to the log."""

    def start() -> subprocess.Popen:
        with log.open("ab") as output:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/", env=_environment()
            )

    return _starter.submit(start).result()


def run(words: list[str], text: str | None = None, seconds: float = 120) -> str:
    """Runs a program to its end and returns what it printed."""

    def start() -> subprocess.CompletedProcess:
        return subprocess.run(
            words, input=text or "", capture_output=True, text=True, timeout=seconds, cwd="/", env=_environment(), check=False
        )

    done = start()
    if done.returncode != 0:
        raise ProgramFailed(f"{_program(words)} failed ({done.returncode}): {done.stderr.strip()[-1000:]}")
    return done.stdout


def _program(words: list[str]) -> str:
    return next((Path(word).name for word in words if word.startswith("/")), words[0])


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LC_ALL": "C.UTF-8",
        "PGAPPNAME": "stand-in",
        "PGCONNECT_TIMEOUT": "10",
    }
