//! Extensions and languages: installed on the source, to be had on the target.

use super::{
    Findings, Place,
    facts::{Catalog, Database, Extension, Facts},
    finding::list,
};
use crate::{Ident, Side};

/// Those of a database.
pub(super) fn check(facts: &Facts, database: &Database, out: &mut Findings) {
    let (Some(source), Some(catalog)) = (&database.source, &facts.target.catalog) else { return };
    let place = Place::database(Side::Target, &database.name);
    for extension in source.extensions.iter().filter(|e| e.name != "pglogical" && e.name != "plpgsql") {
        kept(extension, &database.name, out);
        let installed = database.target.as_ref().and_then(|t| t.extensions.iter().find(|e| e.name == extension.name));
        match installed {
            Some(there) => {
                versions(extension, &there.version, &place, out);
                schemas(extension, &there.schema, &place, out);
            }
            None => creatable(facts, catalog, extension, &place, out),
        }
    }
    let Some(target) = &database.target else { return };
    for language in &source.languages {
        let by_extension = source.extensions.iter().any(|e| &e.name == language);
        if !target.languages.contains(language) && !by_extension {
            let message = format!("the language {language} is missing on the target, and no extension brings it");
            out.blocker(
                "CO0350",
                &place.object(language),
                message,
                format!("as a superuser on the target: create language {};", Ident::new(&**language)),
            );
        }
    }
}

/// Rows in an extension's own tables are nobody's table: replication doesn't carry them, nor does a dump of the schema.
fn kept(extension: &Extension, database: &str, out: &mut Findings) {
    if extension.kept.is_empty() {
        return;
    }
    let tables: Vec<String> = extension
        .kept
        .iter()
        .map(|k| match k.rows {
            Some(rows) => format!("{} ({rows} rows)", k.table),
            None => format!("{} (the login may not read it)", k.table),
        })
        .collect();
    let message =
        format!("{} keeps settings in tables of its own, which aren't carried over: {}", extension.name, list(&tables));
    let remedy = "copy these rows to the target by hand after the switch (pg_dump --data-only --table=…), or do there again what made them";
    out.warning("CO0381", &Place::database(Side::Source, database).object(&*extension.name), message, remedy);
}

fn creatable(facts: &Facts, catalog: &Catalog, extension: &Extension, place: &Place, out: &mut Findings) {
    let at = place.object(&*extension.name);
    let Some(available) = catalog.available_extensions.iter().find(|a| a.name == extension.name) else {
        let message = format!(
            "the source has the extension {} {}, and the target's server doesn't offer it",
            extension.name, extension.version
        );
        out.blocker("CO0350", &at, message, "install its package on the target's host, or drop it on the source");
        return;
    };
    let privileged = facts.target.server.as_ref().is_none_or(|s| s.login.superuser || s.is_rds);
    if !available.anyone && !privileged {
        let message = format!("{} isn't a trusted extension: only a superuser can create it", extension.name);
        let schema = Ident::new(&*extension.schema);
        // The login's, so that it can give it to whom it belongs on the source.
        let login = facts.target.server.as_ref().map(|s| Ident::new(&*s.login.name));
        let first = match login.filter(|_| !matches!(extension.schema.as_str(), "public" | "pg_catalog")) {
            Some(login) => format!("create schema if not exists {schema} authorization {login}; "),
            None => String::new(),
        };
        let remedy = format!(
            "as a superuser, in {} of the target: {first}create extension {} schema {schema} cascade; (the database still counts as empty)",
            place.database_name(),
            Ident::new(&*extension.name),
        );
        out.blocker("CO0350", &at, message, remedy);
    }
    if !available.versions.contains(&extension.version) {
        let default = available.default.as_deref().unwrap_or("none");
        let message = format!(
            "{} is {} on the source; the target offers {default} and not that version",
            extension.name, extension.version
        );
        out.warning("CO0351", &at, message, "check the extension's release notes, or install the same version");
    } else if available.default.as_deref() != Some(extension.version.as_str()) {
        versions(extension, available.default.as_deref().unwrap_or("none"), place, out);
    }
}

fn versions(extension: &Extension, there: &str, place: &Place, out: &mut Findings) {
    if extension.version != there {
        let message =
            format!("{} is {} on the source and will be {there} on the target", extension.name, extension.version);
        let remedy = format!(
            "alter extension {} update to …; on the side that is older, if the difference matters",
            Ident::new(&*extension.name)
        );
        out.warning("CO0351", &place.object(&*extension.name), message, remedy);
    }
}

/// `CREATE EXTENSION IF NOT EXISTS` of the dump would leave it where it is.
fn schemas(extension: &Extension, there: &str, place: &Place, out: &mut Findings) {
    if extension.schema != there {
        let message = format!("it is in the schema {} on the source, and in {there} on the target", extension.schema);
        let (name, schema) = (Ident::new(&*extension.name), Ident::new(&*extension.schema));
        let remedy = format!("in {} of the target: alter extension {name} set schema {schema};", place.database_name());
        out.blocker("CO0351", &place.object(&*extension.name), message, remedy);
    }
}
