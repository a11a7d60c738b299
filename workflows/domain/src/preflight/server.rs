//! Settings of an instance.

use super::{
    Findings, PROVEN_MAJORS, Place,
    facts::{Facts, Instance, RoleSetting, Server},
    finding::seconds,
};
use crate::{Ident, Side, proto::Spec};

/// Clocks that differ by more than this make times in the audit trail and last-update-wins doubtful.
const CLOCK_SKEW_SECONDS: f64 = 5.0;

/// The settings of one side.
pub(super) fn check(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let instance = facts.instance(side);
    let place = Place::side(side);
    version(instance, &place, out);
    let Some(server) = &instance.server else { return };
    if server.in_recovery {
        let remedy = "name the primary's host in the spec";
        out.blocker("CO0304", &place, format!("the {side} is a standby in recovery: it can't be written to"), remedy);
    }
    replication_settings(instance, side, &place, out);
    pglogical(instance, side, &place, out);
    output_plugins(instance, side, &place, out);
    wal_sender_timeout(instance, side, &place, out);
    durability(instance, side, &place, out);
    talkative(instance, side, &place, out);
    role_settings(spec, instance, &place, out);
}

fn version(instance: &Instance, place: &Place, out: &mut Findings) {
    let Some(version) = instance.version else { return };
    let major = version / 10_000;
    if !PROVEN_MAJORS.contains(&major) {
        let message = format!(
            "PostgreSQL {major} (server_version_num {version}): the pglogical engine is proven on {} only; nothing else was looked at here",
            PROVEN_MAJORS.start()
        );
        out.blocker("CO0303", place, message, format!("use PostgreSQL {} on both sides", PROVEN_MAJORS.start()));
    }
}

fn set(side: Side, is_rds: bool, name: &str, value: &str, restart: bool) -> String {
    let then = match (is_rds, restart) {
        (true, true) => "then reboot the instance",
        (true, false) => "it takes effect without a reboot",
        (false, true) => "then restart the server",
        (false, false) => "then select pg_reload_conf();",
    };
    if is_rds {
        format!("set {name} = {value} in the {side}'s parameter group, {then}")
    } else {
        format!("on the {side}: alter system set {name} = {value}; {then}")
    }
}

/// The elements of a setting that is a list.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|e| e.trim().trim_matches(['"', '\''])).filter(|e| !e.is_empty())
}

/// The list with one element more: ALTER SYSTEM wants literals one by one, a parameter group plain text.
fn with(list: &str, more: &str, is_rds: bool) -> String {
    let all = elements(list).chain([more]);
    if is_rds {
        all.collect::<Vec<_>>().join(",")
    } else {
        all.map(crate::ident::literal).collect::<Vec<_>>().join(", ")
    }
}

fn replication_settings(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
    let level = instance.setting("wal_level").unwrap_or("not visible");
    if level != "logical" {
        let name = if is_rds { "rds.logical_replication" } else { "wal_level" };
        let value = if is_rds { "1" } else { "logical" };
        let message = format!("wal_level is {level}; replication in both directions needs logical on both sides");
        out.blocker("CO0305", &place.object("wal_level"), message, set(side, is_rds, name, value, true));
    }
    let timestamps = instance.setting("track_commit_timestamp").unwrap_or("not visible");
    if timestamps != "on" {
        let message =
            format!("track_commit_timestamp is {timestamps}; pglogical settles conflicts of both directions by it");
        let remedy = set(side, is_rds, "track_commit_timestamp", "on", true);
        out.blocker("CO0307", &place.object("track_commit_timestamp"), message, remedy);
    }
    if let Some(role) = instance.setting("session_replication_role").filter(|r| *r != "origin") {
        let message = format!(
            "sessions start with session_replication_role = {role}: triggers and foreign keys don't work as they should"
        );
        out.blocker("CO0316", &place.object("session_replication_role"), message, "set it back to origin");
    }
}

