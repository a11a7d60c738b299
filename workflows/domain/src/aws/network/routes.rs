//! Routes to the other side: in the table of each subnet, or in the VPC's main table where a subnet has none of its own
//! (<https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html>). A route carries no tag: ours is one over our peering.

use serde::{Deserialize, Serialize};

use super::cidr::Cidr;
use crate::{Failure, Side};

/// A route table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Such as `rtb-0a1b`.
    pub id: String,
    /// Whether it is its VPC's main table.
    pub main: bool,
    /// The subnets that have it.
    pub subnets: Vec<String>,
    /// Its routes to blocks of IPv4.
    pub routes: Vec<RouteSeen>,
}

/// A route that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSeen {
    /// To where.
    pub destination: Cidr,
    /// Over what, such as `local` or `pcx-0a1b`.
    pub via: String,
    /// Whether it leads anywhere.
    pub active: bool,
}

/// A route to be made or deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// In which table.
    pub table: String,
    /// To where.
    pub destination: Cidr,
}

/// The tables that decide for these subnets, each once.
pub fn of_subnets<'a>(subnets: &[String], tables: &'a [Table]) -> Vec<&'a Table> {
    let has_own = |subnet: &&String| tables.iter().any(|table| table.subnets.contains(subnet));
    let main_decides = !subnets.iter().all(|subnet| has_own(&subnet));
    let decides =
        |table: &&Table| (table.main && main_decides) || table.subnets.iter().any(|subnet| subnets.contains(subnet));
    tables.iter().filter(decides).collect()
}

/// What is missing for these tables to lead to `there` over a peering; `None` for one that isn't made yet. CO1043 where a table leads to
/// `there`, or to a part of it, by another way.
pub fn missing(side: Side, tables: &[&Table], there: &[Cidr], peering: Option<&str>) -> Result<Vec<Route>, Failure> {
    let mut missing = Vec::new();
    for table in tables {
        for destination in there {
            check_way(side, table, *destination, peering)?;
            if !leads(table, *destination, peering) {
                missing.push(Route { table: table.id.clone(), destination: *destination });
            }
        }
    }
    Ok(missing)
}

