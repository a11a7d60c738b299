//! Two networks of two accounts, joined and taken apart on the stand-in, under policies that refuse whatever isn't in the table of calls.

#![allow(clippy::unwrap_used)]

#[path = "../../aws/tests/stand_in/mod.rs"]
mod stand_in;

use std::time::Duration;

use changeover_aws::{Session, instance, undo::Undone};
use changeover_aws_network::{
    Network,
    look::{self, Given},
    peering::{Joined, ensure_peering},
    plan::plan,
    undo::undo,
    ways::ensure_ways,
};
use changeover_domain::{
    Class, Failure, MigrationId, Side,
    aws::{
        AwsNames, Place,
        network::{Ends, peering::Peering},
        plan::Route,
        policy,
        status::Progress,
        undo::AwsUndo,
    },
};
use serde_json::{Value, json};
use stand_in::StandIn;

const PATIENCE: Duration = Duration::from_secs(60);

async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Result<Option<T>, Failure>) -> T {
    stand_in::until(PATIENCE, Duration::from_millis(50), what, ask).await
}

/// Both accounts, and where the instances are.
struct Lab {
    stand_in: StandIn,
    source: Network,
    target: Network,
    ends: Ends,
}

impl Lab {
    async fn start() -> Self {
        let stand_in = StandIn::start();
        under_policies(&stand_in);
        for side in [Side::Source, Side::Target] {
            let vpcs = stand_in.somebody(side, "ec2", "describe_vpcs", json!({}));
            for vpc in vpcs["Vpcs"].as_array().unwrap() {
                let fields = json!({ "VpcId": vpc["VpcId"], "EnableDnsHostnames": { "Value": true } });
                stand_in.somebody(side, "ec2", "modify_vpc_attribute", fields);
            }
        }
        let source = stand_in.session(Side::Source, "shop").await.unwrap();
        let target = stand_in.session(Side::Target, "shop").await.unwrap();
        let ends = ends(&stand_in, &source, &target).await;
        Self { source: Network::new(&source), target: Network::new(&target), ends, stand_in }
    }

    fn network(&self, side: Side) -> &Network {
        if side == Side::Source { &self.source } else { &self.target }
    }

    /// What a person does in EC2, beside the migration.
    fn somebody(&self, side: Side, method: &str, fields: Value) -> Value {
        self.stand_in.somebody(side, "ec2", method, fields)
    }

    fn main_table(&self, side: Side) -> String {
        let tables = self.tables(side);
        let is_main = |table: &&Value| table["Associations"].as_array().unwrap().iter().any(|a| a["Main"] == true);
        tables.iter().find(is_main).unwrap()["RouteTableId"].as_str().unwrap().to_owned()
    }

    fn tables(&self, side: Side) -> Vec<Value> {
        let filters = json!([{ "Name": "vpc-id", "Values": [self.ends.on(side).vpc.id] }]);
        let said = self.somebody(side, "describe_route_tables", json!({ "Filters": filters }));
        said["RouteTables"].as_array().unwrap().clone()
    }

    /// Destination and way of all routes of a side but the VPC's own.
    fn routes(&self, side: Side) -> Vec<String> {
        let tables = self.tables(side);
        let routes = tables.iter().flat_map(|table| table["Routes"].as_array().unwrap().clone());
        let ways = routes.filter(|route| route["GatewayId"] != "local");
        ways.map(|r| format!("{} {}", r["DestinationCidrBlock"].as_str().unwrap(), way(&r))).collect()
    }

    /// Who is let in by a side's group, and by whose rule.
    fn let_in(&self, side: Side) -> Vec<String> {
        let filters = json!([{ "Name": "group-id", "Values": self.ends.on(side).security_groups }]);
        let said = self.somebody(side, "describe_security_group_rules", json!({ "Filters": filters }));
        let rules = said["SecurityGroupRules"].as_array().unwrap().clone();
        let of_blocks = rules.iter().filter(|rule| rule["IsEgress"] == false && rule["CidrIpv4"].is_string());
        of_blocks.map(|r| format!("{} {}", r["CidrIpv4"].as_str().unwrap(), tags(r))).collect()
    }

