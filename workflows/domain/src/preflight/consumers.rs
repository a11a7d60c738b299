//! Who else replicates from or to these instances, and what earlier migrations left behind.

use super::{
    Findings, Place,
    facts::{Database, Facts, Replication, Slot},
    finding::{bytes, list},
};
use crate::{Ident, Side, proto::Spec};

/// An inactive slot that holds back more than this is worth a warning of its own.
const HELD_BACK_BYTES: f64 = 64.0 * 1024.0 * 1024.0;

/// Replication on one side.
pub(super) fn check(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let place = Place::side(side);
    if let Some(replication) = &facts.instance(side).replication {
        for slot in replication.slots.iter().filter(|s| !s.temporary) {
            one_slot(spec, slot, side, &place, out);
        }
        origins(replication, &place, out);
        subscriptions(spec, replication, side, &place, out);
    }
    for database in &facts.databases {
        leftovers(spec, database, side, out);
    }
}

fn one_slot(spec: &Spec, slot: &Slot, side: Side, place: &Place, out: &mut Findings) {
    let name = crate::ident::literal(&slot.name);
    let drop = format!("if nobody needs it any more: select pg_drop_replication_slot({name});");
    let database = slot.database.as_deref().unwrap_or_default();
    let at = place.within(database).object(&*slot.name);
    let ours = spec.databases.iter().any(|d| d.name == database);
    if slot.plugin == "pglogical_output" && ours {
        let message = "a pglogical slot on this database: another migration or replication uses it, or left it behind";
        out.blocker("CO0359", &at, message, drop);
        return;
    }
    if !slot.active && (slot.retained > HELD_BACK_BYTES || matches!(slot.wal_status.as_str(), "unreserved" | "lost")) {
        let message = format!("an inactive slot ({}) holds back {} of WAL", slot.wal_status, bytes(slot.retained));
        out.warning("CO0356", &at, message, drop.clone());
    }
    if side == Side::Source && (ours || slot.kind == "physical") {
        let what = if slot.kind == "physical" { "a standby or archiver" } else { "another consumer" };
        let message = format!(
            "the {} slot {} ({}) serves {what}, which doesn't follow to the target by itself",
            slot.kind,
            slot.name,
            if slot.active { "active" } else { "inactive" }
        );
        out.warning("CO0355", &at, message, format!("plan how it is moved to the target; {drop}"));
    }
}

fn origins(replication: &Replication, place: &Place, out: &mut Findings) {
    for origin in replication.origins.iter().filter(|o| o.starts_with("pgl_")) {
        let message = "a replication origin of pglogical: another migration or replication uses it, or left it behind";
        let remedy = format!(
            "if nobody needs it any more: select pg_replication_origin_drop({});",
            crate::ident::literal(origin)
        );
        out.blocker("CO0359", &place.object(&**origin), message, remedy);
    }
}

/// A subscription writes into the database past every fence, and can't be moved along.
fn subscriptions(spec: &Spec, replication: &Replication, side: Side, place: &Place, out: &mut Findings) {
    for subscription in replication.subscriptions.iter().filter(|s| spec.databases.iter().any(|d| d.name == s.database))
    {
        let at = place.within(&subscription.database).object(&*subscription.name);
        let state = if subscription.enabled { "enabled" } else { "disabled" };
        let message = format!(
            "the subscription {} ({state}) writes into this database of the {side}, past the fence",
            subscription.name
        );
        let name = Ident::new(&*subscription.name);
        let remedy = format!("end it before the migration: drop subscription {name};");
        out.blocker("CO0358", &at, message, remedy);
    }
}

/// pglogical nodes, and the home of an earlier migration.
fn leftovers(spec: &Spec, database: &Database, side: Side, out: &mut Findings) {
    let place = Place::database(side, &database.name);
    let nodes: Vec<&str> = database.nodes.iter().filter(|(s, _)| *s == side).map(|(_, name)| name.as_str()).collect();
    if !nodes.is_empty() {
        let message = format!("pglogical is in use here: nodes {}; a database has one local node only", list(&nodes));
        let remedy = "end that replication: select pglogical.drop_subscription(…), then pglogical.drop_node(…); then drop extension pglogical;";
        out.blocker("CO0359", &place, message, remedy);
    } else if database.objects(side).and_then(|o| o.pglogical_nodes).is_some_and(|n| !n.readable) {
        let message = "pglogical is installed here, and the login can't see whether it is in use";
        let remedy = "grant usage on schema pglogical and select on pglogical.node to the login, or drop extension pglogical if nobody uses it";
        out.blocker("CO0359", &place, message, remedy);
    } else if let Some(denied) = database.objects(side).map(|o| &o.pglogical_denied).filter(|d| !d.is_empty()) {
        let message = format!("pglogical is installed here, and these rights on it are missing: {}", list(denied));
        let grants: Vec<String> = denied.iter().map(|right| format!("grant {right};")).collect();
        let remedy =
            format!("as the extension's owner: {} or drop extension pglogical if nobody uses it", grants.join(" "));
        out.blocker("CO0359", &place, message, remedy);
    } else if database.objects(side).is_some_and(|o| o.extensions.iter().any(|e| e.name == "pglogical")) {
        out.info(
            "CO0359",
            &place,
            "the extension pglogical is already installed here, without nodes; it is used and left in place",
            "nothing to do",
        );
    }
    for (_, owner) in database.homes.iter().filter(|(s, _)| *s == side) {
        home(spec, owner.as_deref(), &place, out);
    }
}

fn home(spec: &Spec, owner: Option<&str>, place: &Place, out: &mut Findings) {
    let drop = format!("drop schema {} cascade;", crate::names::HOME);
    match owner {
        Some(id) if id == spec.name => {
            let message = format!(
                "an earlier run of the migration {id} has left its schema `changeover` here: its decisions would be taken for this run's"
            );
            out.blocker("CO0360", place, message, format!("if that run has ended (`changeover status {id}`): {drop}"));
        }
        Some(id) => {
            let message = format!("the migration {id} keeps its state here, in the schema `changeover`");
            out.blocker(
                "CO0360",
                place,
                message,
                format!("finish or abort it (`changeover status {id}`); if it's long gone: {drop}"),
            );
        }
        None => {
            let message =
                "there is a schema `changeover` that belongs to no migration, or to one that the login can't read";
            out.blocker(
                "CO0360",
                place,
                message,
                format!(
                    "if it's a left-over: {drop}; if it's the application's, rename it for the time of the migration"
                ),
            );
        }
    }
}
