//! One PgBouncer.

use std::{
    io::Write as _,
    os::unix::fs::{MetadataExt as _, fchown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use changeover_domain::{Failure, Ident, Side, proto};
use changeover_postgres::{
    Migration,
    console::{Console, ConsoleAddress, ConsoleError, ConsoleRow},
};
use futures::future::{join_all, try_join_all};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::databases_file::{DatabasesFile, Place};

/// How long a killed pooler is waited for before the call gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(50);
/// Longest wait for one command of the console other than PAUSE.
const COMMAND: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Pooler {
    address: ConsoleAddress,
    file: PathBuf,
    databases: Vec<String>,
    source: Place,
    target: Place,
    /// The connection for short commands.
    console: Mutex<Option<Arc<Console>>>,
    /// One warm connection per PAUSE, which keeps its connection waiting.
    pausers: Mutex<Vec<(Scope, Arc<Console>)>>,
}

/// What one PAUSE is about.
///
/// Everything at once where the pooler serves nobody else: for a single entry PgBouncer (1.18 and later) goes on to open
/// connections up to `min_pool_size`, drops them at once, and takes that for failed logins, so that clients are refused after
/// RESUME ("server login has been failing"). Its source: janitor.c `check_pool_size`, objects.c `check_fast_fail`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Everything,
    Entry(String),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Everything => Ok(()),
            Scope::Entry(name) => write!(f, " {}", Ident::new(name.as_str())),
        }
    }
}

impl Pooler {
    pub(crate) fn new(migration: &Migration, pooler: &proto::Pooler) -> Result<Self, Failure> {
        let port = u16::try_from(pooler.port).map_err(|_| {
            Failure::refused(
                "CO0101",
                format!("port {} of a pooler is no TCP port", pooler.port),
                "correct it in the spec",
            )
        })?;
        let place = |side| {
            let site = migration.site(side);
            Place { host: site.peer_host.clone(), port: site.peer_port }
        };
        Ok(Self {
            address: ConsoleAddress {
                host: pooler.host.clone(),
                port,
                user: pooler.user.clone(),
                password: migration.secret(pooler.password.as_ref(), "the pooler")?,
                ca_file: pooler.ca_file.clone(),
            },
            file: PathBuf::from(&pooler.databases_file),
            databases: migration.databases().iter().map(|d| d.name.clone()).collect(),
            source: place(Side::Source),
            target: place(Side::Target),
            console: Mutex::new(None),
            pausers: Mutex::new(Vec::new()),
        })
    }

    fn place(&self, side: Side) -> &Place {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    pub(crate) fn address(&self) -> &ConsoleAddress {
        &self.address
    }

    /// Whatever lets its clients go on, whichever way they were held back.
    pub(crate) fn resume_commands(&self) -> Result<Vec<String>, Failure> {
        let (_, names) = self.read()?;
        Ok(all_scopes(names).map(|scope| format!("resume{scope}")).collect())
    }

    fn name(&self) -> String {
        format!("pooler {}:{}", self.address.host, self.address.port)
    }

    /// The file, and the names of its entries that are this migration's: of one of its databases, on one of its sides.
    fn read(&self) -> Result<(DatabasesFile, Vec<String>), Failure> {
        let text = std::fs::read_to_string(&self.file).map_err(|e| self.file_failure("read", &e))?;
        let file = DatabasesFile::parse(&text);
        let ours = |place: Option<Place>| place.is_some_and(|p| p == self.source || p == self.target);
        let named = |dbname: &str| self.databases.iter().any(|d| d == dbname);
        let names: Vec<String> =
            file.entries().filter(|e| named(e.dbname()) && ours(e.place())).map(|e| e.name.clone()).collect();
        let stray = file.entries().find(|e| named(&e.name) && named(e.dbname()) && !ours(e.place()));
        if let Some(entry) = stray {
            let message =
                format!("{}: entry {} points neither to the source nor to the target", self.name(), entry.name);
            return Err(Failure::refused(
                "CO0703",
                message,
                "let it use the same host and port as peer_host and peer_port in the spec",
            ));
        }
        if names.is_empty() {
            let message = format!("{}: {} lists none of the migration's databases", self.name(), self.file.display());
            return Err(Failure::refused(
                "CO0703",
                message,
                "give each database an entry with host and port of the source",
            ));
        }
        Ok((file, names))
    }

    fn staged(&self, to: Side) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(format!(".changeover.{to}"));
        PathBuf::from(name)
    }

