"""The wire protocol against botocore's model: what our client and our server could get wrong together is refused here."""

import urllib.parse
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from botocore.model import NoShapeFoundError
from conftest import REGION, refused

from standin.rds import everything, service  # noqa: F401
from standin.wire import errors, model
from standin.wire.decode import decode
from standin.wire.encode import Unfaithful, encode

CREATE = model.operation("rds", "CreateDBParameterGroup")
DESCRIBE = model.operation("rds", "DescribeDBInstances")


def test_requests_are_read_by_their_shapes():
    fields = {
        "Action": "x", "DBParameterGroupName": "g", "DBParameterGroupFamily": "f", "Description": "d",
        "Tags.Tag.1.Key": "a", "Tags.Tag.1.Value": "1", "Tags.Tag.2.Key": "b",
    }  # fmt: skip
    assert decode(CREATE, fields) == {
        "DBParameterGroupName": "g", "DBParameterGroupFamily": "f", "Description": "d",
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Nonsense": "1"}, "ValidationError"),
        ({"Description": None}, "MissingParameter"),
        ({"Tags.member.1.Key": "a"}, "ValidationError"),
        ({"Tags.Tag.2.Key": "a"}, "MalformedQueryString"),
        ({"Tags.Tag.1.Nonsense": "a"}, "ValidationError"),
    ],
)
def test_requests_outside_their_shapes_are_refused(changed, code):
    fields = {"DBParameterGroupName": "g", "DBParameterGroupFamily": "f", "Description": "d", **changed}
    with pytest.raises(errors.AwsError) as caught:
        decode(CREATE, {name: value for name, value in fields.items() if value is not None})
    assert caught.value.code == code


@pytest.mark.parametrize(
    "said",
    [
        {"Nonsense": 1},
        {"DBInstances": [{"Nonsense": 1}]},
        {"DBInstances": [{"AllocatedStorage": "20"}]},
        {"DBInstances": [{"MultiAZ": 1}]},
        {"DBInstances": {"DBInstanceIdentifier": "x"}},
        {"DBInstances": [{"ReplicaMode": "nonsense"}]},
    ],
)
def test_answers_outside_their_shapes_are_a_mistake_of_ours(said):
    with pytest.raises(Unfaithful):
        encode(DESCRIBE, said, "id")


def test_answers_come_back_from_botocore_as_they_were():
    said = {
        "DBInstances": [{"DBInstanceIdentifier": "<&>", "MultiAZ": False, "InstanceCreateTime": datetime(2026, 1, 2, tzinfo=UTC)}]
    }
    assert b"&lt;&amp;&gt;" in encode(DESCRIBE, said, "id")


def test_errors_must_be_the_actions_own():
    with pytest.raises(NoShapeFoundError):
        errors.Fault("NonsenseFault", "x")
    with pytest.raises(AssertionError, match="doesn't answer DBSnapshotNotFoundFault"):
        service._check("RebootDBInstance", errors.Fault("DBSnapshotNotFoundFault", "x"))
    with pytest.raises(AssertionError, match="Nonsense"):
        service._check("RebootDBInstance", errors.AwsError("Nonsense", "x"))


def test_every_action_is_one_of_the_models():
    assert len(service.actions()) >= 40
    assert set(service.actions()) <= set(model.service("rds").operation_names)


def post(stand_in, fields: dict) -> tuple[int, str]:
    """A signed request that botocore's client would not send."""
    facts = stand_in.facts["accounts"][0]
    request = AWSRequest("POST", stand_in.endpoint + "/", data=urllib.parse.urlencode(fields).encode())
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    SigV4Auth(Credentials(facts["access_key_id"], facts["secret_access_key"]), "rds", REGION).add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    return answer.status_code, answer.text


def test_requests_that_no_client_sends(stand_in):
    status, text = post(stand_in, {"Action": "NoSuchAction", "Version": "2014-10-31"})
    assert (status, "<Code>InvalidAction</Code>" in text) == (400, True)
    status, text = post(stand_in, {"Action": "DescribeDBInstances", "Version": "2014-10-31", "Nonsense": "1"})
    assert (status, "Nonsense" in text) == (400, True)
    status, text = post(stand_in, {"Action": "CreateDBInstance", "Version": "2014-10-31"})
    assert (status, "<Code>MissingParameter</Code>" in text) == (400, True)
    status, text = post(stand_in, {"Action": "DescribeDBInstances", "Version": "2014-10-31", "MaxRecords": "many"})
    assert (status, "<Code>MalformedInput</Code>" in text) == (400, True)
    status, text = post(stand_in, {"Action": "CreateDBProxy", "Version": "2014-10-31"})
    assert (status, "MissingParameter" in text) == (400, True)


def test_what_is_not_here_says_so(rds):
    with refused("NotImplemented", 501, "docs/aws-stand-in.md"):
        rds.describe_db_clusters()


def test_pages_and_filters(rds):
    with refused("InvalidParameterValue", words="Unrecognized filter name"):
        rds.describe_db_instances(Filters=[{"Name": "nonsense", "Values": ["x"]}])
    with refused("InvalidParameterValue", words="MaxRecords"):
        rds.describe_db_instances(MaxRecords=101)
    first = rds.describe_db_parameters(DBParameterGroupName="default.postgres15", MaxRecords=20)
    second = rds.describe_db_parameters(DBParameterGroupName="default.postgres15", MaxRecords=20, Marker=first["Marker"])
    names = [row["ParameterName"] for row in first["Parameters"] + second["Parameters"]]
    assert len(set(names)) == 40
    with refused("InvalidParameterValue", words="Marker"):
        rds.describe_db_instances(Marker="nonsense")
