//! The peering: whether one is needed, and how far ours is
//! (<https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html>).

use serde::{Deserialize, Serialize};

use super::{Ends, Vpc};
use crate::{Failure, aws::names::Owner};

/// A peering as EC2 describes it to one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeeringSeen {
    /// Such as `pcx-0a1b`.
    pub id: String,
    /// A word of EC2's, such as `pending-acceptance`.
    pub status: String,
    /// What EC2 says about it.
    pub message: String,
    /// The VPC that asked.
    pub requester: String,
    /// The VPC that was asked.
    pub accepter: String,
    /// Whose it is. Tags are seen by the account that gave them alone: on the source, ours is known by its id.
    pub owner: Owner,
    /// Whether names of this side resolve to inner addresses for the other side: the two ends' own option.
    pub requester_resolves: bool,
    /// The same of the accepter's.
    pub accepter_resolves: bool,
}

impl PeeringSeen {
    /// How far it is.
    pub fn state(&self) -> State {
        match self.status.as_str() {
            "pending-acceptance" => State::Acceptable,
            "active" => State::Active,
            "deleting" | "deleted" => State::Gone,
            "failed" | "expired" | "rejected" => State::Dead,
            // `initiating-request`, `provisioning`, and what EC2 may say tomorrow: a deadline ends the wait.
            _ => State::Working,
        }
    }
    fn joins(&self, a: &Vpc, b: &Vpc) -> bool {
        (self.requester == a.id && self.accepter == b.id) || (self.requester == b.id && self.accepter == a.id)
    }
}

/// How far a peering is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On its way.
    Working,
    /// Waits for the other account's consent.
    Acceptable,
    /// It can be used.
    Active,
    /// Nothing comes of it; EC2 shows it for hours or days.
    Dead,
    /// It was deleted.
    Gone,
}

/// What there is between two networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "peering")]
pub enum Peering {
    /// They are one.
    SameVpc,
    /// A peering of ours.
    Ours {
        /// Which.
        id: String,
        /// How far.
        state: State,
    },
    /// An active peering that others made. It serves where it is routed, and nothing is made.
    Theirs {
        /// Which.
        id: String,
    },
    /// None yet: it has to be asked for.
    Absent,
}

/// Decides it from what the target's account sees. CO1040 where the networks overlap, CO1041 where ours came to nothing, CO1042 where
/// somebody else's stands in the way.
pub fn decide(ends: &Ends, seen: &[PeeringSeen]) -> Result<Peering, Failure> {
    if ends.are_in_one_vpc() {
        return Ok(Peering::SameVpc);
    }
    let (source, target) = (&ends.source.vpc, &ends.target.vpc);
    check_overlap(source, target)?;
    let pair: Vec<&PeeringSeen> = seen.iter().filter(|peering| peering.joins(source, target)).collect();
    let live = |peering: &&&PeeringSeen| !matches!(peering.state(), State::Dead | State::Gone);
    let ours = |peering: &&&PeeringSeen| peering.owner == Owner::Us;
    // Of two of ours, which EC2 doesn't let be, the one that is further.
    let furthest = pair.iter().filter(live).filter(ours).max_by_key(|peering| peering.state() == State::Active);
    if let Some(found) = furthest {
        return Ok(Peering::Ours { id: found.id.clone(), state: found.state() });
    }
    if let Some(found) = pair.iter().find(live) {
        return theirs(found);
    }
    match pair.iter().filter(ours).find(|peering| peering.state() == State::Dead) {
        Some(dead) => Err(came_to_nothing(dead)),
        None => Ok(Peering::Absent),
    }
}

/// AWS joins no networks that have an address in common, in whichever of their blocks. CO1040.
pub fn check_overlap(source: &Vpc, target: &Vpc) -> Result<(), Failure> {
    let pairs = source.cidrs.iter().flat_map(|a| target.cidrs.iter().map(move |b| (a, b)));
    let Some((a, b)) = pairs.into_iter().find(|(a, b)| a.overlaps(**b)) else { return Ok(()) };
    Err(Failure::refused(
        "CO1040",
        format!(
            "the networks overlap, and AWS doesn't join such: {} of the source has {a}, {} of the target has {b}",
            source.id, target.id
        ),
        "name a subnet group in another VPC for the target, whose blocks aren't the source's",
    ))
}

/// One that another migration has made goes at that one's end, and whoever relies on it with it.
fn theirs(found: &PeeringSeen) -> Result<Peering, Failure> {
    if let Owner::Migration(other) = &found.owner {
        return Err(Failure::needs_human(
            "CO1042",
            format!(
                "{} between the two networks is migration {other}'s, which takes it away when it is aborted or parts them",
                found.id
            ),
            format!(
                "have that migration end, or keep the peering for good: take the tag {} off it; then `changeover retry`",
                crate::aws::names::TAG
            ),
        ));
    }
    if found.state() == State::Active {
        return Ok(Peering::Theirs { id: found.id.clone() });
    }
    Err(Failure::needs_human(
        "CO1042",
        format!(
            "{} between the two networks is {} and {}: AWS has no second one",
            found.id,
            found.status,
            found.owner.describe()
        ),
        "have it accepted and routed on both sides, or delete it, then `changeover retry`",
    ))
}

