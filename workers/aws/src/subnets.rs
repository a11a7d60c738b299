//! Subnet groups: in which network an instance is, or will be.

use changeover_domain::Failure;

use crate::{error::Told, session::Session};

/// A subnet group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetGroup {
    /// Its network.
    pub vpc: String,
    /// Its subnets, in the order of their ids.
    pub subnets: Vec<String>,
}

/// A subnet group that has to be there. CO1006 if it isn't.
pub async fn look_at_subnets(session: &Session, group: &str) -> Result<SubnetGroup, Failure> {
    let what = format!("looking at the subnet group {group}");
    let answer = session.rds.describe_db_subnet_groups().db_subnet_group_name(group).send().await;
    let answer = answer.told(session.side(), &what)?;
    let seen = answer.db_subnet_groups().first();
    let subnets = seen.map(|seen| seen.subnets()).unwrap_or_default();
    let mut subnets: Vec<String> =
        subnets.iter().filter_map(|subnet| subnet.subnet_identifier()).map(str::to_owned).collect();
    subnets.sort();
    match seen.and_then(|seen| seen.vpc_id()) {
        Some(vpc) if !subnets.is_empty() => Ok(SubnetGroup { vpc: vpc.to_owned(), subnets }),
        _ => Err(Failure::refused(
            "CO1006",
            format!("the subnet group {group} on the {} has no subnets in a VPC", session.side()),
            "name a subnet group of a VPC in the spec",
        )),
    }
}
