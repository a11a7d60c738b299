"""An answer of the Query protocol, written by the action's output shape and read back by botocore's own parser.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from botocore.model import OperationModel, Shape
from botocore.parsers import QueryParser

from .errors import AwsError

NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"


class Unfaithful(Exception):
    """The stand-in was about to say what AWS's model doesn't allow: a mistake of the stand-in's."""


def encode(operation: OperationModel, result: dict | None, request_id: str, namespace: str = NAMESPACE) -> bytes:
    """The answer's XML."""
    name = operation.name
    body = ""
    if operation.output_shape is not None:
        wrapper = operation.output_shape.serialization.get("resultWrapper", f"{name}Result")
        body = f"<{wrapper}>{_members(operation.output_shape, result or {}, name)}</{wrapper}>"
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    text = f'<{name}Response xmlns="{namespace}">{body}{metadata}</{name}Response>'.encode()
    _read_back(operation, result or {}, text)
    return text


def encode_error(error: AwsError, request_id: str, namespace: str = NAMESPACE) -> bytes:
    """An error's XML."""
    side = "Receiver" if error.status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{side}</Type><Code>{escape(error.code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _read_back(operation: OperationModel, result: dict, text: bytes) -> None:
    if operation.output_shape is None:
        return
    parsed = QueryParser().parse({"status_code": 200, "headers": {}, "body": text}, operation.output_shape)
    parsed.pop("ResponseMetadata")
    said = _without_nothing(result)
    if _without_nothing(parsed) != said:
        raise Unfaithful(f"{operation.name}: botocore reads {parsed!r} where {said!r} was meant")


def _without_nothing(value):
    """The Query protocol can't tell an empty list from none."""
    if isinstance(value, dict):
        kept = {name: _without_nothing(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member not in (None, [], {})}
    if isinstance(value, list):
        return [_without_nothing(member) for member in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)
    return value


def _members(shape: Shape, value: dict, where: str) -> str:
    unknown = set(value) - set(shape.members)
    if unknown:
        raise Unfaithful(f"{where}: {shape.name} has no member {', '.join(sorted(unknown))}")
    for name in shape.required_members:
        if value.get(name) is None:
            raise Unfaithful(f"{where}: {shape.name} needs {name}")
    parts = []
    for name, member in shape.members.items():
        if value.get(name) is not None:
            parts.append(_element(member, member.serialization.get("name", name), value[name], f"{where}.{name}"))
    return "".join(parts)


def _element(shape: Shape, tag: str, value, where: str) -> str:
    if shape.type_name == "structure":
        return f"<{tag}>{_members(shape, value, where)}</{tag}>"
    if shape.type_name == "list":
        if not isinstance(value, list):
            raise Unfaithful(f"{where}: {value!r} is no list")
        inner = shape.member.serialization.get("name", "member")
        flat = shape.serialization.get("flattened")
        text = "".join(_element(shape.member, tag if flat else inner, member, where) for member in value)
        return text if flat else f"<{tag}>{text}</{tag}>"
    return f"<{tag}>{_scalar(shape, value, where)}</{tag}>"


_TYPES = {
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "boolean": bool,
    "string": str,
    "timestamp": datetime,
}


def _scalar(shape: Shape, value, where: str) -> str:
    if not isinstance(value, _TYPES[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise Unfaithful(f"{where}: {value!r} is no {shape.type_name}")
    if getattr(shape, "enum", None) and value not in shape.enum:
        raise Unfaithful(f"{where}: {value!r} is none of {', '.join(shape.enum)}")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if shape.type_name == "timestamp":
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return escape(str(value))
