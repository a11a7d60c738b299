"""Errors as AWS answers them."""

from . import model


class AwsError(Exception):
    """An answer that is an error: its code, its HTTP status and what it says."""

    def __init__(self, code: str, message: str, status: int = 400):
        """Takes the code as it stands on the wire."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Fault(AwsError):
    """An error that RDS's model names, by its shape: code and HTTP status are looked up there."""

    def __init__(self, shape_name: str, message: str):
        """`shape_name` as in the service model, for instance `DBInstanceNotFoundFault`."""
        code, status = model.error("rds", shape_name)
        super().__init__(code, message, status)
        self.shape_name = shape_name


# The errors below are common to all actions, so that no action's model names them.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html


def invalid_value(message: str) -> AwsError:
    """A value is out of range or unknown."""
    return AwsError("InvalidParameterValue", message)


def invalid_combination(message: str) -> AwsError:
    """Parameters that must not be used together, or not in this state."""
    return AwsError("InvalidParameterCombination", message)


def missing(message: str) -> AwsError:
    """A required parameter isn't there."""
    return AwsError("MissingParameter", message)


COMMON_CODES = frozenset(
    {
        "AccessDenied",
        "ExpiredToken",
        "IncompleteSignature",
        "InternalFailure",
        "InvalidAction",
        "InvalidClientTokenId",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "MalformedQueryString",
        "MissingAction",
        "MissingAuthenticationToken",
        "MissingParameter",
        "NotImplemented",
        "RequestExpired",
        "ServiceUnavailable",
        "SignatureDoesNotMatch",
        "Throttling",
        "ValidationError",
    }
)
