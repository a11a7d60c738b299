//! From understood values to the message that travels.

use super::{read::Read, value::Value};
use crate::proto::{
    Aws, AwsAccount, AwsEnd, AwsTarget, Budgets, Database, Endpoint, Gates, Pooler, Replication, RolePassword, Roles,
    SecretRef, Soak, Spec, Traffic, Verification,
};

/// Builds the message. The values were checked before: what is absent here is optional.
pub(super) fn convert(read: &Read) -> Spec {
    let text = |key: &str| read.text(key);
    let number = |key: &str| read.number(key);
    Spec {
        name: text("name"),
        source: Some(endpoint(read, "source")),
        target: Some(endpoint(read, "target")),
        databases: (0..read.count("databases")).map(|i| database(read, i)).collect(),
        engine: text("engine"),
        fence: text("fence"),
        replication: Some(Replication {
            user: text("replication.user"),
            password: secret(read, "replication.password"),
            server_ca_file: text("replication.server_ca_file"),
            poll_ms: number("replication.poll"),
        }),
        roles: Some(roles(read)),
        traffic: Some(Traffic { poolers: (0..read.count("traffic.pgbouncer")).map(|i| pooler(read, i)).collect() }),
        gates: Some(Gates {
            max_lag_bytes: number("gates.max_lag"),
            max_transaction_age_ms: number("gates.max_transaction_age"),
            max_canary_age_ms: number("gates.max_canary_age"),
            max_verification_age_ms: number("gates.max_verification_age"),
        }),
        budgets: Some(Budgets {
            fence_lock_ms: number("budgets.fence_lock"),
            drain_ms: number("budgets.drain"),
            switch_attempts: small(number("budgets.switch_attempts")),
            switch_backoff_ms: number("budgets.switch_backoff"),
            sequence_margin: number("budgets.sequence_margin"),
            max_retained_wal_bytes: number("budgets.max_retained_wal"),
            abort_at_max_retained_wal: text("budgets.at_max_retained_wal") == "abort",
            slot_wait_ms: number("budgets.slot_wait"),
        }),
        verification: Some(Verification {
            chunk_ms: number("verification.chunk"),
            chunk_rows: small(number("verification.chunk_rows")),
        }),
        soak: Some(Soak { duration_ms: number("soak.duration"), poll_ms: number("soak.poll") }),
        aws: (read.count("aws.source") > 0).then(|| aws(read)),
    }
}

fn aws(read: &Read) -> Aws {
    let text = |key: &str| read.text(&format!("aws.{key}"));
    let flag = |key: &str| read.flag(&format!("aws.{key}"));
    Aws {
        source: Some(aws_account(read, "source")),
        target: Some(aws_account(read, "target")),
        instance: text("source.instance"),
        failover: flag("source.failover"),
        made: Some(AwsTarget {
            instance: text("target.instance"),
            kms_key: text("target.kms_key"),
            subnet_group: text("target.subnet_group"),
            security_groups: read.texts("aws.target.security_groups"),
            class: text("target.class"),
            monitoring_role: text("target.monitoring_role"),
            key_users: read.texts("aws.target.key_users"),
            role_secrets: text("target.role_secrets"),
        }),
        publish: text("publish.parameter"),
        deploy: text("publish.deploy"),
        webhook: text("publish.webhook"),
        webhook_token: secret(read, "aws.publish.webhook_token"),
        join_networks: flag("network.join"),
        end: Some(AwsEnd {
            final_snapshot: flag("end.final_snapshot"),
            stop: flag("end.stop"),
            delete: flag("end.delete"),
            part_networks: flag("end.part_networks"),
        }),
    }
}

fn aws_account(read: &Read, side: &str) -> AwsAccount {
    let text = |key: &str| read.text(&format!("aws.{side}.{key}"));
    AwsAccount {
        region: text("region"),
        account: text("account"),
        profile: text("profile"),
        credentials_file: text("credentials_file"),
        role_arn: text("role_arn"),
        external_id: text("external_id"),
        endpoint: text("endpoint"),
    }
}

fn endpoint(read: &Read, side: &str) -> Endpoint {
    let key = |name: &str| format!("{side}.{name}");
    let (host, port) = (read.text(&key("host")), small(read.number(&key("port"))));
    let peer_host = read.text(&key("peer_host"));
    let peer_port = small(read.number(&key("peer_port")));
    Endpoint {
        peer_host: if peer_host.is_empty() { host.clone() } else { peer_host },
        peer_port: if peer_port == 0 { port } else { peer_port },
        host,
        port,
        user: read.text(&key("user")),
        password: secret(read, &key("password")),
        maintenance_database: read.text(&key("database")),
        ca_file: read.text(&key("ca_file")),
        escalation: read.text(&key("escalation")),
    }
}

fn database(read: &Read, index: usize) -> Database {
    Database {
        name: read.text(&format!("databases[{index}].name")),
        insert_only_tables: read.texts(&format!("databases[{index}].insert_only_tables")),
    }
}

fn roles(read: &Read) -> Roles {
    let passwords = match read.get("roles.passwords") {
        Some(Value::Secrets(entries)) => entries
            .iter()
            .map(|(role, reference)| RolePassword { role: role.clone(), password: Some(reference.clone()) })
            .collect(),
        _ => Vec::new(),
    };
    Roles { passwords, keep_login: read.texts("roles.keep_login") }
}

fn pooler(read: &Read, index: usize) -> Pooler {
    let key = |name: &str| format!("traffic.pgbouncer[{index}].{name}");
    Pooler {
        host: read.text(&key("host")),
        port: small(read.number(&key("port"))),
        user: read.text(&key("user")),
        password: secret(read, &key("password")),
        ca_file: read.text(&key("ca_file")),
        databases_file: read.text(&key("databases_file")),
    }
}

fn secret(read: &Read, key: &str) -> Option<SecretRef> {
    if let Some(Value::Secret(reference)) = read.get(key) { Some(reference.clone()) } else { None }
}

/// The table bounds these numbers far below 2³².
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
