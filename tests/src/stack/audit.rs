//! Who ran what, from the server's log: `log_statement = all` with the user, the database and the application in the prefix.

use super::cluster::Cluster;
use anyhow::{Context, Result, bail};

/// One logged statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStatement {
    /// The session's login.
    pub user: String,
    /// The session's database.
    pub database: String,
    /// The session's application name.
    pub application: String,
    /// The statement as the server got it.
    pub text: String,
}

/// All statements that clients sent to the cluster since its log began.
pub fn statements(cluster: &Cluster) -> Result<Vec<LoggedStatement>> {
    let path = cluster.log();
    let log = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    parse(&String::from_utf8_lossy(&log))
}

/// The statements that a superuser's session ran and the harness didn't: an empty list proves that nothing but the audited
/// escalation used a superuser's rights. Fails if the log doesn't hold statements at all, since then it proves nothing.
pub fn foreign_superuser_statements(cluster: &Cluster, superusers: &[String]) -> Result<Vec<LoggedStatement>> {
    let all = statements(cluster)?;
    if all.is_empty() {
        bail!("{} holds no statement: is log_statement = all?", cluster.log().display());
    }
    Ok(all
        .into_iter()
        .filter(|statement| superusers.contains(&statement.user) && statement.application != super::connect::HARNESS)
        .collect())
}

fn parse(log: &str) -> Result<Vec<LoggedStatement>> {
    let mut found: Vec<LoggedStatement> = Vec::new();
    let mut in_statement = false;
    for line in log.lines() {
        // A statement of several lines goes on with a tab on each.
        if let Some(more) = line.strip_prefix('\t') {
            if let Some(statement) = found.last_mut().filter(|_| in_statement) {
                statement.text.push('\n');
                statement.text.push_str(more);
            }
            continue;
        }
        in_statement = false;
        if let Some(statement) = parse_line(line) {
            in_statement = true;
            found.push(statement);
        }
    }
    Ok(found)
}

/// `<time> [<pid>] client backend user=<u> db=<d> app=<a> LOG:  statement: <text>`, or `execute <name>: <text>`.
fn parse_line(line: &str) -> Option<LoggedStatement> {
    let (_, rest) = line.split_once("] client backend user=")?;
    let (user, rest) = rest.split_once(" db=")?;
    let (database, rest) = rest.split_once(" app=")?;
    let (application, rest) = rest.split_once(" LOG:  ")?;
    let text = match rest.strip_prefix("statement: ") {
        Some(text) => text,
        None => rest.strip_prefix("execute ")?.split_once(": ")?.1,
    };
    Some(LoggedStatement {
        user: user.to_owned(),
        database: database.to_owned(),
        application: application.to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-23 07:58:54.162 UTC [11926] client backend user=changeover db=shop app=changeover/x/y LOG:  statement: select 1
\tfrom t
2026-11-23 07:58:54.246 UTC [11932] client backend user=rdsadmin db=shop app=psql LOG:  execute <unnamed>: select 2
2026-11-23 07:58:54.247 UTC [11932] client backend user=rdsadmin db=shop app=psql ERROR:  no
\tnot a statement
2026-11-23 07:58:54.091 UTC [11922] pglogical manager 16445 user=[unknown] db=billing app=pglogical LOG:  manager worker
";

    #[test]
    fn statements_are_read_with_their_sessions_and_all_their_lines() -> Result<()> {
        let found = parse(LOG)?;
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].user.as_str(), found[0].text.as_str()), ("changeover", "select 1\nfrom t"));
        assert_eq!((found[1].user.as_str(), found[1].text.as_str()), ("rdsadmin", "select 2"));
        Ok(())
    }
}
