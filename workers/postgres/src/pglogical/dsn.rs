//! Connection strings of nodes, and how they get to a server without passing through its log.
//!
//! A DSN holds a password. As a literal or a parameter it would stand in the log of a server with `log_statement = all`;
//! the data of a COPY never does. So it goes by COPY into a temporary table, from which pglogical's function is fed.

use std::io::Cursor;

use changeover_domain::Failure;
use futures::SinkExt;

use crate::{Migration, Session, Site, secret::Secret};

/// Settings of every session that a DSN opens. `row_security=off` turns rows that a policy would hide into an error; the
/// timeouts keep settings of roles and databases from ending a copy or the wait for a slot.
const OPTIONS: &str = "-c row_security=off -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off";

/// Milliseconds after which unacknowledged data ends a connection. pglogical overrides the keepalive settings of a DSN by its
/// own (20 s, 20 s, 5 times) but leaves this one alone.
const TCP_USER_TIMEOUT: &str = "60000";

/// The SQL expression that yields what [`stash`] put there.
pub(super) const STASHED: &str = "(select dsn from pg_temp.changeover_dsn)";

/// How the *other* server reads a site: as the replication login.
pub(super) fn provider(migration: &Migration, site: &Site, database: &str) -> Secret {
    let password = Some(migration.replication_password.expose());
    conninfo(migration, site, database, &migration.replication_user, password, OPTIONS)
}

/// How a site's server reaches itself for the initial copy: as the migration's login, which may write to all tables.
pub(super) fn own(migration: &Migration, site: &Site, database: &str) -> Secret {
    conninfo(migration, site, database, &site.address.user, Some(site.address.password.expose()), OPTIONS)
}

/// Like [`provider`], but without a password and with a setting that no server knows: never connects, and its error says how
/// far it came.
pub(super) fn probe(migration: &Migration, site: &Site, database: &str) -> Secret {
    conninfo(migration, site, database, &migration.replication_user, None, "-c changeover_probe=1")
}

fn conninfo(
    migration: &Migration,
    site: &Site,
    database: &str,
    user: &str,
    password: Option<&str>,
    options: &str,
) -> Secret {
    let port = site.peer_port.to_string();
    let ca_file = migration.spec.replication.as_ref().map_or("", |r| r.server_ca_file.as_str());
    let mut parts = vec![
        ("host", site.peer_host.as_str()),
        ("port", port.as_str()),
        ("dbname", database),
        ("user", user),
        ("sslmode", "verify-full"),
        ("sslrootcert", ca_file),
        ("tcp_user_timeout", TCP_USER_TIMEOUT),
        ("options", options),
    ];
    if let Some(password) = password {
        parts.push(("password", password));
    }
    let text: Vec<String> =
        parts.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", quoted(v))).collect();
    Secret::new(text.join(" "))
}

/// A value of a connection string (libpq documentation, 34.1.1.1 "Keyword/Value Connection Strings"): in single quotes,
/// with `\` before each quote and backslash.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('\'');
    for c in value.chars() {
        if matches!(c, '\'' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('\'');
    text
}

/// A field of COPY's text format (documentation of COPY, "Text Format").
fn copy_field(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}

/// Puts a DSN into the session's temporary table, in place of an earlier one.
pub(super) async fn stash(session: &Session, dsn: &Secret) -> Result<(), Failure> {
    let failed = session.failed("handing a connection string to the server");
    session
        .batch_execute(
            "drop table if exists pg_temp.changeover_dsn; create temporary table changeover_dsn (dsn text not null)",
        )
        .await
        .map_err(&failed)?;
    let sink = session.copy_in("copy pg_temp.changeover_dsn (dsn) from stdin").await.map_err(&failed)?;
    let mut sink = std::pin::pin!(sink);
    sink.send(Cursor::new(copy_field(dsn.expose()).into_bytes())).await.map_err(&failed)?;
    sink.finish().await.map(drop).map_err(&failed)
}

/// Drops the session's temporary table.
pub(super) async fn forget(session: &Session) -> Result<(), Failure> {
    session
        .batch_execute("drop table if exists pg_temp.changeover_dsn")
        .await
        .map_err(session.failed("dropping a connection string"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libpq's own reading of a quoted value (fe-connect.c, `conninfo_parse`).
    fn read_back(text: &str) -> String {
        let mut chars = text.strip_prefix('\'').unwrap().chars();
        let mut value = String::new();
        loop {
            match chars.next().unwrap() {
                '\\' => value.push(chars.next().unwrap()),
                '\'' => break,
                c => value.push(c),
            }
        }
        assert_eq!(chars.next(), None, "text after the closing quote");
        value
    }

    fn read_copy_field(text: &str) -> String {
        let mut chars = text.strip_suffix('\n').unwrap().chars();
        let mut value = String::new();
        while let Some(c) = chars.next() {
            assert!(!matches!(c, '\n' | '\r' | '\t'));
            value.push(match c {
                '\\' => match chars.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                },
                c => c,
            });
        }
        value
    }

    #[test]
    fn a_hostile_password_stays_one_value() {
        assert_eq!(quoted(r"a' host='evil' \"), r"'a\' host=\'evil\' \\'");
    }

    proptest! {
        #[test]
        fn any_value_reads_back(value in "[^\0]{0,40}") {
            prop_assert_eq!(read_back(&quoted(&value)), value.clone());
            prop_assert_eq!(read_copy_field(&copy_field(&value)), value);
        }
    }
}
