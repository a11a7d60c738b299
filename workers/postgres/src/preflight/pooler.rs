//! The poolers' consoles, and the file that Changeover will write.

use std::{collections::BTreeSet, net::IpAddr};

use changeover_domain::{
    Side,
    preflight::facts::{Pooler, PoolerDatabase},
    proto,
};

use crate::{
    Migration, Site,
    console::{Console, ConsoleAddress, ConsoleRow},
};

/// Looks at every pooler of the spec.
pub(super) async fn look(migration: &Migration) -> Vec<Pooler> {
    let mut found = Vec::new();
    for spec in migration.spec.traffic.iter().flat_map(|t| &t.poolers) {
        found.push(one(migration, spec).await);
    }
    found
}

async fn one(migration: &Migration, spec: &proto::Pooler) -> Pooler {
    let mut pooler = Pooler {
        name: format!("{}:{}", spec.host, spec.port),
        file: spec.databases_file.clone(),
        file_problem: file_problem(&spec.databases_file),
        ..Pooler::default()
    };
    if let Err(why) = ask(migration, spec, &mut pooler).await {
        pooler.unreachable = Some(why);
    }
    pooler
}

async fn ask(migration: &Migration, spec: &proto::Pooler, pooler: &mut Pooler) -> Result<(), (String, String)> {
    let said = |f: changeover_domain::Failure| (f.message, f.remedy);
    let address = ConsoleAddress {
        host: spec.host.clone(),
        port: u16::try_from(spec.port)
            .map_err(|_| (format!("{} is no TCP port", spec.port), "correct it in the spec".to_owned()))?,
        user: spec.user.clone(),
        password: migration.secret(spec.password.as_ref(), "the pooler").map_err(said)?,
        ca_file: spec.ca_file.clone(),
    };
    let console = Console::open(&address).await.map_err(said)?;
    pooler.version =
        show(&console, "show version").await?.first().map(|r| r.text("version").to_owned()).unwrap_or_default();
    pooler.config = show(&console, "show config")
        .await?
        .iter()
        .map(|r| (r.text("key").to_owned(), r.text("value").to_owned()))
        .collect();
    let users = show(&console, "show users").await?;
    pooler.user_modes = users.iter().map(|r| (r.text("name").to_owned(), r.text("pool_mode").to_owned())).collect();
    let sides =
        [(Side::Source, addresses(&migration.source).await), (Side::Target, addresses(&migration.target).await)];
    for row in show(&console, "show databases").await? {
        if row.text("name") != "pgbouncer" {
            pooler.databases.push(database(migration, &row, &sides).await);
        }
    }
    Ok(())
}

async fn show(console: &Console, command: &str) -> Result<Vec<ConsoleRow>, (String, String)> {
    let remedy = "let the console's user be one of admin_users in pgbouncer.ini";
    console.run(command).await.map_err(|e| (format!("`{command}` on the pooler's console: {e}"), remedy.to_owned()))
}

type SideAddresses = (Side, BTreeSet<IpAddr>);

async fn database(migration: &Migration, row: &ConsoleRow, sides: &[SideAddresses; 2]) -> PoolerDatabase {
    let host = row.text("host").to_owned();
    let port = row.number("port").and_then(|p| u32::try_from(p).ok()).unwrap_or_default();
    let leads_to = leads_to(migration, &host, port, sides).await;
    PoolerDatabase {
        name: row.text("name").to_owned(),
        host,
        port,
        database: row.text("database").to_owned(),
        pool_mode: row.text("pool_mode").to_owned(),
        leads_to,
    }
}

/// By name first, else by what the names resolve to here.
async fn leads_to(migration: &Migration, host: &str, port: u32, sides: &[SideAddresses; 2]) -> Option<Side> {
    for side in [Side::Source, Side::Target] {
        let site = migration.site(side);
        if port == u32::from(site.peer_port) && host == site.peer_host {
            return Some(side);
        }
    }
    let here = resolve(host).await;
    sides
        .iter()
        .find(|(side, theirs)| port == u32::from(migration.site(*side).peer_port) && !here.is_disjoint(theirs))
        .map(|(side, _)| *side)
}

async fn addresses(site: &Site) -> BTreeSet<IpAddr> {
    resolve(&site.peer_host).await
}

/// The addresses of a name; none when it can't be resolved here (a socket's folder, or a name that only the pooler knows).
async fn resolve(host: &str) -> BTreeSet<IpAddr> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => found.map(|a| a.ip()).collect(),
        Err(error) => {
            tracing::debug!(host, error = %error, "a pooler's host can't be resolved here");
            BTreeSet::new()
        }
    }
}

/// Why the databases file can't be written; opening it to append changes nothing.
fn file_problem(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("isn't given in the spec".to_owned());
    }
    match std::fs::OpenOptions::new().append(true).open(path) {
        Ok(_) => None,
        Err(error) => Some(format!("can't be written by the worker: {error}")),
    }
}
