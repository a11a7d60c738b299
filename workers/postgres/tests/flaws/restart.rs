//! Settings that a server takes when it starts. One restart each: the next one unmakes it.

use changeover_domain::proto::Severity::{Blocker, Warning};

use super::flaw::{Flaw, Found, S, SOURCE_UNTRIED, Step, T, TARGET_UNTRIED, flaw, source, target};

const fn restart(name: &'static str, make: &'static [Step], found: &'static [Found]) -> Flaw {
    flaw(name, make, &[], found)
}

/// As many tables as ten locks for each of twenty-five sessions have no room for.
const TABLES: &str = "do $$ begin for i in 1..220 loop execute format(
    'create table app.many_%1$s (id int primary key); alter table app.many_%1$s owner to shop_owner', i); end loop; end $$";
const NO_TABLES: &str =
    "do $$ begin for i in 1..220 loop execute format('drop table app.many_%s', i); end loop; end $$";

pub const FLAWS: &[Flaw] = &[
    flaw(
        "a standby",
        &[Step::Standby(T)],
        &[Step::Primary(T)],
        // pglogical begins its work when recovery has ended.
        &[
            target("CO0304", Blocker, ""),
            target("CO0306", Blocker, "pglogical supervisor"),
            TARGET_UNTRIED,
            SOURCE_UNTRIED,
        ],
    ),
    restart(
        "no logical WAL",
        &[Step::Restart(T, &[("wal_level", "replica")])],
        &[target("CO0305", Blocker, "wal_level")],
    ),
    restart(
        "pglogical isn't loaded",
        &[Step::Restart(T, &[("shared_preload_libraries", "'auto_explain'")])],
        &[target("CO0306", Blocker, "shared_preload_libraries"), TARGET_UNTRIED],
    ),
    restart(
        "no times of commits",
        &[Step::Restart(T, &[("track_commit_timestamp", "off")])],
        &[target("CO0307", Blocker, "track_commit_timestamp")],
    ),
    restart(
        "one slot",
        &[Step::Restart(T, &[("max_replication_slots", "1")])],
        &[target("CO0309", Blocker, "max_replication_slots")],
    ),
    restart(
        "one WAL sender",
        &[Step::Restart(T, &[("max_wal_senders", "1")])],
        &[target("CO0310", Blocker, "max_wal_senders")],
    ),
    restart(
        "four workers",
        &[Step::Restart(T, &[("max_worker_processes", "4")])],
        &[target("CO0311", Blocker, "max_worker_processes")],
    ),
    restart(
        "workers that parallel queries may take",
        &[Step::Restart(T, &[("max_worker_processes", "8")])],
        &[target("CO0311", Warning, "max_worker_processes")],
    ),
    restart(
        "sixteen connections",
        &[Step::Restart(T, &[("max_connections", "16"), ("max_wal_senders", "10")])],
        &[target("CO0312", Warning, "max_connections")],
    ),
    // The source's many tables have to go again before the restart that gives them room.
    flaw(
        "fewer locks than tables",
        &[
            Step::In(S, TABLES),
            Step::Restart(
                T,
                &[("max_locks_per_transaction", "10"), ("max_connections", "20"), ("max_wal_senders", "10")],
            ),
        ],
        &[Step::In(S, NO_TABLES)],
        &[target("CO0320", Blocker, "max_locks_per_transaction")],
    ),
    restart(
        "a library that only the source loads",
        &[
            Step::Restart(T, &[]),
            Step::Restart(S, &[("shared_preload_libraries", "'pglogical', 'pg_stat_statements'")]),
        ],
        &[target("CO0349", Warning, "shared_preload_libraries")],
    ),
    restart(
        "commits that aren't durable",
        &[Step::Restart(S, &[("fsync", "off")])],
        &[source("CO0318", Warning, "fsync")],
    ),
];
