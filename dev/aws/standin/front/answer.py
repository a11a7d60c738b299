"""Answers, and errors in each service's own form."""

import json
import uuid
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from ..wire.encode import encode_error
from ..wire.errors import AwsError
from .request import Request

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
# Services that speak JSON put `Exception` behind some of the names that are common to all.
# https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
_JSON_NAMES = {
    "AccessDenied": "AccessDeniedException",
    "ExpiredToken": "ExpiredTokenException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "Throttling": "ThrottlingException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
}
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_EC2_NAMES = {
    "AccessDenied": "UnauthorizedOperation",
    "ExpiredToken": "RequestExpired",
    "InvalidClientTokenId": "AuthFailure",
    "Throttling": "RequestLimitExceeded",
}
_EC2_STATUS = {"RequestLimitExceeded": 503, "RequestExpired": 400, "AuthFailure": 401}


@dataclass
class Answer:
    """What goes back. `code` is the error's, for the log."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None


def request_id() -> str:
    """As every answer carries one."""
    return str(uuid.uuid4())


def xml(body: bytes, identifier: str, status: int = 200) -> Answer:
    """An answer of the Query protocol."""
    return Answer(status, body, {"Content-Type": "text/xml", "x-amzn-RequestId": identifier})


def error(request: Request | None, failure: AwsError) -> Answer:
    """An error as the request's service words it."""
    identifier = request_id()
    protocol = request.protocol if request else "query"
    if protocol == "query":
        namespace = STS_NAMESPACE if request and request.service == "sts" else "http://rds.amazonaws.com/doc/2014-10-31/"
        answer = xml(encode_error(failure, identifier, namespace), identifier, failure.status)
        answer.code = failure.code
        return answer
    if protocol == "ec2":
        return _ec2(failure, identifier)
    return _json(failure, identifier, protocol)


def _ec2(failure: AwsError, identifier: str) -> Answer:
    code = _EC2_NAMES.get(failure.code, failure.code)
    text = (
        f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(failure.message)}</Message></Error></Errors>"
        f"<RequestID>{identifier}</RequestID></Response>"
    )
    answer = xml(text.encode(), identifier, _EC2_STATUS.get(code, failure.status))
    answer.code = code
    return answer


def _json(failure: AwsError, identifier: str, protocol: str) -> Answer:
    code = _JSON_NAMES.get(failure.code, failure.code)
    status = failure.status if failure.status >= 500 else 400
    headers = {"x-amzn-RequestId": identifier, "x-amzn-ErrorType": code}
    if protocol == "cbor":
        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return Answer(status, _cbor({"__type": code, "message": failure.message}), headers, code)
    headers["Content-Type"] = "application/x-amz-json-1.1"
    return Answer(
        status, json.dumps({"__type": code, "Message": failure.message, "message": failure.message}).encode(), headers, code
    )


def _cbor(members: dict[str, str]) -> bytes:
    """A map of texts. https://www.rfc-editor.org/rfc/rfc8949.html, major types 3 and 5."""

    def head(major: int, size: int) -> bytes:
        return bytes([major << 5 | 25]) + size.to_bytes(2)

    parts = [head(5, len(members))]
    for name, value in members.items():
        for text in (name, value):
            parts += [head(3, len(text.encode())), text.encode()]
    return b"".join(parts)
