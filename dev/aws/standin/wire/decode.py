"""A request of the Query protocol, read by the action's input shape.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from datetime import datetime
from urllib.parse import parse_qsl

from botocore.model import ListShape, OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

from .errors import AwsError, missing


def parameters(body: str) -> dict[str, str]:
    """The form's fields. One that comes twice is refused, since AWS reads only one of them."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body)):
        if name in fields:
            raise AwsError("MalformedQueryString", f"The parameter {name} is there more than once", 404)
        fields[name] = value
    return fields


def decode(operation: OperationModel, fields: dict[str, str]) -> dict:
    """The action's input. Stricter than AWS: a field that the shape doesn't have is refused, where AWS may ignore it."""
    fields = {name: value for name, value in fields.items() if name not in ("Action", "Version")}
    shape = operation.input_shape
    if shape is None:
        used, result = set(), {}
    else:
        used = set()
        result = _structure(shape, "", fields, used) or {}
    unknown = sorted(set(fields) - used)
    if unknown:
        raise AwsError("ValidationError", f"{operation.name} has no parameter {', '.join(unknown)} in its model")
    if shape is not None:
        _validate(shape, result)
    return result


def _validate(shape: StructureShape, result: dict) -> None:
    for name in shape.required_members:
        if name not in result:
            raise missing(f"The request must contain the parameter {name}.")
    report = ParamValidator().validate(result, shape)
    if report.has_errors():
        raise AwsError("ValidationError", report.generate_report())
    _check_enums(shape, result)


def _check_enums(shape: Shape, value) -> None:
    """botocore's validator lets any text pass where the model has an enum."""
    if shape.type_name == "structure":
        for name, member in value.items():
            _check_enums(shape.members[name], member)
    elif shape.type_name == "list":
        for member in value:
            _check_enums(shape.member, member)
    elif getattr(shape, "enum", None) and value not in shape.enum:
        raise AwsError("InvalidParameterValue", f"Invalid value {value!r}: one of {', '.join(shape.enum)} is expected")


def _read(shape: Shape, prefix: str, fields: dict[str, str], used: set[str]):
    if shape.type_name == "structure":
        return _structure(shape, prefix + ".", fields, used)
    if shape.type_name == "list":
        return _list(shape, prefix, fields, used)
    if shape.type_name == "map":
        raise NotImplementedError(f"{shape.name}: no request of RDS's has a map")
    if prefix not in fields:
        return None
    used.add(prefix)
    return scalar(shape, prefix, fields[prefix])


def _structure(shape: StructureShape, prefix: str, fields: dict[str, str], used: set[str]) -> dict | None:
    result = {}
    for name, member in shape.members.items():
        value = _read(member, prefix + member.serialization.get("name", name), fields, used)
        if value is not None:
            result[name] = value
    return result or None


def _list(shape: ListShape, prefix: str, fields: dict[str, str], used: set[str]) -> list | None:
    # An empty list is written as the bare name.
    if fields.get(prefix) == "":
        used.add(prefix)
        return []
    element = prefix if shape.serialization.get("flattened") else f"{prefix}.{shape.member.serialization.get('name', 'member')}"
    numbers = {field[len(element) + 1 :].split(".")[0] for field in fields if field.startswith(element + ".")}
    ordered = sorted(int(number) for number in numbers if number.isdigit())
    if len(ordered) != len(numbers) or ordered != list(range(1, len(ordered) + 1)):
        raise AwsError("MalformedQueryString", f"{prefix}: the members must be numbered from 1 without a gap", 404)
    return [_read(shape.member, f"{element}.{number}", fields, used) for number in ordered] or None


def scalar(shape: Shape, name: str, text: str):
    """Text as a value of the shape's type."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text]
        if shape.type_name == "timestamp":
            return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, KeyError):
        raise AwsError("MalformedInput", f"{name}: {text!r} is no {shape.type_name}") from None
    return text
