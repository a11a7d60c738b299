"""Whether the caller may make the call, where somebody has limited the caller to a policy."""

from ..wire.errors import AwsError
from . import resources
from .policy import Policies
from .request import Request

# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permissions are required.
_FREE = {("sts", "GetCallerIdentity")}


def check(request: Request, policies: Policies) -> None:
    """Refuses with IAM's words what the caller's policy doesn't allow."""
    if (request.service, request.action) in _FREE or (request.service, request.action) == ("sts", "AssumeRole"):
        # A role's trust policy may be enough; sts.py asks both.
        return
    for action, resource in _needed(request):
        said = policies.verdict(request.principal, action, resource, context(request))
        if said != "allow":
            raise denied(request, action, resource, said)


def denied(request: Request, action: str, resource: str, said: str) -> AwsError:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html."""
    why = f"because no identity-based policy allows the {action} action"
    if said == "deny":
        why = "with an explicit deny in an identity-based policy"
    if request.service == "ec2":
        who = f"User: {request.principal.arn} is not authorized to perform: {action} on resource: {resource}"
        return AwsError("AccessDenied", f"You are not authorized to perform this operation. {who} {why}.", 403)
    text = f"User: {request.principal.arn} is not authorized to perform: {action} on resource: {resource} {why}"
    return AwsError("AccessDenied", text, 403)


def _needed(request: Request) -> list[tuple[str, str]]:
    prefix = request.service
    needed = [(f"{prefix}:{request.action}", resource) for resource in resources.of(request)]
    fields = request.parameters
    if prefix == "rds" and request.action != "AddTagsToResource" and any(name.startswith("Tags.") for name in fields):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html: tags at creation need the right to add tags.
        needed += [("rds:AddTagsToResource", resource) for resource in resources.of(request)[:1]]
    if prefix == "rds" and fields.get("MonitoringRoleArn"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
        needed.append(("iam:PassRole", fields["MonitoringRoleArn"]))
    return needed


def context(request: Request) -> dict[str, str]:
    """The facts that conditions test."""
    facts = {"aws:RequestedRegion": request.region}
    fields = request.parameters
    for name, value in fields.items():
        if isinstance(value, str) and name.startswith(("Tags.", "Tag.", "TagSpecification")) and name.endswith(".Key"):
            facts[f"aws:RequestTag/{value}"] = fields.get(name[: -len("Key")] + "Value", "")
    for tag in fields.get("Tags", []) if isinstance(fields.get("Tags"), list) else []:
        facts[f"aws:RequestTag/{tag.get('Key') or tag.get('TagKey')}"] = tag.get("Value") or tag.get("TagValue") or ""
    return facts
