"""One stand-in for all tests, as a process of its own, and clients for it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

HERE = Path(__file__).resolve().parents[1]
REGION = "eu-central-1"
PSQL = "/usr/lib/postgresql/15/bin/psql"
PASSWORD = "correct-horse-1"


class StandIn:
    """A running stand-in."""

    def __init__(self, *more: str):
        self.directory = Path(tempfile.mkdtemp(prefix="standin-"))
        self.directory.chmod(0o755)
        ready = self.directory / "ready.json"
        words = [
            "--port",
            "0",
            "--ready-file",
            str(ready),
            "--state",
            str(self.directory / "state"),
            "--pace",
            "0.3",
            "--metrics",
            "1",
            *more,
        ]
        self.output = (self.directory / "output").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "standin", *words], cwd=HERE, stdout=self.output, stderr=self.output
        )
        wait_until(ready.exists, "the stand-in is up", alive=self.process)
        self.facts = json.loads(ready.read_text())
        self.endpoint = self.facts["endpoint"]
        self.ca_bundle = self.facts["ca_bundle"]
        self.accounts = [account["id"] for account in self.facts["accounts"]]

    def credentials(self, account: int) -> dict:
        facts = self.facts["accounts"][account]
        return {"aws_access_key_id": facts["access_key_id"], "aws_secret_access_key": facts["secret_access_key"]}

    def client(self, service: str, account: int = 0, region: str = REGION, **credentials):
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=credentials.pop("validate", True))
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=region, config=config, **(credentials or self.credentials(account))
        )

    def control(self, url: str, said: dict | None = None):
        body = None if said is None else json.dumps(said).encode()
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_stand-in/{url}", body, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def calls(self, since: int = 0) -> list[dict]:
        return self.control(f"calls?since={since}")

    def text(self) -> str:
        return (self.directory / "output").read_text()

    def stop(self, how=signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)

    def remove(self):
        """Deletes everything; what failed keeps its directory, to be looked into."""
        self.output.close()
        shutil.rmtree(self.directory)


def wait_until(condition, what: str, seconds: float = 60, alive=None):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        assert alive is None or alive.poll() is None, f"ended while waiting: {what}"
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def status(rds, name: str) -> str:
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"]


def instance(rds, name: str) -> dict:
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def wait_for(rds, name: str, wanted: str = "available") -> dict:
    def reached():
        now = status(rds, name)
        assert now not in ("failed", "incompatible-parameters") or now == wanted, now
        return now == wanted

    wait_until(reached, f"{name} is {wanted}")
    return instance(rds, name)


def snapshot_available(rds, name: str) -> dict:
    def found():
        kept = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
        assert kept["Status"] != "failed"
        return kept if kept["Status"] == "available" else None

    return wait_until(found, f"the snapshot {name} is available")


def create(rds, name: str, **more) -> dict:
    said = {
        "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "MasterUsername": "changeover", "MasterUserPassword": PASSWORD,
        "AllocatedStorage": 20, "DBName": "app", "BackupRetentionPeriod": 0, **more,
    }  # fmt: skip
    return rds.create_db_instance(DBInstanceIdentifier=name, **said)["DBInstance"]


def gone(rds, name: str):
    def is_gone():
        try:
            status(rds, name)
        except rds.exceptions.DBInstanceNotFoundFault:
            return True
        return False

    wait_until(is_gone, f"{name} is gone")


def psql(
    stand_in: StandIn, described: dict, sql: str, *, user="changeover", password=PASSWORD, database="app", sslmode="verify-full"
):
    endpoint = described["Endpoint"]
    place = f"host={endpoint['Address']} port={endpoint['Port']} dbname={database} user={user}"
    address = f"{place} sslmode={sslmode} sslrootcert={stand_in.ca_bundle} connect_timeout=10"
    environ = {**os.environ, "PGPASSWORD": password}
    done = subprocess.run(
        [PSQL, "-XAtq", "-c", sql, address], capture_output=True, text=True, env=environ, timeout=60, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else f"ERROR {done.stderr.strip()}"


def refused(code: str, status_code: int = 400, words: str = ""):
    """A context in which AWS must refuse with this code and HTTP status."""
    return Refused(code, status_code, words)


class Refused:
    def __init__(self, code: str, status_code: int, words: str):
        self.code, self.status_code, self.words = code, status_code, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert error is not None, f"{self.code} was expected, and the call went through"
        if not isinstance(error, ClientError):
            return False
        said = error.response
        assert (said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]) == (self.code, self.status_code), said
        assert self.words in said["Error"]["Message"], said["Error"]["Message"]
        return True


@pytest.fixture(scope="session")
def stand_in():
    running = StandIn()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.text(), running.text()
    running.remove()


@pytest.fixture
def rds(stand_in):
    """The first account's RDS."""
    return stand_in.client("rds")


@pytest.fixture
def other(stand_in):
    """The second account's RDS."""
    return stand_in.client("rds", account=1)


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def clean(stand_in):
    """Takes back faults, quotas and policies afterwards."""
    yield stand_in
    stand_in.control("clear", {})


@pytest.fixture(scope="session")
def shared(stand_in):
    """An instance at rest, for tests that don't change it."""
    client = stand_in.client("rds")
    create(client, "shared")
    return wait_for(client, "shared")
