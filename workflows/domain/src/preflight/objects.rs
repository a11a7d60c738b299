//! Objects besides tables and sequences: refused, handled by a stated route, or worth knowing.

use super::{
    Findings, Place,
    facts::{Database, Facts, Objects},
    finding::list,
};
use crate::{Ident, Side};

/// The objects of a database on both sides.
pub(super) fn check(facts: &Facts, database: &Database, out: &mut Findings) {
    if let Some(objects) = &database.source {
        let place = Place::database(Side::Source, &database.name);
        carried(objects, &place, out);
        triggers(objects, &place, out);
        functions(facts, objects, &place, out);
        superuser_only(facts, objects, &place, out);
        writers(objects, &place, out);
    }
    for side in [Side::Source, Side::Target] {
        let Some(objects) = database.objects(side) else { continue };
        event_triggers(objects, side, &Place::database(side, &database.name), out);
    }
}

fn carried(objects: &Objects, place: &Place, out: &mut Findings) {
    if objects.large_objects > 0 {
        let message = format!("{} large objects: logical replication doesn't carry them", objects.large_objects);
        out.blocker(
            "CO0337",
            place,
            message,
            "move them into bytea columns, or remove them: select lo_unlink(oid) from pg_largeobject_metadata;",
        );
    }
    if objects.materialized_views > 0 {
        let message = format!(
            "{} materialized views are filled by REFRESH on the target, and are refreshed again only by whoever does it today",
            objects.materialized_views
        );
        out.info("CO0345", place, message, "nothing to do");
    }
    if !objects.publications.is_empty() {
        let message = format!(
            "publications ({}): their subscribers don't follow to the target by themselves",
            list(&objects.publications)
        );
        out.warning(
            "CO0357",
            place,
            message,
            "plan how each subscriber is moved, or drop the publication if nobody uses it",
        );
    }
    if !objects.collations.is_empty() {
        let message = format!(
            "collations whose recorded version isn't the library's: {}; indexes by them may be out of order",
            list(&objects.collations)
        );
        out.warning(
            "CO0365",
            place,
            message,
            "reindex what uses them on the source, then: alter collation … refresh version;",
        );
    }
}

fn triggers(objects: &Objects, place: &Place, out: &mut Findings) {
    if objects.triggers.is_empty() {
        return;
    }
    let names: Vec<String> = objects
        .triggers
        .iter()
        .map(|t| format!("{} on {} ({})", t.name, t.table, if t.enabled == "A" { "ALWAYS" } else { "REPLICA" }))
        .collect();
    let message = format!(
        "triggers that fire on replicated rows, too: {}; they are switched off on the side that applies, so that nothing is done twice",
        list(&names)
    );
    out.info("CO0344", place, message, "nothing to do; their state is given back by the switch, finalize or abort");
}

/// Event triggers: ours is named after the migration, others may run for our DDL.
fn event_triggers(objects: &Objects, side: Side, place: &Place, out: &mut Findings) {
    for trigger in &objects.event_triggers {
        let at = place.object(&*trigger.name);
        let drop = format!("drop event trigger {};", Ident::new(&*trigger.name));
        if trigger.name.starts_with("changeover_") {
            let message = "a DDL guard that an earlier migration left behind";
            out.blocker("CO0360", &at, message, drop);
            continue;
        }
        let state = match trigger.enabled.as_str() {
            "D" => continue,
            "A" => ", enabled ALWAYS",
            "R" => ", enabled for replicas",
            _ => "",
        };
        let message = format!(
            "an event trigger on {}{state} of {} runs for Changeover's own DDL, too",
            trigger.event, trigger.owner
        );
        let remedy = match side {
            Side::Source => "check that it lets `create schema changeover` pass; create it on the target by hand after finalize, it needs a superuser there".to_owned(),
            Side::Target => format!("alter event trigger {} disable; until the migration has ended", Ident::new(&*trigger.name)),
        };
        out.warning("CO0346", &at, message, remedy);
    }
}

fn functions(facts: &Facts, objects: &Objects, place: &Place, out: &mut Findings) {
    for function in &objects.functions {
        let at = place.object(&*function.name);
        if function.definer {
            let message = format!(
                "SECURITY DEFINER, owned by the superuser {}: the fence's REVOKE doesn't stop what it writes",
                function.owner
            );
            out.warning(
                "CO0347",
                &at,
                message,
                format!("give it to a role that is no superuser: alter function {} owner to …;", function.name),
            );
        }
        if function.untrusted && !facts.target.server.as_ref().is_some_and(|s| s.login.superuser) {
            let message = if function.leakproof {
                "it is leakproof: only a superuser can create it on the target".to_owned()
            } else {
                format!("it is written in {}: only a superuser can create it on the target", function.language)
            };
            out.blocker(
                "CO0348",
                &at,
                message,
                "drop or change it on the source, or replace it by an extension that the target has",
            );
        }
    }
}

fn superuser_only(facts: &Facts, objects: &Objects, place: &Place, out: &mut Findings) {
    if facts.target.server.as_ref().is_some_and(|s| s.login.superuser) {
        return;
    }
    for object in &objects.superuser_only {
        let message = format!("only a superuser can create this {} on the target", object.kind);
        let remedy = "drop it on the source, or replace it by an extension that the target has";
        out.blocker("CO0348", &place.object(&*object.name), message, remedy);
    }
}

/// What may write from outside every application session, or outside this database.
fn writers(objects: &Objects, place: &Place, out: &mut Findings) {
    for extension in &objects.extensions {
        let message = match extension.name.as_str() {
            "pg_cron" => {
                "pg_cron runs jobs of its own: the fence stops them as it stops their roles, and they don't run on the target before they are scheduled there"
            }
            "dblink" => {
                "dblink may write to other databases from within functions: such writes are outside of the migration"
            }
            "pg_partman" => "pg_partman creates partitions by itself: new partitions during the sync park the run",
            _ => continue,
        };
        let remedy = match extension.name.as_str() {
            "pg_cron" => "schedule the jobs (select * from cron.job) on the target after the switch",
            "pg_partman" => "create the partitions of the coming weeks beforehand and pause its maintenance",
            _ => "check what uses it",
        };
        out.warning("CO0352", &place.object(&*extension.name), message, remedy);
    }
    for server in &objects.foreign_servers {
        let message = format!(
            "the foreign server {} ({}) may be written to by functions: such writes are outside of the migration",
            server.name, server.wrapper
        );
        out.warning(
            "CO0352",
            &place.object(&*server.name),
            message,
            "check what uses it, and that the target reaches it; passwords of user mappings have to be set there",
        );
    }
}
