"""Calls to AWS by somebody else than Changeover: what to call stands on standard input, the answers on standard output.

Standard input, because fields hold passwords and arguments are there for everybody to see. The first refusal ends it.
"""

import functools
import json
import sys

import boto3

ASKED = json.load(sys.stdin)


@functools.cache
def client(account: int, service: str):
    """A client with an account's administrator's keys."""
    return boto3.client(service, endpoint_url=ASKED["endpoint"], region_name=ASKED["region"], **ASKED["accounts"][account])


def answer(call: dict) -> dict:
    """One call's answer."""
    said = getattr(client(call["account"], call["service"]), call["method"])(**call["fields"])
    said.pop("ResponseMetadata", None)
    return said


print(json.dumps([answer(call) for call in ASKED["calls"]], default=str))
