//! Which tables replication can carry: each needs a key, or the operator's word that it is append-only.

use super::{
    Findings, Place,
    facts::{Database, Table},
    finding::list,
};
use crate::{Ident, Side};

/// Keys of a database's tables against the spec's list of append-only tables.
pub(super) fn check(database: &Database, insert_only: &[String], out: &mut Findings) {
    let Some(tables) = &database.tables else { return };
    let place = Place::database(Side::Source, &database.name);
    for listed in insert_only {
        listing(tables, listed, &place, out);
    }
    for table in tables.iter().filter(|t| t.holds_rows() && t.persistence == "p") {
        let is_listed = listed_as(table, insert_only);
        if table.has_identity() {
            continue;
        }
        let at = place.object(table.raw());
        if table.replica_identity == "f" || table.replica_identity == "n" || table.replica_identity == "i" {
            identity_unusable(table, is_listed, &at, out);
        } else if !table.primary_key_deferrable && !is_listed {
            without_key(table, &at, out);
        }
        if is_listed && (table.updates > 0 || table.deletes > 0) {
            let message = format!(
                "it is listed as append-only, but since the statistics began {} rows were updated and {} deleted; such changes would be lost",
                table.updates, table.deletes
            );
            let remedy = format!(
                "give it a key; or, if that will not happen again, as a superuser: select pg_stat_reset_single_table_counters({}::regclass);",
                crate::ident::literal(&table.sql())
            );
            out.blocker("CO0333", &at, message, remedy);
        }
    }
}

/// A listing is for one table; partitions are listed one by one, as they are replicated.
fn listed_as(table: &Table, insert_only: &[String]) -> bool {
    insert_only.iter().any(|l| *l == table.raw())
}

fn listing(tables: &[Table], listed: &str, place: &Place, out: &mut Findings) {
    let at = place.object(listed);
    let Some(table) = tables.iter().find(|t| t.raw() == listed) else {
        let message = "insert_only_tables lists it, but there is no such table in this database";
        out.blocker("CO0332", &at, message, "correct or remove it in the spec (`schema.table`, without quotes)");
        return;
    };
    if table.kind == "p" {
        let leaves: Vec<String> =
            tables.iter().filter(|t| t.root.as_deref() == Some(listed) && t.holds_rows()).map(Table::raw).collect();
        let message = "insert_only_tables lists it, but it is partitioned and holds no rows of its own";
        let remedy = format!("list those of its partitions that have no key instead: {}", list(&leaves));
        out.warning("CO0332", &at, message, remedy);
    } else if !table.holds_rows() || table.has_identity() {
        let message =
            "insert_only_tables lists it, but it has a key (or is a foreign table): the listing has no effect";
        out.warning("CO0332", &at, message, "remove it from insert_only_tables in the spec");
    }
}

/// REPLICA IDENTITY FULL, NOTHING or an unusable index: pglogical takes none of these.
fn identity_unusable(table: &Table, is_listed: bool, at: &Place, out: &mut Findings) {
    let word = match table.replica_identity.as_str() {
        "f" => "FULL",
        "n" => "NOTHING",
        _ => "an index that is no more valid",
    };
    if table.primary_key.is_some() && !table.primary_key_deferrable {
        let message =
            format!("its replica identity is {word}, which pglogical can't use, although it has a primary key");
        out.blocker("CO0331", at, message, format!("alter table {} replica identity default;", table.sql()));
    } else if !is_listed {
        without_key(table, at, out);
    }
}

fn without_key(table: &Table, at: &Place, out: &mut Findings) {
    let message = "it has neither a primary key nor a replica identity index: updates and deletes can't be replicated";
    let other = match table.candidates.first() {
        Some(index) => format!("alter table {} replica identity using index {};", table.sql(), Ident::new(&**index)),
        // A partition can't have columns of its own.
        None if table.root.is_some() => format!(
            "alter table {} add primary key (…); or, if no columns are unique, add one to its parent {};",
            table.sql(),
            table.root.as_deref().unwrap_or_default()
        ),
        None => format!(
            "alter table {0} add primary key (…); or, if no columns are unique, alter table {0} add column … bigint generated always as identity primary key;",
            table.sql()
        ),
    };
    let remedy =
        format!("{other} or, if rows are only ever inserted, list `{}` in insert_only_tables of the spec", table.raw());
    out.blocker("CO0331", at, message, remedy);
}
