"""Who asks: accounts, access keys, sessions of assumed roles.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

import secrets
import string
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..wire.errors import AwsError

_UPPER = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Principal:
    """An account's root, a user, or a role's session."""

    account: str
    # As STS names it.
    arn: str
    # As policies name it: the role's ARN for its sessions.
    policy_arn: str
    user_id: str

    @property
    def is_root(self) -> bool:
        """Whether no policy can limit it."""
        return self.arn.endswith(":root")


@dataclass
class Credential:
    """An access key and what belongs to it."""

    access_key: str
    secret_key: str
    principal: Principal
    token: str | None = None
    until: datetime | None = None
    revoked: bool = False


@dataclass
class Account:
    """An account and the keys of its administrator, as tests get them."""

    number: str
    administrator: Credential


class Identities:
    """All access keys that are known here."""

    def __init__(self, accounts: list[str]):
        """Makes an administrator for each account: a user `admin` with an access key."""
        self._lock = threading.Lock()
        self._credentials: dict[str, Credential] = {}
        self.accounts = {number: Account(number, self._administrator(number)) for number in accounts}

    def _administrator(self, account: str) -> Credential:
        arn = f"arn:aws:iam::{account}:user/admin"
        # The same at every start, so that a developer's configuration stays right.
        key = f"AKIA{account}ADMN"
        credential = Credential(
            key, f"stand-in-{account}-administrator-secret", Principal(account, arn, arn, f"AIDA{account}ADMN")
        )
        self._credentials[key] = credential
        return credential

    def session(self, role_arn: str, role_id: str, name: str, seconds: int) -> Credential:
        """Fresh keys for a role's session."""
        account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
        principal = Principal(account, f"arn:aws:sts::{account}:assumed-role/{role}/{name}", role_arn, f"{role_id}:{name}")
        key = "ASIA" + "".join(secrets.choice(_UPPER) for _ in range(16))
        credential = Credential(
            key, secrets.token_urlsafe(30), principal, secrets.token_urlsafe(96), datetime.now(UTC) + timedelta(seconds=seconds)
        )
        with self._lock:
            self._credentials[key] = credential
        return credential

    def expire(self, match: str) -> int:
        """Ends sessions before their time: one by its access key, or all of a role by its ARN, or `*` for all."""
        with self._lock:
            found = [
                credential
                for credential in self._credentials.values()
                if credential.token and match in ("*", credential.access_key, credential.principal.policy_arn)
            ]
            for credential in found:
                credential.until = datetime.now(UTC) - timedelta(seconds=1)
        return len(found)

    def find(self, access_key: str) -> Credential | None:
        """A credential: ours, or a user's that IAM beside us made."""
        with self._lock:
            found = self._credentials.get(access_key)
        return found or self._of_user(access_key)

    def _of_user(self, access_key: str) -> Credential | None:
        from moto.iam.models import iam_backends  # noqa: PLC0415 (slow to import; not needed for most keys)

        for number in self.accounts:
            for user in list(iam_backends[number]["aws"].users.values()):
                for key in user.access_keys:
                    if key.access_key_id == access_key and key.status == "Active":
                        return Credential(access_key, key.secret_access_key, Principal(number, user.arn, user.arn, user.id))
        return None

    def check(self, credential: Credential | None, token: str | None) -> Credential:
        """Refuses unknown keys, a token that isn't the key's, and a session that has ended.

        https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
        """
        if credential is None or credential.token != (token or None):
            raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        if credential.until is not None and datetime.now(UTC) >= credential.until:
            raise AwsError("ExpiredToken", "The security token included in the request is expired", 403)
        return credential


@dataclass
class Asked:
    """What a request's signature says before anybody has checked it."""

    access_key: str
    region: str
    service: str
    signed_headers: list[str] = field(default_factory=list)
    signature: str = ""
    date: str = ""
