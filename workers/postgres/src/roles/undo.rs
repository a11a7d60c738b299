//! The target's roles and databases as they were before.

use changeover_domain::{Failure, Ident, Side};

use super::{
    BASELINE, CARRIED, CREATED, JOINED, acl, database_names, run_step,
    snapshot::{self, Snapshot},
    steps::{self, Step},
};
use crate::{
    Migration, Session,
    failpoint::{Step as Place, step},
    home, membership, note,
};

/// Makes sure that what `ensure` did is gone: databases' owners, rights and settings, attributes of roles that were there,
/// roles that it made, and memberships of the login on both sides. Objects have to be gone before (`schema::undo`).
///
/// # Errors
/// CO0414 when a role that was made can't be dropped because something still depends on it.
pub async fn undo(migration: &Migration) -> Result<(), Failure> {
    let mut session = migration.target.open(migration.control_database(), "roles").await?;
    if home::is_ours(migration, &session).await? {
        undo_target(migration, &mut session).await?;
        membership::undo(migration, Side::Target).await?;
    }
    membership::undo(migration, Side::Source).await
}

async fn undo_target(migration: &Migration, session: &mut Session) -> Result<(), Failure> {
    let Some(baseline) = note::get::<Snapshot>(&**session, Side::Target, BASELINE).await? else {
        return Ok(());
    };
    let carried: Vec<String> = note::get(&**session, Side::Target, CARRIED).await?.unwrap_or_default();
    let created = note::keys(&**session, Side::Target, CREATED).await?;
    let names = database_names(migration);
    let failed = session.failed("undoing roles");
    let transaction = session.transaction().await.map_err(&failed)?;
    let have = snapshot::read(&transaction, Side::Target, &names).await?;
    for step in owners_back(&baseline, &have) {
        run_step(&transaction, &step).await?;
    }
    let have = snapshot::read(&transaction, Side::Target, &names).await?;
    let mut all = databases_back(&baseline, &have);
    all.extend(roles_back(migration, &baseline, &have, &carried, &created));
    for step in all {
        run_step(&transaction, &step).await?;
    }
    let login = &migration.target.address.user;
    for role in note::keys(&transaction, Side::Target, JOINED).await? {
        if have.memberships.iter().any(|m| m.role == role && m.member == *login) {
            let sql = format!("revoke {} from {}", Ident::new(&*role), Ident::new(&**login));
            run_step(&transaction, &Step::new(sql)).await?;
        }
    }
    note::forget_all(&transaction, Side::Target, JOINED).await?;
    for name in created.iter().filter(|name| have.role(name).is_some()) {
        drop_role(&transaction, name).await?;
    }
    transaction.execute("delete from changeover.saved_login", &[]).await.map_err(&failed)?;
    for key in [BASELINE, CARRIED] {
        note::forget(&transaction, Side::Target, key).await?;
    }
    note::forget_all(&transaction, Side::Target, CREATED).await?;
    step(Place::NoRolesOpen)?;
    transaction.commit().await.map_err(&failed)
}

async fn drop_role(transaction: &tokio_postgres::Transaction<'_>, name: &str) -> Result<(), Failure> {
    let step = Step::new(format!("drop role {}", Ident::new(name)));
    run_step(transaction, &step).await.map(drop).map_err(|mut failure| {
        if failure.sqlstate.as_deref() == Some("2BP01") {
            failure.code = "CO0414".to_owned();
            failure.remedy = format!(
                "find with `drop owned by {}` in mind what it still owns or may do, then `changeover retry`",
                Ident::new(name)
            );
        }
        failure
    })
}

fn owners_back(baseline: &Snapshot, have: &Snapshot) -> Vec<Step> {
    let changed = |was: &&snapshot::DatabaseState| have.database(&was.name).is_some_and(|is| is.owner != was.owner);
    baseline
        .databases
        .iter()
        .filter(changed)
        .map(|was| Step::new(format!("alter database {} owner to {}", Ident::new(&*was.name), Ident::new(&*was.owner))))
        .collect()
}

fn databases_back(baseline: &Snapshot, have: &Snapshot) -> Vec<Step> {
    let mut all = Vec::new();
    for (was, is) in baseline.databases.iter().filter_map(|was| Some((was, have.database(&was.name)?))) {
        all.extend(steps::database_properties(was, is));
        all.extend(acl::changes(&format!("database {}", Ident::new(&*was.name)), &is.owner, &was.acl, &is.acl, &[]));
    }
    let of_databases = |s: &&snapshot::Setting| s.role.is_none() && s.database.is_some();
    let was: Vec<_> = baseline.settings.iter().filter(of_databases).cloned().collect();
    let is: Vec<_> = have.settings.iter().filter(of_databases).cloned().collect();
    all.extend(steps::settings(&was, &is, true));
    all
}

/// Roles that were there before: attributes, comments, settings and memberships go back. What others did to roles that were
/// never touched stays.
fn roles_back(
    migration: &Migration,
    baseline: &Snapshot,
    have: &Snapshot,
    carried: &[String],
    created: &[String],
) -> Vec<Step> {
    let mut all = Vec::new();
    for (was, is) in baseline.roles.iter().filter_map(|was| Some((was, have.role(&was.name)?))) {
        let ours = was.name == migration.target.address.user || was.name == migration.replication_user;
        if was.superuser || ours {
            continue;
        }
        all.extend(steps::alter_role(was, was.login, is));
        all.extend(steps::comment("role", &was.name, was.comment.as_deref(), is.comment.as_deref()));
    }
    let touched = |name: &str| carried.iter().any(|c| c == name) && !created.iter().any(|c| c == name);
    let of_roles = |s: &&snapshot::Setting| s.role.as_deref().is_some_and(touched);
    let was: Vec<_> = baseline.settings.iter().filter(of_roles).cloned().collect();
    let is: Vec<_> = have.settings.iter().filter(of_roles).cloned().collect();
    all.extend(steps::settings(&was, &is, true));
    let is: Vec<_> = have.memberships.iter().filter(|m| touched(&m.member)).cloned().collect();
    all.extend(steps::revoke_memberships(&baseline.memberships, &is));
    all
}
