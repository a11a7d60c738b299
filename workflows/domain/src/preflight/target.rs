//! The target: its databases are there, empty and alike; who logs in to it now; what the spec says about roles.

use super::{
    Findings, Place,
    facts::{Catalog, Database, DatabaseEntry, Facts},
    finding::list,
};
use crate::{Ident, Side, ident::literal, proto::Spec};

/// The databases of the spec on both sides.
pub(super) fn check(spec: &Spec, facts: &Facts, out: &mut Findings) {
    for database in &spec.databases {
        let place = Place::database(Side::Source, &database.name);
        let source = facts.source.database(&database.name);
        if source.is_none() && facts.source.catalog.is_some() {
            out.blocker("CO0362", &place, "the source has no database of this name", "correct `databases` in the spec");
        }
        if facts.target.catalog.is_none() {
            continue;
        }
        match (source, facts.target.database(&database.name)) {
            (Some(source), None) => missing(facts, source, out),
            (Some(source), Some(target)) => compare(source, target, out),
            (None, _) => {}
        }
    }
    other_databases(spec, facts, out);
    reach(spec, facts, out);
}

/// Each server has to reach the other one, at the latest for the way back.
fn reach(spec: &Spec, facts: &Facts, out: &mut Findings) {
    for (side, other, peer) in
        [(Side::Target, Side::Source, spec.source.as_ref()), (Side::Source, Side::Target, spec.target.as_ref())]
    {
        let place = Place::side(side);
        match facts.reach.iter().find(|reach| reach.side == side) {
            Some(reach) => {
                let Some(why) = &reach.refused else { continue };
                let address = peer.map_or_else(String::new, |e| format!("{}:{}", e.peer_host, e.peer_port));
                let remedy = format!(
                    "open the way from the {side}'s server to {other}'s peer_host and peer_port ({address}): routes, security groups, pg_hba.conf; the {side} has to read replication.server_ca_file"
                );
                out.blocker("CO0382", &place, format!("the {side}'s server doesn't reach the {other}: {why}"), remedy);
            }
            None => {
                let message = format!(
                    "whether the {side}'s server reaches the {other} couldn't be tried yet; it is proven when replication's nodes are made"
                );
                let remedy = "mend the other findings and run preflight again; each server has to reach the other one's peer_host and peer_port, and to read server_ca_file";
                out.info("CO0370", &place, message, remedy);
            }
        }
    }
}

/// Changeover creates no databases: it could not drop them again (DROP DATABASE hangs while pglogical is loaded).
fn missing(facts: &Facts, source: &DatabaseEntry, out: &mut Findings) {
    let owner = facts.target.server.as_ref().map_or("", |s| s.login.name.as_str());
    let message = "the target has no database of this name; Changeover creates none";
    out.blocker("CO0362", &Place::database(Side::Target, &source.name), message, create_database(source, owner));
}

/// The exact statement, with the encoding and the collation of the source.
fn create_database(source: &DatabaseEntry, owner: &str) -> String {
    let provider = match source.provider.as_str() {
        "i" => format!(" locale_provider icu icu_locale {}", literal(&source.icu_locale)),
        _ => String::new(),
    };
    let owner = if owner.is_empty() { String::new() } else { format!(" owner {}", Ident::new(owner)) };
    format!(
        "on the target: create database {}{owner} template template0 encoding {} lc_collate {} lc_ctype {}{provider};",
        Ident::new(&*source.name),
        literal(&source.encoding),
        literal(&source.collate),
        literal(&source.ctype)
    )
}

