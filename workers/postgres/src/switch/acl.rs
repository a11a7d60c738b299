//! The half of a fence that works by rights: every right to write is remembered, taken, proved gone, and given back exactly,
//! with its grantor and its grant option.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use changeover_domain::{Failure, Ident, QualifiedName};
use tokio_postgres::{Row, types::Type};

use super::{effect::Change, epoch, login, relations::Relation};
use crate::{Migration, Session, note};

const SAVE: &str = include_str!("../../sql/switch/save_acl.sql");
const READ: &str = include_str!("../../sql/switch/read_acl.sql");
const MISSING: &str = include_str!("../../sql/switch/missing_acl.sql");
const KEPT: &str = include_str!("../../sql/switch/kept_rights.sql");
const UNATTAINABLE: &str = include_str!("../../sql/switch/unattainable.sql");

/// Key of the note that a fence leaves in its database, in the transaction that takes the rights; its value is the epoch.
pub(crate) const FENCE: &str = "fence";

/// One remembered right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    kind: Kind,
    object: u32,
    name: QualifiedName,
    column: Option<Ident>,
    owner: u32,
    grantor: u32,
    grantor_name: String,
    grantee: u32,
    /// `None` is PUBLIC.
    grantee_name: Option<String>,
    privilege: String,
    grantable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Table,
    Column,
    Sequence,
}

impl Kind {
    fn object(self) -> &'static str {
        if self == Kind::Sequence { "sequence" } else { "table" }
    }
}

impl Right {
    fn from_row(row: &Row) -> Self {
        let kind = match row.get::<_, &str>(0) {
            "sequence" => Kind::Sequence,
            "column" => Kind::Column,
            _ => Kind::Table,
        };
        Self {
            kind,
            object: row.get(1),
            name: QualifiedName::new(row.get::<_, String>(2), row.get::<_, String>(3)),
            column: row.get::<_, Option<String>>(5).map(Ident::new),
            owner: row.get(6),
            grantor: row.get(7),
            grantor_name: row.get(8),
            grantee: row.get(9),
            grantee_name: row.get(10),
            privilege: row.get(11),
            grantable: row.get(12),
        }
    }

    /// The privilege, of its column if it is one's.
    fn what(&self) -> String {
        let privilege = self.privilege.to_lowercase();
        self.column.as_ref().map_or(privilege.clone(), |column| format!("{privilege} ({column})"))
    }

    fn grantee(&self) -> String {
        self.grantee_name.as_deref().map_or("public".to_owned(), |name| Ident::new(name).to_string())
    }
}

/// Remembers the rights on `relations`, committed. Refused while this database is fenced: what is remembered then is the only copy.
pub(crate) async fn save(
    _: Change,
    session: &mut Session,
    migration: &Migration,
    epoch: u64,
    relations: &[Relation],
) -> Result<(), Failure> {
    let (side, failed) = (session.side, session.failed("remembering rights"));
    let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
    let transaction = session.transaction().await.map_err(&failed)?;
    epoch::hold(&transaction, side, migration, epoch).await?;
    if note::get::<u64>(&transaction, side, FENCE).await?.is_some() {
        let message = format!("the {side} is fenced already");
        return Err(Failure::needs_human("CO0719", message, "recover the attempt that fenced it: `changeover retry`"));
    }
    transaction.execute("delete from changeover.saved_acl", &[]).await.map_err(&failed)?;
    transaction.execute(SAVE, &[&oids]).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// Reads what was remembered.
pub(crate) async fn read(
    session: &impl tokio_postgres::GenericClient,
    side: changeover_domain::Side,
) -> Result<Vec<Right>, Failure> {
    let rows =
        session.query(READ, &[]).await.map_err(|e| crate::error::failure(side, "reading remembered rights", &e))?;
    Ok(rows.iter().map(Right::from_row).collect())
}

/// The statements that take all rights to write from every grantee but `login`; `members`: roles that it can act as.
///
/// What was passed on is taken by who passed it on, the last in the chain first: the owner's CASCADE stops at a grantor who is a
/// member of the owner, and at rights on columns that come from a right on the table. The rest is taken by the owner, with all
/// grantees at once; a table's REVOKE takes its columns' rights too. Where there are grant options, each is said as that role, since said by a member of several
/// roles it is one by whichever has the grant options first, and leaves what the others granted.
pub(crate) fn revoke_sql(relations: &[Relation], rights: &[Right], login: &str, members: &BTreeSet<u32>) -> String {
    let others = || rights.iter().filter(|r| r.grantee_name.as_deref() != Some(login));
    let mut sql: String = passed_on(others().cloned().collect(), login, members);
    let grantees: BTreeSet<String> = others().map(Right::grantee).collect();
    if grantees.is_empty() {
        return sql;
    }
    let grantees = grantees.into_iter().collect::<Vec<_>>().join(", ");
    let contested = contested(rights);
    let mut groups: BTreeMap<Group<'_>, Vec<&Relation>> = BTreeMap::new();
    for relation in relations {
        let owner = contested.contains(&relation.oid).then_some((relation.owner, &*relation.owner_name));
        groups.entry((owner, relation.is_sequence())).or_default().push(relation);
    }
    for ((owner, is_sequence), of) in groups {
        let words = if is_sequence { "usage, update on sequence" } else { "insert, update, delete, truncate on table" };
        let names = super::relations::names(of.into_iter());
        let statement = format!("revoke {words} {names} from {grantees} cascade;");
        sql.push_str(&as_role(owner, login, members, &statement));
    }
    sql
}

/// As whom, if not as the login, and whether it's about sequences.
type Group<'a> = (Option<(u32, &'a str)>, bool);

