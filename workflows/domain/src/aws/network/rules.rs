//! Rules of security groups: the other side's network is let in on the database's port, and each side gets out to the other's, since a
//! subscription is a connection that a server makes
//! (<https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>).

use serde::{Deserialize, Serialize};

use super::cidr::Cidr;
use crate::{Failure, Side, aws::names::Owner};

/// A rule that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSeen {
    /// Such as `sgr-0a1b`.
    pub id: String,
    /// The group that it is in.
    pub group: String,
    /// Whether it is about what goes out.
    pub egress: bool,
    /// `tcp`, a number, or `-1` for all.
    pub protocol: String,
    /// The first port.
    pub first: i32,
    /// The last one.
    pub last: i32,
    /// For which addresses; `None` for a list of prefixes or another group, into which nobody looks here.
    pub cidr: Option<Cidr>,
    /// Whose it is.
    pub owner: Owner,
}

/// A rule to be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// In which group.
    pub group: String,
    /// Who is let in.
    pub from: Cidr,
    /// On which port.
    pub port: u16,
}

impl RuleSeen {
    fn is_about(&self, port: u16) -> bool {
        let any = matches!(self.protocol.as_str(), "-1" | "all");
        any || matches!(self.protocol.as_str(), "tcp" | "6") && (self.first..=self.last).contains(&i32::from(port))
    }
    fn lets(&self, egress: bool, cidr: Cidr, port: u16) -> bool {
        self.egress == egress && self.is_about(port) && self.cidr.is_some_and(|own| own.covers(cidr))
    }
}

/// What is missing for `there` to be let in on a port. What one group lets in is let in; what none does, the first is to.
pub fn missing(rules: &[RuleSeen], groups: &[String], there: &[Cidr], port: u16) -> Vec<Rule> {
    let Some(group) = groups.first() else { return Vec::new() };
    let shut_out = there.iter().filter(|from| !rules.iter().any(|rule| rule.lets(false, **from, port)));
    shut_out.map(|from| Rule { group: group.clone(), from: *from, port }).collect()
}

/// That a side's groups let it out to the other one's port. Where a rule is for a list of prefixes or another group, they are believed to.
/// CO1044.
pub fn check_out(side: Side, rules: &[RuleSeen], groups: &[String], there: &[Cidr], port: u16) -> Result<(), Failure> {
    let unknown = rules.iter().any(|rule| rule.egress && rule.cidr.is_none() && rule.is_about(port));
    let shut_in = there.iter().find(|to| !rules.iter().any(|rule| rule.lets(true, **to, port)));
    let (Some(to), false) = (shut_in, unknown) else { return Ok(()) };
    Err(Failure::refused(
        "CO1044",
        format!("the {side}'s security groups let nothing out to {to} on port {port}: {}", groups.join(", ")),
        "add an outbound rule to one of them: the servers connect to each other for replication",
    ))
}

/// The rules that let in and are ours: what an undo deletes.
pub fn ours(rules: &[RuleSeen]) -> Vec<String> {
    rules.iter().filter(|rule| !rule.egress && rule.owner == Owner::Us).map(|rule| rule.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn rule(protocol: &str, first: i32, last: i32, cidr: Option<&str>) -> RuleSeen {
        RuleSeen {
            id: "sgr-1".into(),
            group: "sg-1".into(),
            egress: false,
            protocol: protocol.into(),
            first,
            last,
            cidr: cidr.map(|cidr| cidr.parse().unwrap()),
            owner: Owner::Somebody,
        }
    }

    fn there() -> Vec<Cidr> {
        vec!["10.20.0.0/16".parse().unwrap()]
    }

    fn groups() -> Vec<String> {
        vec!["sg-1".into(), "sg-2".into()]
    }

    #[rstest]
    #[case::none(vec![], 1)]
    #[case::as_ours(vec![rule("tcp", 5432, 5432, Some("10.20.0.0/16"))], 0)]
    #[case::wider(vec![rule("6", 5000, 6000, Some("10.0.0.0/8"))], 0)]
    #[case::all(vec![rule("-1", -1, -1, Some("0.0.0.0/0"))], 0)]
    #[case::a_part(vec![rule("tcp", 5432, 5432, Some("10.20.1.0/24"))], 1)]
    #[case::another_port(vec![rule("tcp", 5433, 5440, Some("10.20.0.0/16"))], 1)]
    #[case::another_protocol(vec![rule("udp", 5432, 5432, Some("10.20.0.0/16"))], 1)]
    #[case::a_group(vec![rule("tcp", 5432, 5432, None)], 1)]
    #[case::out_not_in(vec![RuleSeen { egress: true, ..rule("-1", -1, -1, Some("0.0.0.0/0")) }], 1)]
    fn what_nobody_lets_in_is_missing(#[case] rules: Vec<RuleSeen>, #[case] expected: usize) {
        let missing = missing(&rules, &groups(), &there(), 5432);
        assert_eq!(missing.len(), expected);
        assert!(missing.iter().all(|rule| rule.group == "sg-1" && rule.port == 5432));
    }

    #[rstest]
    #[case::all(vec![RuleSeen { egress: true, ..rule("-1", -1, -1, Some("0.0.0.0/0")) }], true)]
    #[case::a_list(vec![RuleSeen { egress: true, ..rule("tcp", 5432, 5432, None) }], true)]
    #[case::none(vec![], false)]
    #[case::https_alone(vec![RuleSeen { egress: true, ..rule("tcp", 443, 443, Some("0.0.0.0/0")) }], false)]
    #[case::a_list_for_https(vec![RuleSeen { egress: true, ..rule("tcp", 443, 443, None) }], false)]
    #[case::in_not_out(vec![rule("-1", -1, -1, Some("0.0.0.0/0"))], false)]
    fn a_server_has_to_get_out(#[case] rules: Vec<RuleSeen>, #[case] passes: bool) {
        let code = check_out(Side::Target, &rules, &groups(), &there(), 5432).map_err(|failure| failure.code);
        assert_eq!(code, if passes { Ok(()) } else { Err("CO1044".to_owned()) });
    }

    #[test]
    fn an_undo_takes_our_rules_alone() {
        let ours_in = RuleSeen { id: "sgr-2".into(), owner: Owner::Us, ..rule("tcp", 1, 1, None) };
        let others = RuleSeen { owner: Owner::Migration("x".into()), ..rule("tcp", 1, 1, None) };
        let out = RuleSeen { egress: true, ..ours_in.clone() };
        assert_eq!(ours(&[rule("tcp", 1, 1, None), ours_in, others, out]), ["sgr-2"]);
    }
}
