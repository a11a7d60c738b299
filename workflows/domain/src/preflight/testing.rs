//! A migration with which nothing is wrong, for tests that spoil one thing at a time.

use super::facts::*;
use crate::{
    Side,
    proto::{self, Finding, Severity, Spec},
};

/// What a healthy migration is told all the same: free disk, no pooler.
pub(super) const ALWAYS: [&str; 2] = ["CO0321", "CO0378"];

pub(super) fn spec() -> Spec {
    let endpoint = |host: &str| {
        let escalation = "rds_tools.escalate".to_owned();
        Some(proto::Endpoint {
            host: host.to_owned(),
            user: "changeover".to_owned(),
            escalation,
            ..proto::Endpoint::default()
        })
    };
    Spec {
        name: "move".to_owned(),
        source: endpoint("old"),
        target: endpoint("new"),
        databases: vec![proto::Database { name: "shop".to_owned(), insert_only_tables: Vec::new() }],
        replication: Some(proto::Replication { user: "repl".to_owned(), ..proto::Replication::default() }),
        budgets: Some(proto::Budgets {
            sequence_margin: 1000,
            max_retained_wal_bytes: 1 << 34,
            ..proto::Budgets::default()
        }),
        gates: Some(proto::Gates { max_transaction_age_ms: 5000, ..proto::Gates::default() }),
        ..Spec::default()
    }
}

fn instance(id: &str) -> Instance {
    let settings = [
        ("wal_level", "logical"),
        ("shared_preload_libraries", "pglogical"),
        ("track_commit_timestamp", "on"),
        ("output_plugin_libraries", "pgoutput, pglogical_output"),
        ("max_replication_slots", "10"),
        ("max_wal_senders", "10"),
        ("max_worker_processes", "20"),
        ("max_parallel_workers", "8"),
        ("max_connections", "100"),
        ("superuser_reserved_connections", "3"),
        ("max_prepared_transactions", "0"),
        ("max_locks_per_transaction", "64"),
        ("wal_sender_timeout", "60000"),
        ("max_slot_wal_keep_size", "-1"),
        ("password_encryption", "scram-sha-256"),
    ];
    let login = Login {
        name: "changeover".to_owned(),
        create_role: true,
        replication: true,
        connection_limit: -1,
        monitor: true,
        signal: true,
        rds_superuser: true,
        rds_replication: true,
        origin_functions: true,
        origin_status: true,
        set_replication_role: true,
        ..Login::default()
    };
    let replication_login = ReplicationLogin {
        name: "repl".to_owned(),
        login: true,
        replication: true,
        connection_limit: -1,
        ..ReplicationLogin::default()
    };
    Instance {
        version: Some(150_020),
        server: Some(Server {
            clock: 1000.0,
            wal_bytes: 1000.0,
            wal_seconds: 100.0,
            settings: settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            login,
            replication_login: Some(replication_login),
            ..Server::default()
        }),
        activity: Some(Activity { supervisor: true, workers: 1, ..Activity::default() }),
        replication: Some(Replication::default()),
        catalog: Some(Catalog {
            system_identifier: Some(id.to_owned()),
            databases: vec![entry("postgres"), entry("shop")],
            roles: ["changeover", "repl", "app"].map(role).to_vec(),
            available_extensions: vec![available("pglogical", "2.4"), available("pg_trgm", "1.6")],
            ..Catalog::default()
        }),
    }
}

pub(super) fn entry(name: &str) -> DatabaseEntry {
    DatabaseEntry {
        name: name.to_owned(),
        owner: "owner".to_owned(),
        owner_member: true,
        encoding: "UTF8".to_owned(),
        collate: "C.UTF-8".to_owned(),
        ctype: "C.UTF-8".to_owned(),
        provider: "c".to_owned(),
        tablespace: "pg_default".to_owned(),
        allows_connections: true,
        connection_limit: -1,
        may_create: true,
        may_connect: true,
        replication_may_connect: true,
        ..DatabaseEntry::default()
    }
}

pub(super) fn role(name: &str) -> Role {
    Role { name: name.to_owned(), login: name != "app", superuser: false }
}

pub(super) fn available(name: &str, version: &str) -> Available {
    Available {
        name: name.to_owned(),
        default: Some(version.to_owned()),
        anyone: true,
        versions: vec![version.to_owned()],
    }
}

