"""From an action's name to the function that carries it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..wire import model
from ..wire.errors import COMMON_CODES, AwsError, Fault
from .world import Region, World


@dataclass
class Call:
    """One request, decoded, of somebody who may make it."""

    action: str
    params: dict[str, Any]
    principal: Any
    world: World
    region: Region
    keys: Any = None
    network: Any = None
    secrets: Any = None

    def __getitem__(self, name: str):
        """A required parameter."""
        return self.params[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter that may be missing."""
        return self.params.get(name, default)


_ACTIONS: dict[str, Callable[[Call], dict | None]] = {}


def action(name: str) -> Callable:
    """Registers what carries out an action; a name that the model doesn't have fails at import."""
    if model.operation("rds", name) is None:
        raise KeyError(f"RDS has no action {name}")

    def register(function: Callable[[Call], dict | None]) -> Callable:
        _ACTIONS[name] = function
        return function

    return register


def carry_out(call: Call) -> dict | None:
    """Does what the call asks, under the world's lock."""
    function = _ACTIONS.get(call.action)
    if function is None:
        raise AwsError(
            "NotImplemented", f"The stand-in doesn't have {call.action}; see docs/aws-stand-in.md for what it has.", 501
        )
    with call.world.lock:
        try:
            return function(call)
        except AwsError as error:
            _check(call.action, error)
            raise


def _check(name: str, error: AwsError) -> None:
    """An error must be one that the action's model names, or one that is common to all."""
    if isinstance(error, Fault):
        named = {shape.name for shape in model.operation("rds", name).error_shapes}
        if error.shape_name not in named:
            raise AssertionError(f"{name} doesn't answer {error.shape_name} by its model: {error.message}")
    elif error.code not in COMMON_CODES:
        raise AssertionError(f"{error.code} is no error common to all actions")


def actions() -> list[str]:
    """All that is here."""
    return sorted(_ACTIONS)
