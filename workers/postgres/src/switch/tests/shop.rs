//! A schema for each way in which a role may have come by its right to write.

/// Where a writer's right comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The schema's name; the writer is `w_<name>`.
    pub(super) name: &'static str,
    /// Said by the writer when it has logged in.
    pub(super) login: &'static str,
    /// It may only insert and update, column by column.
    pub(super) columns_only: bool,
}

const fn source(name: &'static str) -> Source {
    Source { name, login: "", columns_only: false }
}

/// All of them, but `pg_write_all_data`, which no REVOKE on a table touches.
pub(super) const SOURCES: [Source; 10] = [
    // it owns the tables
    source("owner"),
    // granted to it
    source("direct"),
    // granted to a group
    source("member"),
    // granted to a group that it doesn't inherit from: SET ROLE
    Source { login: "set role g_switched", ..source("switched") },
    // granted to a group of a group
    source("nested"),
    // granted to PUBLIC
    source("everyone"),
    // granted on columns
    Source { columns_only: true, ..source("columns") },
    // passed on by somebody with a grant option
    source("passed"),
    // passed on by somebody who became a member of the owner
    source("mixed"),
    // passed on by the migration's own login
    source("ours"),
];

/// Run by the migration's login.
pub(super) const ROLES: &str = "
    create role shop_owner;
    create role w_owner login;
    create role w_direct login;
    create role w_member login; create role g_member; grant g_member to w_member;
    create role w_switched login noinherit; create role g_switched; grant g_switched to w_switched;
    create role w_nested login; create role g_inner; create role g_outer; grant g_outer to g_inner; grant g_inner to w_nested;
    create role w_everyone login;
    create role w_columns login;
    create role w_passed login; create role middle; create role further;
    create role w_mixed login; create role manager;
    create role w_ours login;
";

/// The tables of one schema; `{s}` is its name, `{o}` its owner.
const TABLES: &str = r#"
    create schema {s} authorization {o};
    grant usage on schema {s} to public;
    set role {o};
    set search_path = {s};
    create table t (id int primary key, v int);
    create table parent (id int primary key);
    create table child (id int primary key, p int references parent on delete cascade on update cascade);
    create table part (id int primary key, v int) partition by range (id);
    create table part_a partition of part for values from (0) to (1000);
    create table part_b partition of part for values from (1000) to (1000000);
    create table base (id int, v int);
    create table heir () inherits (base);
    create view w as select * from t;
    create sequence q;
    create function definer(n int) returns void language plpgsql security definer set search_path = {s}
        as $$ begin insert into t values (n, 0); end $$;
    create function cached(n int) returns void language plpgsql as $$ begin insert into t values (n, 0); end $$;
    insert into t select i, 0 from generate_series(1, 5) i;
    insert into parent select i from generate_series(1, 5) i;
    insert into child select i, i from generate_series(1, 5) i;
    insert into part select i * 400, 0 from generate_series(1, 5) i;
    insert into base select i, 0 from generate_series(1, 5) i;
    insert into heir select i, 0 from generate_series(6, 9) i;
    grant select on all tables in schema {s} to public;
    grant insert, update, delete on w to public;
    {grants}
    reset role;
"#;

const ALL: &str = "grant insert, update, delete, truncate on t, parent, child, part, part_a, part_b, base, heir to {to}; \
                   grant usage, update on sequence q to {to}";

fn grants(source: &str) -> String {
    let all = |to: &str| ALL.replace("{to}", to);
    match source {
        "owner" => String::new(),
        "direct" => all("w_direct"),
        "member" => all("g_member"),
        "switched" => all("g_switched"),
        "nested" => all("g_outer"),
        "everyone" => all("public"),
        "columns" => "grant insert (id, v), update (v) on t, part, part_a, part_b, base, heir to w_columns; \
                      grant insert (id), update (id) on parent, child to w_columns; grant usage on sequence q to w_columns"
            .to_owned(),
        "passed" => format!(
            "{} with grant option; set role middle; {} with grant option; set role further; {}",
            all("middle").replace("; grant usage", " with grant option; grant usage"),
            all("further").replace("; grant usage", " with grant option; grant usage"),
            all("w_passed")
        ),
        "mixed" => format!(
            "{} with grant option; set role manager; {}; reset role; grant shop_owner to manager",
            all("manager").replace("; grant usage", " with grant option; grant usage"),
            all("w_mixed")
        ),
        _ => format!(
            "{} with grant option; set role changeover; {}",
            all("changeover").replace("; grant usage", " with grant option; grant usage"),
            all("w_ours")
        ),
    }
}

/// Run by the superuser.
pub(super) fn schema() -> String {
    SOURCES
        .iter()
        .map(|source| {
            let owner = if source.name == "owner" { "w_owner" } else { "shop_owner" };
            TABLES.replace("{grants}", &(grants(source.name) + ";")).replace("{s}", source.name).replace("{o}", owner)
        })
        .collect()
}
