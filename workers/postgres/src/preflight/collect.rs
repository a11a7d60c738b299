//! Which statement is run where.

use changeover_domain::{
    Class, Direction, Failure, Side,
    preflight::{
        self,
        facts::{Database, Facts, Instance, Objects, Occupied, Owner, Reach, Sequence, Table, Unseen},
    },
};
use serde::Deserialize;

use super::{look::Look, pooler};
use crate::{Migration, Site, connect, pglogical};

const VERSION: &str = "select pg_catalog.to_jsonb(pg_catalog.current_setting('server_version_num')::int)";
const SERVER: &str = include_str!("../../sql/preflight/server.sql");
const ACTIVITY: &str = include_str!("../../sql/preflight/activity.sql");
const REPLICATION: &str = include_str!("../../sql/preflight/replication.sql");
const INSTANCE: &str = include_str!("../../sql/preflight/instance.sql");
const OBJECTS: &str = include_str!("../../sql/preflight/objects.sql");
const TABLES: &str = include_str!("../../sql/preflight/tables.sql");
const SEQUENCES: &str = include_str!("../../sql/preflight/sequences.sql");
const OWNERS: &str = include_str!("../../sql/preflight/owners.sql");
const SIZE: &str = include_str!("../../sql/preflight/size.sql");
const OCCUPIED: &str = include_str!("../../sql/preflight/occupied.sql");
const HOME: &str = "select coalesce((select pg_catalog.jsonb_agg(m.id) from changeover.migration m), '[]')";
const NODES: &str = "select coalesce((select pg_catalog.jsonb_agg(n.node_name) from pglogical.node n), '[]')";

/// Looks at both sides at once, then at the poolers.
pub(super) async fn collect(migration: &Migration) -> Facts {
    let (source, target, poolers) = tokio::join!(
        one_side(migration, &migration.source),
        one_side(migration, &migration.target),
        pooler::look(migration)
    );
    let reach = reach(migration, &source.0, &target.0).await;
    let (source_instance, source_databases, mut unseen) = source;
    let (target_instance, target_databases, target_unseen) = target;
    unseen.extend(target_unseen);
    let databases = source_databases.into_iter().zip(target_databases).map(|(s, t)| merged(s, t)).collect();
    Facts { source: source_instance, target: target_instance, databases, poolers, reach, unseen }
}

/// Each side's way to the other one, where both can be entered.
async fn reach(migration: &Migration, source: &Instance, target: &Instance) -> Vec<Reach> {
    let database = migration.control_database();
    let enters =
        |i: &Instance| proven(i) && may_enter(i, database) && !i.server.as_ref().is_some_and(|s| s.in_recovery);
    if !enters(source) || !enters(target) {
        return Vec::new();
    }
    let (to_target, to_source) = tokio::join!(
        pglogical::reaches(migration, Direction::Forward),
        pglogical::reaches(migration, Direction::Reverse)
    );
    let told = |side, outcome: Option<Result<(), Failure>>| {
        let refused = outcome?.err().map(|failure| failure.message);
        Some(Reach { side, refused })
    };
    [told(Side::Target, to_target), told(Side::Source, to_source)].into_iter().flatten().collect()
}

/// The two halves of a database's facts.
fn merged(source: Database, target: Database) -> Database {
    let mut both = source;
    both.target = target.target;
    both.occupied = target.occupied;
    both.homes.extend(target.homes);
    both.nodes.extend(target.nodes);
    both
}

async fn one_side(migration: &Migration, site: &Site) -> (Instance, Vec<Database>, Vec<Unseen>) {
    let mut unseen = Vec::new();
    let instance = match Look::open(site, &site.maintenance_database).await {
        Ok(mut look) => {
            let instance = of_instance(migration, &mut look).await;
            unseen.append(&mut look.unseen);
            Some(instance)
        }
        Err(failure) => {
            unseen.push(failure);
            None
        }
    };
    let mut databases = Vec::new();
    for database in migration.databases() {
        let mut facts = Database { name: database.name.clone(), ..Database::default() };
        // Without the instance there is nothing to be had from its databases either, only the same message again.
        if let Some(instance) = instance.as_ref().filter(|i| proven(i)) {
            if may_enter(instance, &database.name) {
                of_database(migration, site, &mut facts, &mut unseen).await;
            }
            if replication_may_enter(instance, &database.name) {
                unseen.extend(replication_login(migration, site, &database.name).await);
            }
        }
        databases.push(facts);
    }
    (instance.unwrap_or_default(), databases, unseen)
}

