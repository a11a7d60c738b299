"""Whether the caller may make the call, where somebody has limited the caller to a policy."""

from ..rds.world import World
from ..wire.errors import AwsError
from . import keys, resources, tagged
from .identity import Principal
from .policy import Policies
from .request import Request

# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permissions are required.
# A role's trust policy may be enough for AssumeRole; sts.py asks both.
_NOT_HERE = {("sts", "GetCallerIdentity"), ("sts", "AssumeRole")}


class Rights:
    """Policies, with the facts of one request for their conditions."""

    def __init__(self, policies: Policies, request: Request, world: World):
        """Remembers the request."""
        self._policies, self._request, self._world = policies, request, world

    def verdict(self, principal: Principal, action: str, resource: str, more: dict[str, str] | None = None) -> str:
        """`allow`, `deny` (by name) or `nothing` (not allowed by anything)."""
        tags = tagged.tags(resource, self._world)
        facts = {**_context(self._request), **{f"aws:ResourceTag/{key}": value for key, value in tags.items()}, **(more or {})}
        aliases = keys.aliases(resource)
        if aliases:
            facts["kms:ResourceAliases"] = "\0".join(aliases)
        return self._policies.verdict(principal, action, resource, facts)

    def allows(self, principal: Principal, action: str, resource: str, more: dict[str, str] | None = None) -> bool:
        """Whether the principal may; `more` are facts that this question alone has."""
        return self.verdict(principal, action, resource, more) == "allow"

    def check(self) -> None:
        """Refuses with IAM's words what the caller's policy doesn't allow."""
        request = self._request
        if (request.service, request.action) in _NOT_HERE:
            return
        for action, resource in _needed(request):
            if _is_a_keys_own_affair(request, resource):
                continue
            said = self.verdict(request.principal, action, resource)
            if said != "allow":
                raise _denied(request, action, resource, said)


def _is_a_keys_own_affair(request: Request, resource: str) -> bool:
    """A key's policy may be enough; kms.py asks both.

    https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
    """
    return request.service == "kms" and ":key/" in resource and "*" not in resource and keys.is_there(resource)


def _denied(request: Request, action: str, resource: str, said: str) -> AwsError:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html."""
    why = f"because no identity-based policy allows the {action} action"
    if said == "deny":
        why = "with an explicit deny in an identity-based policy"
    text = f"User: {request.principal.arn} is not authorized to perform: {action} on resource: {resource} {why}"
    if request.service == "ec2":
        text = f"You are not authorized to perform this operation. {text}."
    return AwsError("AccessDenied", text, 403)


def _needed(request: Request) -> list[tuple[str, str]]:
    prefix = request.service
    needed = [(f"{prefix}:{request.action}", resource) for resource in resources.of(request)]
    fields = request.parameters
    if prefix == "rds" and request.action != "AddTagsToResource" and any(name.startswith("Tags.") for name in fields):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html: tags at creation need the right to add tags.
        needed += [("rds:AddTagsToResource", resource) for resource in resources.of(request)[:1]]
    if prefix == "kms" and request.action == "CreateKey" and fields.get("Tags"):
        # https://docs.aws.amazon.com/kms/latest/developerguide/tag-permissions.html: the right must cover all keys.
        needed.append(("kms:TagResource", f"arn:aws:kms:{request.region}:{request.principal.account}:key/*"))
    if prefix == "ec2" and request.action != "CreateTags" and fields.get("TagSpecification.1.ResourceType"):
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
        kind = fields["TagSpecification.1.ResourceType"]
        needed.append(("ec2:CreateTags", f"arn:aws:ec2:{request.region}:{request.principal.account}:{kind}/*"))
    if prefix == "rds" and fields.get("MonitoringRoleArn"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
        needed.append(("iam:PassRole", fields["MonitoringRoleArn"]))
    return needed


def _context(request: Request) -> dict[str, str]:
    """The facts that conditions test."""
    facts = {"aws:RequestedRegion": request.region}
    if request.service == "ec2":
        facts["ec2:CreateAction"] = request.action
    fields = request.parameters
    for name, value in fields.items():
        if isinstance(value, str) and name.startswith(("Tags.", "Tag.", "TagSpecification")) and name.endswith(".Key"):
            facts[f"aws:RequestTag/{value}"] = fields.get(name[: -len("Key")] + "Value", "")
    for tag in fields.get("Tags", []) if isinstance(fields.get("Tags"), list) else []:
        facts[f"aws:RequestTag/{tag.get('Key') or tag.get('TagKey')}"] = tag.get("Value") or tag.get("TagValue") or ""
    given = [name.removeprefix("aws:RequestTag/") for name in facts if name.startswith("aws:RequestTag/")]
    return {**facts, "aws:TagKeys": "\0".join(given)} if given else facts
