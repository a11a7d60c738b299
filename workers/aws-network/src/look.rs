//! What EC2 says of both sides. Changes nothing.

use aws_sdk_ec2::types::{self, Filter};
use changeover_aws::{error::Told as _, subnets};
use changeover_domain::{
    Failure,
    aws::{
        names::Owner,
        network::{
            End, Ends, Vpc,
            peering::PeeringSeen,
            routes::{RouteSeen, Table},
            rules::RuleSeen,
        },
    },
};

use crate::Network;

/// What the spec, or an instance's description, says about where one side is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its subnet group.
    pub subnet_group: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its port.
    pub port: u16,
}

/// Where both sides are. CO1006 where a subnet group has no VPC.
pub async fn ends(source: &Network, target: &Network, of_source: &Given, of_target: &Given) -> Result<Ends, Failure> {
    Ok(Ends { source: end(source, of_source).await?, target: end(target, of_target).await? })
}

async fn end(network: &Network, given: &Given) -> Result<End, Failure> {
    let group = subnets::look_at_subnets(&network.session, &given.subnet_group).await?;
    // The first one gets our rules, so that it has to be the same one each time.
    let mut security_groups = given.security_groups.clone();
    security_groups.sort();
    Ok(End { vpc: vpc(network, &group.vpc).await?, subnets: group.subnets, security_groups, port: given.port })
}

async fn vpc(network: &Network, id: &str) -> Result<Vpc, Failure> {
    let what = format!("looking at {id}");
    let answer = network.ec2.describe_vpcs().vpc_ids(id).send().await.told(network.side(), &what)?;
    let Some(seen) = answer.vpcs().first() else {
        let message = format!("there is no {id} on the {}", network.side());
        return Err(Failure::refused("CO1006", message, "correct the subnet group, region or account in the spec"));
    };
    let blocks = seen.cidr_block_association_set().iter().filter(|block| {
        let state = block.cidr_block_state().and_then(|state| state.state());
        // One that is on its way counts, one that goes or has failed doesn't.
        state.is_none_or(|state| matches!(state.as_str(), "associated" | "associating"))
    });
    let mut cidrs = Vec::new();
    for block in blocks.filter_map(|block| block.cidr_block()).chain(seen.cidr_block()) {
        let block = block.parse().map_err(|error| Failure::invariant("CO1025", format!("{id}: {error}")))?;
        if !cidrs.contains(&block) {
            cidrs.push(block);
        }
    }
    let account = seen.owner_id().unwrap_or(network.session.account()).to_owned();
    let resolves = resolves(network, id).await?;
    Ok(Vpc { id: id.to_owned(), account, region: network.session.region().to_owned(), cidrs, resolves })
}

async fn resolves(network: &Network, vpc: &str) -> Result<bool, Failure> {
    let ask = async |attribute| {
        let request = network.ec2.describe_vpc_attribute().vpc_id(vpc).attribute(attribute);
        request.send().await.told(network.side(), &format!("seeing whether names resolve in {vpc}"))
    };
    let is_on = |value: Option<&types::AttributeBooleanValue>| value.and_then(|value| value.value()).unwrap_or(false);
    let hostnames = ask(types::VpcAttributeName::EnableDnsHostnames).await?;
    let support = ask(types::VpcAttributeName::EnableDnsSupport).await?;
    Ok(is_on(hostnames.enable_dns_hostnames()) && is_on(support.enable_dns_support()))
}

/// All peerings that an account sees.
pub(crate) async fn peerings(network: &Network) -> Result<Vec<PeeringSeen>, Failure> {
    let mut pages = network.ec2.describe_vpc_peering_connections().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(peering) = pages.next().await {
        found.push(peering_seen(network, &peering.told(network.side(), "looking for the peering")?));
    }
    Ok(found)
}

