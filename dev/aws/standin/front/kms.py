"""What moto's KMS lacks: key rights, keys of other accounts, AWS managed keys told from customer managed ones."""

import json
from dataclasses import replace

from ..wire.errors import AwsError
from . import keys
from .answer import Answer
from .request import Request
from .rights import Rights
from .upstream import Upstream

# https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html,
# "Cross-account use: Yes", for those that take a key's identifier.
ACROSS_ACCOUNTS = frozenset({
    "CreateGrant", "Decrypt", "DeriveSharedSecret", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetKeyRotationStatus",
    "GetPublicKey", "ListGrants", "ReEncrypt", "RetireGrant", "RevokeGrant", "Sign", "Verify", "VerifyMac",
})  # fmt: skip
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk: nobody but AWS changes these keys.
_NOT_ON_MANAGED = frozenset({
    "CreateAlias", "CreateGrant", "DisableKey", "DisableKeyRotation", "EnableKeyRotation", "PutKeyPolicy",
    "ScheduleKeyDeletion", "TagResource", "UpdateKeyDescription",
})  # fmt: skip


def answer(request: Request, environ: dict, upstream: Upstream, rights: Rights) -> Answer:
    """A KMS call, in the key's account if that is another one."""
    if request.action == "DeleteAlias":
        _check_alias(request, rights)
    reference = request.parameters.get("KeyId") or request.parameters.get("TargetKeyId")
    if not isinstance(reference, str) or not reference:
        return upstream.ask(request, environ)
    try:
        key = keys.find(reference, request.principal.account, request.region)
    except keys.NoSuchKey:
        if reference.startswith("arn:") and reference.split(":")[4] != request.principal.account:
            raise _denied(request, reference) from None
        return upstream.ask(request, environ)
    if key.region != request.region:
        raise AwsError("NotFoundException", f"Invalid arn {key.region}")
    _check(request, key, rights)
    answered = upstream.ask(_with_id(request, key, reference), environ, key.account)
    return _with_manager(request, key, answered)


def _check_alias(request: Request, rights: Rights) -> None:
    """The right is asked for on the alias and on its key.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
    """
    try:
        key = keys.find(request.parameters.get("AliasName") or "", request.principal.account, request.region)
    except keys.NoSuchKey:
        return
    _check(request, key, rights)


def _check(request: Request, key: keys.Key, rights: Rights) -> None:
    foreign = key.account != request.principal.account
    if foreign and request.action not in ACROSS_ACCOUNTS:
        raise _denied(request, key.arn)
    if key.manager == "AWS" and request.action in _NOT_ON_MANAGED:
        raise _denied(request, key.arn)
    if not keys.allows(key, request.principal, f"kms:{request.action}", rights):
        raise _denied(request, key.arn)


def _denied(request: Request, arn: str) -> AwsError:
    text = f"User: {request.principal.arn} is not authorized to perform: kms:{request.action} on resource: {arn}"
    return AwsError("AccessDenied", f"{text} because no resource-based policy allows the kms:{request.action} action", 400)


def _with_id(request: Request, key: keys.Key, reference: str) -> Request:
    """Some of moto's operations know neither ARNs nor aliases, so the key is named by its ID."""
    plain = key.arn.rsplit("/", 1)[-1]
    changed = {name: plain if value == reference else value for name, value in request.parameters.items()}
    return replace(request, body=json.dumps(changed).encode(), parameters=changed)


def _with_manager(request: Request, key: keys.Key, answered: Answer) -> Answer:
    if request.action != "DescribeKey" or answered.status != 200:
        return answered
    said = json.loads(answered.body)
    said["KeyMetadata"]["KeyManager"] = key.manager
    return Answer(answered.status, json.dumps(said).encode(), answered.headers)
