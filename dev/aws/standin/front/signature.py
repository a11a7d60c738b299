"""Checks a request's signature, so that a key's secret matters here as it does at AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from urllib.parse import quote, unquote

from ..wire.errors import AwsError
from .identity import Credential
from .request import Request


def check(request: Request, credential: Credential) -> None:
    """Refuses a signature that this credential's secret doesn't give."""
    asked = request.asked
    scope = f"{asked.date[:8]}/{asked.region}/{asked.service}/aws4_request"
    digest = hashlib.sha256(_canonical(request).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{asked.date}\n{scope}\n{digest}"
    key = f"AWS4{credential.secret_key}".encode()
    for part in (asked.date[:8], asked.region, asked.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), asked.signature):
        text = "The request signature we calculated does not match the signature you provided."
        raise AwsError("SignatureDoesNotMatch", f"{text} Check your AWS Secret Access Key and signing method.", 403)


def _canonical(request: Request) -> str:
    pairs = sorted(part.partition("=")[::2] for part in request.query.split("&") if part)
    query = "&".join(f"{quote(unquote(name), safe='-_.~')}={quote(unquote(value), safe='-_.~')}" for name, value in pairs)
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in request.asked.signed_headers)
    body = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    signed = ";".join(request.asked.signed_headers)
    return "\n".join([request.method, quote(request.path, safe="/-_.~"), query, headers, signed, body])
