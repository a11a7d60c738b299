"""The one door for all services: a WSGI application."""

import socket
import threading
import traceback
from functools import partial
from pathlib import Path

from ..rds import everything, metrics  # noqa: F401 (the first registers RDS's actions)
from ..rds.world import World
from ..wire.errors import AwsError
from . import answer as answers
from . import control, kms, peering, rds, request, secrets, signature, ssm, sts
from .answer import Answer
from .calllog import CallLog
from .faults import Faults
from .identity import Identities
from .policy import Policies
from .rights import Rights
from .upstream import Upstream


class Application:
    """Who asks, may they, does a fault strike, who answers, and what was said."""

    def __init__(self, directory: Path, accounts: list[str], pace: float, replication_password: str | None = None):
        """Everything that one stand-in has."""
        self.world = World(directory, pace, replication_password)
        self.identities = Identities(accounts)
        self.policies = Policies()
        self.faults = Faults()
        self.log = CallLog(directory / "calls.jsonl")
        self._upstream = Upstream()
        peering.install()

    def __call__(self, environ: dict, start_response) -> list[bytes]:
        """WSGI's entry."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size) if size else b""
        path = environ["PATH_INFO"]
        said = control.answer(self, environ, path, body) if path.startswith(control.PREFIX) else self._service(environ, body)
        if said is None:
            return _hang_up(environ, start_response)
        headers = [*said.headers.items(), ("Content-Length", str(len(said.body)))]
        start_response(f"{said.status} {'OK' if said.status < 400 else 'Error'}", headers)
        return [said.body]

    def _service(self, environ: dict, body: bytes) -> Answer | None:
        """An AWS call; nothing if its answer is lost."""
        asked = None
        try:
            asked = request.parse(
                environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""), _headers(environ), body
            )
            said = self._answer(asked, environ)
        except AwsError as failure:
            said = answers.error(asked, failure)
        except Exception as failure:
            traceback.print_exc()
            said = answers.error(asked, AwsError("InternalFailure", f"the stand-in itself failed: {failure}", 500))
        lost = (
            asked is not None
            and asked.principal is not None
            and self.faults.loses_answer(asked.service, asked.action, asked.principal.account)
        )
        self._note(asked, said, lost)
        return None if lost else said

    def _answer(self, asked: request.Request, environ: dict) -> Answer:
        credential = self.identities.check(
            self.identities.find(asked.asked.access_key), asked.headers.get("x-amz-security-token")
        )
        signature.check(asked, credential)
        asked.principal = credential.principal
        self.faults.before(asked.service, asked.action, asked.principal.account)
        allowed = Rights(self.policies, asked, self.world)
        allowed.check()
        if asked.service == "rds":
            return rds.answer(asked, self.world, allowed)
        if asked.service == "sts":
            return sts.answer(asked, self.identities, allowed)
        if asked.service == "kms":
            return kms.answer(asked, environ, self._upstream, allowed)
        if asked.service == "ec2":
            return peering.answer(asked, environ, self._upstream, self.world.pace)
        if asked.service == "ssm":
            ssm.check(asked, allowed)
        if asked.service == "secretsmanager":
            secrets.check(asked, allowed)
        return self._upstream.ask(asked, environ)

    def _note(self, asked: request.Request | None, said: Answer, lost: bool) -> None:
        if asked is None:
            return
        principal = asked.principal
        code = said.code or (_code(said) if said.status >= 400 else None)
        self.log.add(
            principal=principal.arn if principal else None, account=principal.account if principal else None, region=asked.region,
            service=asked.service, action=asked.action, parameters=asked.parameters, status=0 if lost else said.status, code=code,
        )  # fmt: skip

    def publish_metrics(self, seconds: float) -> None:
        """Lets CloudWatch know of the instances, from now on."""
        work = partial(metrics.publish, self.world, seconds, self._upstream.put_metrics)
        threading.Thread(target=work, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Ends all servers."""
        self.world.close()


def _code(said: Answer) -> str | None:
    """An error's code in an answer of moto's."""
    kind = said.headers.get("x-amzn-ErrorType") or said.headers.get("X-Amzn-Errortype")
    if kind:
        return kind
    text = said.body.decode(errors="replace")
    for start, end in (("<Code>", "</Code>"), ('"__type": "', '"'), ('"__type":"', '"')):
        if start in text:
            return text.split(start, 1)[1].split(end, 1)[0].rsplit("#", 1)[-1]
    return None


def _headers(environ: dict) -> dict[str, str]:
    found = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.replace("_", "-").lower()] = environ[name]
    return found


def _hang_up(environ: dict, start_response) -> list[bytes]:
    """The connection ends without an answer, as if the network had lost it."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("500 Lost", [("Content-Length", "0")])
    return [b""]
