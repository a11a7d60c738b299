//! An instance's roles, memberships, settings and databases, read in one query.

use changeover_domain::{Failure, Side};
use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use crate::error;

const SNAPSHOT: &str = include_str!("../../sql/roles_snapshot.sql");

/// What an instance says about roles and databases. The server's own roles are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Roles by name.
    pub roles: Vec<Role>,
    /// Who is a member of what.
    pub memberships: Vec<Membership>,
    /// `ALTER ROLE … SET` and `ALTER DATABASE … SET`.
    pub settings: Vec<Setting>,
    /// The migration's databases.
    pub databases: Vec<DatabaseState>,
}

/// One role with its attributes, as in `pg_roles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of CREATE ROLE's options")]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub inherit: bool,
    pub createrole: bool,
    pub createdb: bool,
    pub replication: bool,
    pub bypassrls: bool,
    pub connection_limit: i32,
    pub valid_until: Option<String>,
    pub comment: Option<String>,
}

/// `member` is a member of `role`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group.
    pub role: String,
    /// Who belongs to it.
    pub member: String,
    /// Who granted it; none when that role is gone.
    pub grantor: Option<String>,
    /// With admin option.
    pub admin: bool,
}

/// One setting of a role (none: of all), of a database (none: everywhere), or of a role in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The role.
    pub role: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// The parameter.
    pub name: String,
    /// Its value as `pg_db_role_setting` has it.
    pub value: String,
}

/// What belongs to a database as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseState {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// -1: no limit.
    pub connection_limit: i32,
    /// Its comment.
    pub comment: Option<String>,
    /// Its rights, the default ones written out.
    pub acl: Vec<Grant>,
}

/// One right on a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who granted it.
    pub grantor: String,
    /// To whom; none means everybody.
    pub grantee: Option<String>,
    /// Such as `CONNECT`.
    pub privilege: String,
    /// With grant option.
    pub grantable: bool,
}

impl Snapshot {
    /// The role of a name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }
    /// The database of a name.
    pub fn database(&self, name: &str) -> Option<&DatabaseState> {
        self.databases.iter().find(|database| database.name == name)
    }
}

/// Reads it from any database of the instance.
pub async fn read(client: &impl GenericClient, side: Side, databases: &[String]) -> Result<Snapshot, Failure> {
    let row = client.query_one(SNAPSHOT, &[&databases]).await.map_err(|e| error::failure(side, "reading roles", &e))?;
    serde_json::from_value(row.get(0))
        .map_err(|e| Failure::invariant("CO0401", format!("the roles of the {side} can't be read: {e}")))
}