    async fn join(&self) -> Joined {
        until("the peering", async || {
            Ok(match ensure_peering(&self.source, &self.target, &self.ends).await? {
                Joined::Working { .. } => None,
                joined => Some(joined),
            })
        })
        .await
    }

    async fn open_ways(&self, peering: &str) {
        until("the ways", async || {
            let now = ensure_ways(&self.source, &self.target, &self.ends, peering).await?;
            Ok((now == Progress::Ready).then_some(()))
        })
        .await;
    }

    async fn refused(&self) -> Failure {
        let planned = plan(&self.source, &self.target, &self.ends).await.unwrap_err();
        let ensured = ensure_peering(&self.source, &self.target, &self.ends).await;
        assert_eq!(ensured.unwrap_err().code, planned.code);
        planned
    }

    fn check_nothing_was_denied(&self) {
        let denied = |call: &&Value| call["code"].to_string().contains("Unauthorized");
        let calls = self.stand_in.calls();
        let denied: Vec<_> = calls.iter().filter(denied).collect();
        assert!(denied.is_empty(), "{denied:?}");
    }
}

fn way(route: &Value) -> String {
    let ways = ["VpcPeeringConnectionId", "GatewayId"];
    ways.iter().find_map(|way| route[way].as_str()).unwrap_or("somewhere").to_owned()
}

fn tags(of: &Value) -> String {
    let tags = of["Tags"].as_array().cloned().unwrap_or_default();
    let mut words: Vec<String> =
        tags.iter().map(|t| format!("{}={}", t["Key"].as_str().unwrap(), t["Value"].as_str().unwrap())).collect();
    words.sort();
    words.join(",")
}

fn under_policies(stand_in: &StandIn) {
    for side in [Side::Source, Side::Target] {
        let place = Place {
            region: stand_in::REGION.into(),
            account: stand_in.account(side),
            other_account: stand_in.account(side.other()),
            other_region: stand_in::REGION.into(),
            names: Some(AwsNames::new(&MigrationId::parse("shop").unwrap())),
            source_instance: "orders".into(),
            ..Place::anywhere(side)
        };
        let route = Route { network_is_joined: true, ..Route::default() };
        stand_in.policy(&stand_in.role(side), &policy::policy(&place, &route));
    }
}

async fn ends(stand_in: &StandIn, source: &Session, target: &Session) -> Ends {
    let shape = instance::look_at_existing(source, "orders").await.unwrap().shape;
    let of_source = Given { subnet_group: shape.subnet_group, security_groups: shape.security_groups, port: 5432 };
    let of_target = Given {
        subnet_group: stand_in.setup["subnetGroup"].as_str().unwrap().into(),
        security_groups: vec![stand_in.setup["securityGroup"].as_str().unwrap().into()],
        port: 5433,
    };
    look::ends(&Network::new(source), &Network::new(target), &of_source, &of_target).await.unwrap()
}

async fn undone(network: &Network, what: &AwsUndo) {
    until(&what.describe(), async || Ok((undo(network, what).await? == Undone::Done).then_some(()))).await;
}