fn pglogical(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
    let at = place.object("shared_preload_libraries");
    let Some(libraries) = instance.setting("shared_preload_libraries") else {
        let message = "shared_preload_libraries can't be seen, so it's unknown whether pglogical is loaded";
        let login = instance.server.as_ref().map_or("", |s| s.login.name.as_str());
        out.blocker("CO0302", &at, message, format!("grant pg_read_all_settings to {};", Ident::new(login)));
        return;
    };
    if !elements(libraries).any(|l| l == "pglogical") {
        let message = format!("shared_preload_libraries is `{libraries}`: pglogical isn't loaded");
        let remedy = set(side, is_rds, "shared_preload_libraries", &with(libraries, "pglogical", is_rds), true);
        out.blocker("CO0306", &at, message, remedy);
        return;
    }
    if instance.activity.as_ref().is_some_and(|a| a.hidden == 0 && !a.supervisor) {
        let message = "pglogical is loaded but its supervisor isn't running (it doesn't come back after it was terminated): subscriptions would stay down";
        out.blocker("CO0306", &place.object("pglogical supervisor"), message, format!("restart the {side}"));
    }
    let available =
        instance.catalog.as_ref().is_none_or(|c| c.available_extensions.iter().any(|e| e.name == "pglogical"));
    if !available {
        let message = "the extension pglogical isn't available: its control file isn't installed";
        out.blocker(
            "CO0306",
            &place.object("pglogical"),
            message,
            format!("install pglogical on the {side}'s host (Debian: postgresql-15-pglogical)"),
        );
    }
}

/// PostgreSQL 15.20 and its siblings refuse logical decoding by a plugin that isn't listed. Both sides are providers.
fn output_plugins(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    let Some(list) = instance.setting("output_plugin_libraries") else { return };
    if elements(list).any(|p| p == "pglogical_output" || p == "*") {
        return;
    }
    let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
    let value = with(list, "pglogical_output", is_rds);
    let message = format!("output_plugin_libraries is `{list}`: creating pglogical's slot would be refused");
    out.blocker(
        "CO0308",
        &place.object("output_plugin_libraries"),
        message,
        set(side, is_rds, "output_plugin_libraries", &value, false),
    );
}

fn wal_sender_timeout(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    let Some(timeout) = instance.number("wal_sender_timeout") else { return };
    let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
    let remedy = set(side, is_rds, "wal_sender_timeout", "'60s'", false);
    let at = place.object("wal_sender_timeout");
    if timeout == 0 {
        let message = "wal_sender_timeout is 0: a subscriber that vanished keeps its slot active until TCP gives up";
        out.warning("CO0314", &at, message, remedy);
    } else if timeout < 10_000 {
        let message =
            format!("wal_sender_timeout is {timeout} ms: large transactions may break the stream again and again");
        out.warning("CO0314", &at, message, remedy);
    }
}

/// A target that forgets acknowledged commits in a crash breaks the promise that no write is lost.
fn durability(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    for name in ["fsync", "full_page_writes"] {
        if instance.setting(name) == Some("off") {
            let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
            let message = format!("{name} is off: a crash of the {side} may lose or damage committed rows");
            out.warning("CO0318", &place.object(name), message, set(side, is_rds, name, "on", false));
        }
    }
}

/// A broken connection of pglogical's is logged with its whole connection string as DETAIL; only `terse` leaves DETAIL out.
fn talkative(instance: &Instance, side: Side, place: &Place, out: &mut Findings) {
    let Some(verbosity) = instance.setting("log_error_verbosity").filter(|v| *v != "terse") else { return };
    let is_rds = instance.server.as_ref().is_some_and(|s| s.is_rds);
    let message = format!(
        "log_error_verbosity is {verbosity}: when pglogical loses a connection, the {side}'s log gets the replication login's password"
    );
    let remedy = set(side, is_rds, "log_error_verbosity", "terse", false);
    out.warning("CO0380", &place.object("log_error_verbosity"), message, remedy);
}

/// Settings that ALTER ROLE or ALTER DATABASE attach to the logins we use. Statement, lock and idle-in-transaction timeouts
/// are overridden by every session of ours and of the nodes, so they don't matter; but a lock timeout of a database holds for the
/// apply workers, too.
fn role_settings(spec: &Spec, instance: &Instance, place: &Place, out: &mut Findings) {
    let Some(server) = &instance.server else { return };
    for setting in &server.role_settings {
        let elsewhere = setting.database.as_ref().is_some_and(|d| !spec.databases.iter().any(|s| &s.name == d));
        let harmless = matches!(setting.value.as_str(), "0" | "off" | "false" | "origin" | "0ms" | "0s");
        if elsewhere || harmless {
            continue;
        }
        let who = setting.role.as_deref().unwrap_or("every role");
        let at = place.within(setting.database.as_deref().unwrap_or_default()).object(who);
        let message = format!("{} = {} is set for {who}", setting.name, setting.value);
        in_the_way(
            &setting.name,
            setting.role.as_deref() == Some(super::replication_user(spec)),
            message,
            reset(server, setting),
            &at,
            out,
        );
    }
    for name in ["default_transaction_read_only", "idle_session_timeout"] {
        let value = instance.setting(name).unwrap_or("off");
        if !matches!(value, "0" | "off") && !server.role_settings.iter().any(|s| s.name == name) {
            let off = if name == "idle_session_timeout" { "0" } else { "off" };
            let remedy = format!("alter role {} set {name} = {off};", Ident::new(&*server.login.name));
            in_the_way(name, false, format!("{name} is {value} for the instance"), remedy, &place.object(name), out);
        }
    }
}

