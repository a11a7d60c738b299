//! What both accounts have before a migration: a role for Changeover, a network, and in the first an unencrypted instance.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Ask, REGION, StandIn};
use crate::stack::{Cluster, Side, cluster::MAJOR, rds};

/// The instance that is moved.
pub const SOURCE: &str = "orders";
/// Its parameter group, where it has one of its own.
pub(super) const GROUP: &str = "orders-pg15";
const EXTERNAL_ID: &str = "shop-migration";
/// A cluster is made in some seconds; the machine may be slow.
const CREATION: Duration = Duration::from_secs(120);

/// Names that a spec needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// The roles of the source's account and of the target's.
    pub roles: [String; 2],
    /// What both roles ask for.
    pub external_id: String,
    /// The target's subnet group.
    pub subnet_group: String,
    /// A security group of the target's network.
    pub security_group: String,
}

struct Network {
    subnets: [String; 2],
    security_group: String,
}

/// Makes all of it. The source's parameter group is its own, or the family's default.
pub(super) async fn set_up(stand_in: &StandIn, own_group: bool, password: &str) -> Result<Accounts> {
    let sides = [Side::Source, Side::Target];
    let roles = sides.map(|side| role(stand_in, side));
    let (roles, here, there) = tokio::try_join!(
        stand_in.ask(&roles),
        network(stand_in, Side::Source, 10),
        network(stand_in, Side::Target, 20)
    )?;
    let role_arn = |at: usize| text(&roles[at]["Role"]["Arn"]);
    let mut calls = vec![subnet_group(Side::Source, &here), subnet_group(Side::Target, &there)];
    if own_group {
        calls.extend(parameter_group());
    }
    calls.push(instance(own_group, password, &here.security_group));
    stand_in.ask(&calls).await?;
    Ok(Accounts {
        roles: [role_arn(0)?, role_arn(1)?],
        external_id: EXTERNAL_ID.to_owned(),
        subnet_group: subnet_group_name(Side::Target),
        security_group: there.security_group,
    })
}

fn role(stand_in: &StandIn, side: Side) -> Ask {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{}:root", stand_in.account(side).id) },
        "Condition": { "StringEquals": { "sts:ExternalId": EXTERNAL_ID } },
    }] });
    let fields = json!({ "RoleName": "changeover", "AssumeRolePolicyDocument": trust.to_string() });
    Ask::new(side, "iam", "create_role", fields)
}

/// A VPC with two subnets in two zones.
async fn network(stand_in: &StandIn, side: Side, net: u8) -> Result<Network> {
    let made = stand_in.ask_one(side, "ec2", "create_vpc", json!({ "CidrBlock": format!("10.{net}.0.0/16") })).await?;
    let vpc = text(&made["Vpc"]["VpcId"])?;
    let subnet = |number: u8, zone: char| {
        let fields = json!({
            "VpcId": vpc, "CidrBlock": format!("10.{net}.{number}.0/24"), "AvailabilityZone": format!("{REGION}{zone}"),
        });
        Ask::new(side, "ec2", "create_subnet", fields)
    };
    let named = json!({ "VpcId": vpc, "EnableDnsHostnames": { "Value": true } });
    let named = Ask::new(side, "ec2", "modify_vpc_attribute", named);
    let own = json!({ "Filters": [{ "Name": "vpc-id", "Values": [vpc] }] });
    let groups = Ask::new(side, "ec2", "describe_security_groups", own);
    let made = stand_in.ask(&[subnet(0, 'a'), subnet(1, 'b'), groups, named]).await?;
    let id = |at: usize| text(&made[at]["Subnet"]["SubnetId"]);
    let security_group = text(&made[2]["SecurityGroups"][0]["GroupId"])?;
    Ok(Network { subnets: [id(0)?, id(1)?], security_group })
}

fn subnet_group_name(side: Side) -> String {
    format!("{}-net", side.name())
}

fn subnet_group(side: Side, network: &Network) -> Ask {
    let fields = json!({
        "DBSubnetGroupName": subnet_group_name(side), "DBSubnetGroupDescription": "two zones", "SubnetIds": network.subnets,
    });
    Ask::new(side, "rds", "create_db_subnet_group", fields)
}

/// One with what an owner sets, and replication doesn't need.
fn parameter_group() -> [Ask; 2] {
    let create =
        json!({ "DBParameterGroupName": GROUP, "DBParameterGroupFamily": "postgres15", "Description": "orders" });
    let parameter = |name: &str, value: &str| json!({ "ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot" });
    let parameters = [
        parameter("work_mem", "8192"),
        parameter("random_page_cost", "1.1"),
        parameter("log_min_duration_statement", "2000"),
    ];
    let modify = json!({ "DBParameterGroupName": GROUP, "Parameters": parameters });
    [
        Ask::new(Side::Source, "rds", "create_db_parameter_group", create),
        Ask::new(Side::Source, "rds", "modify_db_parameter_group", modify),
    ]
}

fn instance(own_group: bool, password: &str, security_group: &str) -> Ask {
    let mut fields = json!({
        "DBInstanceIdentifier": SOURCE, "DBInstanceClass": "db.t3.medium", "Engine": "postgres", "AllocatedStorage": 20,
        "MasterUsername": rds::MASTER, "MasterUserPassword": password, "BackupRetentionPeriod": 1, "DeletionProtection": true,
        "DBSubnetGroupName": subnet_group_name(Side::Source), "VpcSecurityGroupIds": [security_group],
        "Tags": [{ "Key": "team", "Value": "orders" }],
    });
    if own_group {
        fields["DBParameterGroupName"] = json!(GROUP);
    }
    Ask::new(Side::Source, "rds", "create_db_instance", fields)
}

/// The cluster behind an instance, once it is available.
pub(super) async fn cluster(stand_in: &StandIn, side: Side, name: &str) -> Result<Cluster> {
    let began = std::time::Instant::now();
    loop {
        match find(stand_in, side, name).await? {
            Some(seen) if seen["status"] == "available" => return as_cluster(side, &seen),
            Some(seen) if seen["status"] == "failed" => bail!("the instance {name} couldn't be made"),
            _ if began.elapsed() > CREATION => bail!("waited {CREATION:?} in vain for the instance {name}"),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// What the stand-in says of the cluster behind an instance; nothing where there is none of this name.
pub(super) async fn find(stand_in: &StandIn, side: Side, name: &str) -> Result<Option<Value>> {
    let all = stand_in.control("instances", None).await?;
    let account = &stand_in.account(side).id;
    let of_name = |seen: &&Value| seen["account"] == **account && seen["name"] == name;
    Ok(all.as_array().into_iter().flatten().find(of_name).cloned())
}

fn as_cluster(side: Side, seen: &Value) -> Result<Cluster> {
    let port = seen["port"].as_u64().and_then(|port| u16::try_from(port).ok()).context("an instance has no port")?;
    let directory = PathBuf::from(text(&seen["directory"])?);
    // What the server's certificate carries; a directory's `data` and `run` are where those of a stack's cluster are.
    Ok(Cluster { side, directory, host: "127.0.0.1".to_owned(), port, major: MAJOR })
}

/// A text of an answer's.
pub(super) fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} isn't the text that an answer has here"))
}
