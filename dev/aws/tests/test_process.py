"""The process itself: how it starts, and that nothing of it stays."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import HERE, StandIn, create, psql, wait_for, wait_until


def servers(directory: Path) -> list[int]:
    """Processes that work in a directory below this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def start(state: Path) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "standin", "--port", "0", "--state", str(state)]
    return subprocess.run(words, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)


def test_sigterm_ends_every_server_also_in_the_midst_of_a_creation():
    running = StandIn()
    rds = running.client("rds")
    create(rds, "whole")
    wait_for(rds, "whole")
    create(rds, "half")
    assert servers(running.directory)
    assert Path(f"/proc/{running.process.pid}/comm").read_text() == "standin\n"
    again = start(running.directory / "state")
    assert (again.returncode, again.stdout) == (1, "")
    assert "another running stand-in's: choose another --state" in again.stderr
    assert running.stop(signal.SIGTERM) == 0
    wait_until(lambda: not servers(running.directory), "every server has ended", 20)
    running.remove()


def test_no_server_outlives_a_killed_stand_in():
    running = StandIn("--account", "333333333333")
    assert running.accounts == ["333333333333"]
    rds = running.client("rds")
    create(rds, "orphan")
    wait_for(rds, "orphan")
    assert servers(running.directory)
    running.stop(signal.SIGKILL)
    wait_until(lambda: not servers(running.directory), "every server has ended", 20)
    running.remove()


def test_a_directory_that_the_servers_cannot_use_is_refused_at_the_start(tmp_path):
    refused = start(tmp_path / ("long" * 20))
    assert (refused.returncode, "choose a shorter --state" in refused.stderr) == (1, True)
    closed = tmp_path / "c"
    closed.mkdir(mode=0o700)
    if closed.owner() == "root":
        # Short enough, and the servers' user may not enter it.
        with tempfile.TemporaryDirectory() as place:
            refused = start(Path(place) / "state")
        assert "can't reach" in refused.stderr, refused


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = start(tmp_path)
    assert refused.returncode == 1
    assert "isn't a stand-in's (it has thesis.txt): choose another --state" in refused.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_replication_login_has_the_password_of_the_file_on_every_instance(tmp_path):
    file = tmp_path / "password"
    file.write_text("one-for-all\n")
    running = StandIn("--replication-password-file", str(file))
    try:
        for account, name in enumerate(("first", "second")):
            rds = running.client("rds", account)
            create(rds, name)
            asked = psql(running, wait_for(rds, name), "select user", user="changeover_repl", password="one-for-all")
            assert asked == "changeover_repl"
        assert {one["replication_password"] for one in running.control("instances")} == {"one-for-all"}
    finally:
        running.stop()
        running.remove()


def test_a_password_file_that_cannot_be_read_or_is_empty_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for file, said in ((tmp_path / "absent", "can't be read"), (empty, "is empty: put the password on its first line")):
        words = ["--replication-password-file", str(file), "--port", "0", "--state", str(tmp_path / "state")]
        done = subprocess.run(
            [sys.executable, "-m", "standin", *words], cwd=HERE, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