fn in_the_way(name: &str, only_replication: bool, message: String, remedy: String, at: &Place, out: &mut Findings) {
    match name {
        // the nodes' sessions override it
        "default_transaction_read_only" if only_replication => {}
        "default_transaction_read_only" => {
            out.blocker("CO0316", at, format!("{message}: Changeover could not write"), remedy)
        }
        "session_replication_role" => {
            out.blocker("CO0316", at, format!("{message}: triggers would not fire as they should"), remedy)
        }
        "lock_timeout" => out.warning(
            "CO0316",
            at,
            format!("{message}: replication's workers on the server give up where they should wait, and begin again"),
            remedy,
        ),
        _ => out.warning("CO0316", at, format!("{message}: it may end sessions that have to stay open"), remedy),
    }
}

/// The statement that takes a setting back, or overrides it for our login only where it is meant for everybody.
fn reset(server: &Server, setting: &RoleSetting) -> String {
    let name = &setting.name;
    let role = setting.role.as_deref().unwrap_or(&server.login.name);
    let within = setting.database.as_ref().map_or(String::new(), |d| format!(" in database {}", Ident::new(&**d)));
    match (&setting.role, name.as_str()) {
        (Some(_), _) => format!("alter role {}{within} reset {name};", Ident::new(role)),
        (None, "lock_timeout") => match &setting.database {
            Some(database) => format!("alter database {} reset lock_timeout;", Ident::new(&**database)),
            None => "alter role all reset lock_timeout;".to_owned(),
        },
        (None, "idle_session_timeout") => format!("alter role {}{within} set {name} = 0;", Ident::new(role)),
        (None, "session_replication_role") => format!("alter role {}{within} set {name} = origin;", Ident::new(role)),
        (None, _) => format!("alter role {}{within} set {name} = off;", Ident::new(role)),
    }
}

/// What only both sides together tell.
pub(super) fn compare(facts: &Facts, out: &mut Findings) {
    if let (Some(source), Some(target)) = (facts.source.version, facts.target.version)
        && target / 10_000 < source / 10_000
    {
        let message = format!("the target ({target}) is older than the source ({source})");
        out.blocker("CO0303", &Place::side(Side::Target), message, "choose a target that is not older than the source");
    }
    let identifier = |i: &Instance| i.catalog.as_ref().and_then(|c| c.system_identifier.clone());
    if let (Some(source), Some(target)) = (identifier(&facts.source), identifier(&facts.target))
        && source == target
    {
        let message =
            "source and target are the same cluster, or one is a physical copy of the other (equal system identifiers)";
        out.blocker(
            "CO0317",
            &Place::side(Side::Target),
            message,
            "check host and port of both sides in the spec; the target must be a cluster of its own",
        );
    }
    let (Some(source), Some(target)) = (&facts.source.server, &facts.target.server) else { return };
    let skew = (source.clock - target.clock).abs();
    if skew > CLOCK_SKEW_SECONDS {
        let message = format!("the clocks of source and target differ by about {}", seconds(skew));
        out.warning("CO0319", &Place::side(Side::Target), message, "let both hosts follow NTP");
    }
    if facts.target.setting("password_encryption") == Some("md5") {
        let message = "password_encryption is md5: passwords set on the target would be stored as md5";
        let remedy = set(Side::Target, target.is_rds, "password_encryption", "'scram-sha-256'", false);
        out.warning("CO0313", &Place::side(Side::Target).object("password_encryption"), message, remedy);
    }
    preloaded(facts, out);
}

/// Libraries that the source loads and the target doesn't.
fn preloaded(facts: &Facts, out: &mut Findings) {
    let libraries = |i: &Instance| -> Option<Vec<String>> {
        Some(elements(i.setting("shared_preload_libraries")?).map(str::to_owned).collect())
    };
    let (Some(source), Some(target)) = (libraries(&facts.source), libraries(&facts.target)) else { return };
    let missing: Vec<String> = source.into_iter().filter(|l| l != "pglogical" && !target.contains(l)).collect();
    if !missing.is_empty() {
        let message = format!("the source preloads {}, the target doesn't", super::finding::list(&missing));
        let remedy =
            "add it to the target's shared_preload_libraries and restart, unless the application can do without";
        out.warning("CO0349", &Place::side(Side::Target).object("shared_preload_libraries"), message, remedy);
    }
}
