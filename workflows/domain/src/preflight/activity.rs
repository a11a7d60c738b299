//! Who is at work: transactions that creating a slot would wait for, and sessions that can't be fenced or have no business there.

use super::{
    Findings, Place,
    facts::{Activity, Facts, Prepared},
    finding::{list, seconds},
};
use crate::{Ident, Side, proto::Spec};

/// A prepared transaction that is older has probably been forgotten.
const FORGOTTEN_SECONDS: f64 = 60.0;
/// An open transaction that is older makes the creation of a slot wait noticeably.
const LONG_SECONDS: f64 = 60.0;

/// The sessions of one side.
pub(super) fn check(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let Some(activity) = &facts.instance(side).activity else { return };
    let place = Place::side(side);
    if activity.hidden > 0 {
        let message = format!("{} sessions can't be seen: nobody knows what they do", activity.hidden);
        let login = facts.instance(side).server.as_ref().map_or("", |s| s.login.name.as_str());
        out.blocker("CO0327", &place, message, format!("grant pg_monitor to {};", Ident::new(login)));
    }
    prepared(activity, &place, out);
    match side {
        Side::Source => {
            long_transactions(spec, activity, &place, out);
            superusers(activity, &place, out);
        }
        Side::Target => application_sessions(spec, activity, &place, out),
    }
}

/// A slot can't be created, and a fence not be had, while a prepared transaction of any database lives.
fn prepared(activity: &Activity, place: &Place, out: &mut Findings) {
    for transaction in &activity.prepared {
        let Prepared { gid, owner, database, seconds: age } = transaction;
        let at = place.within(database).object(gid);
        let message = format!(
            "a transaction prepared {} ago by {owner}: no slot can be created and no fence be had while it's there",
            seconds(*age)
        );
        let gid = crate::ident::literal(gid);
        let remedy = format!("in {database}, as {owner}: commit prepared {gid}; or rollback prepared {gid};");
        if *age >= FORGOTTEN_SECONDS {
            out.blocker("CO0353", &at, message, remedy);
        } else {
            out.warning("CO0353", &at, message, remedy);
        }
    }
}

fn long_transactions(spec: &Spec, activity: &Activity, place: &Place, out: &mut Findings) {
    let gate = spec.gates.as_ref().map_or(0, |g| g.max_transaction_age_ms);
    for open in activity.long_transactions.iter().filter(|t| t.seconds >= LONG_SECONDS) {
        let at = place.within(open.database.as_deref().unwrap_or_default()).object(format!("pid {}", open.pid));
        let why = if open.writes { "creating the slot waits for its end" } else { "it holds back vacuum" };
        let message = format!(
            "a transaction of {} ({}) is open for {}: {why}, and the switch is refused while one is older than {gate} ms",
            open.role.as_deref().unwrap_or("an unknown role"),
            open.state,
            seconds(open.seconds)
        );
        out.warning("CO0354", &at, message, format!("end it, or: select pg_terminate_backend({});", open.pid));
    }
}

/// The fence can't take LOGIN or rights from a superuser.
fn superusers(activity: &Activity, place: &Place, out: &mut Findings) {
    for session in activity.sessions.iter().filter(|s| s.superuser) {
        let at = place.within(session.database.as_deref().unwrap_or_default()).object(&*session.role);
        let message =
            format!("{} sessions of the superuser {}: what it writes can't be fenced", session.count, session.role);
        out.warning(
            "CO0361",
            &at,
            message,
            "make sure that it writes nothing during the switch, or let applications use roles that are no superusers",
        );
    }
}

/// The target is closed by login from the roles stage on; whoever is connected now would stay connected.
fn application_sessions(spec: &Spec, activity: &Activity, place: &Place, out: &mut Findings) {
    let sessions = activity.sessions.iter().filter(|s| super::is_application_role(spec, &s.role, s.superuser));
    for session in sessions {
        let database = session.database.as_deref().unwrap_or_default();
        let message = format!(
            "{} sessions of {} are connected to the target, which must be closed until the switch",
            session.count, session.role
        );
        let remedy = format!(
            "end them: select pg_terminate_backend(pid) from pg_stat_activity where usename = {}; or list the role in roles.keep_login of the spec if it is no application",
            crate::ident::literal(&session.role)
        );
        out.blocker("CO0367", &place.within(database).object(&*session.role), message, remedy);
    }
    let superusers: Vec<&str> = activity.sessions.iter().filter(|s| s.superuser).map(|s| s.role.as_str()).collect();
    if !superusers.is_empty() {
        let message = format!("superusers are connected to the target ({}): they aren't kept out", list(&superusers));
        out.warning("CO0361", place, message, "make sure that they write nothing before the switch");
    }
}
