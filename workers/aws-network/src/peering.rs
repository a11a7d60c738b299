//! The peering: asked for by the target's account, accepted by the source's, and names resolved over it.

use aws_sdk_ec2::{
    config::retry::RetryConfig,
    types::{PeeringConnectionOptionsRequest, ResourceType},
};
use changeover_aws::error::Told as _;
use changeover_domain::{
    Failure, Side,
    aws::network::{
        Ends,
        peering::{Peering, PeeringSeen, State},
    },
};
use serde::{Deserialize, Serialize};

use crate::{Network, look, plan};

/// How far the joining of the networks is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "joined")]
pub enum Joined {
    /// They are joined without us; nothing was made, and no ways are.
    Already {
        /// By what, for people.
        by: String,
    },
    /// On its way; a durable timer calls again.
    Working {
        /// What is waited for.
        status: String,
    },
    /// By our peering.
    Ours {
        /// Its id.
        id: String,
    },
}

/// Joins the two networks, one act at a time. The undo is `Ends::undo_of_peering`, kept before. CO1040 where they overlap, CO1041 where
/// our peering came to nothing, CO1042 where somebody else's stands in the way.
pub async fn ensure_peering(source: &Network, target: &Network, ends: &Ends) -> Result<Joined, Failure> {
    check_sides(source, target)?;
    match plan::decide(source, target, ends).await? {
        Peering::SameVpc => return Ok(Joined::Already { by: ends.source.vpc.id.clone() }),
        Peering::Theirs { id } => return Ok(Joined::Already { by: id }),
        Peering::Absent => request(target, ends).await?,
        Peering::Ours { id, state: State::Acceptable } => accept(source, &id).await?,
        Peering::Ours { id, state: State::Active } if ends.can_resolve() => {
            resolve_names(target, &id).await?;
            resolve_names(source, &id).await?;
        }
        Peering::Ours { .. } => {}
    }
    observe(source, target, ends).await
}

async fn observe(source: &Network, target: &Network, ends: &Ends) -> Result<Joined, Failure> {
    let working = |status: &str| Joined::Working { status: status.to_owned() };
    Ok(match plan::decide(source, target, ends).await? {
        Peering::Ours { id, state: State::Active } if !ends.can_resolve() => Joined::Ours { id },
        Peering::Ours { id, state: State::Active } if resolved(source, target, &id).await? => Joined::Ours { id },
        Peering::Ours { id, state: State::Active } => {
            working(&format!("{id} is active; names don't resolve over it yet"))
        }
        Peering::Ours { id, state: State::Acceptable } => working(&format!("{id} waits for the source's account")),
        Peering::Ours { id, .. } => working(&format!("{id} is on its way")),
        // EC2 shows what was made a moment ago a moment later.
        _ => working("the peering was asked for"),
    })
}

fn check_sides(source: &Network, target: &Network) -> Result<(), Failure> {
    if (source.side(), target.side()) == (Side::Source, Side::Target) {
        return Ok(());
    }
    Err(Failure::invariant("CO1025", "the networks of source and target are mixed up"))
}

async fn request(target: &Network, ends: &Ends) -> Result<(), Failure> {
    let (ours, theirs) = (&ends.target.vpc, &ends.source.vpc);
    let request = target
        .ec2
        .create_vpc_peering_connection()
        .vpc_id(&ours.id)
        .peer_vpc_id(&theirs.id)
        .peer_owner_id(&theirs.account)
        .peer_region(&theirs.region)
        .tag_specifications(target.tags(ResourceType::VpcPeeringConnection));
    // A second request of the SDK's own could be a second peering; ours looks first.
    let once = aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled());
    let what = format!("asking to join {} and {}", ours.id, theirs.id);
    let answer = request.customize().config_override(once).send().await;
    // One that was made a moment ago and isn't shown yet, or somebody else's: the next look tells.
    answer.unless(&["VpcPeeringConnectionAlreadyExists"], target.side(), &what).map(drop)
}

async fn accept(source: &Network, id: &str) -> Result<(), Failure> {
    let request = source.ec2.accept_vpc_peering_connection().vpc_peering_connection_id(id);
    // Accepted a moment ago, or not shown to this account yet.
    let passes = &["InvalidStateTransition", "InvalidVpcPeeringConnectionID.NotFound"];
    request.send().await.unless(passes, source.side(), &format!("accepting {id}")).map(drop)
}

/// Each account sets the option of its own end: names of its network resolve to inner addresses for the other one
/// (<https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-dns.html>).
async fn resolve_names(network: &Network, id: &str) -> Result<(), Failure> {
    // By this side's own view: the other one may know earlier that it is active.
    let seen = look::peerings(network).await?.into_iter().find(|peering| peering.id == id);
    if !seen.is_some_and(|peering| peering.state() == State::Active && !resolves_own(network, &peering)) {
        return Ok(());
    }
    let options = PeeringConnectionOptionsRequest::builder().allow_dns_resolution_from_remote_vpc(true).build();
    let request = network.ec2.modify_vpc_peering_connection_options().vpc_peering_connection_id(id);
    let request = match network.side() {
        Side::Target => request.requester_peering_connection_options(options),
        Side::Source => request.accepter_peering_connection_options(options),
    };
    request.send().await.told(network.side(), &format!("having names resolved over {id}")).map(drop)
}

async fn resolved(source: &Network, target: &Network, id: &str) -> Result<bool, Failure> {
    Ok(resolves(target, id).await? && resolves(source, id).await?)
}

async fn resolves(network: &Network, id: &str) -> Result<bool, Failure> {
    Ok(look::peerings(network).await?.iter().any(|peering| peering.id == id && resolves_own(network, peering)))
}

fn resolves_own(network: &Network, peering: &PeeringSeen) -> bool {
    match network.side() {
        Side::Target => peering.requester_resolves,
        Side::Source => peering.accepter_resolves,
    }
}