    fn file_failure(&self, what: &str, error: &std::io::Error) -> Failure {
        let message = format!("{}: {} can't be {what}: {error}", self.name(), self.file.display());
        Failure::needs_human("CO0704", message, "let the worker read and write the file and its directory")
    }

    /// Writes the configuration for a side beside the one in force, flushed to disk.
    fn write_staged(&self, to: Side) -> Result<Vec<String>, Failure> {
        let (mut file, names) = self.read()?;
        file.send_to(&names, self.place(to));
        write_flushed(&self.staged(to), &self.file, &file.render()).map_err(|e| self.file_failure("staged", &e))?;
        Ok(names)
    }

    pub(crate) async fn stage(&self, to: Side) -> Result<(), Failure> {
        let names = self.write_staged(to)?;
        let scopes = self.scopes(&names).await?;
        let open = scopes.into_iter().map(|scope| async { Ok((scope, Arc::new(Console::open(&self.address).await?))) });
        *self.pausers.lock().await = try_join_all(open).await?;
        Ok(())
    }

    /// What is to be paused. In session mode a client keeps its server connection: PAUSE would wait for clients to leave.
    async fn scopes(&self, names: &[String]) -> Result<Vec<Scope>, Failure> {
        let config = self.run("show config").await?;
        let setting =
            |key: &str| config.iter().find(|r| r.text("key") == key).map_or("", |r| r.text("value")).to_owned();
        let (mode, least) = (setting("pool_mode"), setting("min_pool_size"));
        let rows = self.run("show databases").await?;
        let alone = rows.iter().all(|r| r.text("name") == "pgbouncer" || names.iter().any(|n| n == r.text("name")));
        for row in rows.iter().filter(|r| names.iter().any(|n| n == r.text("name"))) {
            let or = |column, default| if row.text(column).is_empty() { default } else { row.text(column) };
            let name = row.text("name");
            let mode = or("pool_mode", &mode);
            if mode != "transaction" && mode != "statement" {
                let message = format!("{}: database {name} is pooled in mode {mode}", self.name());
                return Err(Failure::refused("CO0705", message, "set pool_mode = transaction for it"));
            }
            if !alone && or("min_pool_size", &least) != "0" {
                let message = format!(
                    "{}: database {name} has a min_pool_size, and the pooler serves others as well",
                    self.name()
                );
                return Err(Failure::refused(
                    "CO0728",
                    message,
                    "set min_pool_size = 0 for it, or give the migration's databases a pooler of their own",
                ));
            }
        }
        Ok(if alone { vec![Scope::Everything] } else { names.iter().cloned().map(Scope::Entry).collect() })
    }

    pub(crate) async fn logins(&self) -> Result<u64, Failure> {
        let (_, names) = self.read()?;
        let mut logins = 0;
        for row in self.run("show pools").await? {
            if names.iter().any(|n| n == row.text("database")) {
                logins += row.number("sv_login").ok_or_else(|| self.unreadable("show pools"))?;
            }
        }
        Ok(logins)
    }

