//! A cluster's catalogs and state, as named facts in named sections.

use super::{dump, session};
use crate::stack::cluster::Cluster;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What is known of the things of one kind: name to description.
pub type Facts = BTreeMap<String, String>;

/// What one cluster looked like at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Roles, settings, slots …: what belongs to the whole cluster. Section to facts.
    pub cluster: BTreeMap<String, Facts>,
    /// Per database, the same.
    pub databases: BTreeMap<String, BTreeMap<String, Facts>>,
}

const CLUSTER: [(&str, &str); 9] = [
    ("roles", include_str!("../../sql/oracle/cluster/roles.sql")),
    ("passwords", include_str!("../../sql/oracle/cluster/passwords.sql")),
    ("memberships", include_str!("../../sql/oracle/cluster/memberships.sql")),
    ("membership grantors", include_str!("../../sql/oracle/cluster/membership_grantors.sql")),
    ("role settings", include_str!("../../sql/oracle/cluster/role_settings.sql")),
    ("comments", include_str!("../../sql/oracle/cluster/comments.sql")),
    ("databases", include_str!("../../sql/oracle/cluster/databases.sql")),
    ("database rights", include_str!("../../sql/oracle/cluster/database_rights.sql")),
    ("replication", include_str!("../../sql/oracle/cluster/replication.sql")),
];
const SETTINGS: (&str, &str) = ("settings", include_str!("../../sql/oracle/cluster/settings.sql"));

const DATABASE: [(&str, &str); 5] = [
    ("rights", include_str!("../../sql/oracle/database/rights.sql")),
    ("logical", include_str!("../../sql/oracle/database/logical.sql")),
    ("indexes", include_str!("../../sql/oracle/database/indexes.sql")),
    ("triggers", include_str!("../../sql/oracle/database/triggers.sql")),
    ("relations", include_str!("../../sql/oracle/database/relations.sql")),
];
const PGLOGICAL: &str = include_str!("../../sql/oracle/database/pglogical.sql");

impl Snapshot {
    /// Reads everything. Take it while no DDL runs: the databases are read one after another.
    pub async fn take(cluster: &Cluster) -> Result<Self> {
        let client = session::open(cluster, "postgres").await?;
        let mut sections = BTreeMap::new();
        for (name, query) in CLUSTER.into_iter().chain([SETTINGS]) {
            sections.insert(name.to_owned(), facts(&client, name, query).await?);
        }
        let mut databases = BTreeMap::new();
        for database in session::databases(&client).await? {
            let sections = take_database(cluster, &database)
                .await
                .with_context(|| format!("reading the {}'s database {database}", cluster.side.name()))?;
            databases.insert(database, sections);
        }
        Ok(Self { cluster: sections, databases })
    }
}

async fn take_database(cluster: &Cluster, database: &str) -> Result<BTreeMap<String, Facts>> {
    let client = session::open(cluster, database).await?;
    let mut sections = BTreeMap::new();
    sections.insert("dump".to_owned(), dump::take(cluster, database).await?);
    for (name, query) in DATABASE {
        sections.insert(name.to_owned(), facts(&client, name, query).await?);
    }
    let query = "select pg_catalog.to_regclass('pglogical.subscription') is not null";
    if client.query_one(query, &[]).await?.get(0) {
        sections.insert("pglogical".to_owned(), facts(&client, "pglogical", PGLOGICAL).await?);
    }
    Ok(sections)
}

/// Runs a query of two text columns: name and description.
async fn facts(client: &Client, section: &str, query: &str) -> Result<Facts> {
    let mut facts = Facts::new();
    let messages = client.simple_query(query).await.with_context(|| format!("reading the section {section}"))?;
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let name = row.get(0).with_context(|| format!("a fact of {section} has no name"))?;
            insert_fact(&mut facts, name, row.get(1).unwrap_or_default().to_owned());
        }
    }
    Ok(facts)
}

/// Adds a fact; one whose name is taken gets a number, so that none is lost.
pub(super) fn insert_fact(facts: &mut Facts, name: &str, value: String) {
    let mut unique = name.to_owned();
    let mut number = 1;
    while facts.contains_key(&unique) {
        number += 1;
        unique = format!("{name} #{number}");
    }
    facts.insert(unique, value);
}