#[tokio::test]
async fn two_networks_are_joined_and_taken_apart_with_nothing_left() {
    let lab = Lab::start().await;
    let mut stack = vec![lab.ends.undo_of_peering()];

    // One of the source's subnets has a table of its own, and somebody has a rule there.
    let own = lab.somebody(Side::Source, "create_route_table", json!({ "VpcId": lab.ends.source.vpc.id }));
    let own = own["RouteTable"]["RouteTableId"].as_str().unwrap().to_owned();
    let subnet = lab.ends.source.subnets[0].clone();
    lab.somebody(Side::Source, "associate_route_table", json!({ "RouteTableId": own, "SubnetId": subnet }));
    let rule =
        json!({ "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{ "CidrIp": "10.20.3.0/24" }] });
    let group = lab.ends.source.security_groups[0].clone();
    lab.somebody(
        Side::Source,
        "authorize_security_group_ingress",
        json!({ "GroupId": group, "IpPermissions": [rule] }),
    );

    let before = plan(&lab.source, &lab.target, &lab.ends).await.unwrap();
    assert_eq!(before.peering, Peering::Absent);
    assert_eq!(before.lines(&lab.ends).len(), 1 + 2 + 1 + 2, "{:?}", before.lines(&lab.ends));

    // Each answer is lost once.
    for action in ["CreateVpcPeeringConnection", "AcceptVpcPeeringConnection", "ModifyVpcPeeringConnectionOptions"] {
        lab.stand_in.fault(json!({ "service": "ec2", "action": action, "kind": "lose-answer" }));
    }
    let Joined::Ours { id } = lab.join().await else { panic!("not ours") };
    assert_eq!(lab.join().await, Joined::Ours { id: id.clone() });
    stack.extend(lab.ends.undo_of_ways(&id));
    for action in ["CreateRoute", "AuthorizeSecurityGroupIngress"] {
        lab.stand_in.fault(json!({ "service": "ec2", "action": action, "kind": "lose-answer" }));
    }
    lab.open_ways(&id).await;
    lab.open_ways(&id).await;
    check_joined(&lab, &id).await;

    // And back, by sessions that send nothing but reads and what the table has for an undo.
    let to_undo = async |side| Network::new(&lab.stand_in.session_to_undo(side, "shop").await.unwrap());
    let (source, target) = (to_undo(Side::Source).await, to_undo(Side::Target).await);
    for action in ["RevokeSecurityGroupIngress", "DeleteRoute", "DeleteVpcPeeringConnection"] {
        lab.stand_in.fault(json!({ "service": "ec2", "action": action, "kind": "lose-answer" }));
    }
    while let Some(what) = stack.pop() {
        let network = if what.side() == Side::Source { &source } else { &target };
        undone(network, &what).await;
        undone(network, &what).await;
    }
    assert_eq!((lab.routes(Side::Source), lab.routes(Side::Target)), (vec![], vec![]));
    assert_eq!((lab.let_in(Side::Source), lab.let_in(Side::Target)), (vec!["10.20.3.0/24 ".to_owned()], vec![]));
    assert_eq!(plan(&lab.source, &lab.target, &lab.ends).await.unwrap(), before);
    lab.check_nothing_was_denied();
}

async fn check_joined(lab: &Lab, id: &str) {
    assert_eq!(lab.routes(Side::Source), [format!("10.20.0.0/16 {id}"), format!("10.20.0.0/16 {id}")]);
    assert_eq!(lab.routes(Side::Target), [format!("10.10.0.0/16 {id}")]);
    let tagged = |side: &str| format!("changeover:migration=shop,changeover:side={side}");
    assert_eq!(lab.let_in(Side::Target), [format!("10.10.0.0/16 {}", tagged("target"))]);
    assert_eq!(lab.let_in(Side::Source), ["10.20.3.0/24 ".to_owned(), format!("10.20.0.0/16 {}", tagged("source"))]);
    let now = plan(&lab.source, &lab.target, &lab.ends).await.unwrap();
    assert!(now.source.is_empty() && now.target.is_empty(), "{now:?}");
    // One peering, asked for across accounts and regions, that resolves names both ways.
    let calls = lab.stand_in.calls();
    let asked: Vec<&Value> = calls.iter().filter(|call| call["action"] == "CreateVpcPeeringConnection").collect();
    let parameters = &asked[0]["parameters"];
    assert_eq!((asked.len(), &parameters["PeerRegion"]), (1, &json!(stand_in::REGION)));
    assert_eq!(parameters["PeerOwnerId"], lab.stand_in.account(Side::Source));
    let seen = lab.somebody(Side::Target, "describe_vpc_peering_connections", json!({}));
    let peering = &seen["VpcPeeringConnections"][0];
    assert_eq!(tags(peering), tagged("target"));
    for end in ["RequesterVpcInfo", "AccepterVpcInfo"] {
        assert_eq!(peering[end]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"], true, "{end}");
    }
}

#[tokio::test]
async fn what_cannot_be_joined_is_refused_before_anything_is_made() {
    let mut lab = Lab::start().await;

    // A route to elsewhere.
    let gateway = lab.somebody(Side::Target, "create_internet_gateway", json!({}));
    let gateway = gateway["InternetGateway"]["InternetGatewayId"].as_str().unwrap().to_owned();
    let vpc = lab.ends.target.vpc.id.clone();
    lab.somebody(Side::Target, "attach_internet_gateway", json!({ "InternetGatewayId": gateway, "VpcId": vpc }));
    let table = lab.main_table(Side::Target);
    let route = json!({ "RouteTableId": table, "DestinationCidrBlock": "10.10.1.0/24" });
    let mut with = route.clone();
    with["GatewayId"] = json!(gateway);
    lab.somebody(Side::Target, "create_route", with);
    let failure = plan(&lab.source, &lab.target, &lab.ends).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1043", Class::Refused));
    assert!(failure.message.contains(&table) && failure.message.contains(&gateway), "{failure}");
    lab.somebody(Side::Target, "delete_route", route);

    // A group that lets nothing out.
    let group = lab.ends.target.security_groups[0].clone();
    let all = json!([{ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] }]);
    let outbound = json!({ "GroupId": group, "IpPermissions": all });
    lab.somebody(Side::Target, "revoke_security_group_egress", outbound.clone());
    assert_eq!(plan(&lab.source, &lab.target, &lab.ends).await.unwrap_err().code, "CO1044");
    lab.somebody(Side::Target, "authorize_security_group_egress", outbound);
    plan(&lab.source, &lab.target, &lab.ends).await.unwrap();

    // Blocks in common, by a second block of the target.
    lab.somebody(Side::Target, "associate_vpc_cidr_block", json!({ "VpcId": vpc, "CidrBlock": "10.10.128.0/20" }));
    let source = lab.stand_in.session(Side::Source, "shop").await.unwrap();
    let target = lab.stand_in.session(Side::Target, "shop").await.unwrap();
    lab.ends = ends(&lab.stand_in, &source, &target).await;
    let failure = lab.refused().await;
    assert_eq!((failure.code.as_str(), failure.class), ("CO1040", Class::Refused));
    let seen = lab.somebody(Side::Target, "describe_vpc_peering_connections", json!({}));
    assert_eq!(seen["VpcPeeringConnections"], json!([]));
    lab.check_nothing_was_denied();
}

#[tokio::test]
async fn what_others_made_or_refused_is_theirs() {
    let lab = Lab::start().await;

    // Somebody rejects it: no second one is asked for until a person says so.
    let working = ensure_peering(&lab.source, &lab.target, &lab.ends).await.unwrap();
    assert!(matches!(working, Joined::Working { .. }), "{working:?}");
    let Peering::Ours { id, .. } = plan(&lab.source, &lab.target, &lab.ends).await.unwrap().peering else {
        panic!("not ours")
    };
    let of_id = json!({ "VpcPeeringConnectionId": id });
    lab.somebody(Side::Source, "reject_vpc_peering_connection", of_id.clone());
    let failure = lab.refused().await;
    assert_eq!((failure.code.as_str(), failure.class), ("CO1041", Class::NeedsHuman));
    assert!(failure.message.contains(&id), "{failure}");
    undone(lab.network(Side::Target), &lab.ends.undo_of_peering()).await;
    lab.somebody(
        Side::Target,
        "delete_tags",
        json!({ "Resources": [id], "Tags": [{ "Key": "changeover:migration" }] }),
    );
    assert_eq!(plan(&lab.source, &lab.target, &lab.ends).await.unwrap().peering, Peering::Absent);

    // Somebody's peering: in the way while it isn't routed, and as good as ours once it is.
    let (theirs, asked) = (lab.ends.target.vpc.id.clone(), lab.ends.source.vpc.id.clone());
    let account = lab.stand_in.account(Side::Source);
    let fields = json!({ "VpcId": theirs, "PeerVpcId": asked, "PeerOwnerId": account });
    let said = lab.somebody(Side::Target, "create_vpc_peering_connection", fields);
    let foreign = said["VpcPeeringConnection"]["VpcPeeringConnectionId"].as_str().unwrap().to_owned();
    assert_eq!(lab.refused().await.code, "CO1042");
    let of_foreign = json!({ "VpcPeeringConnectionId": foreign });
    lab.somebody(Side::Source, "accept_vpc_peering_connection", of_foreign);
    let lacks = until("the foreign peering is active", async || {
        let failure = lab.refused().await;
        assert_eq!(failure.code, "CO1042");
        Ok(failure.message.contains("lacks routes").then_some(failure.message))
    })
    .await;
    assert!(lacks.contains(&lab.main_table(Side::Source)) && lacks.contains(&lab.main_table(Side::Target)), "{lacks}");
    for (side, there) in [(Side::Source, "10.20.0.0/16"), (Side::Target, "10.10.0.0/16")] {
        let route = json!({
            "RouteTableId": lab.main_table(side), "DestinationCidrBlock": there, "VpcPeeringConnectionId": foreign,
        });
        lab.somebody(side, "create_route", route);
    }
    assert_eq!(lab.join().await, Joined::Already { by: foreign.clone() });
    let needless = plan(&lab.source, &lab.target, &lab.ends).await.unwrap();
    assert!(needless.is_needless() && needless.lines(&lab.ends)[0].contains("nothing is made"), "{needless:?}");

    // An undo leaves all of it alone.
    undone(lab.network(Side::Target), &lab.ends.undo_of_peering()).await;
    for what in lab.ends.undo_of_ways(&id) {
        undone(lab.network(what.side()), &what).await;
    }
    assert_eq!(lab.routes(Side::Source), [format!("10.20.0.0/16 {foreign}")]);
    assert_eq!(lab.join().await, Joined::Already { by: foreign });

    // Within one network there is nothing to be joined.
    let same = Ends { source: lab.ends.source.clone(), target: lab.ends.source.clone() };
    let joined = ensure_peering(&lab.source, &lab.target, &same).await.unwrap();
    assert_eq!(joined, Joined::Already { by: lab.ends.source.vpc.id.clone() });
    lab.check_nothing_was_denied();
}

#[tokio::test]
async fn an_undo_that_is_not_the_networks_is_refused() {
    let lab = Lab::start().await;
    let peering = lab.ends.undo_of_peering();
    assert_eq!(undo(&lab.source, &peering).await.unwrap_err().code, "CO1025");
    let session = lab.stand_in.session(Side::Target, "shop").await.unwrap();
    assert_eq!(changeover_aws::undo::undo(&session, &peering).await.unwrap_err().code, "CO1025");
    assert_eq!(ensure_peering(&lab.target, &lab.source, &lab.ends).await.unwrap_err().code, "CO1025");
    // What isn't in the table for an undo isn't sent by a session that only undoes.
    let to_undo = async |side| Network::new(&lab.stand_in.session_to_undo(side, "shop").await.unwrap());
    let (source, target) = (to_undo(Side::Source).await, to_undo(Side::Target).await);
    let failure = ensure_peering(&source, &target, &lab.ends).await.unwrap_err();
    assert!(failure.code == "CO1025" && failure.message.contains("CreateVpcPeeringConnection"), "{failure}");
}

#[tokio::test]
async fn a_network_without_names_is_joined_and_a_peering_that_is_deleted_is_missed() {
    let mut lab = Lab::start().await;
    let vpc = lab.ends.source.vpc.id.clone();
    let fields = json!({ "VpcId": vpc, "EnableDnsHostnames": { "Value": false } });
    lab.somebody(Side::Source, "modify_vpc_attribute", fields);
    let source = lab.stand_in.session(Side::Source, "shop").await.unwrap();
    let target = lab.stand_in.session(Side::Target, "shop").await.unwrap();
    lab.ends = ends(&lab.stand_in, &source, &target).await;
    let planned = plan(&lab.source, &lab.target, &lab.ends).await.unwrap().lines(&lab.ends);
    assert!(planned.last().unwrap().contains(&vpc), "{planned:?}");
    let Joined::Ours { id } = lab.join().await else { panic!("not ours") };

    lab.somebody(Side::Source, "delete_vpc_peering_connection", json!({ "VpcPeeringConnectionId": id }));
    let failure = ensure_ways(&lab.source, &lab.target, &lab.ends, &id).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO1041", Class::NeedsHuman));
    assert_eq!(lab.routes(Side::Source), Vec::<String>::new());
    lab.check_nothing_was_denied();
}
