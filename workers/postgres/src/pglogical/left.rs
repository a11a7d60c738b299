//! What of replication is still there, for the proof that nothing is.

use changeover_domain::{Direction, Failure, Side};

use super::{grants, install};
use crate::{Migration, Session};

/// Adds subscriptions, nodes, sets and truncate triggers of ours in the session's database.
pub(crate) async fn nodes_left(
    migration: &Migration,
    session: &Session,
    left: &mut Vec<String>,
) -> Result<(), Failure> {
    if !install::exists(session).await? {
        return Ok(());
    }
    let subscriptions: Vec<String> = [Direction::Forward, Direction::Reverse]
        .iter()
        .map(|d| migration.id.subscription(*d).raw().to_owned())
        .collect();
    let nodes: Vec<String> =
        [Side::Source, Side::Target].iter().map(|s| migration.id.node(*s).raw().to_owned()).collect();
    let rows = session
        .query(
            "select 'subscription ' || sub_name from pglogical.subscription where sub_name::text = any ($1)
             union all select 'node ' || node_name from pglogical.node where node_name::text = any ($2)
             union all select 'replication set ' || set_name from pglogical.replication_set where set_name::text = any ($3)
             union all select 'truncate trigger on ' || t.tgrelid::regclass from pg_catalog.pg_trigger t
                        where t.tgfoid = 'pglogical.queue_truncate()'::regprocedure
                          and not exists (select from pglogical.replication_set_table s where s.set_reloid = t.tgrelid)
             limit 50",
            &[&subscriptions, &nodes, &super::set_names(migration)],
        )
        .await
        .map_err(session.failed("looking for leftovers of pglogical"))?;
    left.extend(rows.iter().map(|r| format!("{} in database {}", r.get::<_, String>(0), session.database)));
    if install::ours(migration, session).await? {
        left.push(format!("extension pglogical in database {}", session.database));
    }
    Ok(())
}

/// Adds the memberships that we gave to the replication login and didn't take back. Told by the note in the home schema:
/// once that is gone, `remove_all` has proved it.
pub(crate) async fn memberships_left(migration: &Migration, left: &mut Vec<String>) -> Result<(), Failure> {
    let control = migration.source.open(migration.control_database(), "leftovers").await?;
    if !crate::home::is_ours(migration, &control).await? {
        return Ok(());
    }
    for role in grants::given(&control).await? {
        if grants::member(&control, &migration.replication_user, &role).await? {
            left.push(format!("membership of {} in {role}", migration.replication_user));
        }
    }
    Ok(())
}
