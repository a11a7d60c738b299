//! Triggers that fire while replication applies rows (`ENABLE ALWAYS`, `ENABLE REPLICA`): on the side that applies, their effect
//! has been replicated already and would happen twice. They are switched off there, remembered in `changeover.saved_trigger`
//! of their database, and given back.
//!
//! `A` (always) becomes `O` (origin and local: silent while applying, live when the side serves), `R` (replica) becomes `D`.
//! Every statement is `ALTER TABLE ONLY`, so that a partition's own state isn't overwritten by its parent's.

use changeover_domain::{Failure, Ident, QualifiedName, Side, ident::literal};
use tokio_postgres::{GenericClient, Row};

use crate::{Migration, error, patience};

const APPLYING: &str = include_str!("../sql/apply_triggers.sql");
const SAVED: &str = include_str!("../sql/saved_triggers.sql");

/// Switches off, inside `transaction`, each trigger that fires on apply (`A` to `O`, `R` to `D`) and remembers its state.
/// For the transaction that creates triggers on a side that applies. Returns how many.
pub async fn quiet(transaction: &impl GenericClient, side: Side) -> Result<u64, Failure> {
    silence_all(transaction, side, &["A", "R"]).await
}

/// `quiet` in every database of the target. Returns how many.
pub async fn quiet_target(migration: &Migration) -> Result<u64, Failure> {
    in_each_database(migration, Side::Target, &["A", "R"]).await
}

/// Switches off the `REPLICA` triggers of a side that is about to apply while it serves: `R` to `D`. Each trigger in a
/// transaction of its own that waits for its lock only a moment and tries again. Returns how many.
pub async fn quiet_replica_triggers(migration: &Migration, side: Side) -> Result<u64, Failure> {
    in_each_database(migration, side, &["R"]).await
}

/// `A` to `O`, remembered, inside the transaction of a fence: from its commit this side applies. Returns how many.
pub async fn always_off(transaction: &impl GenericClient, side: Side) -> Result<u64, Failure> {
    silence_all(transaction, side, &["A"]).await
}

/// The statements of [`always_off`], to be sent later; empty when there is nothing to do.
pub(crate) async fn always_off_sql(client: &impl GenericClient, side: Side) -> Result<String, Failure> {
    Ok(read(client, side, APPLYING, &["A"]).await?.iter().map(Trigger::silence).collect())
}

/// Back to `A`, inside a transaction of the decision phase: from its commit this side serves. Returns how many.
pub async fn always_on(transaction: &impl GenericClient, side: Side) -> Result<u64, Failure> {
    let triggers = read(transaction, side, SAVED, &["A"]).await?;
    let sql: String = triggers.iter().map(Trigger::give_back).collect();
    transaction.batch_execute(&sql).await.map_err(|e| error::failure(side, "giving triggers back", &e))?;
    Ok(triggers.len() as u64)
}

/// The statements of [`always_on`], to be sent later; empty when there is nothing to do.
pub(crate) async fn always_on_sql(client: &impl GenericClient, side: Side) -> Result<String, Failure> {
    Ok(read(client, side, SAVED, &["A"]).await?.iter().map(Trigger::give_back).collect())
}

/// Gives every remembered trigger of a side its state back: at abort, at finalize. Returns how many.
pub async fn restore(migration: &Migration, side: Side) -> Result<u64, Failure> {
    let mut changed = 0;
    for database in migration.databases() {
        let mut session = migration.site(side).open(&database.name, "triggers").await?;
        if !crate::home::is_ours(migration, &session).await? {
            continue;
        }
        for trigger in read(&*session, side, SAVED, &["A", "R", "O", "D"]).await? {
            patience::batch(&mut session, "giving a trigger back", &trigger.give_back()).await?;
            changed += 1;
        }
    }
    Ok(changed)
}

async fn in_each_database(migration: &Migration, side: Side, states: &[&str]) -> Result<u64, Failure> {
    let mut changed = 0;
    for database in migration.databases() {
        let mut session = migration.site(side).open(&database.name, "triggers").await?;
        for trigger in read(&*session, side, APPLYING, states).await? {
            patience::batch(&mut session, "switching a trigger off", &trigger.silence()).await?;
            changed += 1;
        }
    }
    Ok(changed)
}

async fn silence_all(transaction: &impl GenericClient, side: Side, states: &[&str]) -> Result<u64, Failure> {
    let triggers = read(transaction, side, APPLYING, states).await?;
    let sql: String = triggers.iter().map(Trigger::silence).collect();
    transaction.batch_execute(&sql).await.map_err(|e| error::failure(side, "switching triggers off", &e))?;
    Ok(triggers.len() as u64)
}

async fn read(client: &impl GenericClient, side: Side, sql: &str, states: &[&str]) -> Result<Vec<Trigger>, Failure> {
    let rows = client.query(sql, &[&states]).await.map_err(|e| error::failure(side, "reading triggers", &e))?;
    Ok(rows.iter().map(Trigger::from_row).collect())
}

/// One trigger and the state that the application gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trigger {
    relation: u32,
    table: QualifiedName,
    name: String,
    /// As in `pg_trigger.tgenabled`.
    state: String,
}

impl Trigger {
    fn from_row(row: &Row) -> Self {
        Self {
            relation: row.get(0),
            table: QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            name: row.get(3),
            state: row.get(4),
        }
    }

    /// Remembers the state (the first one remembered is the application's own) and switches it off.
    fn silence(&self) -> String {
        let (relation, name, state) = (self.relation, literal(&self.name), literal(&self.state));
        let quiet = alter(&self.table, &self.name, if self.state == "A" { "O" } else { "D" });
        format!(
            "insert into changeover.saved_trigger (relation, trigger, state) values ({relation}, {name}, {state}) \
             on conflict (relation, trigger) do nothing;\n{quiet}"
        )
    }

    /// Sets the remembered state and forgets it.
    fn give_back(&self) -> String {
        let (relation, name) = (self.relation, literal(&self.name));
        let back = alter(&self.table, &self.name, &self.state);
        format!("{back}delete from changeover.saved_trigger where relation = {relation} and trigger = {name};\n")
    }
}

/// Sets a trigger's state, given as in `pg_trigger.tgenabled`, on this table alone.
pub(crate) fn alter(table: &QualifiedName, name: &str, state: &str) -> String {
    let how = match state {
        "A" => "enable always",
        "R" => "enable replica",
        "D" => "disable",
        _ => "enable",
    };
    format!("alter table only {table} {how} trigger {};\n", Ident::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn trigger(state: &str) -> Trigger {
        Trigger { relation: 7, table: QualifiedName::new("s", "t"), name: "o'x".into(), state: state.into() }
    }

    #[rstest]
    #[case("A", "enable")]
    #[case("R", "disable")]
    fn silence_remembers_and_switches_off(#[case] state: &str, #[case] how: &str) {
        let sql = trigger(state).silence();
        assert!(sql.contains(&format!("values (7, 'o''x', '{state}')")), "{sql}");
        assert!(sql.ends_with(&format!("alter table only \"s\".\"t\" {how} trigger \"o'x\";\n")), "{sql}");
    }

    #[rstest]
    #[case("A", "enable always")]
    #[case("R", "enable replica")]
    #[case("O", "enable")]
    #[case("D", "disable")]
    fn each_state_has_its_words(#[case] state: &str, #[case] how: &str) {
        let sql = trigger(state).give_back();
        assert!(sql.starts_with(&format!("alter table only \"s\".\"t\" {how} trigger \"o'x\";\n")), "{sql}");
    }
}
