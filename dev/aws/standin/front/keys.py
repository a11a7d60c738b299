"""KMS as RDS sees it: which key is meant, who manages it, and may the caller's account use it.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..wire.errors import Fault
from . import policy
from .identity import Principal

if TYPE_CHECKING:
    from .rights import Rights

# What RDS needs the caller's rights for, to encrypt a resource or to read an encrypted one.
# The page above: kms:CreateGrant and kms:DescribeKey.
NEEDED = ("kms:DescribeKey", "kms:CreateGrant")


@dataclass(frozen=True)
class Key:
    """A key's facts."""

    arn: str
    account: str
    region: str
    manager: str
    state: str
    policy: dict


class NoSuchKey(Exception):
    """The reference names no key."""


def find(reference: str, account: str, region: str) -> Key:
    """The key that an ID, an ARN, an alias or an alias's ARN means, seen from an account and region."""
    from moto.kms.models import kms_backends  # noqa: PLC0415 (slow to import)

    if reference.startswith("arn:"):
        fields = reference.split(":", 5)
        if len(fields) != 6 or fields[2] != "kms":
            raise NoSuchKey(reference)
        region, account, reference = fields[3], fields[4], fields[5]
    backend = kms_backends[account][region]
    is_alias = reference.startswith("alias/")
    key_id = backend.get_key_id_from_alias(reference) if is_alias else reference.removeprefix("key/")
    key = backend.keys.get(key_id)
    if key is None:
        raise NoSuchKey(reference)
    managed = any(alias.startswith("alias/aws/") for alias in key.aliases)
    text = key.policy or policy.default_key_policy(account)
    return Key(
        key.arn,
        account,
        region,
        "AWS" if managed else "CUSTOMER",
        key.key_state,
        json.loads(text) if isinstance(text, str) else text,
    )


def is_there(arn: str) -> bool:
    """Whether an ARN names a key."""
    try:
        find(arn, "", "")
    except NoSuchKey:
        return False
    return True


def aliases(arn: str) -> list[str]:
    """By which names a key is known; none where an ARN names no key.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    from moto.kms.models import kms_backends  # noqa: PLC0415 (slow to import)

    if ":kms:" not in arn or ":key/" not in arn or "*" in arn or not is_there(arn):
        return []
    key = find(arn, "", "")
    return sorted(kms_backends[key.account][key.region].keys[key.arn.rsplit("/", 1)[-1]].aliases)


def allows(
    key: Key,
    principal: Principal,
    action: str,
    rights: "Rights",
    via: str | None = None,
    *,
    context: dict[str, str] | None = None,
) -> bool:
    """Whether a principal may do this with the key, itself or through a service.

    https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html; in another account both the key's policy
    and the caller's own must allow it: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
    """
    if key.manager == "AWS" and principal.account != key.account:
        # Nobody can change the policy of an AWS managed key, so no other account is ever in it.
        return False
    # https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
    facts = {"kms:CallerAccount": principal.account}
    if via is not None:
        facts |= {"kms:ViaService": f"{via}.{key.region}.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    # https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context
    facts |= {f"kms:EncryptionContext:{name}": value for name, value in (context or {}).items()}
    said = policy.resource_policy(key.policy, principal, action, key.arn, facts)
    if said == "denied":
        return False
    own = rights.allows(principal, action, key.arn, facts)
    if said == "account":
        return own
    return said == "principal" and (own or principal.account == key.account)


class Keys:
    """KMS for one caller of RDS."""

    def __init__(self, principal: Principal, region: str, rights: "Rights"):
        """Remembers for whom."""
        self._principal, self._region, self._rights = principal, region, rights

    def look(self, reference: str) -> Key:
        """A key's facts, whoever asks."""
        return find(reference, self._principal.account, self._region)

    def default(self, service: str) -> Key:
        """The account's AWS managed key for a service."""
        return self.look(f"alias/aws/{service}")

    def refusal(self, what: str, reference: str | None) -> str:
        """RDS's words, which don't tell a missing key from a closed one."""
        return f"The {what} [{reference}] does not exist, is not enabled or you do not have permissions to access it."

    def for_use(self, reference: str, what: str) -> Key:
        """A key that the caller may have RDS use."""
        try:
            key = self.look(reference)
        except NoSuchKey:
            raise Fault("KMSKeyNotAccessibleFault", self.refusal(what, reference)) from None
        usable = key.state == "Enabled" and all(allows(key, self._principal, action, self._rights, "rds") for action in NEEDED)
        if not usable or (what != "source snapshot KMS key" and key.region != self._region):
            raise Fault("KMSKeyNotAccessibleFault", self.refusal(what, reference))
        return key
