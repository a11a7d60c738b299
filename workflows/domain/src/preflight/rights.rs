//! Rights of the two logins, with the statement that gives each.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Findings, Place,
    facts::{Facts, Instance, Owner, Server},
    finding::list,
};
use crate::{Ident, Side, proto::Spec};

/// The rights on one side.
pub(super) fn check(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let instance = facts.instance(side);
    let Some(server) = &instance.server else { return };
    attributes(server, side, out);
    superuser_like(spec, facts, side, out);
    replication_login(spec, instance, side, out);
    let mut roles = Memberships::new();
    databases(spec, instance, side, &mut roles, out);
    if side == Side::Source {
        owners(facts, &mut roles, out);
    }
    memberships(instance, side, &roles, out);
}

fn attributes(server: &Server, side: Side, out: &mut Findings) {
    let login = &server.login;
    let name = Ident::new(&*login.name);
    let place = Place::side(side).object(&*login.name);
    if login.superuser {
        return;
    }
    if !login.create_role {
        let message =
            format!("{} lacks CREATEROLE: roles can't be created, closed (NOLOGIN) and opened again", login.name);
        out.blocker("CO0322", &place, message, format!("alter role {name} createrole;"));
    }
    if !login.monitor {
        let message =
            format!("{} lacks pg_monitor: sessions, transactions and settings of others can't be seen", login.name);
        out.blocker("CO0327", &place, message, format!("grant pg_monitor to {name};"));
    }
    if !login.signal {
        let message = format!("{} lacks pg_signal_backend: sessions can't be ended at the switch", login.name);
        out.blocker("CO0328", &place, message, format!("grant pg_signal_backend to {name};"));
    }
    let replicates = login.replication || (server.is_rds && login.rds_replication);
    if !replicates {
        let message = format!("{} may not use replication slots", login.name);
        let remedy = if server.is_rds {
            format!("grant rds_replication to {name};")
        } else {
            format!("alter role {name} replication;")
        };
        out.blocker("CO0325", &place, message, remedy);
    }
}

/// What RDS gives to rds_superuser and vanilla PostgreSQL only to superusers.
fn superuser_like(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let Some(server) = &facts.instance(side).server else { return };
    let login = &server.login;
    let place = Place::side(side).object(&*login.name);
    let name = Ident::new(&*login.name);
    if login.superuser {
        return;
    }
    if server.is_rds {
        if !login.rds_superuser {
            let message = format!("{} is no member of rds_superuser", login.name);
            out.blocker("CO0326", &place, message, format!("as the master user: grant rds_superuser to {name};"));
        }
        return;
    }
    if !login.origin_functions {
        let remedy = format!(
            "as a superuser, in every database: grant execute on function pg_replication_origin_create(text), pg_replication_origin_drop(text), \
             pg_replication_origin_session_setup(text) (and the other pg_replication_origin_* functions) to {name};"
        );
        out.blocker("CO0326", &place, format!("{} may not execute pg_replication_origin_*", login.name), remedy);
    }
    if !login.origin_status {
        let remedy =
            format!("as a superuser, in every database: grant select on pg_replication_origin_status to {name};");
        out.blocker("CO0326", &place, format!("{} may not read pg_replication_origin_status", login.name), remedy);
    }
    if !login.set_replication_role && side == Side::Target {
        let message =
            format!("{} may not set session_replication_role, which the copy into the target needs", login.name);
        out.blocker(
            "CO0326",
            &place,
            message,
            format!("as a superuser: grant set on parameter session_replication_role to {name};"),
        );
    }
    escalation(spec, facts, side, out);
}

fn escalation(spec: &Spec, facts: &Facts, side: Side, out: &mut Findings) {
    let endpoint = match side {
        Side::Source => spec.source.as_ref(),
        Side::Target => spec.target.as_ref(),
    };
    let function = endpoint.map_or("", |e| e.escalation.as_str());
    let place = Place::side(side);
    if function.is_empty() {
        let message = "the login is neither superuser nor rds_superuser, and the spec names no escalation function: the extension pglogical and the DDL guard can't be created";
        let remedy = format!(
            "install deploy/sql/escalation.sql as a superuser in every database and set {side}.escalation in the spec, or use a superuser"
        );
        out.blocker("CO0326", &place, message, remedy);
        return;
    }
    for database in &facts.databases {
        let Some(found) = database.objects(side).and_then(|o| o.escalation) else { continue };
        let place = place.within(&database.name).object(function);
        if !found.exists {
            let message = format!("the escalation function {function}(text, text) doesn't exist in this database");
            out.blocker(
                "CO0326",
                &place,
                message,
                "install deploy/sql/escalation.sql in it as a superuser, or correct the name in the spec",
            );
        } else if !found.executable {
            let login = facts.instance(side).server.as_ref().map_or("", |s| s.login.name.as_str());
            let schema = function.split_once('.').map_or("", |(s, _)| s);
            let remedy = format!(
                "grant usage on schema {} to {login}; grant execute on function {function}(text, text) to {login};",
                Ident::new(schema),
                login = Ident::new(login)
            );
            out.blocker("CO0326", &place, format!("{login} may not execute {function}(text, text)"), remedy);
        }
    }
}

