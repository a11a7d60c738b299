//! The ways to write that may wait at a fence.

/// A way to write: what a session has done before, and the statement that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) before: &'static str,
    /// `{n}` is a number of its own. A statement that begins with `copy` gets one row.
    pub(super) act: &'static str,
    /// It needs a right that isn't granted on columns: DELETE, TRUNCATE, LOCK.
    pub(super) whole_table: bool,
}

const fn kind(name: &'static str, before: &'static str, act: &'static str) -> Kind {
    Kind { name, before, act, whole_table: false }
}

const fn whole(name: &'static str, before: &'static str, act: &'static str) -> Kind {
    Kind { name, before, act, whole_table: true }
}

const INSERT: &str = "insert into t values ({n}, 0)";

pub(super) const KINDS: [Kind; 31] = [
    kind("insert", "", INSERT),
    kind("update", "", "update t set v = v + 1"),
    whole("delete", "", "delete from t where id = 1"),
    kind(
        "prepared insert",
        "set plan_cache_mode = force_generic_plan; prepare p(int) as insert into t values ($1, 0); begin; execute p(-1); rollback",
        "execute p({n})",
    ),
    kind(
        "prepared update",
        "set plan_cache_mode = force_generic_plan; prepare p(int) as update t set v = $1 where id = 1; begin; execute p(-1); rollback",
        "execute p({n})",
    ),
    kind("in a transaction that has read", "begin; select count(*) from t", INSERT),
    kind(
        "in a transaction that has written",
        "begin; create temporary table mine (id int); insert into mine values (1)",
        INSERT,
    ),
    kind("behind a savepoint", "begin; savepoint s", INSERT),
    kind("old snapshot", "begin isolation level repeatable read; select count(*) from t", INSERT),
    kind(
        "old snapshot, update",
        "begin isolation level repeatable read; select count(*) from t",
        "update t set v = 9 where id = 2",
    ),
    kind("serializable", "begin isolation level serializable; select count(*) from t", INSERT),
    kind("copy", "", "copy t from stdin"),
    kind("for update", "", "select * from t for update"),
    kind("for share", "", "select * from t for share"),
    kind("for key share", "", "select * from t for key share"),
    kind("upsert", "", "insert into t values (1, 7) on conflict (id) do update set v = excluded.v"),
    kind(
        "merge",
        "",
        "merge into t using (values (1), ({n})) x(id) on t.id = x.id when matched then update set v = 3 when not matched then insert values (x.id, 0)",
    ),
    kind("cte", "", "with x as (insert into t values ({n}, 0) returning id) select count(*) from x"),
    whole("cte that deletes", "", "with x as (delete from t returning id) select count(*) from x"),
    kind("function with a cached plan", "begin; select cached(-1); select cached(-2); rollback", "select cached({n})"),
    kind(
        "in the middle of a function",
        "",
        "do $$ begin perform count(*) from t; perform count(*) from base; insert into t values ({n}, 0); end $$",
    ),
    whole("truncate", "", "truncate t, child"),
    whole("lock first", "begin", "lock table t in row exclusive mode; insert into t values ({n}, 0)"),
    kind("view of the owner", "", "insert into w values ({n}, 0)"),
    kind("security definer function", "", "select definer({n})"),
    kind("security definer function with a cached plan", "begin; select definer(-1); rollback", "select definer({n})"),
    whole("cascade of a foreign key", "", "delete from parent where id = 1"),
    kind("partition's parent", "", "insert into part values ({n}, 0)"),
    kind("partition", "", "insert into part_b values ({n} + 2000, 0)"),
    kind("inheritance's parent", "", "update base set v = 1"),
    kind("heir", "", "insert into heir values ({n}, 0)"),
];
