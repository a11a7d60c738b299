"""One real PostgreSQL cluster: TLS only, RDS's roles, settings from a parameter group."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import programs
from .programs import ProgramFailed

SUPERUSER = "rdsadmin"
START_DEADLINE = 60.0

# The superuser comes in by the socket, whose directory only its owner may enter; everybody else by TCP and SCRAM.
HBA = f"""\
local     all         {SUPERUSER} trust
local     replication {SUPERUSER} trust
local     all         all         reject
host      all         {SUPERUSER} all reject
hostssl   all         all         127.0.0.1/32 scram-sha-256
"""
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html: rds.force_ssl is 1 from
# PostgreSQL 15 on.
HBA_PLAIN = "hostnossl all         all         127.0.0.1/32 scram-sha-256\n"


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A cluster's directory, port and server."""

    def __init__(self, directory: Path, port: int):
        """Nothing is made yet."""
        self.directory = directory
        self.port = port
        self._process: subprocess.Popen | None = None

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "log" / "postgresql.log"

    @property
    def socket_directory(self) -> Path:
        """Where the superuser's unix socket is."""
        return self.directory / "run"

    def lay_out(self) -> None:
        """Makes the directories around the data."""
        path = self.socket_directory / f".s.PGSQL.{self.port}"
        # sun_path holds 107 bytes.
        if len(os.fsencode(path)) > 107:
            raise ProgramFailed(f"{path} is too long for a unix socket: choose a shorter --state directory")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.socket_directory.mkdir(mode=0o700, exist_ok=True)

    def initialise(self) -> None:
        """A fresh data directory. Nobody pulls the plug of the machine in between, hence no sync."""
        programs.own(self.directory)
        programs.run(
            programs.command(
                "initdb",
                "-D",
                self.data,
                f"--username={SUPERUSER}",
                "--auth=trust",
                "--data-checksums",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            )
        )

    def fill_from(self, data: Path) -> None:
        """The data of a snapshot instead of a fresh directory."""
        shutil.copytree(data, self.data, symlinks=True)
        programs.own(self.directory)

    def configure(self, settings: dict[str, str], plain_allowed: bool) -> None:
        """Replaces what the server reads at start and reload."""
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        (self.data / "postgresql.conf").write_text("\n".join([*self._own_settings(), *lines]) + "\n")
        (self.data / "postgresql.auto.conf").write_text("")
        (self.data / "pg_hba.conf").write_text(HBA + (HBA_PLAIN if plain_allowed else ""))
        programs.own(self.data)

    def _own_settings(self) -> list[str]:
        return [
            f"port = {self.port}",
            "listen_addresses = '127.0.0.1'",
            f"unix_socket_directories = '{self.socket_directory}'",
            "unix_socket_permissions = 0700",
            "ssl = on",
            f"ssl_cert_file = '{self.directory}/server.crt'",
            f"ssl_key_file = '{self.directory}/server.key'",
        ]

    def start(self) -> None:
        """Starts the server and returns when it accepts connections."""
        if self.is_running():
            return
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._process = programs.spawn(programs.command("postgres", "-D", self.data), self.log)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_DEADLINE
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                raise ProgramFailed(f"the server ended while it started; the end of its log: {self.tail()}")
            if _says_ready(self.data / "postmaster.pid", self._process.pid):
                return
            time.sleep(0.02)
        self.stop(signal.SIGQUIT)
        raise ProgramFailed(f"the server wasn't ready within {START_DEADLINE:.0f} s; the end of its log: {self.tail()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT cuts connections and writes a checkpoint, SIGQUIT is as a crash."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
        self._process = None

    def reload(self) -> None:
        """Lets the server read its settings again."""
        if self.is_running():
            self._process.send_signal(signal.SIGHUP)

    def is_running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def _as_superuser(self) -> list:
        """How PostgreSQL's programs reach the server: as the superuser over the unix socket."""
        return ["-U", SUPERUSER, "-h", self.socket_directory, "-p", str(self.port)]

    def psql(self, script: str, database: str = "postgres") -> str:
        """Runs a script as the superuser over the unix socket; the first error ends it."""
        return programs.run(
            programs.command(
                "psql",
                "-XqAt",
                "-v",
                "ON_ERROR_STOP=1",
                *self._as_superuser(),
                "-f",
                "-",
                database,
            ),
            script,
        )

    def back_up(self, to: Path) -> None:
        """A consistent copy of the data: by a base backup while the server runs, else of its files."""
        if self.is_running():
            programs.run(
                programs.command(
                    "pg_basebackup",
                    "-D",
                    to,
                    "-X",
                    "stream",
                    "-c",
                    "fast",
                    "--no-sync",
                    "--no-manifest",
                    *self._as_superuser(),
                ),
                seconds=1800,
            )
        else:
            shutil.copytree(self.data, to, symlinks=True)

    def remove(self) -> None:
        """Stops the server and deletes everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, lines: int = 8) -> str:
        """The last lines of the log, for an error's message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:])


def _says_ready(pid_file: Path, pid: int) -> bool:
    """The eighth line of postmaster.pid is the server's state; `pg_ctl -w` looks there too."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