pub(super) fn extension(name: &str, version: &str) -> Extension {
    Extension { name: name.to_owned(), version: version.to_owned(), schema: "public".to_owned(), kept: Vec::new() }
}

pub(super) fn table(name: &str) -> Table {
    Table {
        schema: "app".to_owned(),
        name: name.to_owned(),
        kind: "r".to_owned(),
        persistence: "p".to_owned(),
        owner: "owner".to_owned(),
        replica_identity: "d".to_owned(),
        primary_key: Some(format!("{name}_pkey")),
        ..Table::default()
    }
}

pub(super) fn keyless(name: &str) -> Table {
    Table { primary_key: None, ..table(name) }
}

pub(super) fn sequence(name: &str) -> Sequence {
    Sequence {
        schema: "app".to_owned(),
        name: name.to_owned(),
        owner: "owner".to_owned(),
        start: "1".to_owned(),
        min: "1".to_owned(),
        max: i64::MAX.to_string(),
        increment: "1".to_owned(),
        visible: true,
        ..Sequence::default()
    }
}

fn objects() -> Objects {
    let escalation = Some(Escalation { exists: true, executable: true });
    Objects {
        extensions: vec![extension("plpgsql", "1.0")],
        languages: vec!["plpgsql".to_owned()],
        escalation,
        ..Objects::default()
    }
}

pub(super) fn facts() -> Facts {
    Facts {
        source: instance("1"),
        target: instance("2"),
        reach: [Side::Source, Side::Target].map(|side| Reach { side, refused: None }).to_vec(),
        databases: vec![Database {
            name: "shop".to_owned(),
            tables: Some(vec![table("orders")]),
            sequences: Some(vec![sequence("orders_id_seq")]),
            bytes: Some(1000),
            source: Some(objects()),
            target: Some(objects()),
            source_owners: Some(Vec::new()),
            occupied: Some(Vec::new()),
            ..Database::default()
        }],
        ..Facts::default()
    }
}

impl Facts {
    pub(super) fn server(&mut self, side: Side) -> &mut Server {
        self.side(side).server.as_mut().unwrap()
    }
    pub(super) fn side(&mut self, side: Side) -> &mut Instance {
        match side {
            Side::Source => &mut self.source,
            Side::Target => &mut self.target,
        }
    }
    pub(super) fn login(&mut self, side: Side) -> &mut Login {
        &mut self.server(side).login
    }
    pub(super) fn set(&mut self, side: Side, name: &str, value: &str) {
        self.server(side).settings.insert(name.to_owned(), value.to_owned());
    }
    pub(super) fn unset(&mut self, side: Side, name: &str) {
        self.server(side).settings.remove(name);
    }
    pub(super) fn activity(&mut self, side: Side) -> &mut Activity {
        self.side(side).activity.as_mut().unwrap()
    }
    pub(super) fn replication(&mut self, side: Side) -> &mut Replication {
        self.side(side).replication.as_mut().unwrap()
    }
    pub(super) fn catalog(&mut self, side: Side) -> &mut Catalog {
        self.side(side).catalog.as_mut().unwrap()
    }
    pub(super) fn shop(&mut self) -> &mut Database {
        &mut self.databases[0]
    }
    pub(super) fn tables(&mut self) -> &mut Vec<Table> {
        self.shop().tables.as_mut().unwrap()
    }
    pub(super) fn objects_of(&mut self, side: Side) -> &mut Objects {
        let shop = self.shop();
        match side {
            Side::Source => shop.source.as_mut().unwrap(),
            Side::Target => shop.target.as_mut().unwrap(),
        }
    }
}

/// What judging found beyond what is always said.
pub(super) fn found(spec: &Spec, facts: &Facts) -> Vec<Finding> {
    super::judge(spec, facts).into_iter().filter(|f| !ALWAYS.contains(&f.code.as_str())).collect()
}

/// Exactly one finding, of this code and severity; returned for a closer look.
pub(super) fn only(spec: &Spec, facts: &Facts, code: &str, severity: Severity) -> Finding {
    let found = found(spec, facts);
    let short: Vec<_> = found.iter().map(|f| format!("{} {:?} {}", f.code, f.severity(), f.message)).collect();
    assert_eq!(found.len(), 1, "{short:#?}");
    assert_eq!((found[0].code.as_str(), found[0].severity()), (code, severity), "{short:#?}");
    assert!(!found[0].message.is_empty() && !found[0].remedy.is_empty(), "{short:#?}");
    found[0].clone()
}
