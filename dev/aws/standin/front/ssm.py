"""What moto's SSM doesn't check: that a SecureString's key is there and open to the caller.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
"""

from ..wire.errors import AwsError
from . import keys
from .request import Request
from .rights import Rights


def check(request: Request, rights: Rights) -> None:
    """Refuses to write or read under a key that can't be used: kms:Encrypt (standard tier) and kms:Decrypt are needed."""
    fields = request.parameters
    if request.action == "PutParameter" and fields.get("Type") == "SecureString" and fields.get("KeyId"):
        _use(request, rights, fields["KeyId"], "kms:Encrypt", fields["Name"])
    if request.action in ("GetParameter", "GetParameterHistory") and fields.get("WithDecryption"):
        reference = _key_of(request)
        if reference:
            _use(request, rights, reference, "kms:Decrypt", fields["Name"])


def _use(request: Request, rights: Rights, reference: str, action: str, name: str) -> None:
    account = request.principal.account
    try:
        key = keys.find(reference, account, request.region)
    except keys.NoSuchKey:
        raise AwsError("InvalidKeyId", f"Key {reference} is not found or not accessible.") from None
    arn = name if name.startswith("arn:") else f"arn:aws:ssm:{request.region}:{account}:parameter/{name.lstrip('/')}"
    context = {"PARAMETER_ARN": arn}
    if key.state != "Enabled" or not keys.allows(key, request.principal, action, rights, "ssm", context=context):
        text = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are"
        raise AwsError("InvalidKeyId", f"{text} not allowed to access. (key {key.arn}, state {key.state})")


def _key_of(request: Request) -> str | None:
    """The customer's key that a parameter is under. AWS's own key is open to the whole account."""
    from moto.ssm.models import ssm_backends  # noqa: PLC0415 (slow to import)

    found = ssm_backends[request.principal.account][request.region].get_parameter(request.parameters["Name"])
    if found is None or found.parameter_type != "SecureString" or found.keyid in (None, "alias/aws/ssm"):
        return None
    return found.keyid
