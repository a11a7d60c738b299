//! What the AWS half asks of the servers and makes on a target that is new: databases, and the login for replication.

use std::collections::BTreeMap;

use changeover_domain::{Failure, Ident, ident::literal};
use postgres_protocol::password::scram_sha_256;

use crate::{Migration, Session, Site};

/// What others use on a server already, for sizing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Replication slots that aren't ours.
    pub slots: u32,
    /// WAL senders that aren't ours.
    pub senders: u32,
    /// The most WAL that one of those slots holds back, MB.
    pub retained_mb: u32,
}

/// What the server itself says of its parameters (`pg_settings`): in the parameter's own unit, as AWS' parameter groups have it.
pub async fn settings(site: &Site) -> Result<BTreeMap<String, String>, Failure> {
    let session = site.open_maintenance("provision").await?;
    let rows = session.query("select name, setting from pg_settings where setting is not null", &[]).await;
    let rows = rows.map_err(session.failed("reading settings"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// When a server was started, as it says so itself: another answer is another start, by whoever's hand.
pub async fn running_since(site: &Site) -> Result<String, Failure> {
    let session = site.open_maintenance("provision").await?;
    let sql = "select extract(epoch from pg_postmaster_start_time())::text";
    Ok(session.query_one(sql, &[]).await.map_err(session.failed("asking since when it runs"))?.get(0))
}

/// What others use already. Slots and senders of an earlier attempt of ours would be counted too: one too many is harmless.
pub async fn usage(site: &Site) -> Result<Usage, Failure> {
    let session = site.open_maintenance("provision").await?;
    let sql = "select (select count(*) from pg_replication_slots where not temporary),
                      (select count(*) from pg_stat_replication),
                      (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint / 1000000
                         from pg_replication_slots)";
    let row = session.query_one(sql, &[]).await.map_err(session.failed("counting slots and senders"))?;
    let number = |at: usize| u32::try_from(row.get::<_, i64>(at)).unwrap_or(u32::MAX);
    Ok(Usage { slots: number(0), senders: number(1), retained_mb: number(2) })
}

/// Makes the spec's databases on the target, empty, with the source's encoding and locale, where they aren't there. Their owners, rights and
/// settings come with the roles. Returns the names of those that were made.
pub async fn ensure_databases(migration: &Migration) -> Result<Vec<String>, Failure> {
    let source = migration.source.open_maintenance("provision").await?;
    let target = migration.target.open_maintenance("provision").await?;
    let mut made = Vec::new();
    for database in migration.databases() {
        let Locale { encoding, collate, ctype, icu } = locale(&source, &database.name).await?;
        let sql = "select exists (select from pg_database where datname = $1)";
        let there: bool =
            target.query_one(sql, &[&database.name]).await.map_err(target.failed("looking for databases"))?.get(0);
        if there {
            continue;
        }
        let sql = format!(
            "create database {} template template0 encoding {} lc_collate {} lc_ctype {}{icu}",
            Ident::new(&*database.name),
            literal(&encoding),
            literal(&collate),
            literal(&ctype)
        );
        match target.batch_execute(&sql).await {
            // Another attempt was quicker.
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::DUPLICATE_DATABASE) => {}
            result => result.map_err(target.failed("making a database"))?,
        }
        made.push(database.name.clone());
    }
    Ok(made)
}

/// How a database sorts and compares.
struct Locale {
    encoding: String,
    collate: String,
    ctype: String,
    /// What ICU is told, where it is the provider; else nothing.
    icu: String,
}

/// Columns that only later versions have are read by way of JSON (`datlocprovider` and `daticulocale` from 15 on, `datlocale` from 17 on).
async fn locale(source: &Session, name: &str) -> Result<Locale, Failure> {
    let sql = "select pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d) ->> 'datlocprovider',
                      coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), to_jsonb(d) ->> 'daticurules'
                 from pg_database d where datname = $1";
    let row = source.query_opt(sql, &[&name]).await.map_err(source.failed("reading a database's locale"))?;
    let Some(row) = row else {
        let message = format!("there is no database {name} on the source");
        return Err(Failure::refused("CO1081", message, "correct [[databases]] in the spec, then start again"));
    };
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let icu = text(3).filter(|provider| provider == "i").and_then(|_| text(4));
    let rules = text(5).map_or_else(String::new, |rules| format!(" icu_rules {}", literal(&rules)));
    let icu = icu.map_or_else(String::new, |icu| format!(" locale_provider icu icu_locale {}{rules}", literal(&icu)));
    Ok(Locale { encoding: row.get(0), collate: row.get(1), ctype: row.get(2), icu })
}

/// Makes the login for replication on the target, where it isn't there, as RDS wants it: a member of `rds_replication`
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html>). Returns whether it was made.
pub async fn ensure_replication_login(migration: &Migration) -> Result<bool, Failure> {
    let target = migration.target.open_maintenance("provision").await?;
    let name = &migration.replication_user;
    let there: bool = target
        .query_one("select exists (select from pg_roles where rolname = $1)", &[name])
        .await
        .map_err(target.failed("looking for the replication login"))?
        .get(0);
    if there {
        return Ok(false);
    }
    // The verifier goes over the wire and into the server's log, never the password.
    let verifier = scram_sha_256(migration.replication_password.expose().as_bytes());
    let login = Ident::new(name.as_str());
    let sql = format!("create role {login} login password {}; grant rds_replication to {login}", literal(&verifier));
    target.batch_execute(&sql).await.map_err(target.failed("making the replication login"))?;
    Ok(true)
}