/// The routes of these tables over a peering: what an undo deletes.
pub fn over(tables: &[Table], peering: &str) -> Vec<Route> {
    let of = |table: &Table| {
        let over = table.routes.iter().filter(|route| route.via == peering);
        over.map(|route| Route { table: table.id.clone(), destination: route.destination }).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}

/// Of a peering that others made, what it lacks to be of use; a wider route over it will do.
pub fn lacking(side: Side, tables: &[&Table], there: &[Cidr], peering: &str) -> Vec<String> {
    let pairs = tables.iter().flat_map(|table| there.iter().map(move |destination| (table, *destination)));
    let leads = |table: &Table, destination: Cidr| {
        let covering = table.routes.iter().filter(|route| route.active && route.destination.covers(destination));
        covering.into_iter().any(|route| route.via == peering)
    };
    pairs
        .filter(|(table, destination)| !leads(table, *destination))
        .map(|(table, destination)| format!("{} on the {side} to {destination}", table.id))
        .collect()
}

fn leads(table: &Table, destination: Cidr, peering: Option<&str>) -> bool {
    table.routes.iter().any(|route| route.destination == destination && Some(route.via.as_str()) == peering)
}

/// The most specific route wins, so that one to a part would take that part elsewhere; and there can't be two to the same block.
fn check_way(side: Side, table: &Table, destination: Cidr, peering: Option<&str>) -> Result<(), Failure> {
    let elsewhere = |route: &&RouteSeen| {
        destination.covers(route.destination) && Some(route.via.as_str()) != peering && route.via != "local"
    };
    let Some(route) = table.routes.iter().find(elsewhere) else { return Ok(()) };
    let dead = if route.active { "" } else { ", which leads nowhere any more" };
    Err(Failure::refused(
        "CO1043",
        format!(
            "{} on the {side} leads to {} over {}{dead}; the migration's peering would lead to {destination}",
            table.id, route.destination, route.via
        ),
        "delete that route if nobody needs it; if it joins the two networks already, leave the joining of networks out of the spec",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn route(destination: &str, via: &str) -> RouteSeen {
        RouteSeen { destination: destination.parse().unwrap(), via: via.into(), active: true }
    }

    fn table(id: &str, main: bool, subnets: &[&str], routes: Vec<RouteSeen>) -> Table {
        Table { id: id.into(), main, subnets: subnets.iter().map(|&subnet| subnet.to_owned()).collect(), routes }
    }

    fn there() -> Vec<Cidr> {
        vec!["10.20.0.0/16".parse().unwrap()]
    }

    #[rstest]
    #[case::all_own(&["a", "b"], &["rtb-a", "rtb-b"])]
    #[case::one_table(&["a"], &["rtb-a"])]
    #[case::none_own(&["c", "d"], &["rtb-main"])]
    #[case::some_own(&["a", "c"], &["rtb-main", "rtb-a"])]
    fn a_subnet_without_a_table_has_the_main_one(#[case] subnets: &[&str], #[case] expected: &[&str]) {
        let tables = [
            table("rtb-main", true, &[], vec![]),
            table("rtb-a", false, &["a"], vec![]),
            table("rtb-b", false, &["b"], vec![]),
        ];
        let subnets: Vec<String> = subnets.iter().map(|&subnet| subnet.to_owned()).collect();
        let found: Vec<&str> = of_subnets(&subnets, &tables).iter().map(|table| table.id.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::nothing_there(vec![], Ok(1))]
    #[case::local_alone(vec![route("10.10.0.0/16", "local"), route("0.0.0.0/0", "nat-1")], Ok(1))]
    #[case::there_already(vec![route("10.20.0.0/16", "pcx-1")], Ok(0))]
    #[case::a_part_over_ours(vec![route("10.20.1.0/24", "pcx-1")], Ok(1))]
    #[case::wider_elsewhere(vec![route("10.0.0.0/8", "tgw-1")], Ok(1))]
    #[case::same_elsewhere(vec![route("10.20.0.0/16", "tgw-1")], Err("CO1043"))]
    #[case::a_part_elsewhere(vec![route("10.20.0.0/16", "pcx-1"), route("10.20.1.0/24", "tgw-1")], Err("CO1043"))]
    #[case::a_peering_that_is_gone(vec![RouteSeen { active: false, ..route("10.20.0.0/16", "pcx-0") }], Err("CO1043"))]
    fn what_a_table_lacks(#[case] routes: Vec<RouteSeen>, #[case] expected: Result<usize, &str>) {
        let table = table("rtb-1", true, &[], routes);
        let found = missing(Side::Source, &[&table], &there(), Some("pcx-1"));
        assert_eq!(found.map(|routes| routes.len()).map_err(|failure| failure.code), expected.map_err(str::to_owned));
    }

    #[test]
    fn before_the_peering_all_is_missing_and_conflicts_are_told() {
        let tables =
            [table("rtb-1", true, &[], vec![]), table("rtb-2", false, &["a"], vec![route("10.20.0.0/16", "vgw-1")])];
        assert_eq!(missing(Side::Target, &[&tables[0]], &there(), None).unwrap().len(), 1);
        let failure = missing(Side::Target, &[&tables[1]], &there(), None).unwrap_err();
        assert!(failure.message.contains("rtb-2 on the target leads to 10.20.0.0/16 over vgw-1"), "{failure}");
    }

    #[test]
    fn an_undo_takes_what_leads_over_our_peering_alone() {
        let tables = [
            table("rtb-1", true, &[], vec![route("10.20.0.0/16", "pcx-1"), route("10.30.0.0/16", "pcx-2")]),
            table("rtb-2", false, &["x"], vec![RouteSeen { active: false, ..route("10.20.0.0/24", "pcx-1") }]),
        ];
        let found = over(&tables, "pcx-1");
        assert_eq!(found.iter().map(|route| route.table.as_str()).collect::<Vec<_>>(), ["rtb-1", "rtb-2"]);
    }

    #[test]
    fn somebody_elses_peering_may_be_routed_more_widely() {
        let wide = table("rtb-1", true, &[], vec![route("10.0.0.0/8", "pcx-9")]);
        assert_eq!(lacking(Side::Source, &[&wide], &there(), "pcx-9"), Vec::<String>::new());
        let bare = table("rtb-2", false, &[], vec![route("10.20.1.0/24", "pcx-9")]);
        assert_eq!(lacking(Side::Source, &[&wide, &bare], &there(), "pcx-9"), ["rtb-2 on the source to 10.20.0.0/16"]);
    }
}
