"""Parameter groups, down to the values of the real server."""

import json
import subprocess

import pytest
from conftest import create, instance, psql, refused, wait_for, wait_until

FAMILY = "postgres15"


def group(rds, name: str) -> str:
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily=FAMILY, Description="of a test")
    return name


def change(rds, name: str, parameter: str, value: str, method: str):
    said = {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": method}
    return rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[said])


def described(rds, name: str) -> dict:
    pages = rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name)
    return {row["ParameterName"]: row for page in pages for row in page["Parameters"]}


def apply_status(rds, name: str) -> str:
    return instance(rds, name)["DBParameterGroups"][0]["ParameterApplyStatus"]


def test_static_waits_for_a_reboot_and_dynamic_does_not(stand_in, rds, name):
    group(rds, name)
    create(rds, name, DBParameterGroupName=name)
    found = wait_for(rds, name)
    assert apply_status(rds, name) == "in-sync"
    assert psql(stand_in, found, "show wal_level") == "replica"

    change(rds, name, "wal_sender_timeout", "47000", "immediate")
    wait_until(lambda: psql(stand_in, found, "show wal_sender_timeout") == "47s", "the reload has arrived")
    wait_until(lambda: apply_status(rds, name) == "in-sync", "it is applied")

    change(rds, name, "rds.logical_replication", "1", "pending-reboot")
    change(rds, name, "max_replication_slots", "33", "pending-reboot")
    change(rds, name, "shared_preload_libraries", "pg_stat_statements,pglogical,pgaudit", "pending-reboot")
    change(rds, name, "work_mem", "8192", "pending-reboot")
    assert apply_status(rds, name) == "pending-reboot"
    assert psql(stand_in, found, "show wal_level") == "replica"
    assert psql(stand_in, found, "show work_mem") == "4MB"

    rds.reboot_db_instance(DBInstanceIdentifier=name)
    wait_for(rds, name)
    assert apply_status(rds, name) == "in-sync"
    assert psql(stand_in, found, "show wal_level") == "logical"
    assert psql(stand_in, found, "show max_replication_slots") == "33"
    slot = "select slot_name from pg_create_logical_replication_slot('s', 'pgoutput')"
    assert psql(stand_in, found, slot) == "s"
    node = "select rds_tools.escalate('create_extension_pglogical', null); select pglogical.create_node('n', 'dbname=app') > 0"
    assert psql(stand_in, found, node).split() == ["t"]
    assert psql(stand_in, found, "show work_mem") == "8MB"
    # pgaudit isn't installed here, and with it the server would not start.
    assert psql(stand_in, found, "show shared_preload_libraries") == "pg_stat_statements,pglogical"

    rds.reset_db_parameter_group(
        DBParameterGroupName=name, Parameters=[{"ParameterName": "work_mem", "ApplyMethod": "immediate"}]
    )
    wait_until(lambda: psql(stand_in, found, "show work_mem") == "4MB", "work_mem is the default again")
    rds.reset_db_parameter_group(DBParameterGroupName=name, ResetAllParameters=True)
    assert apply_status(rds, name) == "applying"
    wait_until(lambda: apply_status(rds, name) == "pending-reboot", "the static ones wait")
    assert psql(stand_in, found, "show wal_level") == "logical"


def test_a_newly_attached_group_gives_its_dynamic_values_only_at_a_reboot(stand_in, rds, name):
    create(rds, name)
    found = wait_for(rds, name)
    change(rds, group(rds, name), "deadlock_timeout", "1234", "immediate")
    rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=name)
    wait_for(rds, name)
    assert apply_status(rds, name) == "pending-reboot"
    assert psql(stand_in, found, "show deadlock_timeout") == "1s"
    with refused("InvalidDBParameterGroupState"):
        rds.delete_db_parameter_group(DBParameterGroupName=name)
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    wait_for(rds, name)
    assert psql(stand_in, found, "show deadlock_timeout") == "1234ms"
    assert apply_status(rds, name) == "in-sync"


def test_force_ssl_off_lets_plain_connections_in(stand_in, rds, name):
    change(rds, group(rds, name), "rds.force_ssl", "0", "immediate")
    create(rds, name, DBParameterGroupName=name)
    assert psql(stand_in, wait_for(rds, name), "select 1", sslmode="disable") == "1"


def test_the_default_group_is_there_and_closed(rds):
    found = rds.describe_db_parameter_groups(DBParameterGroupName="default.postgres15")["DBParameterGroups"][0]
    assert found["DBParameterGroupFamily"] == FAMILY
    with refused("InvalidParameterValue", words="Cannot modify a default parameter group."):
        change(rds, "default.postgres15", "work_mem", "8192", "immediate")
    with refused("InvalidParameterValue"):
        rds.reset_db_parameter_group(DBParameterGroupName="default.postgres15", ResetAllParameters=True)
    with refused("InvalidDBParameterGroupState"):
        rds.delete_db_parameter_group(DBParameterGroupName="default.postgres15")


