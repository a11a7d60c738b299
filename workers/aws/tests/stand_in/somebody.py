"""One call by somebody else than Changeover. Prints the answer as JSON."""

import json
import sys

import boto3

ENDPOINT, REGION, SERVICE, METHOD, FIELDS = sys.argv[1:6]
CLIENT = boto3.client(SERVICE, endpoint_url=ENDPOINT, region_name=REGION)
print(json.dumps(getattr(CLIENT, METHOD)(**json.loads(FIELDS)), default=str))
