//! Where the programs of a server are: Debian's packages, or what the set-up has fetched.

use super::process::{self, ServerUser};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The directory of a cluster that holds a copy of the programs, where the server's user can't reach the originals.
pub(super) const COPY: &str = "programs";

/// The directory with `postgres`, `initdb` and `pg_ctl` of a major version.
pub(super) fn find(major: u32) -> Result<PathBuf> {
    let packaged = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let cache = std::env::var_os("CHANGEOVER_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/changeover")));
    let fetched = cache.map(|cache| cache.join(format!("postgresql/{major}/bin")));
    match [Some(packaged), fetched].into_iter().flatten().find(|bin| bin.join("postgres").exists()) {
        Some(bin) => Ok(bin),
        None => bail!("PostgreSQL {major} isn't installed: run dev/setup.sh"),
    }
}

/// Copies the programs next to the cluster when the server's user can't run them where they are: root's home is closed.
pub(super) async fn bring_near(bin: &Path, user: ServerUser, directory: &Path) -> Result<()> {
    let mut test = user.command("test");
    test.arg("-x").arg(bin.join("postgres"));
    if directory.join(COPY).exists() || process::run(test, Duration::from_secs(10)).await.is_ok() {
        return Ok(());
    }
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(bin.parent().context("programs at the root")?).arg(directory.join(COPY));
    process::run(copy, Duration::from_secs(60)).await.map(drop)
}
