//! `pg_dump --schema-only`, taken apart into one fact per object, so that an order of objects isn't a difference.

use super::snapshot::{Facts, insert_fact};
use crate::stack::cluster::{Cluster, PG_BIN};
use crate::stack::{connect, process};
use anyhow::Result;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(120);

/// Every object of a database with its definition, owner and comment. Rights are left to a query that normalises them.
pub(super) async fn take(cluster: &Cluster, database: &str) -> Result<Facts> {
    let mut command = tokio::process::Command::new(format!("{PG_BIN}/pg_dump"));
    command
        .args(["--schema-only", "--no-privileges", "--username=rdsadmin", "--lock-wait-timeout=60s"])
        .arg("--host")
        .arg(cluster.socket())
        .arg("--port")
        .arg(cluster.port.to_string())
        .arg(database)
        .env("PGAPPNAME", connect::HARNESS)
        .env("PGCONNECT_TIMEOUT", "10");
    let output = process::run(command, DEADLINE).await?;
    Ok(parse(&String::from_utf8(output.stdout)?))
}

/// An object starts at the comment `-- Name: …; Type: …; Schema: …; Owner: …`.
fn parse(dump: &str) -> Facts {
    let mut facts = Facts::new();
    let mut object: Option<(String, Vec<&str>)> = None;
    for line in dump.lines() {
        if let Some(name) = line.strip_prefix("-- Name: ") {
            finish(&mut facts, object.take());
            object = Some((name.to_owned(), Vec::new()));
        } else if let Some((_, body)) = &mut object
            && is_definition(line)
        {
            body.push(line);
        }
    }
    finish(&mut facts, object);
    facts
}

/// Not what pg_dump writes between objects: comments, the defaults that hold from here on (they depend on the order of the
/// objects), and psql's restrictions with their random key.
fn is_definition(line: &str) -> bool {
    !(line.is_empty()
        || line == "--"
        || line == "-- PostgreSQL database dump complete"
        || line.starts_with("SET default_")
        || line.starts_with("\\restrict ")
        || line.starts_with("\\unrestrict "))
}

fn finish(facts: &mut Facts, object: Option<(String, Vec<&str>)>) {
    if let Some((name, body)) = object {
        insert_fact(facts, &name, body.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
--
-- PostgreSQL database dump
--

\\restrict abc

SET row_security = off;

--
-- Name: app; Type: SCHEMA; Schema: -; Owner: x
--

CREATE SCHEMA app;


ALTER SCHEMA app OWNER TO x;

SET default_tablespace = '';

--
-- Name: t; Type: TABLE; Schema: app; Owner: x
--

CREATE TABLE app.t (
    id integer
);


--
-- PostgreSQL database dump complete
--

\\unrestrict abc
";

    #[test]
    fn a_dump_is_one_fact_per_object_without_what_depends_on_their_order() {
        let facts = parse(DUMP);
        let expected = [
            ("app; Type: SCHEMA; Schema: -; Owner: x", "CREATE SCHEMA app;\nALTER SCHEMA app OWNER TO x;"),
            ("t; Type: TABLE; Schema: app; Owner: x", "CREATE TABLE app.t (\n    id integer\n);"),
        ];
        assert_eq!(facts, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect());
    }
}
