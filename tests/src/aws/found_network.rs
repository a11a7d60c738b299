//! What lets the two sides reach each other, as boto3 finds it in one account.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Ask, accounts::text, found::rows};
use crate::stack::Side;

/// A peering that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peering {
    /// Its id.
    pub id: String,
    /// `active` …
    pub status: String,
    /// Who asked whom, by network.
    pub joins: [String; 2],
    /// Whether names of this account's network resolve to inner addresses for the other one.
    pub resolves: bool,
}

/// What an account's network has that leads to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Peerings.
    pub peerings: Vec<Peering>,
    /// Routes over peerings: `rtb-1: 10.20.0.0/16 over pcx-1`.
    pub routes: BTreeSet<String>,
    /// Whom security groups let in by address: `sg-1: 10.20.0.0/16 on 5432`.
    pub rules: BTreeSet<String>,
}

impl Network {
    /// What has to be asked for it.
    pub(super) fn asks(side: Side) -> [Ask; 3] {
        ["describe_vpc_peering_connections", "describe_route_tables", "describe_security_group_rules"]
            .map(|method| Ask::new(side, "ec2", method, json!({})))
    }

    /// From the three answers.
    pub(super) fn of(side: Side, answers: &[Value]) -> Result<Self> {
        let peerings = rows(&answers[0]["VpcPeeringConnections"]).map(|row| peering(side, row));
        let peerings: Vec<Peering> = peerings.collect::<Result<_>>()?;
        Ok(Self {
            // EC2 shows for hours what was deleted.
            peerings: peerings.into_iter().filter(|it| it.status != "deleted").collect(),
            routes: rows(&answers[1]["RouteTables"]).flat_map(routes).collect(),
            rules: rows(&answers[2]["SecurityGroupRules"]).filter_map(rule).collect(),
        })
    }

    /// Everything, with the word for what it is.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let peerings = self.peerings.iter().map(|it| format!("peering {} ({})", it.id, it.status));
        let routes = self.routes.iter().map(|it| format!("route in {it}"));
        let rules = self.rules.iter().map(|it| format!("rule of {it}"));
        peerings.chain(routes).chain(rules).collect()
    }
}

fn peering(side: Side, row: &Value) -> Result<Peering> {
    let (requester, accepter) = (&row["RequesterVpcInfo"], &row["AccepterVpcInfo"]);
    let own = if side == Side::Target { requester } else { accepter };
    Ok(Peering {
        id: text(&row["VpcPeeringConnectionId"])?,
        status: text(&row["Status"]["Code"])?,
        joins: [text(&requester["VpcId"])?, text(&accepter["VpcId"])?],
        resolves: own["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"] == true,
    })
}

fn routes(table: &Value) -> impl Iterator<Item = String> {
    let name = table["RouteTableId"].as_str().unwrap_or_default().to_owned();
    rows(&table["Routes"]).filter_map(move |route| {
        let (to, over) = (route["DestinationCidrBlock"].as_str()?, route["VpcPeeringConnectionId"].as_str()?);
        Some(format!("{name}: {to} over {over}"))
    })
}

fn rule(row: &Value) -> Option<String> {
    let (group, from) = (row["GroupId"].as_str()?, row["CidrIpv4"].as_str()?);
    (row["IsEgress"] == false).then(|| format!("{group}: {from} on {}", row["FromPort"]))
}