fn peering_seen(network: &Network, peering: &types::VpcPeeringConnection) -> PeeringSeen {
    let (requester, accepter) = (peering.requester_vpc_info(), peering.accepter_vpc_info());
    let vpc = |info: Option<&types::VpcPeeringConnectionVpcInfo>| text(info.and_then(|info| info.vpc_id()));
    let resolves = |info: Option<&types::VpcPeeringConnectionVpcInfo>| {
        let options = info.and_then(|info| info.peering_options());
        options.and_then(|options| options.allow_dns_resolution_from_remote_vpc()).unwrap_or(false)
    };
    let status = peering.status();
    PeeringSeen {
        id: text(peering.vpc_peering_connection_id()),
        status: text(status.and_then(|status| status.code()).map(types::VpcPeeringConnectionStateReasonCode::as_str)),
        message: text(status.and_then(|status| status.message())),
        requester: vpc(requester),
        accepter: vpc(accepter),
        owner: owner(network, peering.tags()),
        requester_resolves: resolves(requester),
        accepter_resolves: resolves(accepter),
    }
}

/// The route tables of a VPC.
pub(crate) async fn tables(network: &Network, vpc: &str) -> Result<Vec<Table>, Failure> {
    tables_where(network, "vpc-id", vpc).await
}

/// The route tables that have a route over a peering.
pub(crate) async fn tables_over(network: &Network, peering: &str) -> Result<Vec<Table>, Failure> {
    tables_where(network, "route.vpc-peering-connection-id", peering).await
}

async fn tables_where(network: &Network, name: &str, value: &str) -> Result<Vec<Table>, Failure> {
    let mut pages = network.ec2.describe_route_tables().filters(filter(name, value)).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(table) = pages.next().await {
        found.push(table_seen(&table.told(network.side(), "looking at the route tables")?));
    }
    Ok(found)
}

fn table_seen(table: &types::RouteTable) -> Table {
    let associations = table.associations();
    Table {
        id: text(table.route_table_id()),
        main: associations.iter().any(|association| association.main() == Some(true)),
        subnets: associations.iter().filter_map(|association| association.subnet_id()).map(str::to_owned).collect(),
        routes: table.routes().iter().filter_map(route_seen).collect(),
    }
}

/// Routes to IPv6 and to lists of prefixes are left out.
fn route_seen(route: &types::Route) -> Option<RouteSeen> {
    let ways = [
        route.vpc_peering_connection_id(),
        route.gateway_id(),
        route.nat_gateway_id(),
        route.transit_gateway_id(),
        route.network_interface_id(),
        route.instance_id(),
        route.local_gateway_id(),
        route.carrier_gateway_id(),
        route.core_network_arn(),
        route.odb_network_arn(),
    ];
    Some(RouteSeen {
        destination: route.destination_cidr_block()?.parse().ok()?,
        via: text(ways.into_iter().flatten().next()),
        active: route.state() != Some(&types::RouteState::Blackhole),
    })
}

/// The rules of security groups.
pub(crate) async fn rules(network: &Network, groups: &[String]) -> Result<Vec<RuleSeen>, Failure> {
    let filter = Filter::builder().name("group-id").set_values(Some(groups.to_vec())).build();
    let mut pages = network.ec2.describe_security_group_rules().filters(filter).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(rule) = pages.next().await {
        found.push(rule_seen(network, &rule.told(network.side(), "looking at the security groups")?));
    }
    Ok(found)
}

fn rule_seen(network: &Network, rule: &types::SecurityGroupRule) -> RuleSeen {
    RuleSeen {
        id: text(rule.security_group_rule_id()),
        group: text(rule.group_id()),
        egress: rule.is_egress().unwrap_or(false),
        protocol: text(rule.ip_protocol()),
        first: rule.from_port().unwrap_or(-1),
        last: rule.to_port().unwrap_or(-1),
        cidr: rule.cidr_ipv4().and_then(|cidr| cidr.parse().ok()),
        owner: owner(network, rule.tags()),
    }
}

fn owner(network: &Network, tags: &[types::Tag]) -> Owner {
    network.session.names().owner(tags.iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}
