//! What `rds_superuser` may do on RDS and a plain role may not elsewhere.
//!
//! On RDS the statement runs as it is. Outside, an administrator installs one audited function with a closed list of actions
//! (`deploy/sql/escalation.sql`) and names it in the spec as `escalation`; then the action goes through that function.

use changeover_domain::{Failure, Ident};

use crate::{Session, Site};

/// The closed list. Each names the page of Amazon's RDS documentation that lets `rds_superuser` do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escalated {
    /// `create extension pglogical`: RDS User Guide, "Setting up the pglogical extension".
    CreatePglogical,
    /// `drop extension pglogical`: the same page.
    DropPglogical,
    /// The event triggers that run `changeover.refuse_ddl()`, under this name and with `_end` and `_drop` after it: RDS User
    /// Guide, "Event triggers for RDS for PostgreSQL".
    CreateEventTrigger(Ident),
    /// Drops it: the same page.
    DropEventTrigger(Ident),
}

impl Escalated {
    fn action(&self) -> (&'static str, &str) {
        match self {
            Escalated::CreatePglogical => ("create_extension_pglogical", ""),
            Escalated::DropPglogical => ("drop_extension_pglogical", ""),
            Escalated::CreateEventTrigger(name) => ("create_event_trigger", name.raw()),
            Escalated::DropEventTrigger(name) => ("drop_event_trigger", name.raw()),
        }
    }
    fn statement(&self) -> String {
        match self {
            Escalated::CreatePglogical => "create extension if not exists pglogical".to_owned(),
            Escalated::DropPglogical => {
                "drop extension if exists pglogical; drop schema if exists pglogical".to_owned()
            }
            Escalated::CreateEventTrigger(name) => {
                let (end, dropped) = guard_names(name);
                format!(
                    "create event trigger {name} on ddl_command_start execute function changeover.refuse_ddl();
                     create event trigger {end} on ddl_command_end execute function changeover.refuse_ddl();
                     create event trigger {dropped} on sql_drop execute function changeover.refuse_ddl()"
                )
            }
            Escalated::DropEventTrigger(name) => {
                let (end, dropped) = guard_names(name);
                format!(
                    "drop event trigger if exists {name}; drop event trigger if exists {end}; drop event trigger if exists {dropped}"
                )
            }
        }
    }
}

/// The names beside `name`: the trigger at a command's end, and the one for dropped objects.
fn guard_names(name: &Ident) -> (Ident, Ident) {
    (Ident::new(format!("{}_end", name.raw())), Ident::new(format!("{}_drop", name.raw())))
}

/// Does it: through the escalation function where the site has one, else directly. Safe to run twice, except
/// `CreateEventTrigger`, whose caller looks first.
pub async fn run(session: &Session, site: &Site, what: &Escalated) -> Result<(), Failure> {
    let (action, argument) = what.action();
    let doing = format!("running {action}");
    if site.escalation.is_empty() {
        return session.batch_execute(&what.statement()).await.map_err(session.failed(&doing));
    }
    let (schema, name) = site.escalation.split_once('.').ok_or_else(|| {
        Failure::refused(
            "CO0101",
            format!("escalation `{}` isn't schema.function", site.escalation),
            "correct it in the spec",
        )
    })?;
    let sql = format!("select {}.{}($1, $2)", Ident::new(schema), Ident::new(name));
    session.execute(&sql, &[&action, &argument]).await.map(drop).map_err(session.failed(&doing))
}
