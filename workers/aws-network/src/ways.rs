//! What lets packets through: routes over our peering, and rules that let the other side in.

use aws_sdk_ec2::types::{IpPermission, IpRange, ResourceType};
use changeover_aws::error::Told as _;
use changeover_domain::{
    Failure,
    aws::{
        network::{
            Ends, Missing,
            peering::{Peering, State},
            routes::Route,
            rules::Rule,
        },
        status::Progress,
    },
};

use crate::{Network, plan};

/// Makes what is missing on both sides, over our peering. The undos are `Ends::undo_of_ways`, kept before; `ends` is what they were made
/// of. CO1041 where the peering is gone, CO1043 where a table leads elsewhere, CO1044 where a side doesn't get out.
pub async fn ensure_ways(source: &Network, target: &Network, ends: &Ends, peering: &str) -> Result<Progress, Failure> {
    check_peering(source, target, ends, peering).await?;
    let mut lines = Vec::new();
    for network in [source, target] {
        make(network, peering, &plan::missing(network, ends, Some(peering)).await?).await?;
        lines.extend(plan::missing(network, ends, Some(peering)).await?.lines(network.side()));
    }
    if lines.is_empty() {
        return Ok(Progress::Ready);
    }
    Ok(Progress::Working { status: format!("not shown yet: {}", lines.join("; ")), percent: None })
}

/// Routes over a peering that is gone would lead nowhere. CO1041.
async fn check_peering(source: &Network, target: &Network, ends: &Ends, peering: &str) -> Result<(), Failure> {
    match plan::decide(source, target, ends).await? {
        Peering::Ours { id, state: State::Active } if id == peering => Ok(()),
        now => Err(Failure::needs_human(
            "CO1041",
            format!("our peering {peering} isn't there any more, or isn't active: {now:?}"),
            "see who deleted it; `changeover abort` takes the rest back, then start again",
        )),
    }
}

async fn make(network: &Network, peering: &str, missing: &Missing) -> Result<(), Failure> {
    for route in &missing.routes {
        add_route(network, peering, route).await?;
    }
    for rule in &missing.rules {
        add_rule(network, rule).await?;
    }
    Ok(())
}

async fn add_route(network: &Network, peering: &str, route: &Route) -> Result<(), Failure> {
    let request = network.ec2.create_route().route_table_id(&route.table).vpc_peering_connection_id(peering);
    let request = request.destination_cidr_block(route.destination.to_string());
    let what = format!("routing {} in {}", route.destination, route.table);
    // By an attempt whose answer was lost, or by somebody else; or this side doesn't see the peering yet: the next look tells.
    let passes = &["RouteAlreadyExists", "InvalidVpcPeeringConnectionID.NotFound"];
    request.send().await.unless(passes, network.side(), &what).map(drop)
}

async fn add_rule(network: &Network, rule: &Rule) -> Result<(), Failure> {
    let port = i32::from(rule.port);
    let migration = network.session.names().migration();
    let range = IpRange::builder().cidr_ip(rule.from.to_string());
    let range = range.description(format!("Changeover, migration {migration}: the {}", network.side().other())).build();
    let permission = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port).ip_ranges(range).build();
    let request = network
        .ec2
        .authorize_security_group_ingress()
        .group_id(&rule.group)
        .ip_permissions(permission)
        .tag_specifications(network.tags(ResourceType::SecurityGroupRule));
    let what = format!("letting {} in by {}", rule.from, rule.group);
    request.send().await.unless(&["InvalidPermission.Duplicate"], network.side(), &what).map(drop)
}
