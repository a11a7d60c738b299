"""The command: `python -m standin --port 0 --ready-file FILE --state DIRECTORY`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from .cluster import programs
from .front import control
from .front.app import Application
from .state import claim

ACCOUNTS = ["111111111111", "222222222222"]


class Handler(WSGIRequestHandler):
    """Keeps connections open, and says nothing of each request: the call log does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, *_):
        """Nothing."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="standin", description="A local AWS whose RDS is real.")
    parser.add_argument("--port", type=int, default=5566, help="TCP port on 127.0.0.1; 0 for a free one (default: 5566)")
    parser.add_argument("--state", type=Path, required=True, help="directory for clusters, snapshots, logs; made if missing")
    parser.add_argument("--ready-file", type=Path, help="gets endpoint, accounts and CA bundle as JSON when everything is up")
    parser.add_argument(
        "--account", action="append", metavar="NUMBER", help=f"an account; may be repeated (default: {' and '.join(ACCOUNTS)})"
    )
    parser.add_argument(
        "--pace", type=float, default=0.5, help="seconds that a status like `modifying` shows at least (default: 0.5)"
    )
    parser.add_argument(
        "--metrics", type=float, default=10.0, help="seconds between RDS's metrics in CloudWatch; 0 for none (default: 10)"
    )
    parser.add_argument(
        "--replication-password-file",
        type=Path,
        metavar="FILE",
        help="holds the password that the login changeover_repl gets on every new instance (default: another one for each)",
    )
    return parser.parse_args()


def main() -> int:
    """Runs until SIGTERM or SIGINT."""
    options = arguments()
    try:
        programs.check()
        replication_password = password_in(options.replication_password_file)
        directory = claim(options.state)
    except programs.ProgramFailed as failure:
        print(f"standin: {failure}", file=sys.stderr)
        return 1
    call_itself()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    application = Application(directory, options.account or ACCOUNTS, options.pace, replication_password)
    application.world.bundle.write_bytes(application.world.authority.pem())
    if options.metrics > 0:
        application.publish_metrics(options.metrics)
    server = make_server("127.0.0.1", options.port, application, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        tell(
            options.ready_file,
            {"endpoint": f"http://127.0.0.1:{server.port}", "pid": os.getpid(), **control.describe(application)},
        )
        stop.wait()
    finally:
        server.shutdown()
        application.close()
    return 0


def password_in(file: Path | None) -> str | None:
    """The first line of a file; nothing without a file. In a file, so that no list of processes shows it."""
    if file is None:
        return None
    try:
        first = file.read_text().splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise programs.ProgramFailed(f"--replication-password-file {file} can't be read: {error}") from None
    if not first or not first[0]:
        raise programs.ProgramFailed(f"--replication-password-file {file} is empty: put the password on its first line")
    return first[0]


def call_itself() -> None:
    """The process's name, by which dev/stack-down.sh knows a stand-in from whatever else got its pid."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("standin")


def tell(ready_file: Path | None, facts: dict) -> None:
    """Says that everything is up: by rename, so that a reader never sees half a file."""
    if ready_file:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        half = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        half.write_text(json.dumps(facts, indent=1) + "\n")
        half.rename(ready_file)
    print(
        f"standin: {facts['endpoint']} with the accounts {', '.join(account['id'] for account in facts['accounts'])}", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