/// Objects on which somebody beside the owner may pass rights on. On all others a member of the owner acts as the owner by itself,
/// and needs nothing that the owner may lack, such as USAGE of the schema.
fn contested(rights: &[Right]) -> BTreeSet<u32> {
    rights.iter().filter(|r| r.grantable && r.grantee != r.owner).map(|r| r.object).collect()
}

/// The statements that take what others than owners granted.
fn passed_on(rights: Vec<Right>, login: &str, members: &BTreeSet<u32>) -> String {
    // What one grantor granted on one object, in one turn: the privileges, and to whom.
    let mut objects = BTreeMap::new();
    for (right, turn) in rights.iter().zip(turns(&rights)).filter(|(r, _)| r.grantor != r.owner) {
        let key = (Reverse(turn), (right.grantor, &*right.grantor_name), right.kind, &right.name);
        let (what, grantees) = objects.entry(key).or_insert_with(|| (BTreeSet::new(), BTreeSet::new()));
        what.insert(right.what());
        grantees.insert(right.grantee());
    }
    let mut batches: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for ((turn, grantor, kind, name), (what, grantees)) in objects {
        batches.entry((turn, grantor, kind, joined(&what), joined(&grantees))).or_default().insert(name.to_string());
    }
    let statement = |((_, grantor, kind, what, grantees), names): ((_, _, Kind, _, _), _)| {
        let object = kind.object();
        as_role(
            Some(grantor),
            login,
            members,
            &format!("revoke {what} on {object} {} from {grantees} cascade;", joined(&names)),
        )
    };
    batches.into_iter().map(statement).collect()
}

fn joined(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Statements as another role than the login. A membership that is needed only here ends here.
fn as_role(role: Option<(u32, &str)>, login: &str, members: &BTreeSet<u32>, statements: &str) -> String {
    let Some((oid, name)) = role.filter(|(_, name)| *name != login) else { return format!("{statements}\n") };
    let (role, login) = (Ident::new(name), Ident::new(login));
    let acting = format!("set local role {role}; {statements} set local role none;");
    if members.contains(&oid) {
        format!("{acting}\n")
    } else {
        format!("grant {role} to {login}; {acting} revoke {role} from {login};\n")
    }
}

/// The owners and grantors as whom the login can act already, proven that it can come to act as all of them: as them rights are
/// taken and given back.
///
/// # Errors
/// CO0731 with the first roles.
pub(crate) async fn prove_returnable(session: &Session, rights: &[Right]) -> Result<BTreeSet<u32>, Failure> {
    let roles: Vec<u32> = granting(rights).into_iter().collect();
    let rows = session.query(UNATTAINABLE, &[&roles]).await.map_err(session.failed("looking at memberships"))?;
    if rows.is_empty() {
        return memberships(&**session, session.side, rights).await;
    }
    let roles: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    let (side, roles) = (session.side, roles.join(", "));
    Err(Failure::needs_human(
        "CO0731",
        format!("rights on the {side} could be taken and not given back: the login can't become {roles}"),
        format!("have an administrator grant it {roles} on the {side}, then `changeover retry`"),
    ))
}

/// Owners and grantors.
fn granting(rights: &[Right]) -> BTreeSet<u32> {
    rights.iter().flat_map(|r| [r.owner, r.grantor]).collect()
}

/// Proves that nobody but the migration's own logins may write.
///
/// # Errors
/// CO0720 with the first roles that still may.
pub(crate) async fn prove_gone(
    session: &Session,
    migration: &Migration,
    relations: &[Relation],
) -> Result<(), Failure> {
    let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
    let rows = session
        .query_typed(
            KEPT,
            &[
                (&oids, Type::OID_ARRAY),
                (&login::ours(migration), Type::TEXT_ARRAY),
                (&login::applications(&**session, session.side, migration).await?, Type::TEXT_ARRAY),
            ],
        )
        .await
        .map_err(session.failed("proving that no right is left"))?;
    if rows.is_empty() {
        return Ok(());
    }
    let first: Vec<String> =
        rows.iter().map(|row| format!("{} on {}", row.get::<_, &str>(0), row.get::<_, &str>(1))).collect();
    let message =
        format!("the fence of {} on the {} leaves rights: {}", session.database, session.side, first.join(", "));
    Err(Failure::needs_human(
        "CO0720",
        message,
        "take the role's way to write (membership, pg_write_all_data), then `changeover retry`",
    ))
}

/// Gives back what a fence took in this database, if it is fenced, in one transaction, and proves it. Returns how many rights.
pub(crate) async fn restore(
    _: Change,
    session: &mut Session,
    migration: &Migration,
    hold: Hold,
) -> Result<u64, Failure> {
    let (side, database) = (session.side, session.database.clone());
    let failed = session.failed("giving rights back");
    let transaction = session.transaction().await.map_err(&failed)?;
    match hold {
        Hold::Acting(epoch) => epoch::hold(&transaction, side, migration, epoch).await?,
        Hold::Undoing(epoch) => epoch::hold_to_undo(&transaction, side, migration, epoch).await?,
    }
    if note::get::<u64>(&transaction, side, FENCE).await?.is_none() {
        return Ok(0);
    }
    let rights = read(&transaction, side).await?;
    let login = migration.site(side).address.user.clone();
    let members = memberships(&transaction, side, &rights).await?;
    for statement in restore_sql(&rights, &login, &members) {
        transaction.batch_execute(&statement).await.map_err(&failed)?;
    }
    let missing: i64 = transaction.query_one(MISSING, &[]).await.map_err(&failed)?.get(0);
    if missing > 0 {
        let message = format!("{missing} rights of {database} on the {side} could not be given back");
        return Err(Failure::needs_human(
            "CO0721",
            message,
            "compare changeover.saved_acl with the tables' ACLs, grant what is missing, then `changeover retry`",
        ));
    }
    note::forget(&transaction, side, FENCE).await?;
    transaction.execute("delete from changeover.saved_acl", &[]).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)?;
    Ok(rights.len() as u64)
}

