"""What moto's peerings lack.

One between two VPCs at a time, none between overlapping blocks, a moment between acceptance and use, tags and options that belong
to one account each, routes that lead nowhere once their peering is gone.

https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html
"""

import ipaddress
import time
from contextvars import ContextVar

from ..wire.errors import AwsError
from .answer import Answer
from .request import Request
from .upstream import Upstream

# https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html#vpc-peering-lifecycle
_OVER = frozenset({"failed", "rejected", "expired", "deleting", "deleted"})
# What EC2 says of a peering that fails at once.
_FAILED = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
_ASKING: ContextVar[tuple[str, str] | None] = ContextVar("asking", default=None)


def answer(request: Request, environ: dict, upstream: Upstream, pace: float) -> Answer:
    """A call of EC2's, by rules about peerings where it is about one."""
    _settle()
    _check(request)
    token = _ASKING.set((request.principal.account, request.region))
    try:
        said = upstream.ask(request, environ)
    finally:
        _ASKING.reset(token)
    if said.status == 200:
        _note(request, pace)
    return said


def _check(request: Request) -> None:
    fields, action = request.parameters, request.action
    if action == "CreateVpcPeeringConnection":
        _check_only_one({fields.get("VpcId"), fields.get("PeerVpcId")})
    peering = _peerings(request).get(fields.get("VpcPeeringConnectionId", ""))
    if peering is None:
        return
    state = peering._status.code
    if action == "DeleteVpcPeeringConnection" and state in _OVER:
        raise AwsError(
            "InvalidStateTransition",
            f"Invalid state transition for {peering.id}, attempted to transition from {state} to deleting",
        )
    if action == "ModifyVpcPeeringConnectionOptions":
        _check_options(request, peering)


def _check_only_one(pair: set) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html: VpcPeeringConnectionAlreadyExists."""
    for peering in _all():
        if {peering.vpc.id, peering.peer_vpc.id} == pair and peering._status.code not in _OVER:
            raise AwsError(
                "VpcPeeringConnectionAlreadyExists", f"A VPC peering connection already exists between these VPCs: {peering.id}"
            )


def _check_options(request: Request, peering) -> None:
    """Each account sets its own end's, once it is active.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcPeeringConnectionOptions.html
    """
    if peering._status.code != "active":
        raise AwsError("OperationNotPermitted", f"The peering {peering.id} is {peering._status.code}, not active")
    for vpc in (peering.vpc, peering.peer_vpc):
        # https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-dns.html#vpc-peering-dns-requirements
        if not all(_is_on(vpc, name) for name in ("enable_dns_hostnames", "enable_dns_support")):
            raise AwsError("OperationNotPermitted", f"DNS hostnames and DNS resolution must be enabled in {vpc.id}")
    here = (request.principal.account, request.region)
    for word, vpc in (("Requester", peering.vpc), ("Accepter", peering.peer_vpc)):
        given = any(name.startswith(f"{word}PeeringConnectionOptions.") for name in request.parameters)
        if given and (vpc.owner_id, vpc.region) != here:
            raise AwsError("OperationNotPermitted", f"{here[0]} can't set the options of the other end of {peering.id}")


def _is_on(vpc, name: str) -> bool:
    return str(getattr(vpc, name)).lower() == "true"


def _note(request: Request, pace: float) -> None:
    """What follows from a call that went through."""
    if request.action == "CreateVpcPeeringConnection":
        for peering in _peerings(request).values():
            if peering._status.code == "pending-acceptance" and _overlap(peering):
                peering._status.code, peering._status.message = "failed", _FAILED
    if request.action == "AcceptVpcPeeringConnection":
        peering = _peerings(request)[request.parameters["VpcPeeringConnectionId"]]
        peering._status.code, peering._status.message = "provisioning", "Provisioning"
        peering.usable_at = time.monotonic() + pace


def _settle() -> None:
    """An accepted one can be used after a moment."""
    for peering in _all():
        if peering._status.code == "provisioning" and time.monotonic() >= peering.usable_at:
            peering._status.accept()


def _overlap(peering) -> bool:
    blocks = [
        [ipaddress.ip_network(block["cidr_block"]) for block in vpc.get_cidr_block_association_set()]
        for vpc in (peering.vpc, peering.peer_vpc)
    ]
    return any(one.overlaps(other) for one in blocks[0] for other in blocks[1])


def _peerings(request: Request) -> dict:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 (slow to import)

    return ec2_backends[request.principal.account][request.region].vpc_pcxs


def _all() -> list:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 (slow to import)

    return [
        peering
        for account in list(ec2_backends.values())
        for backend in list(account.values())
        for peering in backend.vpc_pcxs.values()
    ]


def install() -> None:
    """Has moto answer with the asking account's tags of a peering, and see routes that lead nowhere."""
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 (slow to import)
    from moto.ec2.models.route_tables import Route  # noqa: PLC0415 (slow to import)
    from moto.ec2.models.vpc_peering_connections import VPCPeeringConnection  # noqa: PLC0415 (slow to import)

    def get_tags(self) -> list[dict[str, str]]:
        asking = _ASKING.get()
        backend = ec2_backends[asking[0]][asking[1]] if asking else self.ec2_backend
        return backend.describe_tags(filters={"resource-id": [self.id]})

    def state(self) -> str:
        return "blackhole" if self.vpc_pcx is not None and self.vpc_pcx._status.code in _OVER else "active"

    VPCPeeringConnection.get_tags = get_tags
    Route.state = property(state)