@pytest.mark.parametrize(
    ("parameter", "value", "method", "code", "words"),
    [
        ("nonsense", "1", "immediate", "InvalidParameterValue", "Could not find parameter with name: nonsense"),
        (
            "max_connections",
            "50",
            "immediate",
            "InvalidParameterCombination",
            "cannot use immediate apply method for static parameter",
        ),
        ("rds.logical_replication", "1", "immediate", "InvalidParameterCombination", "static"),
        ("wal_level", "logical", "pending-reboot", "InvalidParameterValue", "cannot be modified"),
        ("work_mem", "lots", "immediate", "InvalidParameterValue", "allowed values are: 64-2147483647"),
        ("work_mem", "1", "immediate", "InvalidParameterValue", "allowed values are"),
        ("rds.logical_replication", "on", "pending-reboot", "InvalidParameterValue", "allowed values are: 0,1"),
        ("wal_compression", "brotli", "immediate", "InvalidParameterValue", "allowed values are"),
        ("shared_preload_libraries", "nonsense", "pending-reboot", "InvalidParameterValue", "allowed values are"),
        ("max_connections", "{DBInstanceClassMemory/oops}", "pending-reboot", "InvalidParameterValue", "allowed values are"),
        ("work_mem", "8192", "someday", "InvalidParameterValue", "immediate, pending-reboot"),
    ],
)
def test_what_a_change_of_parameters_refuses(rds, name, parameter, value, method, code, words):
    group(rds, name)
    with refused(code, words=words):
        change(rds, name, parameter, value, method)
    assert all(row["Source"] != "user" for row in described(rds, name).values())


def test_a_refused_change_changes_nothing_of_its_batch(rds, name):
    group(rds, name)
    good = {"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"}
    with refused("InvalidParameterValue"):
        rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[good, {**good, "ParameterName": "nonsense"}])
    assert described(rds, name)["work_mem"]["Source"] == "engine-default"
    with refused("InvalidParameterValue", words="20"):
        rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[good] * 21)


def test_a_groups_values_are_described_with_their_types(rds, name):
    group(rds, name)
    change(rds, name, "MAX_WAL_SENDERS", "25", "pending-reboot")
    rows = described(rds, name)
    assert len(rows) > 300
    assert rows["max_wal_senders"]["ParameterValue"] == "25"
    assert rows["max_wal_senders"]["Source"] == "user"
    assert rows["max_wal_senders"]["ApplyType"] == "static"
    assert rows["rds.logical_replication"]["ApplyType"] == "static"
    assert rows["rds.logical_replication"]["AllowedValues"] == "0,1"
    assert rows["max_slot_wal_keep_size"]["ApplyType"] == "dynamic"
    assert rows["shared_buffers"]["ParameterValue"] == "{DBInstanceClassMemory/32768}"
    assert rows["wal_level"]["IsModifiable"] is False
    user = rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]
    assert [row["ParameterName"] for row in user] == ["max_wal_senders"]
    pages = rds.get_paginator("describe_engine_default_parameters").paginate(DBParameterGroupFamily=FAMILY)
    defaults = {row["ParameterName"] for page in pages for row in page["EngineDefaults"]["Parameters"]}
    assert defaults == set(rows)


def test_groups_are_unique_and_limited(clean, rds, name):
    group(rds, name)
    with refused("DBParameterGroupAlreadyExists"):
        group(rds, name)
    clean.control("quota", {"account": clean.accounts[0], "name": "parameter-groups", "limit": 1})
    with refused("DBParameterGroupQuotaExceeded"):
        group(rds, name + "b")
    rds.delete_db_parameter_group(DBParameterGroupName=name)
    with refused("DBParameterGroupNotFound", 404):
        rds.describe_db_parameters(DBParameterGroupName=name)
    with refused("InvalidParameterValue", words="family"):
        rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="mysql8.0", Description="x")


def test_a_group_is_copied_with_its_values(rds, other, name):
    group(rds, name)
    change(rds, name, "work_mem", "8192", "immediate")
    said = {"TargetDBParameterGroupIdentifier": f"{name}-copy", "TargetDBParameterGroupDescription": "x"}
    rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier=name, **said)
    assert described(rds, f"{name}-copy")["work_mem"]["ParameterValue"] == "8192"
    with refused("DBParameterGroupAlreadyExists"):
        rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier=name, **said)
    arn = rds.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"][0]["DBParameterGroupArn"]
    with refused("DBParameterGroupNotFound", 404):
        other.copy_db_parameter_group(SourceDBParameterGroupIdentifier=arn, **said)
    with refused("InvalidParameterValue", words="default"):
        rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier="default.postgres15", **said)


def test_the_catalogue_says_what_the_real_server_says(stand_in, rds, shared):
    """The shipped list can't grow old unseen: contexts, ranges and words are held against a running server."""
    socket = next(row["socket"] for row in stand_in.control("instances") if row["name"] == "shared")
    query = "select json_agg(s) from (select name, context, vartype, min_val, max_val, enumvals from pg_settings) s"
    port = str(shared["Endpoint"]["Port"])
    words = ["/usr/lib/postgresql/15/bin/psql", "-XAt", "-h", socket, "-p", port, "-U", "rdsadmin", "-c", query, "postgres"]
    rows = {row["name"].lower(): row for row in json.loads(subprocess.run(words, capture_output=True, check=True).stdout)}
    ours = described(rds, "default.postgres15")
    compared = 0
    for name, row in ours.items():
        if name not in rows:
            assert "." in name, f"the server doesn't know {name}"
            continue
        compared += 1
        real = rows[name]
        assert row["ApplyType"] == ("static" if real["context"] == "postmaster" else "dynamic"), name
        if real["vartype"] in ("integer", "real"):
            assert row["AllowedValues"] == f"{real['min_val']}-{real['max_val']}", name
        if real["vartype"] == "enum":
            assert row["AllowedValues"].split(",") == real["enumvals"], name
    assert compared > 300
