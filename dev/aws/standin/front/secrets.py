"""What moto's Secrets Manager doesn't check: that the key of a secret is there and open to the caller.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
"""

from ..wire.errors import AwsError
from . import keys
from .request import Request
from .rights import Rights

# The page above, "Permissions for the KMS key".
_NEEDED = {
    "GetSecretValue": ("kms:Decrypt",),
    "CreateSecret": ("kms:GenerateDataKey", "kms:Decrypt"),
    "UpdateSecret": ("kms:GenerateDataKey", "kms:Decrypt"),
    "PutSecretValue": ("kms:GenerateDataKey", "kms:Decrypt"),
}


def check(request: Request, rights: Rights) -> None:
    """Refuses to read or write what is under a key that the caller can't use. AWS's own key is open to the whole account."""
    needed = _NEEDED.get(request.action)
    secret = _secret(request)
    reference = request.parameters.get("KmsKeyId") or (secret.kms_key_id if secret else None)
    if not needed or not reference or reference.startswith("alias/aws/"):
        return
    account = request.principal.account
    try:
        key = keys.find(reference, account, request.region)
    except keys.NoSuchKey:
        raise AwsError("EncryptionFailure", f"Secrets Manager can't find the key {reference}.") from None
    if key.manager == "AWS":
        return
    if key.state != "Enabled":
        raise AwsError("InvalidRequestException", f"{key.arn} is {key.state}: you can't access a secret under it.")
    context = {"SecretARN": secret.arn} if secret else {}
    if not all(keys.allows(key, request.principal, action, rights, "secretsmanager", context=context) for action in needed):
        raise AwsError("AccessDeniedException", "Access to KMS is not allowed")


def _secret(request: Request):
    from moto.secretsmanager.models import secretsmanager_backends  # noqa: PLC0415 (slow to import)

    name = request.parameters.get("SecretId")
    known = secretsmanager_backends[request.principal.account][request.region].secrets
    return known[name] if name and name in known else None
