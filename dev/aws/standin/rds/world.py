"""All that RDS knows here: one `Region` for each account and region, and the work that goes on behind answered calls."""

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..cluster import programs
from ..cluster.authority import Authority
from ..wire.errors import AwsError

if TYPE_CHECKING:
    from .instance import Instance
    from .options import OptionGroup
    from .parameters import ParameterGroup
    from .snapshot import Snapshot
    from .subnets import SubnetGroup

PARTITION = "aws"


def now() -> datetime:
    """The time, to the millisecond that RDS's answers have."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _tell(error: Exception) -> None:
    """What a test may have asked for takes a line; anything else is a mistake of the stand-in's, with where it was made."""
    if isinstance(error, AwsError | programs.ProgramFailed):
        print(f"standin: {error}", flush=True)
    else:
        traceback.print_exception(error)


@dataclass
class Event:
    """One line of DescribeEvents."""

    source: str
    source_type: str
    source_arn: str
    message: str
    categories: list[str]
    date: datetime


@dataclass
class Region:
    """One account's RDS in one region."""

    account: str
    name: str
    instances: dict[str, "Instance"] = field(default_factory=dict)
    snapshots: dict[str, "Snapshot"] = field(default_factory=dict)
    parameter_groups: dict[str, "ParameterGroup"] = field(default_factory=dict)
    option_groups: dict[str, "OptionGroup"] = field(default_factory=dict)
    subnet_groups: dict[str, "SubnetGroup"] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def arn(self, kind: str, name: str) -> str:
        """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.Constructing.html."""
        return f"arn:{PARTITION}:rds:{self.name}:{self.account}:{kind}:{name}"

    def record(self, kind: str, name: str, message: str, category: str) -> None:
        """Adds an event. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html."""
        short = {"db-instance": "db", "db-snapshot": "snapshot", "db-parameter-group": "pg"}[kind]
        self.events.append(Event(name, kind, self.arn(short, name), message, [category], now()))


@dataclass
class Quotas:
    """Limits by name, as https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html has them; tests lower them."""

    limits: dict[tuple[str, str], int] = field(default_factory=dict)
    DEFAULTS = {  # noqa: RUF012
        "instances": 40,
        "manual-snapshots": 100,
        "parameter-groups": 50,
        "option-groups": 20,
        "subnet-groups": 50,
        "subnets-per-subnet-group": 20,
        "storage": 100_000,
    }

    def of(self, account: str, name: str) -> int:
        """The limit that holds for an account."""
        return self.limits.get((account, name), self.DEFAULTS[name])


class World:
    """Everything, behind one lock. Work that takes time runs beside it and takes the lock only to say what has changed."""

    def __init__(self, directory: Path, pace: float, replication_password: str | None = None):
        """`pace`: how long, in seconds, a status like `modifying` shows at least.

        `replication_password`: of the login for replication on every new instance; nothing for another one on each.
        """
        self.directory = directory
        self.pace = pace
        self.replication_password = replication_password
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.authority = Authority()
        self.quotas = Quotas()
        self.failing_creations: dict[str, int] = {}
        self._regions: dict[tuple[str, str], Region] = {}
        self._workers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="rds")
        self.snapshot_directory.mkdir(parents=True, exist_ok=True)
        programs.own(self.snapshot_directory)

    @property
    def bundle(self) -> Path:
        """The CA bundle that clients verify servers by."""
        return self.directory / "rds-ca-bundle.pem"

    @property
    def instance_directory(self) -> Path:
        """Where the clusters are."""
        return self.directory / "i"

    @property
    def snapshot_directory(self) -> Path:
        """Where snapshots' data is."""
        return self.directory / "s"

    def region(self, account: str, name: str) -> Region:
        """One account's RDS in one region, made at first sight."""
        with self.lock:
            return self._regions.setdefault((account, name), Region(account, name))

    def regions(self) -> list[Region]:
        """All that were ever asked for."""
        with self.lock:
            return list(self._regions.values())

    def background(self, work: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """Goes on with a call after it has been answered. `failed` is told, under the lock, what went wrong."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:
                if not self.closing.is_set():
                    _tell(error)
                with self.lock:
                    failed(error)

        self._workers.submit(guarded)

    def linger(self, since: float | None = None) -> None:
        """Lets a status show for the pace, counted from `since` (time.monotonic) if that is given."""
        left = self.pace if since is None else since + self.pace - time.monotonic()
        if left > 0:
            self.closing.wait(left)
        if self.closing.is_set():
            raise RuntimeError("the stand-in is closing")

    def close(self) -> None:
        """Ends all servers."""
        self.closing.set()
        with self.lock:
            instances = [instance for region in self._regions.values() for instance in region.instances.values()]
        with ThreadPoolExecutor(max_workers=8) as stopping:
            list(stopping.map(lambda instance: instance.cluster.stop(), instances))
        self._workers.shutdown(wait=True, cancel_futures=True)
        for instance in instances:
            # A start that was on its way while we stopped the others.
            instance.cluster.stop()
