//! What would be made. Changes nothing.

use changeover_domain::{
    Failure, Side,
    aws::network::{
        Ends, Missing,
        peering::{self, Peering},
        routes, rules,
    },
};
use serde::{Deserialize, Serialize};

use crate::{Network, look};

/// What there is between two networks, and what would be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// The peering.
    pub peering: Peering,
    /// What the source's side lacks.
    pub source: Missing,
    /// What the target's side lacks.
    pub target: Missing,
}

impl NetworkPlan {
    /// Whether the networks are joined without us: nothing is made.
    pub fn is_needless(&self) -> bool {
        matches!(self.peering, Peering::SameVpc | Peering::Theirs { .. })
    }
    /// For people, a line for each thing.
    pub fn lines(&self, ends: &Ends) -> Vec<String> {
        let first = match &self.peering {
            Peering::SameVpc => format!("both are in {}: nothing is made", ends.source.vpc.id),
            Peering::Theirs { id } => {
                format!("{id}, which isn't ours, joins the two networks already: nothing is made")
            }
            Peering::Ours { id, .. } => format!("our peering {id} is there"),
            Peering::Absent => format!("a peering of {} with {}", ends.target.vpc.id, ends.source.vpc.id),
        };
        let rest = self.source.lines(Side::Source).into_iter().chain(self.target.lines(Side::Target));
        std::iter::once(first).chain(rest).chain(self.note(ends)).collect()
    }
    fn note(&self, ends: &Ends) -> Option<String> {
        (!self.is_needless() && !ends.can_resolve()).then(|| {
            let without: Vec<&str> = [&ends.source, &ends.target]
                .iter()
                .filter(|end| !end.vpc.resolves)
                .map(|end| end.vpc.id.as_str())
                .collect();
            format!(
                "names of public instances won't resolve to inner addresses: no DNS hostnames or resolution in {}",
                without.join(", ")
            )
        })
    }
}

/// Looks at everything, so that whatever would be refused is refused before anything is made. CO1040 to CO1044.
pub async fn plan(source: &Network, target: &Network, ends: &Ends) -> Result<NetworkPlan, Failure> {
    let peering = decide(source, target, ends).await?;
    let nothing = || (Missing::default(), Missing::default());
    let (of_source, of_target) = match &peering {
        Peering::SameVpc | Peering::Theirs { .. } => nothing(),
        Peering::Ours { id, .. } => (missing(source, ends, Some(id)).await?, missing(target, ends, Some(id)).await?),
        Peering::Absent => (missing(source, ends, None).await?, missing(target, ends, None).await?),
    };
    Ok(NetworkPlan { peering, source: of_source, target: of_target })
}

/// What there is between the networks. One that others made has to be routed on both sides.
pub(crate) async fn decide(source: &Network, target: &Network, ends: &Ends) -> Result<Peering, Failure> {
    let peering = peering::decide(ends, &look::peerings(target).await?)?;
    if let Peering::Theirs { id } = &peering {
        let mut lacking = lacking(source, ends, id).await?;
        lacking.extend(self::lacking(target, ends, id).await?);
        if !lacking.is_empty() {
            return Err(peering::not_routed(id, &lacking));
        }
    }
    Ok(peering)
}

async fn lacking(network: &Network, ends: &Ends, id: &str) -> Result<Vec<String>, Failure> {
    let (here, there) = (ends.on(network.side()), ends.on(network.side().other()));
    let tables = look::tables(network, &here.vpc.id).await?;
    Ok(routes::lacking(network.side(), &routes::of_subnets(&here.subnets, &tables), &there.vpc.cidrs, id))
}

/// What one side lacks. `peering` is ours, where it is made.
pub(crate) async fn missing(network: &Network, ends: &Ends, peering: Option<&str>) -> Result<Missing, Failure> {
    let side = network.side();
    let (here, there) = (ends.on(side), ends.on(side.other()));
    let tables = look::tables(network, &here.vpc.id).await?;
    let tables = routes::of_subnets(&here.subnets, &tables);
    let seen = look::rules(network, &here.security_groups).await?;
    rules::check_out(side, &seen, &here.security_groups, &there.vpc.cidrs, there.port)?;
    Ok(Missing {
        routes: routes::missing(side, &tables, &there.vpc.cidrs, peering)?,
        rules: rules::missing(&seen, &here.security_groups, &there.vpc.cidrs, here.port),
    })
}
