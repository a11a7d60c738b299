"""RDS's door: from a request to the operation, and from its result to the answer."""

from ..rds import service
from ..rds.service import Call
from ..rds.world import World
from ..wire import model
from ..wire.decode import decode, parameters
from ..wire.encode import encode
from ..wire.errors import AwsError
from .answer import Answer, request_id, xml
from .keys import Keys
from .network import Network, Secrets
from .request import Request
from .rights import Rights


def answer(request: Request, world: World, rights: Rights) -> Answer:
    """Carries out a call of RDS's."""
    operation = model.operation("rds", request.action)
    if operation is None:
        raise AwsError("InvalidAction", f"Could not find operation {request.action} for version 2014-10-31")
    principal, region = request.principal, request.region
    call = Call(
        action=request.action,
        params=decode(operation, parameters(request.body.decode())),
        principal=principal,
        world=world,
        region=world.region(principal.account, region),
        keys=Keys(principal, region, rights),
        network=Network(principal.account, region),
        secrets=Secrets(principal.account, region),
    )
    result = service.carry_out(call)
    identifier = request_id()
    with world.lock:
        return xml(encode(operation, result, identifier), identifier)
