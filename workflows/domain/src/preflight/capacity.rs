//! Room for what the migration adds: slots, origins, WAL senders, background workers, locks, connections.
//!
//! With N databases, both directions at once, pglogical takes on *each* side: N slots and N WAL senders as provider plus one
//! for a table that is copied again; N origins plus one as subscriber; one supervisor, and for each database a manager, an
//! apply worker and, while a table is copied, a sync worker (pglogical documentation, "Requirements", and its source).

use super::{
    Findings, Place,
    facts::{Facts, Instance},
};
use crate::{Side, fence::Fence, proto::Spec};

/// Sessions that the worker, the servers and pg_dump open on a side, per database and for the instance.
const SESSIONS_PER_DATABASE: i64 = 8;
const SESSIONS: i64 = 6;

/// What is needed on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) slots: i64,
    pub(super) senders: i64,
    pub(super) workers: i64,
    pub(super) sessions: i64,
}

impl Need {
    pub(super) fn of(databases: usize) -> Self {
        let n = i64::try_from(databases).unwrap_or(i64::MAX / 100);
        Self { slots: n + 1, senders: n + 1, workers: 1 + 3 * n, sessions: SESSIONS + SESSIONS_PER_DATABASE * n }
    }
}

/// The head-room of one side.
pub(super) fn check(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let instance = facts.instance(side);
    let need = Need::of(spec.databases.len());
    if instance.server.is_none() {
        return;
    }
    slots(instance, need, side, out);
    if instance.activity.is_some() {
        senders(instance, need, side, out);
        workers(instance, need, side, out);
        connections(spec, instance, need, side, out);
    }
    locks(spec, facts, side, out);
}

struct Room<'a> {
    code: &'a str,
    setting: &'a str,
    what: &'a str,
    used: i64,
    need: i64,
}

fn room(instance: &Instance, room: &Room<'_>, side: Side, out: &mut Findings) {
    let Some(limit) = instance.number(room.setting) else { return };
    if limit >= room.used + room.need {
        return;
    }
    let message = format!(
        "{} is {limit}: {} {} are in use and the migration needs {} more",
        room.setting, room.used, room.what, room.need
    );
    out.blocker(
        room.code,
        &Place::side(side).object(room.setting),
        message,
        raise(instance, room.setting, room.used + room.need, side),
    );
}

fn raise(instance: &Instance, setting: &str, to: i64, side: Side) -> String {
    if instance.server.as_ref().is_some_and(|s| s.is_rds) {
        format!("set {setting} to at least {to} in the {side}'s parameter group, then reboot")
    } else {
        format!("on the {side}: alter system set {setting} = {to}; then restart the server")
    }
}

fn slots(instance: &Instance, need: Need, side: Side, out: &mut Findings) {
    let Some(replication) = &instance.replication else { return };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX / 2);
    let setting = "max_replication_slots";
    let slots = Room { code: "CO0309", setting, what: "slots", used: count(replication.slots.len()), need: need.slots };
    room(instance, &slots, side, out);
    let origins = Room { what: "origins", used: count(replication.origins.len()), ..slots };
    room(instance, &origins, side, out);
}

fn senders(instance: &Instance, need: Need, side: Side, out: &mut Findings) {
    let used = instance.activity.as_ref().map_or(0, |a| a.wal_senders);
    let senders = Room { code: "CO0310", setting: "max_wal_senders", what: "WAL senders", used, need: need.senders };
    room(instance, &senders, side, out);
}

