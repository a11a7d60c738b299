"""Parameter formulas, `LEAST({DBInstanceClassMemory/9531392},5000)` for instance.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ParamValuesRef.html
"""

import ast
import math
import operator
import re

_FUNCTIONS = {"GREATEST": max, "LEAST": min, "SUM": lambda *values: sum(values), "LOG": math.log2}
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
NAMES = ("AllocatedStorage", "DBInstanceClassMemory", "DBInstanceVCPU", "EndPointPort", "DBInstanceClassHugePagesDefault")


def is_formula(text: str) -> bool:
    """Whether a value has to be evaluated."""
    return "{" in text or re.match(r"(GREATEST|LEAST|SUM|LOG)\s*\(", text, re.IGNORECASE) is not None


def evaluate(text: str, names: dict[str, int]) -> int:
    """The formula's value as an integer; ValueError says what isn't a formula."""
    plain = text.replace("{", "(").replace("}", ")")
    try:
        return int(_value(ast.parse(plain, mode="eval").body, names))
    except (SyntaxError, KeyError, ZeroDivisionError, TypeError) as error:
        raise ValueError(f"{text!r} is no formula: {error}") from None


def _value(node: ast.AST, names: dict[str, int]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.upper() in _FUNCTIONS:
        return _FUNCTIONS[node.func.id.upper()](*(_value(argument, names) for argument in node.args))
    raise SyntaxError(ast.dump(node)[:60])
