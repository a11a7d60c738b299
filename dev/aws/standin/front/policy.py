"""IAM policies: who may do what. A small part of IAM, which refuses what it doesn't know instead of guessing.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
import threading

from .identity import Principal


class Unsupported(Exception):
    """A policy says something that this evaluation doesn't have."""


_STATEMENT = {"Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition"}
_OPERATORS = {
    "StringEquals": lambda wanted, value: value in wanted,
    "StringNotEquals": lambda wanted, value: value not in wanted,
    "StringLike": lambda wanted, value: any(_like(pattern, value) for pattern in wanted),
    "ArnLike": lambda wanted, value: any(_like(pattern, value) for pattern in wanted),
    "ArnEquals": lambda wanted, value: any(_like(pattern, value) for pattern in wanted),
    # Of a key with one value it says the same; of one with several, that none is left out.
    "ForAllValues:StringEquals": lambda wanted, value: all(one in wanted for one in value.split("\0")),
    "ForAnyValue:StringEquals": lambda wanted, value: any(one in wanted for one in value.split("\0")),
    "Bool": lambda wanted, value: value.lower() in [word.lower() for word in wanted],
}
_KEY = re.compile(
    r"(aws:(RequestTag|ResourceTag)/.+|aws:TagKeys|aws:RequestedRegion|aws:PrincipalArn|aws:PrincipalAccount|aws:SourceAccount|"
    r"rds:req-tag/.+|rds:db-tag/.+|kms:(ViaService|CallerAccount|GrantIsForAWSResource|ResourceAliases|EncryptionContext:.+)|sts:ExternalId|iam:PassedToService|ec2:CreateAction)$"
)


def as_list(value) -> list:
    """IAM's JSON has one for a list of one."""
    return value if isinstance(value, list) else [value]


def check(document: dict) -> None:
    """Refuses a policy that couldn't be evaluated faithfully."""
    for statement in as_list(document["Statement"]):
        unknown = set(statement) - _STATEMENT
        if unknown:
            raise Unsupported(f"the stand-in doesn't evaluate {', '.join(sorted(unknown))} in a policy's statement")
        if statement.get("Effect") not in ("Allow", "Deny") or not ("Action" in statement) ^ ("NotAction" in statement):
            raise Unsupported(f"a statement needs Effect and either Action or NotAction: {statement}")
        for operator, tests in statement.get("Condition", {}).items():
            if operator.removesuffix("IfExists") not in _OPERATORS:
                raise Unsupported(f"the stand-in doesn't evaluate the condition operator {operator}")
            for key in tests:
                if not _KEY.match(key):
                    raise Unsupported(f"the stand-in doesn't evaluate the condition key {key}")


def _like(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _matches_action(statement: dict, action: str) -> bool:
    if "Action" in statement:
        return any(_like(pattern.lower(), action.lower()) for pattern in as_list(statement["Action"]))
    return not any(_like(pattern.lower(), action.lower()) for pattern in as_list(statement["NotAction"]))


def _matches_condition(statement: dict, context: dict[str, str]) -> bool:
    for operator, tests in statement.get("Condition", {}).items():
        compare = _OPERATORS[operator.removesuffix("IfExists")]
        for key, wanted in tests.items():
            value = context.get(key)
            if value is None:
                # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
                if operator.endswith("IfExists") or operator == "StringNotEquals" or operator.startswith("ForAllValues:"):
                    continue
                return False
            if not compare([str(word).lower() if operator == "Bool" else str(word) for word in as_list(wanted)], value):
                return False
    return True


def evaluate(document: dict, action: str, resource: str, context: dict[str, str]) -> str:
    """`allow`, `deny`, or `nothing`, as the policy says of one action on one resource."""
    found = "nothing"
    for statement in as_list(document["Statement"]):
        if not _matches_action(statement, action) or not _matches_condition(statement, context):
            continue
        if resource != "*" and not any(_like(pattern, resource) for pattern in as_list(statement.get("Resource", "*"))):
            continue
        if resource == "*" and "*" not in as_list(statement.get("Resource", "*")):
            continue
        if statement["Effect"] == "Deny":
            return "deny"
        found = "allow"
    return found


def default_key_policy(account: str) -> str:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html."""
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def resource_policy(
    document: dict, principal: Principal, action: str, resource: str, context: dict[str, str] | None = None
) -> str:
    """What a key's or a role's policy says of a principal.

    `principal` is allowed by name, `account` as one of an account that may decide by its own policies, `denied`, or `nothing`.
    """
    found = "nothing"
    for statement in as_list(document["Statement"]):
        how = _names(statement.get("Principal", {}), principal)
        if how == "nothing" or not _matches_action(statement, action):
            continue
        # A key's policy has Resource "*", which is the key itself; a role's policy has no Resource.
        if not any(_like(pattern, resource) for pattern in as_list(statement.get("Resource", "*"))):
            continue
        facts = {"aws:PrincipalArn": principal.policy_arn, "aws:PrincipalAccount": principal.account, **(context or {})}
        if not _matches_condition(statement, facts):
            continue
        if statement["Effect"] == "Deny":
            return "denied"
        if found != "principal":
            found = how
    return found


def _names(said, principal: Principal) -> str:
    if said == "*" or (isinstance(said, dict) and "*" in as_list(said.get("AWS", []))):
        return "account"
    names = as_list(said.get("AWS", [])) if isinstance(said, dict) else []
    if principal.policy_arn in names or principal.arn in names:
        return "principal"
    if principal.account in names or f"arn:aws:iam::{principal.account}:root" in names:
        return "account"
    return "nothing"


class Policies:
    """What principals may do, where somebody has said so; who has no policy here may do everything."""

    def __init__(self):
        """Nobody is limited."""
        self._lock = threading.Lock()
        self._by_principal: dict[str, dict] = {}

    def give(self, principal_arn: str, document: dict | None) -> None:
        """Limits a principal to a policy, or takes the limit away."""
        if document is not None:
            check(document)
        with self._lock:
            if document is None:
                self._by_principal.pop(principal_arn, None)
            else:
                self._by_principal[principal_arn] = document

    def clear(self) -> None:
        """Nobody is limited any more."""
        with self._lock:
            self._by_principal.clear()

    def verdict(self, principal: Principal, action: str, resource: str, context: dict[str, str] | None = None) -> str:
        """`allow`, `deny` (by name) or `nothing` (not allowed by anything)."""
        with self._lock:
            document = self._by_principal.get(principal.policy_arn)
        if document is None:
            return "allow"
        facts = {"aws:PrincipalArn": principal.policy_arn, "aws:PrincipalAccount": principal.account, **(context or {})}
        return evaluate(document, action, resource, facts)