/// For whom the epoch's row is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// The attempt itself.
    Acting(u64),
    /// Who undoes it.
    Undoing(u64),
}

/// Which of the owners and grantors the login can act as already.
async fn memberships(
    client: &impl tokio_postgres::GenericClient,
    side: changeover_domain::Side,
    rights: &[Right],
) -> Result<BTreeSet<u32>, Failure> {
    let roles: Vec<u32> = granting(rights).into_iter().collect();
    // From 16 on a membership may come without the right to SET ROLE.
    let sql = "select oid from pg_catalog.pg_roles where oid = any ($1::oid[]) and pg_catalog.pg_has_role(current_user, oid, \
               case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)";
    let rows =
        client.query(sql, &[&roles]).await.map_err(|e| crate::error::failure(side, "looking at memberships", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What one GRANT has in common: its turn, who grants to whom, what, and whether it may be passed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Batch {
    turn: usize,
    kind: Kind,
    /// Whom to become; `None`: the owner, as whom a member acts by itself.
    grantor: Option<(u32, String)>,
    grantee: String,
    grantable: bool,
    what: String,
}

/// The statements that give rights back, each in the turn in which its grantor may grant it.
fn restore_sql(rights: &[Right], login: &str, members: &BTreeSet<u32>) -> Vec<String> {
    let (turns, contested) = (turns(rights), contested(rights));
    // One entry per object (or column), grantor and grantee, with all its privileges.
    let mut objects = BTreeMap::new();
    for (right, turn) in rights.iter().zip(turns) {
        let key = (turn, right.object, right.column.as_ref(), right.grantor, right.grantee, right.grantable);
        objects.entry(key).or_insert_with(|| (right, BTreeSet::new())).1.insert(right.what());
    }
    let mut batches: BTreeMap<Batch, BTreeSet<String>> = BTreeMap::new();
    for ((turn, ..), (right, privileges)) in objects {
        let what = joined(&privileges);
        let batch = Batch {
            turn,
            kind: right.kind,
            grantor: (right.grantor != right.owner || contested.contains(&right.object))
                .then(|| (right.grantor, right.grantor_name.clone())),
            grantee: right.grantee(),
            grantable: right.grantable,
            what,
        };
        batches.entry(batch).or_default().insert(right.name.to_string());
    }
    batches.into_iter().map(|(batch, names)| batch.sql(&names, login, members)).collect()
}

impl Batch {
    fn sql(&self, names: &BTreeSet<String>, login: &str, members: &BTreeSet<u32>) -> String {
        let option = if self.grantable { " with grant option" } else { "" };
        let (object, grantor) = (self.kind.object(), self.grantor.as_ref().map(|(oid, name)| (*oid, &**name)));
        let grant = format!("grant {} on {object} {} to {}{option};", self.what, joined(names), self.grantee);
        as_role(grantor, login, members, &grant)
    }
}

/// In which turn each right can be granted: the owner's first, then those of whoever got the right to pass it on.
fn turns(rights: &[Right]) -> Vec<usize> {
    let mut turns: Vec<Option<usize>> = rights.iter().map(|r| (r.grantor == r.owner).then_some(0)).collect();
    // grant options by (object, column, privilege, holder); a table's option covers its columns
    let mut holders: BTreeSet<(u32, Option<&Ident>, &str, u32)> = BTreeSet::new();
    for turn in 1.. {
        for (right, _) in rights.iter().zip(&turns).filter(|(r, t)| t.is_some() && r.grantable) {
            holders.insert((right.object, right.column.as_ref(), &right.privilege, right.grantee));
        }
        let mut moved = false;
        for (right, found) in rights.iter().zip(turns.iter_mut()).filter(|(_, t)| t.is_none()) {
            let holds = |column| holders.contains(&(right.object, column, right.privilege.as_str(), right.grantor));
            if holds(right.column.as_ref()) || holds(None) {
                *found = Some(turn);
                moved = true;
            }
        }
        if !moved {
            // What nobody may grant any more comes last; the proof afterwards names it.
            return turns.into_iter().map(|t| t.unwrap_or(turn)).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(grantor: u32, grantee: u32, privilege: &str, grantable: bool) -> Right {
        Right {
            kind: Kind::Table,
            object: 1,
            name: QualifiedName::new("s", "t"),
            column: None,
            owner: 10,
            grantor,
            grantor_name: format!("r{grantor}"),
            grantee,
            grantee_name: (grantee != 0).then(|| format!("r{grantee}")),
            privilege: privilege.into(),
            grantable,
        }
    }

    #[test]
    fn a_grantor_gets_its_option_before_it_grants() {
        let chain = [
            right(12, 0, "INSERT", false),
            right(11, 12, "INSERT", true),
            right(10, 11, "INSERT", true),
            right(10, 10, "INSERT", false),
        ];
        assert_eq!(turns(&chain), [2, 1, 0, 0]);
        let sql = restore_sql(&chain, "me", &BTreeSet::from([10, 11]));
        assert_eq!(
            sql,
            [
                "set local role \"r10\"; grant insert on table \"s\".\"t\" to \"r10\"; set local role none;\n",
                "set local role \"r10\"; grant insert on table \"s\".\"t\" to \"r11\" with grant option; set local role none;\n",
                "set local role \"r11\"; grant insert on table \"s\".\"t\" to \"r12\" with grant option; set local role none;\n",
                "grant \"r12\" to \"me\"; set local role \"r12\"; grant insert on table \"s\".\"t\" to public; set local role none; revoke \"r12\" from \"me\";\n",
            ]
        );
    }

    #[test]
    fn an_option_for_one_privilege_is_none_for_another() {
        let rights = [right(10, 11, "INSERT", true), right(11, 12, "DELETE", false)];
        assert_eq!(turns(&rights), [0, 1]);
        let later = [
            right(10, 11, "INSERT", true),
            right(11, 12, "INSERT", true),
            right(12, 13, "INSERT", false),
            right(13, 14, "INSERT", false),
        ];
        // 13 has no option: its grant comes after everything
        assert_eq!(turns(&later), [0, 1, 2, 3]);
    }

    #[test]
    fn privileges_and_tables_are_put_together() {
        let mut other = right(10, 11, "INSERT", false);
        other.object = 2;
        other.name = QualifiedName::new("s", "u");
        let rights = [right(10, 11, "INSERT", false), other];
        assert_eq!(
            restore_sql(&rights, "r10", &BTreeSet::new()),
            ["grant insert on table \"s\".\"t\", \"s\".\"u\" to \"r11\";\n"]
        );
        let both = [right(10, 11, "INSERT", false), right(10, 11, "UPDATE", false)];
        assert_eq!(
            restore_sql(&both, "r10", &BTreeSet::new()),
            ["grant insert, update on table \"s\".\"t\" to \"r11\";\n"]
        );
    }

    #[test]
    fn a_column_is_granted_by_a_holder_of_the_tables_option() {
        let column = Right { kind: Kind::Column, column: Some(Ident::new("c")), ..right(11, 12, "UPDATE", false) };
        let rights = [right(10, 11, "UPDATE", true), column];
        let sql = restore_sql(&rights, "me", &BTreeSet::from([10, 11]));
        assert_eq!(
            sql[1],
            "set local role \"r11\"; grant update (\"c\") on table \"s\".\"t\" to \"r12\"; set local role none;\n"
        );
    }
}
