"""moto, in this process: every service but RDS.

https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

import importlib
import io
import os

from .answer import Answer
from .request import Request

# moto creates users' keys without asking IAM's policies; ours are asked before.
os.environ.setdefault("MOTO_CALL_RESET_API", "false")


class Upstream:
    """moto's WSGI application, called with the account that we found out."""

    def __init__(self):
        """Imports moto, which takes a moment."""
        from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

        self._application = DomainDispatcherApplication(create_backend_app)
        # Now, so that the first call of a service isn't the slow one.
        for name in ("ec2", "iam", "kms", "secretsmanager"):
            importlib.import_module(f"moto.{name}.models")

    def put_metrics(self, account: str, region: str, data: list[dict]) -> None:
        """RDS's own metrics, past the door: customers can't write to AWS/RDS."""
        from moto.cloudwatch.models import cloudwatch_backends  # noqa: PLC0415 (slow to import)

        # moto compares times without a zone.
        plain = [{**row, "Timestamp": row["Timestamp"].replace(tzinfo=None)} for row in data]
        cloudwatch_backends[account][region].put_metric_data("AWS/RDS", plain)

    def ask(self, request: Request, environ: dict, account: str | None = None) -> Answer:
        """Passes a request on; `account` is where it shall land, by default the caller's own."""
        passed = {
            name: value
            for name, value in environ.items()
            if name.startswith(("HTTP_", "REQUEST_", "SERVER_", "CONTENT_", "PATH_"))
        }
        passed |= {
            "HTTP_X_MOTO_ACCOUNT_ID": account or request.principal.account,
            "QUERY_STRING": request.query, "SCRIPT_NAME": "", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body), "wsgi.errors": io.StringIO(), "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        said: dict = {}

        def start_response(status: str, headers: list[tuple[str, str]], _=None):
            said["status"], said["headers"] = int(status.split(maxsplit=1)[0]), dict(headers)

        body = b"".join(self._application(passed, start_response))
        headers = {name: value for name, value in said["headers"].items() if name.lower() not in ("content-length", "connection")}
        return Answer(said["status"], body, headers)
