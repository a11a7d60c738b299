//! What in a table pglogical can't carry, and what the operator should know about it.

use super::{
    Findings, Place,
    facts::{Database, Facts, Table},
    finding::list,
};
use crate::{Ident, Side};

/// The tables of a database.
pub(super) fn check(facts: &Facts, database: &Database, out: &mut Findings) {
    let place = Place::database(Side::Source, &database.name);
    for table in database.tables.iter().flatten() {
        carried(table, &place.object(table.raw()), out);
        owner_rights(table, &place.object(table.raw()), out);
        noteworthy(table, &place.object(table.raw()), out);
        tablespace(facts, table, &place.object(table.raw()), out);
    }
}

fn carried(table: &Table, at: &Place, out: &mut Findings) {
    if !table.generated.is_empty() {
        let message = format!(
            "generated columns ({}) crash pglogical's apply worker, and with it the whole instance",
            list(&table.generated)
        );
        let column = Ident::new(table.generated.first().map_or("", String::as_str));
        let remedy = format!(
            "on the source: alter table {} alter column {column} drop expression; and compute it by a trigger or a view",
            table.sql()
        );
        out.blocker("CO0334", at, message, remedy);
    }
    if table.persistence == "u" {
        let remedy = format!(
            "alter table {} set logged; (rewrites the table), or drop it and create it again after the migration",
            table.sql()
        );
        out.blocker("CO0335", at, "an unlogged table writes no WAL, so its rows can't be replicated", remedy);
    }
    if !table.deferrable.is_empty() {
        let message = format!(
            "deferrable unique or primary key constraints ({}) make pglogical's apply fail",
            list(&table.deferrable)
        );
        let remedy = format!(
            "create it again without DEFERRABLE: alter table {} drop constraint {}, add … ;",
            table.sql(),
            Ident::new(table.deferrable.first().map_or("", String::as_str))
        );
        out.blocker("CO0336", at, message, remedy);
    }
    if !table.numbered.is_empty() {
        let message = format!(
            "columns {} are sent as the source's object numbers, which mean other objects on the target",
            list(&table.numbered)
        );
        let column = table.numbered.first().and_then(|c| c.rsplit_once(' ')).map_or("", |(name, _)| name);
        let remedy =
            format!("store names instead: alter table {} alter column {} type text;", table.sql(), Ident::new(column));
        out.blocker("CO0339", at, message, remedy);
    }
}

/// Copy, comparison and fence use the owner's rights, and an owner can take them from himself.
fn owner_rights(table: &Table, at: &Place, out: &mut Findings) {
    if table.owner_lacks.is_empty() || table.kind == "f" {
        return;
    }
    let lacks = table.owner_lacks.join(", ");
    let message = format!("its owner {} has no {lacks} on it: it couldn't be copied, compared or locked", table.owner);
    let remedy = format!("grant {} on {} to {};", lacks.to_lowercase(), table.sql(), Ident::new(&*table.owner));
    out.blocker("CO0379", at, message, remedy);
}

fn noteworthy(table: &Table, at: &Place, out: &mut Findings) {
    if table.kind == "f" {
        let message =
            "a foreign table: its definition is copied, its rows live elsewhere; the target has to reach that server";
        out.warning(
            "CO0338",
            at,
            message,
            "check that the foreign server can be reached from the target, and give its user mappings' passwords there",
        );
    }
    if !table.invalid_indexes.is_empty() {
        let index = table.invalid_indexes.first().map_or("", String::as_str);
        let remedy = format!(
            "drop it or build it again: reindex index concurrently {};",
            crate::QualifiedName::new(&*table.schema, index)
        );
        out.warning("CO0340", at, format!("invalid indexes ({}) are not copied", list(&table.invalid_indexes)), remedy);
    }
}

/// The restore sets the same tablespace as the source has, so it must be there.
fn tablespace(facts: &Facts, table: &Table, at: &Place, out: &mut Findings) {
    let Some(target) = &facts.target.catalog else { return };
    for name in table.tablespaces.iter().filter(|t| !target.tablespaces.contains(t)) {
        let message = format!("it, or an index of it, is in the tablespace {name}, which the target doesn't have");
        let remedy = format!(
            "on the target: create tablespace {} location '…'; or on the source: alter table {} set tablespace pg_default; (and alter index … likewise)",
            Ident::new(&**name),
            table.sql()
        );
        out.blocker("CO0341", at, message, remedy);
    }
}