    pub(crate) async fn pause(&self, budget: Duration) -> Result<(), Failure> {
        // Taken out: after a timeout the connection still waits for its PAUSE and can't be used again.
        let pausers = std::mem::take(&mut *self.pausers.lock().await);
        let waits = pausers.iter().map(|(scope, console)| async move {
            match timeout(budget, pause_one(console, scope)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(self.refused(&format!("pause{scope}"), &error)),
                Err(_) => {
                    let message = format!("{}: a transaction did not end within {budget:?}", self.name());
                    Err(Failure::transient(
                        "CO0706",
                        message,
                        "it is tried again; look for long transactions through the pooler",
                    ))
                }
            }
        });
        let outcome: Result<Vec<()>, Failure> = join_all(waits).await.into_iter().collect();
        if outcome.is_ok() {
            *self.pausers.lock().await = pausers;
        }
        outcome.map(drop)
    }

    pub(crate) async fn move_to(&self, to: Side) -> Result<(), Failure> {
        let names = self.swap_file(to)?;
        if self.elsewhere(&names, to).await?.is_none() {
            return Ok(());
        }
        self.run("reload").await?;
        match self.elsewhere(&names, to).await? {
            None => Ok(()),
            Some(name) => {
                let message = format!("{}: after RELOAD {name} still isn't sent to the {to}", self.name());
                Err(Failure::needs_human(
                    "CO0707",
                    message,
                    "check that its configuration includes the databases file of the spec",
                ))
            }
        }
    }

    /// An entry that the running pooler doesn't send to a side.
    async fn elsewhere(&self, names: &[String], to: Side) -> Result<Option<String>, Failure> {
        let place = self.place(to);
        let rows = self.run("show databases").await?;
        let there = |name: &String| {
            rows.iter().any(|r| {
                r.text("name") == name
                    && r.text("host") == place.host
                    && r.number("port") == Some(u64::from(place.port))
            })
        };
        Ok(names.iter().find(|name| !there(name)).cloned())
    }

    /// Puts the configuration for a side in force; done already when the file in force says so.
    fn swap_file(&self, to: Side) -> Result<Vec<String>, Failure> {
        let (file, names) = self.read()?;
        let there = |e: &crate::databases_file::Entry| e.place().as_ref() == Some(self.place(to));
        if file.entries().filter(|e| names.contains(&e.name)).all(there) {
            return Ok(names);
        }
        if !self.staged(to).exists() {
            self.write_staged(to)?;
        }
        std::fs::rename(self.staged(to), &self.file).map_err(|e| self.file_failure("replaced", &e))?;
        sync_directory(&self.file).map_err(|e| self.file_failure("flushed", &e))?;
        Ok(names)
    }

    pub(crate) async fn resume(&self) -> Result<(), Failure> {
        self.pausers.lock().await.clear();
        let (_, names) = self.read()?;
        // Whichever way a predecessor has paused; sent at once.
        let resumed = join_all(all_scopes(names).map(|scope| self.resume_one(scope))).await;
        resumed.into_iter().collect::<Result<(), Failure>>()?;
        self.remove_staged();
        Ok(())
    }

    async fn resume_one(&self, scope: Scope) -> Result<(), Failure> {
        let command = format!("resume{scope}");
        match self.try_run(&command).await {
            Ok(_) => Ok(()),
            // The other way of pausing, a pooler that was restarted, or a second resume.
            Err(Trouble::Refused(text)) if text.contains("not paused") => Ok(()),
            Err(trouble) => Err(self.trouble(&command, trouble)),
        }
    }