fn replication_login(spec: &Spec, instance: &Instance, side: Side, out: &mut Findings) {
    let user = super::replication_user(spec);
    let name = Ident::new(user);
    let place = Place::side(side).object(user);
    let Some(server) = &instance.server else { return };
    let Some(login) = &server.replication_login else {
        let attribute = if server.is_rds { "" } else { " replication" };
        let then = if server.is_rds { format!(" grant rds_replication to {name};") } else { String::new() };
        let remedy = format!("create role {name} login{attribute} password '…';{then}");
        out.blocker("CO0325", &place, format!("the replication login {user} doesn't exist on the {side}"), remedy);
        return;
    };
    if !login.login {
        out.blocker("CO0325", &place, format!("{user} may not log in"), format!("alter role {name} login;"));
    }
    if !(login.superuser || login.replication || (server.is_rds && login.rds_replication)) {
        let remedy = if server.is_rds {
            format!("grant rds_replication to {name};")
        } else {
            format!("alter role {name} replication;")
        };
        out.blocker("CO0325", &place, format!("{user} may not replicate"), remedy);
    }
    for database in &spec.databases {
        let Some(entry) = instance.database(&database.name) else { continue };
        if !entry.replication_may_connect {
            let remedy = format!("grant connect on database {} to {name};", Ident::new(&*database.name));
            out.blocker(
                "CO0325",
                &place.within(&database.name),
                format!("{user} lacks CONNECT on the database"),
                remedy,
            );
        }
    }
}

/// CREATE on the source's databases (for our schema), and the owner's rights on the target's (for the restore).
fn databases(spec: &Spec, instance: &Instance, side: Side, roles: &mut Memberships, out: &mut Findings) {
    let Some(server) = &instance.server else { return };
    let login = Ident::new(&*server.login.name);
    for database in &spec.databases {
        let Some(entry) = instance.database(&database.name) else { continue };
        let place = Place::database(side, &database.name);
        let db = Ident::new(&*database.name);
        if !entry.may_connect {
            let remedy = format!("grant connect on database {db} to {login};");
            out.blocker(
                "CO0324",
                &place,
                format!("{} lacks CONNECT on the database, so nothing in it was looked at", server.login.name),
                remedy,
            );
        }
        if !entry.allows_connections {
            let remedy = format!("alter database {db} allow_connections true;");
            out.blocker("CO0324", &place, "the database allows no connections, so nothing in it was looked at", remedy);
        }
        let enough = entry.owner_member || (side == Side::Source && entry.may_create);
        if enough {
            continue;
        }
        if !entry.owner_superuser {
            roles.entry(entry.owner.clone()).or_default().push(format!("the database {}", database.name));
        } else if side == Side::Source {
            let message = format!(
                "{} lacks CREATE on the database, whose owner {} is a superuser",
                server.login.name, entry.owner
            );
            out.blocker("CO0324", &place, message, format!("grant create on database {db} to {login};"));
        } else {
            let message = format!(
                "the database belongs to the superuser {}: the restore couldn't set what only its owner may",
                entry.owner
            );
            out.blocker("CO0324", &place, message, format!("alter database {db} owner to {login};"));
        }
    }
}

/// Roles whose rights the login lacks, with what they own.
type Memberships = BTreeMap<String, Vec<String>>;

fn memberships(instance: &Instance, side: Side, roles: &Memberships, out: &mut Findings) {
    let Some(server) = &instance.server else { return };
    let login = &server.login.name;
    for (role, owns) in roles {
        let grant = format!("grant {} to {};", Ident::new(&**role), Ident::new(&**login));
        let place = Place::side(side).object(&**role);
        let message = format!("{login} isn't a member of {role}, which owns {}", list(owns));
        if instance.may_grant_membership() {
            let message = format!("{message}; Changeover grants it for the time of the migration");
            out.info("CO0323", &place, message, format!("nothing to do; it will run: {grant}"));
        } else {
            out.blocker("CO0323", &place, format!("{message}, and can't make itself one"), grant);
        }
    }
}

/// Every owner of objects on the source; the same roles will own them on the target, where whoever creates them may use them.
fn owners(facts: &Facts, roles: &mut Memberships, out: &mut Findings) {
    for database in &facts.databases {
        let place = Place::database(Side::Source, &database.name);
        let missing: Vec<&Owner> = database.source_owners.iter().flatten().filter(|o| !o.member).collect();
        for role in missing.iter().map(|o| o.role.as_str()).collect::<BTreeSet<_>>() {
            let of: Vec<&Owner> = missing.iter().copied().filter(|o| o.role == role).collect();
            let what: Vec<String> = of.iter().map(|o| format!("{} in {}", described(o), database.name)).collect();
            if of.iter().any(|o| o.superuser) {
                of_superuser(&place, role, &of, &what, out);
            } else {
                roles.entry(role.to_owned()).or_default().extend(what);
            }
        }
    }
}

fn described(owner: &Owner) -> String {
    let kind = &owner.kind;
    match (kind.as_str(), owner.count) {
        ("grant", 1) => format!("a grant on {}", owner.example),
        ("grant", n) => format!("{n} grants (as on {})", owner.example),
        (_, 1) => format!("{kind} {}", owner.example),
        (_, n) => format!("{n} {kind}s (as {})", owner.example),
    }
}

/// A superuser's tables can't be locked or fenced by a login that is none, and nothing can be given to a superuser on the target.
fn of_superuser(place: &Place, role: &str, of: &[&Owner], what: &[String], out: &mut Findings) {
    let message = format!(
        "the superuser {role} owns {}: the migration's login can't lock and fence it on the source, nor give it to a superuser on the target",
        list(what)
    );
    let statements: Vec<String> = of
        .iter()
        .filter(|o| o.kind != "grant")
        .map(|o| format!("alter {} {} owner to …;", o.kind, o.example))
        .chain(
            of.iter()
                .find(|o| o.kind == "grant")
                .map(|o| format!("as {role}: revoke … on {} from …; and grant it as its owner", o.example)),
        )
        .collect();
    let remedy = format!("give them to a role that is no superuser, e.g. {}", statements.join(" "));
    out.blocker("CO0329", &place.object(role), message, remedy);
}
