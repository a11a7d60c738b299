"""What moto's SSM doesn't check: that a SecureString's key is there and open to the caller.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
"""

from ..wire.errors import AwsError
from . import keys
from .request import Request
from .rights import Rights


def check(request: Request, rights: Rights) -> None:
    """Refuses to write under a key that can't be used: encrypting needs kms:Encrypt (standard tier)."""
    fields = request.parameters
    if request.action != "PutParameter" or fields.get("Type") != "SecureString" or not fields.get("KeyId"):
        return
    try:
        key = keys.find(fields["KeyId"], request.principal.account, request.region)
    except keys.NoSuchKey:
        raise AwsError("InvalidKeyId", f"Key {fields['KeyId']} is not found or not accessible.") from None
    if key.state != "Enabled" or not keys.allows(key, request.principal, "kms:Encrypt", rights, "ssm"):
        text = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are"
        raise AwsError("InvalidKeyId", f"{text} not allowed to access. (key {key.arn}, state {key.state})")
