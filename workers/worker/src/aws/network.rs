//! The networks of the two sides: looked at, joined, opened, parted.

use std::time::Duration;

use changeover_aws::{Session, undo::Undone};
use changeover_aws_network::{
    Network,
    look::{self, Given},
    peering::{self, Joined},
    plan, undo, ways,
};
use changeover_domain::{
    Failure, Side,
    aws::{
        network::{Ends, peering::Peering},
        provision::AwsFacts,
        status::Progress,
        target::InstanceSeen,
        undo::AwsUndo,
    },
};
use changeover_workflows::contract::AwsDone;

pub(super) use plan::NetworkPlan;

use super::{
    act::{done, goes_on},
    ground::Ground,
};

/// What was made is shown within this time.
const SHOWN: Duration = Duration::from_secs(5);

/// Both sides' networks.
struct Both {
    source: Network,
    target: Network,
}

impl Both {
    async fn open(ground: &Ground) -> Result<Self, Failure> {
        let (source, target) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
        Ok(Self::of(&source, &target))
    }

    fn of(source: &Session, target: &Session) -> Self {
        Self { source: Network::new(source), target: Network::new(target) }
    }

    async fn ends(&self, ground: &Ground, seen: &InstanceSeen) -> Result<Ends, Failure> {
        let shape = &seen.shape;
        let none = |_| Failure::invariant("CO1025", format!("{} listens on {}", seen.identifier, shape.port));
        let port = u16::try_from(shape.port).map_err(none)?;
        let of_source =
            Given { subnet_group: shape.subnet_group.clone(), security_groups: shape.security_groups.clone(), port };
        let made = ground.made();
        // The target is made with the source's port.
        let of_target = Given { subnet_group: made.subnet_group, security_groups: made.security_groups, port };
        look::ends(&self.source, &self.target, &of_source, &of_target).await
    }
}

/// Where both sides are, and what would be made between them. Changes nothing. CO1040 to CO1044 where they can't be joined.
pub(super) async fn outlook(
    ground: &Ground,
    (source, target): (&Session, &Session),
    seen: &InstanceSeen,
) -> Result<(Ends, NetworkPlan), Failure> {
    let both = Both::of(source, target);
    let ends = both.ends(ground, seen).await?;
    let plan = plan::plan(&both.source, &both.target, &ends).await?;
    Ok((ends, plan))
}

/// What undoes the peering. Also where others have joined the networks: their peering may be gone by the time of the act. One that is there
/// before this run has made any was left by an earlier run of the same name, for whoever uses it now: it is used, and stays.
pub(super) async fn plan_peering(ground: &Ground, facts: &mut AwsFacts) -> Result<Vec<AwsUndo>, Failure> {
    let (source, target) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
    let seen = ground.source(&source).await?;
    let (ends, plan) = outlook(ground, (&source, &target), &seen).await?;
    if facts.ends.is_none() {
        facts.joined_before = matches!(plan.peering, Peering::Ours { .. });
    }
    let undo = ends.undo_of_peering();
    facts.ends = Some(ends);
    Ok(if facts.joined_before { Vec::new() } else { vec![undo] })
}

/// What undoes the ways over our peering.
pub(super) fn plan_ways(facts: &AwsFacts) -> Vec<AwsUndo> {
    if facts.joined_before {
        return Vec::new();
    }
    let ways = facts.ends.as_ref().zip(facts.peering.as_ref());
    ways.map(|(ends, peering)| ends.undo_of_ways(peering)).unwrap_or_default()
}

fn known(facts: &AwsFacts) -> Result<Ends, Failure> {
    let missing = || Failure::invariant("CO1082", "the networks are to be joined without having been looked at");
    facts.ends.clone().ok_or_else(missing)
}

/// Joins the two networks, one act at a time.
pub(super) async fn peering(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let both = Both::open(ground).await?;
    let ends = known(&facts)?;
    let (here, there) = (&ends.source.vpc.id, &ends.target.vpc.id);
    match peering::ensure_peering(&both.source, &both.target, &ends).await? {
        Joined::Working { status } => goes_on(facts, status),
        Joined::Already { by } => {
            facts.peering = None;
            done(facts, format!("{here} and {there} are joined by {by} already: nothing is made"))
        }
        Joined::Ours { id } => {
            let detail = format!("{here} and {there} are joined by {id}");
            facts.peering = Some(id);
            done(facts, detail)
        }
    }
}

/// Routes and rules over our peering.
pub(super) async fn ways(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    let Some(peering) = facts.peering.clone() else { return done(facts, "nothing is made between them") };
    let both = Both::open(ground).await?;
    let ends = known(&facts)?;
    match ways::ensure_ways(&both.source, &both.target, &ends, &peering).await? {
        Progress::Working { status, .. } => goes_on(facts, status),
        _ => done(facts, format!("each side is routed to the other over {peering}, and let in on its port")),
    }
}

/// Undoes one thing of the network, in its side's account.
pub(super) async fn undo(session: &Session, undo: &AwsUndo) -> Result<Undone, Failure> {
    let network = Network::new(session);
    let undone = undo::undo(&network, undo).await?;
    if undone != Undone::Done {
        return Ok(undone);
    }
    // EC2 shows a moment later what was made a moment ago, by a step that an abort has cut short.
    tokio::time::sleep(SHOWN).await;
    undo::undo(&network, undo).await
}
