//! Undoing, one thing at a time: our rules, the routes over our peering, the peering. Nothing of others.

use changeover_aws::{error::Told as _, undo::Undone};
use changeover_domain::{
    Failure, Side,
    aws::{
        names::Owner,
        network::{
            peering::{PeeringSeen, State},
            routes, rules,
        },
        undo::{AwsUndo, Kind},
    },
};

use crate::{Network, look};

/// Undoes one thing of the network. Safe to be done twice, and before its act was done.
pub async fn undo(network: &Network, undo: &AwsUndo) -> Result<Undone, Failure> {
    match undo {
        AwsUndo::Delete { side, kind, name } if *side == network.side() => match kind {
            Kind::Peering if *side == Side::Target => delete_peering(network, name).await,
            Kind::Routes => delete_routes(network, name).await,
            Kind::SecurityRules => revoke_rules(network, name).await,
            _ => Err(not_for_here(network, undo)),
        },
        _ => Err(not_for_here(network, undo)),
    }
}

fn not_for_here(network: &Network, undo: &AwsUndo) -> Failure {
    let message =
        format!("the network of the {} was given an undo that isn't its own: {}", network.side(), undo.describe());
    Failure::invariant("CO1025", message)
}

/// One that came to nothing can't be deleted; EC2 forgets it.
async fn delete_peering(target: &Network, pair: &str) -> Result<Undone, Failure> {
    let ours = live(target, pair).await?;
    for peering in &ours {
        let request = target.ec2.delete_vpc_peering_connection().vpc_peering_connection_id(&peering.id);
        // Gone already, or in the midst of something: looked at again.
        let passes = &["InvalidVpcPeeringConnectionID.NotFound", "InvalidStateTransition"];
        request.send().await.unless(passes, target.side(), &format!("deleting {}", peering.id))?;
    }
    Ok(match live(target, pair).await?.first() {
        None => Undone::Done,
        Some(left) => Undone::Working { status: format!("{} is {}", left.id, left.status) },
    })
}

async fn live(target: &Network, pair: &str) -> Result<Vec<PeeringSeen>, Failure> {
    let lives = |peering: &PeeringSeen| !matches!(peering.state(), State::Dead | State::Gone);
    let is_it = |peering: &PeeringSeen| pair == format!("{}/{}", peering.requester, peering.accepter);
    let seen = look::peerings(target).await?.into_iter();
    Ok(seen.filter(|peering| peering.owner == Owner::Us && is_it(peering) && lives(peering)).collect())
}

async fn delete_routes(network: &Network, peering: &str) -> Result<Undone, Failure> {
    for route in routes::over(&look::tables_over(network, peering).await?, peering) {
        let request = network.ec2.delete_route().route_table_id(&route.table);
        let request = request.destination_cidr_block(route.destination.to_string());
        let what = format!("deleting the route to {} in {}", route.destination, route.table);
        let passes = &["InvalidRoute.NotFound", "InvalidRouteTableID.NotFound"];
        request.send().await.unless(passes, network.side(), &what)?;
    }
    let left = routes::over(&look::tables_over(network, peering).await?, peering);
    Ok(if left.is_empty() { Undone::Done } else { working("routes", left.len()) })
}

async fn revoke_rules(network: &Network, group: &str) -> Result<Undone, Failure> {
    let groups = [group.to_owned()];
    let ours = rules::ours(&look::rules(network, &groups).await?);
    if ours.is_empty() {
        return Ok(Undone::Done);
    }
    let request = network.ec2.revoke_security_group_ingress().group_id(group).set_security_group_rule_ids(Some(ours));
    let passes = &["InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound"];
    request.send().await.unless(passes, network.side(), &format!("taking our rules out of {group}"))?;
    let left = rules::ours(&look::rules(network, &groups).await?);
    Ok(if left.is_empty() { Undone::Done } else { working("rules", left.len()) })
}

fn working(what: &str, left: usize) -> Undone {
    Undone::Working { status: format!("{left} {what} are still shown") }
}
