"""Faults that a test asks for: the next n calls of an action go wrong in a chosen way."""

import threading
from dataclasses import dataclass

from ..wire.errors import AwsError

KINDS = ("throttle", "refuse", "lose-answer")


@dataclass
class Fault:
    """One fault, and how often it still strikes."""

    service: str
    action: str
    kind: str
    times: int
    account: str | None = None
    code: str = "InternalFailure"
    message: str = "A fault was asked for."
    status: int = 500

    def matches(self, service: str, action: str, account: str) -> bool:
        """Whether it strikes this call."""
        return self.service == service and self.action in ("*", action) and self.account in (None, account)


class Faults:
    """All that are waiting."""

    def __init__(self):
        """None."""
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """One more."""
        if fault.kind not in KINDS or fault.times < 1:
            raise ValueError(f"a fault's kind is one of {', '.join(KINDS)}, and it strikes once at least")
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """No more."""
        with self._lock:
            self._waiting.clear()

    def list(self) -> list[Fault]:
        """Those that wait."""
        with self._lock:
            return list(self._waiting)

    def _take(self, kinds: tuple[str, ...], service: str, action: str, account: str) -> Fault | None:
        with self._lock:
            for fault in self._waiting:
                if fault.kind in kinds and fault.matches(service, action, account):
                    fault.times -= 1
                    if not fault.times:
                        self._waiting.remove(fault)
                    return fault
        return None

    def before(self, service: str, action: str, account: str) -> None:
        """Refuses the call if a fault says so; nothing is done then."""
        fault = self._take(("throttle", "refuse"), service, action, account)
        if fault is None:
            return
        if fault.kind == "throttle":
            # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html
            raise AwsError("Throttling", "Rate exceeded", 400)
        raise AwsError(fault.code, fault.message, fault.status)

    def loses_answer(self, service: str, action: str, account: str) -> bool:
        """Whether the call is carried out and its answer lost."""
        return self._take(("lose-answer",), service, action, account) is not None
