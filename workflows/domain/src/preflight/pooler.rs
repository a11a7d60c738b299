//! PgBouncer: traffic can be moved by PAUSE, RELOAD and RESUME only where server connections are shared per transaction.

use super::{
    Findings, Place,
    facts::{Facts, Pooler},
    finding::list,
};
use crate::{Side, proto::Spec};

/// After a failed login to a server PgBouncer refuses clients for so long; more than this shows in the pause, microseconds.
const LOGIN_RETRY_SECONDS: f64 = 1.0;

/// All poolers of the spec.
pub(super) fn check(spec: &Spec, facts: &Facts, out: &mut Findings) {
    if facts.poolers.is_empty() {
        let message = "the spec names no pooler: applications connect directly and have to find the target by themselves after the switch";
        out.info("CO0378", &Place::spec(), message, "add [[traffic.pgbouncer]] to the spec if there is a PgBouncer");
    }
    for pooler in &facts.poolers {
        let place = Place::pooler(&pooler.name);
        if let Some(problem) = &pooler.file_problem {
            let message = format!("its databases file {} {problem}", pooler.file);
            out.blocker("CO0374", &place, message, "let the worker run where the file is, with the right to write it, and pull it in by %include in pgbouncer.ini");
        }
        if let Some((message, remedy)) = &pooler.unreachable {
            out.blocker("CO0371", &place, message.clone(), remedy.clone());
            continue;
        }
        mode(spec, pooler, &place, out);
        settings(pooler, &place, out);
        routes(spec, pooler, &place, out);
    }
}

fn mode(spec: &Spec, pooler: &Pooler, place: &Place, out: &mut Findings) {
    let session = |mode: &str| mode == "session";
    let global = pooler.config.get("pool_mode").map_or("", String::as_str);
    let remedy = "set pool_mode = transaction in pgbouncer.ini and check that the applications can live with it";
    if session(global) || global.is_empty() {
        let message = format!("pool_mode is `{global}`: in session mode PAUSE waits until every client has gone");
        out.blocker("CO0372", place, message, remedy);
    }
    for database in pooler.databases.iter().filter(|d| session(&d.pool_mode) && listed(spec, &d.database)) {
        out.blocker("CO0372", &place.within(&database.name), "pool_mode of this database is session", remedy);
    }
    for (user, mode) in pooler.user_modes.iter().filter(|(_, mode)| session(mode)) {
        out.blocker("CO0372", place, format!("pool_mode of the user {user} is {mode}"), remedy);
    }
}

fn listed(spec: &Spec, database: &str) -> bool {
    spec.databases.iter().any(|d| d.name == database)
}

/// Seconds, or milliseconds with `ms` or `us`, as PgBouncer prints them.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(ms) = text.strip_suffix("ms") {
        return Some(ms.trim().parse::<f64>().ok()? / 1e3);
    }
    if let Some(us) = text.strip_suffix("us") {
        return Some(us.trim().parse::<f64>().ok()? / 1e6);
    }
    text.strip_suffix('s').unwrap_or(text).trim().parse().ok()
}

/// `1.18.0` from `PgBouncer 1.18.0`, as a pair to compare.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn settings(pooler: &Pooler, place: &Place, out: &mut Findings) {
    let get = |name: &str| pooler.config.get(name).map(String::as_str);
    if let Some(retry) = get("server_login_retry").and_then(seconds)
        && retry > LOGIN_RETRY_SECONDS
    {
        let message =
            format!("server_login_retry is {retry} s: one failed login at the switch keeps clients waiting that long");
        out.warning("CO0373", place, message, "set server_login_retry = 0.05 in pgbouncer.ini");
    }
    // The default differs from "not encrypted": it is `disable`, and older versions don't tell it.
    let encrypted = get("client_tls_sslmode").is_some_and(|mode| !mode.is_empty() && mode != "disable");
    if encrypted && get("client_tls_ca_file").is_none_or(str::is_empty) {
        let message = "client_tls_ca_file isn't set: each RELOAD reads the system's list of authorities, some 25 ms within the pause";
        out.warning(
            "CO0373",
            place,
            message,
            "set client_tls_ca_file to a file with your own authority in pgbouncer.ini",
        );
    }
    match version(&pooler.version) {
        None => out.warning(
            "CO0373",
            place,
            format!("its version `{}` can't be told", pooler.version),
            "use PgBouncer 1.18 or newer",
        ),
        Some(v) if v < (1, 18) => {
            out.warning(
                "CO0373",
                place,
                format!("{} is older than what was tried", pooler.version),
                "use PgBouncer 1.18 or newer",
            );
        }
        Some(v) if v < (1, 21) => {
            let message = format!("{} has no protocol-level prepared statements in transaction mode", pooler.version);
            out.info("CO0373", place, message, "applications that need them want PgBouncer 1.21 or newer");
        }
        Some(_) => {}
    }
    if let Some(mode) = get("server_tls_sslmode").filter(|m| *m != "verify-full") {
        let message = format!("server_tls_sslmode is {mode}: the pooler doesn't verify which server it talks to");
        out.warning(
            "CO0377",
            place,
            message,
            "set server_tls_sslmode = verify-full and server_tls_ca_file in pgbouncer.ini",
        );
    }
}

/// Every database of the spec, served by this pooler, leads to the source now.
fn routes(spec: &Spec, pooler: &Pooler, place: &Place, out: &mut Findings) {
    let mut missing = Vec::new();
    for database in &spec.databases {
        let place = place.within(&database.name);
        let mut entries = pooler.databases.iter().filter(|d| d.database == database.name).peekable();
        if entries.peek().is_none() {
            missing.push(database.name.as_str());
        }
        for entry in entries {
            let to = format!("{}:{}", entry.host, entry.port);
            match entry.leads_to {
                Some(Side::Source) => {}
                Some(Side::Target) => {
                    let message = format!("{} already leads to the target ({to})", entry.name);
                    out.blocker(
                        "CO0376",
                        &place,
                        message,
                        "let it lead to the source until the switch: correct the databases file and RELOAD",
                    );
                }
                None => {
                    let message =
                        format!("{} leads to {to}, which isn't the source's peer_host and peer_port", entry.name);
                    let remedy = "correct the databases file and RELOAD, or source.peer_host and peer_port in the spec";
                    out.blocker("CO0376", &place, message, remedy);
                }
            }
        }
    }
    if missing.is_empty() {
        return;
    }
    let message = format!("it doesn't serve {}", list(&missing));
    let remedy = "add the databases to its databases file and RELOAD, or remove the pooler from the spec";
    if missing.len() == spec.databases.len() {
        out.blocker("CO0375", place, message, remedy);
    } else {
        out.warning("CO0375", place, message, remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("15", Some(15.0))]
    #[case("0.05", Some(0.05))]
    #[case("15 s", Some(15.0))]
    #[case("50 ms", Some(0.05))]
    #[case("x", None)]
    fn durations_are_read(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(seconds(text), expected);
    }

    #[rstest]
    #[case("PgBouncer 1.18.0", Some((1, 18)))]
    #[case("1.21.0", Some((1, 21)))]
    #[case("", None)]
    fn versions_are_read(#[case] text: &str, #[case] expected: Option<(u32, u32)>) {
        assert_eq!(version(text), expected);
    }
}
