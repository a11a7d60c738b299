"""STS: who am I, and sessions of roles. moto checks neither the role nor its trust policy.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import json

from ..wire import model
from ..wire.decode import decode, parameters
from ..wire.encode import encode
from ..wire.errors import AwsError
from . import policy
from .answer import STS_NAMESPACE, Answer, request_id, xml
from .identity import Identities, Principal
from .request import Request
from .rights import Rights


def answer(request: Request, identities: Identities, rights: Rights) -> Answer:
    """GetCallerIdentity and AssumeRole; nothing else of STS is here."""
    operation = model.operation("sts", request.action)
    if operation is None or request.action not in ("AssumeRole", "GetCallerIdentity"):
        raise AwsError("NotImplemented", f"The stand-in's STS doesn't have {request.action}.", 501)
    params = decode(operation, parameters(request.body.decode()))
    if request.action == "GetCallerIdentity":
        principal = request.principal
        result = {"Account": principal.account, "Arn": principal.arn, "UserId": principal.user_id}
    else:
        result = _assume(params, request.principal, identities, rights)
    identifier = request_id()
    return xml(encode(operation, result, identifier, STS_NAMESPACE), identifier)


def _assume(params: dict, caller: Principal, identities: Identities, rights: Rights) -> dict:
    arn = params["RoleArn"]
    if "Policy" in params or "PolicyArns" in params:
        raise AwsError("NotImplemented", "The stand-in doesn't evaluate session policies.", 501)
    role = _role(arn, identities)
    if role is None or not _may(params, caller, role, rights):
        # The same words whether the role is missing or closed, so that nobody can probe for roles.
        text = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise AwsError("AccessDenied", text, 403)
    seconds = params.get("DurationSeconds", 3600)
    most = min(int(role.max_session_duration or 3600), 3600 if ":assumed-role/" in caller.arn else 43200)
    if not 900 <= seconds <= most:
        raise AwsError("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    session = identities.session(arn, role.id, params["RoleSessionName"], seconds)
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret_key,
            "SessionToken": session.token,
            "Expiration": session.until,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.principal.user_id, "Arn": session.principal.arn},
    }


def _role(arn: str, identities: Identities):
    from moto.iam.models import iam_backends  # noqa: PLC0415 (slow to import)

    fields = arn.split(":")
    if len(fields) != 6 or fields[4] not in identities.accounts:
        return None
    roles = iam_backends[fields[4]]["aws"].roles.values()
    return next((role for role in list(roles) if role.arn == arn), None)


def _may(params: dict, caller: Principal, role, rights: Rights) -> bool:
    """The role's trust policy must allow it, and across accounts the caller's own too.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html, on the external id
    """
    document = json.loads(role.assume_role_policy_document)
    policy.check(document)
    context = {"sts:ExternalId": params["ExternalId"]} if "ExternalId" in params else {}
    said = policy.resource_policy(document, caller, "sts:AssumeRole", role.arn, context)
    if said == "principal" and caller.account == role.account_id:
        return rights.verdict(caller, "sts:AssumeRole", role.arn) != "deny"
    return said in ("principal", "account") and rights.allows(caller, "sts:AssumeRole", role.arn)