fn compare(source: &DatabaseEntry, target: &DatabaseEntry, out: &mut Findings) {
    let place = Place::database(Side::Target, &source.name);
    let pairs = [
        ("encoding", &source.encoding, &target.encoding),
        ("LC_COLLATE", &source.collate, &target.collate),
        ("LC_CTYPE", &source.ctype, &target.ctype),
        ("locale provider", &source.provider, &target.provider),
        ("ICU locale", &source.icu_locale, &target.icu_locale),
    ];
    let differing: Vec<String> = pairs
        .iter()
        .filter(|(_, s, t)| s != t)
        .map(|(what, s, t)| format!("{what} is `{s}` on the source and `{t}` on the target"))
        .collect();
    if !differing.is_empty() {
        let remedy = format!("create it anew: {}", create_database(source, &target.owner));
        out.blocker("CO0364", &place, list(&differing), remedy);
    } else if source.actual_collation_version != target.actual_collation_version {
        let message = format!(
            "the collation library is `{}` on the source and `{}` on the target: text may be ordered otherwise",
            source.actual_collation_version, target.actual_collation_version
        );
        out.warning(
            "CO0365",
            &place,
            message,
            "indexes are built anew on the target, so they are right; check what relies on the order of text",
        );
    }
    if !source.collation_version.is_empty() && source.collation_version != source.actual_collation_version {
        let message = format!(
            "the database was made with collation version `{}`, the library is now `{}`: indexes on text may be out of order",
            source.collation_version, source.actual_collation_version
        );
        let remedy = format!(
            "reindex database {name}; alter database {name} refresh collation version;",
            name = Ident::new(&*source.name)
        );
        out.warning("CO0365", &Place::database(Side::Source, &source.name), message, remedy);
    }
    if source.tablespace != target.tablespace {
        let message = format!(
            "the database's tablespace is {} on the source and {} on the target",
            source.tablespace, target.tablespace
        );
        out.warning("CO0341", &place, message, "nothing to do, unless the tablespace matters");
    }
}

/// Databases of the source that the spec leaves out: the fence's NOLOGIN is for the whole instance.
fn other_databases(spec: &Spec, facts: &Facts, out: &mut Findings) {
    let Some(catalog) = &facts.source.catalog else { return };
    let maintenance = |name: &str| {
        matches!(name, "postgres" | "rdsadmin") || spec.source.as_ref().is_some_and(|s| s.maintenance_database == name)
    };
    let others: Vec<&str> = catalog
        .databases
        .iter()
        .map(|d| d.name.as_str())
        .filter(|name| !spec.databases.iter().any(|d| d.name == *name) && !maintenance(name))
        .collect();
    if !others.is_empty() {
        let message = format!(
            "the spec doesn't name {}: these stay behind, and after the switch no application role can log in to them",
            list(&others)
        );
        out.warning(
            "CO0368",
            &Place::side(Side::Source),
            message,
            "add them to the spec, or make sure that nobody needs them",
        );
    }
}

/// What is in a database of the target already.
pub(super) fn occupied(database: &Database, out: &mut Findings) {
    let place = Place::database(Side::Target, &database.name);
    let Some(found) = &database.occupied else { return };
    if found.is_empty() {
        return;
    }
    let what: Vec<String> = found
        .iter()
        .map(|o| {
            if o.count == 1 {
                format!("{} {}", o.kind, o.example)
            } else {
                format!("{} {}s (as {})", o.count, o.kind, o.example)
            }
        })
        .collect();
    let message = format!("the database isn't empty: {}; its rows could not be told from copied ones", list(&what));
    let remedy = "drop these objects, or give the target a fresh database of that name (don't drop the database while pglogical is loaded: it hangs)";
    out.blocker("CO0363", &place, message, remedy);
}

/// Roles: those that the target will be closed to, and those that the spec names.
pub(super) fn roles(spec: &Spec, facts: &Facts, out: &mut Findings) {
    if let Some(catalog) = &facts.target.catalog {
        let closed: Vec<&str> = catalog
            .roles
            .iter()
            .filter(|r| r.login && super::is_application_role(spec, &r.name, r.superuser))
            .map(|r| r.name.as_str())
            .collect();
        if !closed.is_empty() {
            let message = format!(
                "roles that can log in to the target now are closed (NOLOGIN) until the switch: {}",
                list(&closed)
            );
            out.info(
                "CO0366",
                &Place::side(Side::Target),
                message,
                "list those that are no applications in roles.keep_login of the spec",
            );
        }
    }
    let Some(catalog) = &facts.source.catalog else { return };
    spec_roles(spec, catalog, out);
}

fn spec_roles(spec: &Spec, catalog: &Catalog, out: &mut Findings) {
    let Some(roles) = &spec.roles else { return };
    let known = |name: &str| catalog.roles.iter().any(|r| r.name == name);
    for name in roles.keep_login.iter().filter(|n| !known(n)) {
        let at = Place::spec().object(name.as_str());
        out.warning(
            "CO0369",
            &at,
            format!("roles.keep_login names {name}, which the source doesn't have"),
            "correct or remove it in the spec",
        );
    }
    for password in roles.passwords.iter().filter(|p| !known(&p.role)) {
        let at = Place::spec().object(password.role.as_str());
        let message = format!("roles.passwords names {}, which the source doesn't have", password.role);
        out.warning("CO0369", &at, message, "correct or remove it in the spec");
    }
}