    /// What was staged and not used; the next attempt writes its own. Clients go on already: a file that stays is no failure.
    fn remove_staged(&self) {
        for path in [self.staged(Side::Source), self.staged(Side::Target)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "a staged configuration stays; remove it by hand");
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn settle(&self, budget: Duration) -> Result<(), Failure> {
        let (_, names) = self.read()?;
        let deadline = Instant::now() + budget;
        loop {
            let rows = self.run("show pools").await?;
            let stuck = rows.iter().find(|r| names.iter().any(|n| n == r.text("database")) && is_stuck(r));
            match stuck {
                None => return Ok(()),
                Some(row) if Instant::now() >= deadline => {
                    let message =
                        format!("{}: clients of {} wait and no server serves them", self.name(), row.text("database"));
                    return Err(Failure::transient(
                        "CO0708",
                        message,
                        "look at the pooler's log; its servers may refuse the login",
                    ));
                }
                Some(_) => sleep(RETRY).await,
            }
        }
    }

    async fn run(&self, command: &str) -> Result<Vec<ConsoleRow>, Failure> {
        self.try_run(command).await.map_err(|trouble| self.trouble(command, trouble))
    }

    /// Runs a command that may be repeated, on a new connection when the old one is gone, for as long as the patience lasts.
    async fn try_run(&self, command: &str) -> Result<Vec<ConsoleRow>, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let trouble = match self.console().await {
                Ok(console) => match timeout(COMMAND, console.run(command)).await {
                    Ok(Ok(rows)) => return Ok(rows),
                    Ok(Err(ConsoleError::Refused(text))) => return Err(Trouble::Refused(text)),
                    Ok(Err(ConsoleError::Lost(text))) => Trouble::Lost(text),
                    Err(_) => Trouble::Lost(format!("no answer within {COMMAND:?}")),
                },
                Err(failure) => Trouble::Unreachable(failure),
            };
            *self.console.lock().await = None;
            if Instant::now() >= deadline {
                return Err(trouble);
            }
            sleep(RETRY).await;
        }
    }

    async fn console(&self) -> Result<Arc<Console>, Failure> {
        let mut slot = self.console.lock().await;
        if let Some(console) = slot.as_ref() {
            return Ok(Arc::clone(console));
        }
        let console = Arc::new(Console::open(&self.address).await?);
        *slot = Some(Arc::clone(&console));
        Ok(console)
    }

    fn trouble(&self, command: &str, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Refused(text) => self.refused(command, &ConsoleError::Refused(text)),
            Trouble::Lost(text) => self.refused(command, &ConsoleError::Lost(text)),
            Trouble::Unreachable(failure) => failure,
        }
    }

    fn refused(&self, command: &str, error: &ConsoleError) -> Failure {
        let message = format!("{}: {command}: {error}", self.name());
        match error {
            ConsoleError::Lost(_) => Failure::transient("CO0702", message, "check that the pooler runs"),
            ConsoleError::Refused(_) => {
                Failure::needs_human("CO0709", message, "look at the pooler's log, then `changeover retry`")
            }
        }
    }

    fn unreadable(&self, command: &str) -> Failure {
        let message = format!("{}: the answer to {command} isn't understood", self.name());
        Failure::needs_human("CO0709", message, "check the pooler's version: PgBouncer 1.18 and later are known")
    }
}

fn all_scopes(names: Vec<String>) -> impl Iterator<Item = Scope> {
    std::iter::once(Scope::Everything).chain(names.into_iter().map(Scope::Entry))
}

#[derive(Debug)]
enum Trouble {
    Refused(String),
    Lost(String),
    Unreachable(Failure),
}

/// PAUSE, also when a predecessor left the entry paused: then once more from the start, so that the wait is a true one.
async fn pause_one(console: &Console, scope: &Scope) -> Result<(), ConsoleError> {
    match console.run(&format!("pause{scope}")).await {
        Err(ConsoleError::Refused(text)) if text.contains("already") => {
            console.run(&format!("resume{scope}")).await?;
            console.run(&format!("pause{scope}")).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// Clients wait and there is neither a server nor one on its way.
fn is_stuck(row: &ConsoleRow) -> bool {
    let count = |column| row.number(column).unwrap_or(0);
    count("cl_waiting") > 0 && count("sv_active") + count("sv_idle") + count("sv_used") == 0
}

/// Writes a file that takes the place of `like` later: the same owner and rights, flushed to disk.
fn write_flushed(path: &Path, like: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    let (old, new) = (std::fs::metadata(like)?, file.metadata()?);
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_directory(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
