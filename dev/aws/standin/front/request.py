"""What a request asks for, whatever service's protocol it speaks."""

import gzip
import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from botocore.parsers import RpcV2CBORParser

from ..wire.errors import AwsError
from .identity import Asked

# The name in a signature, and what IAM and botocore call the service.
SERVICES = {
    "rds": "rds", "kms": "kms", "ssm": "ssm", "sts": "sts", "ec2": "ec2", "secretsmanager": "secretsmanager",
    "monitoring": "cloudwatch", "iam": "iam",
}  # fmt: skip
_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]+)"
)


@dataclass
class Request:
    """One request to a service."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    asked: Asked
    service: str
    protocol: str
    action: str
    parameters: dict = field(default_factory=dict)
    principal: object = None

    @property
    def region(self) -> str:
        """The region that the request is signed for."""
        return self.asked.region


def parse(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Request:
    """Reads the signature's scope and the action."""
    asked = _asked(headers)
    if asked.service not in SERVICES:
        raise AwsError("NotImplemented", f"The stand-in has no service {asked.service}: only {', '.join(SERVICES)}", 501)
    request = Request(method, path, query, headers, body, asked, SERVICES[asked.service], "json", "")
    _read_action(request)
    return request


def _asked(headers: dict[str, str]) -> Asked:
    found = _CREDENTIAL.fullmatch(headers.get("authorization", "").strip())
    if found is None:
        raise AwsError("MissingAuthenticationToken", "Missing Authentication Token", 403)
    return Asked(
        found["key"],
        found["region"],
        found["service"],
        found["headers"].split(";"),
        found["signature"],
        headers.get("x-amz-date", ""),
    )


def _plain(request: Request) -> bytes:
    """The body; clients compress large ones."""
    return gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body


def _read_action(request: Request) -> None:
    target = request.headers.get("x-amz-target")
    operation = re.fullmatch(r"/service/[^/]+/operation/([A-Za-z]+)", request.path)
    if operation:
        request.protocol, request.action = "cbor", operation[1]
        parser = RpcV2CBORParser()
        request.parameters = (
            parser.parse_data_item(parser.get_peekable_stream_from_bytes(_plain(request))) if request.body else {}
        )
    elif target:
        request.action = target.rsplit(".", 1)[-1]
        try:
            request.parameters = json.loads(_plain(request) or b"{}")
        except ValueError:
            raise AwsError("SerializationException", "The body is no JSON") from None
    else:
        request.protocol = "ec2" if request.service == "ec2" else "query"
        request.parameters = dict(parse_qsl(_plain(request).decode() or request.query, keep_blank_values=True))
        request.action = request.parameters.get("Action", "")
    if not request.action:
        raise AwsError("MissingAction", "The request must contain the parameter Action")
