//! `pg_dump` and `pg_restore` as programs: where they are, how they connect, what they say.
//!
//! Nothing of it is on disk under a name: the archive stays in memory, and the password goes through a file without one, which
//! is gone with the last process that has it open. Never through arguments or the environment.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use changeover_domain::{Class, Failure, Side};
use tokio::{io::AsyncWriteExt, process::Command};

use super::toc::{self, Script, Section};
use crate::{Migration, Site, membership};

/// Environment variable that names a directory with PostgreSQL's programs.
pub const BIN_VARIABLE: &str = "CHANGEOVER_PG_BIN";
/// Where Debian's packages put a major version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long pg_dump waits for a table's lock.
const LOCK_WAIT: &str = "30s";

/// Dumps the schema of a side's database, without Changeover's own, and cuts it into entries.
///
/// # Errors
/// CO0421 when the programs aren't there or fail, CO0420 when the script can't be cut.
pub async fn schema(migration: &Migration, side: Side, database: &str) -> Result<Script, Failure> {
    let site = migration.site(side);
    let session = site.open(database, "dump").await?;
    let major = membership::server_version(&*session, side).await? / 10_000;
    drop(session);
    let programs = Programs::find(side, major).await?;
    let archive = programs.dump(migration, site, database).await?;
    let mut sections = BTreeMap::new();
    for (section, name) in [(Section::PreData, "pre-data"), (Section::PostData, "post-data")] {
        let list = programs.restore(&["--list", &format!("--section={name}")], &archive).await?;
        sections.extend(toc::parse_list(&list)?.into_iter().map(|id| (id, section)));
    }
    let script = programs.restore(&["--verbose", "--file=-"], &archive).await?;
    toc::parse_script(&script, &sections)
}

struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The directory named by the environment, else Debian's for this major version, else the first on PATH that is new enough.
    async fn find(side: Side, major: i32) -> Result<Self, Failure> {
        let named = std::env::var_os(BIN_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
        let debian = PathBuf::from(format!("{DEBIAN}/{major}/bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates: Vec<PathBuf> = match named {
            Some(directory) => vec![directory],
            None => std::iter::once(debian).chain(std::env::split_paths(&path)).collect(),
        };
        for directory in candidates {
            if !(directory.join("pg_dump").is_file() && directory.join("pg_restore").is_file()) {
                continue;
            }
            if version(&directory.join("pg_dump")).await? >= major {
                return Ok(Self { directory });
            }
        }
        let message = format!(
            "no pg_dump and pg_restore of PostgreSQL {major} (the {side}'s version) or newer where the worker runs"
        );
        let remedy = format!(
            "install the package postgresql-client-{major}, or name their directory in {BIN_VARIABLE}; then `changeover retry`"
        );
        Err(Failure::needs_human("CO0421", message, remedy))
    }

    /// An archive of the schema.
    async fn dump(&self, migration: &Migration, site: &Site, database: &str) -> Result<Vec<u8>, Failure> {
        let pass = password_file(site.address.password.expose())?;
        let mut command = self.command("pg_dump");
        command
            .env("PGHOST", &site.address.host)
            .env("PGPORT", site.address.port.to_string())
            .env("PGUSER", &site.address.user)
            .env("PGDATABASE", database)
            .env("PGPASSFILE", "/dev/stdin")
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &site.address.ca_file)
            .env("PGAPPNAME", migration.id.application_name("dump"))
            .env("PGCONNECT_TIMEOUT", "10")
            .args(["--format=custom", "--schema-only", "--encoding=UTF8", "--no-password"])
            .arg(format!("--lock-wait-timeout={LOCK_WAIT}"))
            .stdin(Stdio::from(pass));
        for schema in super::own_schemas(migration) {
            command.arg(format!("--exclude-schema=\"{}\"", schema.replace('"', "\"\"")));
        }
        run(command, &[], &format!("pg_dump of {database} on the {}", site.side())).await
    }

    async fn restore(&self, arguments: &[&str], archive: &[u8]) -> Result<String, Failure> {
        let mut command = self.command("pg_restore");
        command.args(arguments).stdin(Stdio::piped());
        let output = run(command, archive, "pg_restore of the dump into a script").await?;
        String::from_utf8(output).map_err(|_| local("pg_restore wrote text that isn't UTF-8"))
    }

    /// Nothing of the worker's environment but PATH gets through: no PGSERVICE, no PGPASSWORD, no other language.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

async fn run(mut command: Command, input: &[u8], what: &str) -> Result<Vec<u8>, Failure> {
    let mut child = command.spawn().map_err(|e| local(&format!("{what} can't be started: {e}")))?;
    let pipe = child.stdin.take();
    let feed = async {
        if let Some(mut pipe) = pipe {
            // A program that ends early says why itself.
            let _ = pipe.write_all(input).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(|e| local(&format!("{what} can't be waited for: {e}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let message = stderr.lines().find(|line| line.contains("error:")).unwrap_or("no error message").trim();
    // Losing the connection or a lock passes; a missing right doesn't.
    let passes = [
        "canceling statement due to lock timeout",
        "could not connect",
        "Connection refused",
        "server closed the connection",
    ]
    .iter()
    .any(|text| message.contains(text));
    let class = if passes { Class::Transient } else { Class::NeedsHuman };
    let remedy = if message.contains("permission denied") {
        "it belongs to a role that the login can't become (a superuser): give it to an application's role, or drop it; then `changeover retry`"
    } else {
        "mend the cause that the program names, then `changeover retry`"
    };
    Err(Failure::new("CO0421", class, format!("{what} failed ({}): {message}", output.status), remedy))
}

async fn version(program: &Path) -> Result<i32, Failure> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|e| local(&format!("{} can't be run: {e}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    major_of(&text).ok_or_else(|| local(&format!("{} --version says `{}`", program.display(), text.trim())))
}

/// `pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)` is 15.
fn major_of(text: &str) -> Option<i32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A password file's field: backslash and colon are escaped (documentation, 34.16 "The Password File").
fn escape_password(password: &str) -> String {
    password.replace('\\', "\\\\").replace(':', "\\:")
}

/// A file without a name that only we can read, with the password for every server.
fn password_file(password: &str) -> Result<File, Failure> {
    let write = |mut file: File| {
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "*:*:*:*:{}", escape_password(password)).map(|()| file)
    };
    tempfile::tempfile().and_then(write).map_err(|e| local(&format!("the password file can't be written: {e}")))
}

fn local(why: &str) -> Failure {
    Failure::needs_human("CO0421", why, "mend it where the worker runs, then `changeover retry`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        assert_eq!(major_of("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("something"), None);
    }

    #[test]
    fn a_password_is_escaped_for_its_file() {
        assert_eq!(escape_password("a:b\\c"), "a\\:b\\\\c");
    }

    #[test]
    fn the_password_file_is_private_and_has_no_name() {
        use std::os::unix::fs::MetadataExt;
        let file = password_file("x").unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata.nlink(), 0);
    }
}