/// An exhausted max_worker_processes shows as a subscription that is `down` without any error: so parallel query, which
/// takes from the same pool when it likes, counts as a warning.
fn workers(instance: &Instance, need: Need, side: Side, out: &mut Findings) {
    let used = instance.activity.as_ref().map_or(0, |a| a.workers);
    let setting = "max_worker_processes";
    room(instance, &Room { code: "CO0311", setting, what: "background workers", used, need: need.workers }, side, out);
    let (Some(limit), Some(parallel)) = (instance.number(setting), instance.number("max_parallel_workers")) else {
        return;
    };
    let all = used + need.workers + parallel;
    if limit >= used + need.workers && limit < all {
        let message = format!(
            "{setting} is {limit}: {used} in use, {} needed, and parallel queries may take up to {parallel} of them: pglogical's workers might not start",
            need.workers
        );
        out.warning("CO0311", &Place::side(side).object(setting), message, raise(instance, setting, all, side));
    }
}

fn connections(spec: &Spec, instance: &Instance, need: Need, side: Side, out: &mut Findings) {
    let (Some(server), Some(activity)) = (&instance.server, &instance.activity) else { return };
    let reserved = instance.number("superuser_reserved_connections").unwrap_or(3);
    if let Some(limit) = instance.number("max_connections") {
        let free = limit - reserved - activity.client_backends;
        if free < need.sessions {
            let message = format!(
                "max_connections is {limit}: {} are in use, {reserved} reserved, and the migration may open {}",
                activity.client_backends, need.sessions
            );
            let remedy = raise(instance, "max_connections", limit - free + need.sessions, side);
            out.warning("CO0312", &Place::side(side).object("max_connections"), message, remedy);
        }
    }
    let replication = server.replication_login.as_ref().map(|l| (l.name.as_str(), l.connection_limit));
    let logins = [Some((server.login.name.as_str(), server.login.connection_limit)), replication];
    for (name, limit) in logins.into_iter().flatten() {
        if (0..need.sessions).contains(&limit) {
            let message = format!("{name} has a connection limit of {limit}, the migration may need {}", need.sessions);
            let remedy = format!("alter role {} connection limit -1;", crate::Ident::new(name));
            out.warning("CO0312", &Place::side(side).object(name), message, remedy);
        }
    }
    for database in &spec.databases {
        let limit = instance.database(&database.name).map_or(-1, |d| d.connection_limit);
        if (0..SESSIONS_PER_DATABASE).contains(&limit) {
            let message = format!("the database has a connection limit of {limit}");
            let remedy = format!("alter database {} connection limit -1;", crate::Ident::new(&*database.name));
            out.warning("CO0312", &Place::database(side, &database.name), message, remedy);
        }
    }
}

/// The fence `lock` locks every table of every database at once; both sides are fenced in turn, and the tables are the source's.
/// With the gate it is pg_dump that locks every table of a database at once, on the source, to read the schema.
/// The rule was measured: max_locks_per_transaction x (max_connections + max_prepared_transactions) >= 1.2 x tables.
fn locks(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let instance = facts.instance(side);
    let all = || facts.databases.iter().map(|d| d.tables.iter().flatten());
    let holding_rows = all().flatten().filter(|t| t.holds_rows()).count() as u64;
    let (tables, why) = match (Fence::choose(&spec.fence, holding_rows), side) {
        (Fence::Lock, _) => (all().flatten().count(), "have to be locked at once"),
        (Fence::Gate, Side::Source) => {
            (all().map(Iterator::count).max().unwrap_or(0), "of a database are locked at once by pg_dump")
        }
        (Fence::Gate, Side::Target) => return,
    };
    let tables = i64::try_from(tables).unwrap_or(i64::MAX / 100);
    let number = |name| instance.number(name);
    let (Some(per), Some(connections)) = (number("max_locks_per_transaction"), number("max_connections")) else {
        return;
    };
    let holders = connections + number("max_prepared_transactions").unwrap_or_default();
    if holders > 0 && per * holders * 10 < tables * 12 {
        let message = format!(
            "{tables} tables {why}, max_locks_per_transaction {per} x {holders} has room for {}",
            per * holders
        );
        let to = tables * 12 / (10 * holders) + 1;
        let remedy = raise(instance, "max_locks_per_transaction", to, side);
        out.blocker("CO0320", &Place::side(side).object("max_locks_per_transaction"), message, remedy);
    }
}
