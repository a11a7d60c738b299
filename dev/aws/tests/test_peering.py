"""Peerings of VPCs across accounts: what the stand-in adds to moto's."""

import pytest
from conftest import refused, wait_until


@pytest.fixture
def pair(stand_in):
    """EC2 of both accounts."""
    return stand_in.client("ec2", 0), stand_in.client("ec2", 1)


def vpc(ec2, block: str) -> str:
    made = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    return made


def ask(stand_in, ec2, ours: str, theirs: str) -> str:
    tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "of", "Value": "test"}]}]
    said = ec2.create_vpc_peering_connection(
        VpcId=ours, PeerVpcId=theirs, PeerOwnerId=stand_in.accounts[1], TagSpecifications=tags
    )
    return said["VpcPeeringConnection"]["VpcPeeringConnectionId"]


def seen(ec2, identifier: str) -> dict:
    return ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[identifier])["VpcPeeringConnections"][0]


def code(ec2, identifier: str) -> str:
    return seen(ec2, identifier)["Status"]["Code"]


def test_a_peering_goes_its_way_and_each_account_has_its_own_end(stand_in, pair):
    mine, theirs = pair
    here, there = vpc(mine, "10.31.0.0/16"), vpc(theirs, "10.32.0.0/16")
    identifier = ask(stand_in, mine, here, there)
    assert code(mine, identifier) == "pending-acceptance"
    on = {"AllowDnsResolutionFromRemoteVpc": True}
    with refused("OperationNotPermitted", words="not active"):
        mine.modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, RequesterPeeringConnectionOptions=on)
    assert theirs.accept_vpc_peering_connection(VpcPeeringConnectionId=identifier)
    wait_until(lambda: code(theirs, identifier) == "active", "the peering is active")
    theirs.modify_vpc_attribute(VpcId=there, EnableDnsHostnames={"Value": False})
    with refused("OperationNotPermitted", words=f"must be enabled in {there}"):
        mine.modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, RequesterPeeringConnectionOptions=on)
    theirs.modify_vpc_attribute(VpcId=there, EnableDnsHostnames={"Value": True})
    with refused("OperationNotPermitted", words="other end"):
        mine.modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, AccepterPeeringConnectionOptions=on)
    mine.modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, RequesterPeeringConnectionOptions=on)
    theirs.modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, AccepterPeeringConnectionOptions=on)
    for end in ("RequesterVpcInfo", "AccepterVpcInfo"):
        assert seen(mine, identifier)[end]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"]
    # Tags are the account's that gave them.
    assert seen(mine, identifier)["Tags"] == [{"Key": "of", "Value": "test"}]
    assert seen(theirs, identifier).get("Tags", []) == []


def test_there_is_one_peering_between_two_vpcs_and_its_routes_end_with_it(stand_in, pair):
    mine, theirs = pair
    here, there = vpc(mine, "10.33.0.0/16"), vpc(theirs, "10.34.0.0/16")
    first = ask(stand_in, mine, here, there)
    with refused("VpcPeeringConnectionAlreadyExists", words=first):
        ask(stand_in, mine, here, there)
    table = mine.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [here]}])["RouteTables"][0]["RouteTableId"]
    mine.create_route(RouteTableId=table, DestinationCidrBlock="10.34.0.0/16", VpcPeeringConnectionId=first)
    mine.delete_vpc_peering_connection(VpcPeeringConnectionId=first)
    with refused("InvalidStateTransition", words="deleted"):
        mine.delete_vpc_peering_connection(VpcPeeringConnectionId=first)
    routes = mine.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert [(route["DestinationCidrBlock"], route["State"]) for route in routes] == [
        ("10.33.0.0/16", "active"),
        ("10.34.0.0/16", "blackhole"),
    ]
    assert ask(stand_in, mine, here, there) != first


def test_overlapping_blocks_fail_at_once(stand_in, pair):
    mine, theirs = pair
    here, there = vpc(mine, "10.35.0.0/16"), vpc(theirs, "10.36.0.0/16")
    theirs.associate_vpc_cidr_block(VpcId=there, CidrBlock="10.35.128.0/20")
    failed = seen(mine, ask(stand_in, mine, here, there))["Status"]
    assert failed["Code"] == "failed" and "overlapping CIDR" in failed["Message"]
