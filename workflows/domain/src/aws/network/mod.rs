//! The network between the two sides, as decisions: whether it has to be made, what of it is there, what is missing.
//!
//! It is made in two steps, each with undos that are known before it. First the peering, asked for by the target's account and accepted by
//! the source's: [`peering`]. Then, over a peering whose id is known by now, what lets packets through: [`routes`] and [`rules`]. IPv4 alone:
//! an instance of RDS always has such an address. Network ACLs are left as they are.

pub mod cidr;
pub mod peering;
pub mod routes;
pub mod rules;

use serde::{Deserialize, Serialize};

use self::{cidr::Cidr, routes::Route, rules::Rule};
use super::undo::{AwsUndo, Kind};
use crate::Side;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Such as `vpc-0a1b`.
    pub id: String,
    /// The account that reaches it.
    pub account: String,
    /// Its region.
    pub region: String,
    /// All its IPv4 blocks.
    pub cidrs: Vec<Cidr>,
    /// Whether it has DNS hostnames and DNS resolution switched on.
    pub resolves: bool,
}

/// Where one side's instance is, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// In which network.
    pub vpc: Vpc,
    /// The subnets of its subnet group: RDS may move it to any of them.
    pub subnets: Vec<String>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// The database's port.
    pub port: u16,
}

/// Both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The source's.
    pub source: End,
    /// The target's.
    pub target: End,
}

impl Ends {
    /// One of them.
    pub fn on(&self, side: Side) -> &End {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
    /// Whether both are in one network, be it one that two accounts share.
    pub fn are_in_one_vpc(&self) -> bool {
        self.source.vpc.id == self.target.vpc.id
    }
    /// Whether names can be made to resolve to inner addresses over a peering, which takes both
    /// (<https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-dns.html>). It needn't be: the name of an instance that isn't public
    /// resolves to its inner address everywhere.
    pub fn can_resolve(&self) -> bool {
        self.source.vpc.resolves && self.target.vpc.resolves
    }
    /// By which the peering is known in an undo: who asks, and whom.
    pub fn pair(&self) -> String {
        format!("{}/{}", self.target.vpc.id, self.source.vpc.id)
    }
    /// What undoes the peering, to be kept before it is asked for.
    pub fn undo_of_peering(&self) -> AwsUndo {
        AwsUndo::Delete { side: Side::Target, kind: Kind::Peering, name: self.pair() }
    }
    /// What undoes the routes over a peering and the rules, to be kept before they are made.
    pub fn undo_of_ways(&self, peering: &str) -> Vec<AwsUndo> {
        let undo = |side, kind, name: &str| AwsUndo::Delete { side, kind, name: name.to_owned() };
        let both = [Side::Source, Side::Target];
        let routes = both.map(|side| undo(side, Kind::Routes, peering));
        let rules = both.map(|side| self.on(side).security_groups.first().map(|g| undo(side, Kind::SecurityRules, g)));
        routes.into_iter().chain(rules.into_iter().flatten()).collect()
    }
}

/// What lets packets through on one side, as far as it isn't there yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Routes to the other side.
    pub routes: Vec<Route>,
    /// Rules that let the other side in.
    pub rules: Vec<Rule>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }
    /// A line for each, for the plan and for status.
    pub fn lines(&self, side: Side) -> Vec<String> {
        let routes = self.routes.iter().map(|route| format!("{side}: {} routes {}", route.table, route.destination));
        let rules =
            self.rules.iter().map(|rule| format!("{side}: {} lets {} in on {}", rule.group, rule.from, rule.port));
        routes.chain(rules).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A network of one block, with one subnet and one group.
    pub(crate) fn end(name: &str, cidr: &str) -> End {
        let vpc = Vpc {
            id: format!("vpc-{name}"),
            account: "111111111111".into(),
            region: "eu-central-1".into(),
            cidrs: vec![cidr.parse().unwrap()],
            resolves: true,
        };
        End { vpc, subnets: vec![format!("subnet-{name}")], security_groups: vec![format!("sg-{name}")], port: 5432 }
    }

    pub(crate) fn ends() -> Ends {
        Ends { source: end("s", "10.10.0.0/16"), target: end("t", "10.20.0.0/16") }
    }

    #[test]
    fn each_thing_that_is_made_has_its_undo() {
        let ends = ends();
        assert_eq!(ends.undo_of_peering().describe(), "delete the peering vpc-t/vpc-s on the target");
        let ways: Vec<String> = ends.undo_of_ways("pcx-1").iter().map(AwsUndo::describe).collect();
        assert_eq!(
            ways,
            [
                "delete the routes over peering pcx-1 on the source",
                "delete the routes over peering pcx-1 on the target",
                "delete the rules of security group sg-s on the source",
                "delete the rules of security group sg-t on the target",
            ]
        );
        assert!(
            ends.undo_of_ways("pcx-1").iter().all(AwsUndo::is_of_network) && ends.undo_of_peering().is_of_network()
        );
    }

    #[test]
    fn what_is_missing_is_told_line_by_line() {
        let missing = Missing {
            routes: vec![Route { table: "rtb-1".into(), destination: "10.20.0.0/16".parse().unwrap() }],
            rules: vec![Rule { group: "sg-s".into(), from: "10.20.0.0/16".parse().unwrap(), port: 5432 }],
        };
        assert_eq!(
            missing.lines(Side::Source),
            ["source: rtb-1 routes 10.20.0.0/16", "source: sg-s lets 10.20.0.0/16 in on 5432"]
        );
        let mut half = ends();
        assert!(half.can_resolve());
        half.source.vpc.resolves = false;
        assert!(!half.can_resolve());
        assert!(!missing.is_empty() && Missing::default().is_empty());
    }
}
