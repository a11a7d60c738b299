//! What users have made in a database, in a form by which "as it was before" can be reached again. Pure, but for one query.

use std::collections::BTreeSet;

use changeover_domain::{Failure, Ident, Side};
use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use crate::{
    error,
    roles::{acl, snapshot::Grant, steps::Step},
};

const INVENTORY: &str = include_str!("../../sql/schema_inventory.sql");

/// Everything that users made in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inventory {
    pub objects: Vec<Object>,
    pub schemas: Vec<Schema>,
    pub defaults: Vec<Defaults>,
}

/// An object that can be dropped by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    /// OID of its catalog.
    pub class: u32,
    /// Its OID.
    pub object: u32,
    /// As `pg_identify_object` says.
    pub kind: String,
    /// As `pg_identify_object` says: quoted and qualified.
    pub identity: String,
}

/// A schema's owner, comment and rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schema {
    pub name: String,
    pub owner: String,
    pub comment: Option<String>,
    pub acl: Vec<Grant>,
}

/// Default privileges of a role's objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Defaults {
    pub role: String,
    pub schema: Option<String>,
    /// `pg_default_acl.defaclobjtype`.
    pub kind: String,
    pub acl: Vec<Grant>,
    /// What the rights are without any default privileges.
    pub untouched: Vec<Grant>,
}

/// Reads it.
pub(super) async fn read(client: &impl GenericClient, side: Side) -> Result<Inventory, Failure> {
    let row = client.query_one(INVENTORY, &[]).await.map_err(|e| error::failure(side, "taking an inventory", &e))?;
    serde_json::from_value(row.get(0))
        .map_err(|e| Failure::invariant("CO0401", format!("the inventory of the {side} can't be read: {e}")))
}

/// The objects to drop, in an order that works: what fires on DDL first, what holds others last.
pub(super) fn surplus(baseline: &Inventory, have: &Inventory) -> Vec<Object> {
    let before: BTreeSet<(u32, u32)> = baseline.objects.iter().map(|o| (o.class, o.object)).collect();
    let mut surplus: Vec<Object> =
        have.objects.iter().filter(|o| !before.contains(&(o.class, o.object))).cloned().collect();
    surplus.sort_by_key(|o| (rank(&o.kind), o.class, o.object));
    surplus
}

fn rank(kind: &str) -> u8 {
    match kind {
        "event trigger" => 0,
        "publication" => 1,
        "view" => 2,
        "materialized view" => 3,
        "table" | "foreign table" => 4,
        "sequence" => 5,
        "extension" => 8,
        "schema" => 9,
        _ => 6,
    }
}

/// `DROP` of an object and of what depends on it; nothing when it's gone.
pub(super) fn drop_statement(object: &Object) -> String {
    let kind = match object.kind.as_str() {
        "function" | "procedure" | "aggregate" => "routine",
        "statistics object" => "statistics",
        "foreign-data wrapper" => "foreign data wrapper",
        "composite type" => "type",
        other => other,
    };
    format!("drop {kind} if exists {} cascade", object.identity)
}

/// Steps that take default privileges back to what they were.
pub(super) fn defaults_back(baseline: &Inventory, have: &Inventory) -> Vec<Step> {
    let mut steps = Vec::new();
    for now in &have.defaults {
        let same = |was: &&Defaults| was.role == now.role && was.schema == now.schema && was.kind == now.kind;
        let want = baseline.defaults.iter().find(same).map_or(&now.untouched, |was| &was.acl);
        let schema = now.schema.as_deref().map(|s| format!(" in schema {}", Ident::new(s))).unwrap_or_default();
        let what = match now.kind.as_str() {
            "r" => "tables",
            "S" => "sequences",
            "f" => "functions",
            "T" => "types",
            _ => "schemas",
        };
        let prefix = format!("alter default privileges for role {}{schema} ", Ident::new(&*now.role));
        let changes = acl::changes(what, &now.role, want, &now.acl, &[]);
        steps.extend(changes.into_iter().map(|step| Step::new(format!("{prefix}{}", step.sql))));
    }
    steps
}

/// Steps that give schemas which were there before their owner, comment and rights back.
pub(super) fn schemas_back(baseline: &Inventory, have: &Inventory) -> Vec<Step> {
    let mut steps = Vec::new();
    for was in &baseline.schemas {
        let Some(is) = have.schemas.iter().find(|s| s.name == was.name) else { continue };
        let name = Ident::new(&*was.name);
        if was.owner != is.owner {
            // The rights that hang on the owner move with him; the next pass puts the rest right.
            steps.push(Step::new(format!("alter schema {name} owner to {}", Ident::new(&*was.owner))));
            continue;
        }
        if was.comment != is.comment {
            let text = was.comment.as_deref().map_or_else(|| "null".to_owned(), changeover_domain::ident::literal);
            steps.push(Step::new(format!("comment on schema {name} is {text}")));
        }
        steps.extend(acl::changes(&format!("schema {name}"), &is.owner, &was.acl, &is.acl, &[]));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(object: u32, kind: &str, identity: &str) -> Object {
        Object { class: 1, object, kind: kind.into(), identity: identity.into() }
    }

    #[test]
    fn only_what_is_new_goes_and_schemas_go_last() {
        let old = object(1, "schema", "kept");
        let new = [
            object(2, "schema", "s"),
            object(3, "table", "s.t"),
            object(4, "event trigger", "e"),
            object(5, "function", "s.f()"),
        ];
        let have = Inventory { objects: [std::slice::from_ref(&old), &new[..]].concat(), ..Inventory::default() };
        let surplus = surplus(&Inventory { objects: vec![old], ..Inventory::default() }, &have);
        let statements: Vec<String> = surplus.iter().map(drop_statement).collect();
        assert_eq!(
            statements,
            [
                "drop event trigger if exists e cascade",
                "drop table if exists s.t cascade",
                "drop routine if exists s.f() cascade",
                "drop schema if exists s cascade"
            ]
        );
    }

    #[test]
    fn default_privileges_go_back_to_none() {
        let grant = |grantee: Option<&str>, privilege: &str| Grant {
            grantor: "o".into(),
            grantee: grantee.map(Into::into),
            privilege: privilege.into(),
            grantable: false,
        };
        let now = Defaults {
            role: "o".into(),
            schema: None,
            kind: "f".into(),
            acl: vec![grant(Some("o"), "EXECUTE"), grant(Some("a"), "EXECUTE")],
            untouched: vec![grant(None, "EXECUTE"), grant(Some("o"), "EXECUTE")],
        };
        let have = Inventory { defaults: vec![now], ..Inventory::default() };
        let steps = defaults_back(&Inventory::default(), &have);
        assert_eq!(
            steps.iter().map(|s| s.sql.as_str()).collect::<Vec<_>>(),
            [
                "alter default privileges for role \"o\" grant execute on functions to public",
                "alter default privileges for role \"o\" revoke execute on functions from \"a\""
            ]
        );
    }
}