/// An active peering of others that isn't routed on both sides. CO1042.
pub fn not_routed(id: &str, lacking: &[String]) -> Failure {
    Failure::needs_human(
        "CO1042",
        format!("{id} between the two networks isn't ours, and lacks routes: {}", lacking.join("; ")),
        "add these routes over it, or delete it, and one is made, then `changeover retry`",
    )
}

fn came_to_nothing(dead: &PeeringSeen) -> Failure {
    Failure::needs_human(
        "CO1041",
        format!("the peering {} is {}: {}", dead.id, dead.status, dead.message),
        format!(
            "see who rejected it, or why; mend that, take the tag {} off {}, then `changeover retry`, and another one is asked for",
            crate::aws::names::TAG,
            dead.id
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, aws::network::tests::ends};
    use rstest::rstest;

    fn seen(id: &str, status: &str, owner: Owner) -> PeeringSeen {
        PeeringSeen {
            id: id.into(),
            status: status.into(),
            message: "why".into(),
            requester: "vpc-t".into(),
            accepter: "vpc-s".into(),
            owner,
            requester_resolves: false,
            accepter_resolves: false,
        }
    }

    fn ours(state: State) -> Result<Peering, String> {
        Ok(Peering::Ours { id: "pcx-1".into(), state })
    }

    #[rstest]
    #[case::none(vec![], Ok(Peering::Absent))]
    #[case::asked(vec![seen("pcx-1", "initiating-request", Owner::Us)], ours(State::Working))]
    #[case::to_be_accepted(vec![seen("pcx-1", "pending-acceptance", Owner::Us)], ours(State::Acceptable))]
    #[case::provisioning(vec![seen("pcx-1", "provisioning", Owner::Us)], ours(State::Working))]
    #[case::a_word_of_tomorrow(vec![seen("pcx-1", "resting", Owner::Us)], ours(State::Working))]
    #[case::active(vec![seen("pcx-1", "active", Owner::Us)], ours(State::Active))]
    #[case::deleted_before(vec![seen("pcx-1", "deleted", Owner::Us)], Ok(Peering::Absent))]
    #[case::deleted_and_anew(
        vec![seen("pcx-0", "deleted", Owner::Us), seen("pcx-1", "active", Owner::Us)], ours(State::Active)
    )]
    #[case::two(
        vec![seen("pcx-1", "active", Owner::Us), seen("pcx-2", "pending-acceptance", Owner::Us)], ours(State::Active)
    )]
    #[case::failed(vec![seen("pcx-1", "failed", Owner::Us)], Err("CO1041".into()))]
    #[case::expired(vec![seen("pcx-1", "expired", Owner::Us)], Err("CO1041".into()))]
    #[case::rejected(vec![seen("pcx-1", "rejected", Owner::Us)], Err("CO1041".into()))]
    #[case::failed_and_anew(
        vec![seen("pcx-0", "failed", Owner::Us), seen("pcx-1", "active", Owner::Us)], ours(State::Active)
    )]
    #[case::untagged_after_its_failure(vec![seen("pcx-1", "failed", Owner::Somebody)], Ok(Peering::Absent))]
    #[case::theirs(vec![seen("pcx-1", "active", Owner::Somebody)], Ok(Peering::Theirs { id: "pcx-1".into() }))]
    #[case::another_migrations(
        vec![seen("pcx-1", "active", Owner::Migration("x".into()))], Err("CO1042".into())
    )]
    #[case::theirs_waits(vec![seen("pcx-1", "pending-acceptance", Owner::Somebody)], Err("CO1042".into()))]
    fn each_state_is_told(#[case] seen: Vec<PeeringSeen>, #[case] expected: Result<Peering, String>) {
        assert_eq!(decide(&ends(), &seen).map_err(|failure| failure.code), expected);
    }

    #[test]
    fn a_peering_with_a_third_network_is_none() {
        let mut third = seen("pcx-1", "active", Owner::Us);
        third.accepter = "vpc-x".into();
        assert_eq!(decide(&ends(), &[third]).unwrap(), Peering::Absent);
        // Asked for the other way round it joins as well.
        let mut turned = seen("pcx-1", "active", Owner::Somebody);
        (turned.requester, turned.accepter) = (turned.accepter, turned.requester);
        assert_eq!(decide(&ends(), &[turned]).unwrap(), Peering::Theirs { id: "pcx-1".into() });
    }

    #[test]
    fn one_network_is_joined_as_it_is() {
        let mut ends = ends();
        ends.target = ends.source.clone();
        assert_eq!(decide(&ends, &[]).unwrap(), Peering::SameVpc);
    }

    #[test]
    fn any_two_blocks_in_common_are_refused_by_name() {
        let mut ends = ends();
        ends.target.vpc.cidrs.push("10.10.128.0/20".parse().unwrap());
        let failure = decide(&ends, &[]).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("CO1040", Class::Refused));
        for word in ["vpc-s", "10.10.0.0/16", "vpc-t", "10.10.128.0/20"] {
            assert!(failure.message.contains(word), "{failure}");
        }
    }

    #[test]
    fn what_came_to_nothing_says_how_to_go_on() {
        let failure = decide(&ends(), &[seen("pcx-1", "rejected", Owner::Us)]).unwrap_err();
        assert!(failure.message.contains("pcx-1 is rejected: why"), "{failure}");
        assert!(failure.remedy.contains("take the tag changeover:migration off pcx-1"), "{}", failure.remedy);
    }
}