/// On other versions the catalogs may look otherwise; the version is the finding then.
fn proven(instance: &Instance) -> bool {
    instance.version.is_some_and(|v| preflight::PROVEN_MAJORS.contains(&(v / 10_000)))
}

/// A database that isn't there, or lets nobody in, is a finding of its own; there's no need to fail at it, too.
fn may_enter(instance: &Instance, database: &str) -> bool {
    instance.catalog.is_none() || instance.database(database).is_some_and(|d| d.may_connect && d.allows_connections)
}

/// The same for the replication login, which may be missing.
fn replication_may_enter(instance: &Instance, database: &str) -> bool {
    let exists = instance.server.as_ref().is_none_or(|s| s.replication_login.as_ref().is_some_and(|l| l.login));
    let entry = instance.database(database);
    exists && (instance.catalog.is_none() || entry.is_some_and(|d| d.replication_may_connect && d.allows_connections))
}

async fn of_instance(migration: &Migration, look: &mut Look) -> Instance {
    let replication = migration.replication_user.as_str();
    let mut instance = Instance { version: look.at("the version", VERSION, &[]).await, ..Instance::default() };
    if proven(&instance) {
        instance.server = look.at("settings and logins", SERVER, &[&replication]).await;
        instance.activity = look.at("sessions", ACTIVITY, &[]).await;
        instance.replication = look.at("slots and subscriptions", REPLICATION, &[]).await;
        instance.catalog = look.at("databases and roles", INSTANCE, &[&replication]).await;
    }
    instance
}

async fn of_database(migration: &Migration, site: &Site, facts: &mut Database, unseen: &mut Vec<Unseen>) {
    let tools = preflight::tool_schemas(&migration.spec);
    match Look::open(site, &facts.name).await {
        Ok(mut look) => {
            let objects: Option<Objects> =
                look.at("objects", OBJECTS, &[&tools, &site.escalation, &migration.replication_user]).await;
            if let Some(objects) = &objects {
                leftovers(&mut look, site.side(), objects, facts).await;
            }
            match site.side() {
                Side::Source => {
                    facts.source = objects;
                    of_source(&mut look, &tools, facts).await;
                }
                Side::Target => {
                    facts.target = objects;
                    facts.occupied = look.at::<Vec<Occupied>>("what the database holds", OCCUPIED, &[&tools]).await;
                }
            }
            unseen.append(&mut look.unseen);
        }
        Err(failure) => unseen.push(failure),
    }
}

async fn of_source(look: &mut Look, tools: &Vec<String>, facts: &mut Database) {
    #[derive(Deserialize)]
    struct Size {
        bytes: u64,
    }
    facts.tables = look.at::<Vec<Table>>("tables", TABLES, &[tools]).await;
    facts.sequences = look.at::<Vec<Sequence>>("sequences", SEQUENCES, &[tools]).await;
    facts.source_owners = look.at::<Vec<Owner>>("owners", OWNERS, &[tools]).await;
    facts.bytes = look.at::<Size>("sizes", SIZE, &[tools]).await.map(|s| s.bytes);
}

/// What an earlier migration, or another use of pglogical, has left.
async fn leftovers(look: &mut Look, side: Side, objects: &Objects, facts: &mut Database) {
    if objects.home.is_some_and(|h| h.readable) {
        let ids: Option<Vec<String>> = look.at("the schema changeover", HOME, &[]).await;
        if let Some(ids) = ids {
            facts.homes.push((side, ids.into_iter().next()));
        }
    } else if objects.home_schema {
        facts.homes.push((side, None));
    }
    if objects.pglogical_nodes.is_some_and(|n| n.readable) {
        let names: Option<Vec<String>> = look.at("pglogical's nodes", NODES, &[]).await;
        facts.nodes.extend(names.into_iter().flatten().map(|name| (side, name)));
    }
}

/// Whether the replication login gets in, from the worker; from server to server it shows only when nodes are made.
async fn replication_login(migration: &Migration, site: &Site, database: &str) -> Option<Unseen> {
    let mut address = site.address.clone();
    address.user.clone_from(&migration.replication_user);
    address.password = migration.replication_password.clone();
    let opened = connect::open(&address, database, &migration.id.application_name("preflight")).await;
    let failure = opened.err()?;
    Some(Unseen {
        code: "CO0325",
        side: site.side(),
        database: database.to_owned(),
        what: migration.replication_user.clone(),
        message: format!("the replication login {}: {}", migration.replication_user, failure.message),
        remedy: failure.remedy,
        passing: failure.class == Class::Transient,
    })
}
