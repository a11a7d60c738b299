//! What the harness does to servers, links and sessions while the worker stands at a place.

use crate::{
    fault::Fault,
    lab::{Lab, Rotated},
};
use anyhow::{Context, Result, bail};
use changeover_tests::stack::{Cluster, Side, StopMode, Temporal, connect, process};
use std::{
    io::{ErrorKind, Write as _},
    path::PathBuf,
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// How long a link is cut or silent, and locks are held. A half-open link has to outlive the time that a connection gets.
const WHILE: Duration = Duration::from_secs(4);
const SILENT: Duration = Duration::from_secs(14);
/// What a slow link adds to each round trip.
const SLOW: Duration = Duration::from_millis(150);

/// What has to be done later.
#[derive(Default)]
pub struct Later {
    /// When links are to be healed.
    pub heal_at: Option<Instant>,
    locks: Vec<JoinHandle<()>>,
    /// A server that is down until somebody is needed.
    gone: Option<Side>,
    /// What fills a disk.
    ballast: Option<(Side, PathBuf)>,
    /// A password that was changed, until it is changed back.
    pub rotated: Option<Rotated>,
}

impl Later {
    /// Heals what is due.
    pub async fn tend(&mut self, lab: &Lab<'_>) -> Result<()> {
        if self.heal_at.is_some_and(|at| Instant::now() >= at) { self.heal(lab).await } else { Ok(()) }
    }

    /// Everything is whole again.
    pub async fn heal(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.heal_at = None;
        for link in [&lab.links.to_source, &lab.links.to_target, &lab.links.peer] {
            link.add_round_trip(Duration::ZERO);
            link.heal();
        }
        let Some((side, ballast)) = self.ballast.take() else { return Ok(()) };
        std::fs::remove_file(&ballast).context("making room on the disk")?;
        // A server that can't write its WAL ends itself, and somebody starts it.
        lab.info().cluster(side).start(lab.stack.user()).await
    }

    /// The server that was down is there again.
    pub async fn bring_back(&mut self, lab: &Lab<'_>) -> Result<()> {
        match self.gone.take() {
            Some(side) => lab.info().cluster(side).start(lab.stack.user()).await,
            None => Ok(()),
        }
    }

    /// At the end of a run, however it went.
    pub async fn clean_up(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.bring_back(lab).await?;
        self.heal(lab).await?;
        for lock in self.locks.drain(..) {
            lock.abort();
        }
        if let Some(rotated) = self.rotated.take() {
            lab.change_password_back(&rotated).await?;
        }
        Ok(())
    }
}

/// Does a fault that isn't the worker's own.
pub async fn strike(lab: &Lab<'_>, fault: Fault, later: &mut Later) -> Result<()> {
    let (info, user) = (lab.info(), lab.stack.user());
    match fault {
        Fault::Source => restart(lab, Side::Source).await,
        Fault::Target => restart(lab, Side::Target).await,
        Fault::Pooler => {
            info.pooler.kill().await?;
            info.pooler.start(user).await
        }
        Fault::Temporal => {
            let temporal = info.temporal.as_ref().context("the stack has no Temporal")?;
            temporal.kill().await?;
            start_again(temporal).await
        }
        Fault::Sessions => {
            for cluster in [&info.source, &info.target] {
                end_sessions(cluster).await?;
            }
            Ok(())
        }
        Fault::CutSource | Fault::CutTarget | Fault::CutPeer => {
            lab.links.of(fault).context("a link")?.cut();
            later.heal_at = Some(Instant::now() + WHILE);
            Ok(())
        }
        Fault::ResetSource | Fault::ResetTarget | Fault::ResetPeer => {
            lab.links.of(fault).context("a link")?.reset();
            Ok(())
        }
        Fault::SlowSource | Fault::SlowTarget | Fault::SlowPeer => {
            lab.links.of(fault).context("a link")?.add_round_trip(SLOW);
            later.heal_at = Some(Instant::now() + SILENT);
            Ok(())
        }
        Fault::FullSource | Fault::FullTarget => {
            let side = if fault == Fault::FullSource { Side::Source } else { Side::Target };
            later.ballast = Some((side, fill(info.cluster(side))?));
            later.heal_at = Some(Instant::now() + WHILE);
            Ok(())
        }
        Fault::SlotsLost => lose_slots(lab, Side::Source).await,
        Fault::WayBackLost => lose_slots(lab, Side::Target).await,
        Fault::SilentSource | Fault::SilentTarget | Fault::SilentPeer => {
            lab.links.of(fault).context("a link")?.half_open();
            later.heal_at = Some(Instant::now() + SILENT);
            Ok(())
        }
        Fault::GoneSource | Fault::GoneTarget => {
            let side = if fault == Fault::GoneSource { Side::Source } else { Side::Target };
            later.gone = Some(side);
            info.cluster(side).stop(user, StopMode::Immediate).await
        }
        Fault::Lock => {
            for cluster in [&info.source, &info.target] {
                if let Some(lock) = hold_lock(cluster).await? {
                    later.locks.push(lock);
                }
            }
            Ok(())
        }
        Fault::Password => {
            // Once in a run: the second one would have to know of the first.
            if later.rotated.is_none() {
                later.rotated = Some(lab.change_password().await?);
            }
            end_sessions(&info.source).await
        }
        _ => bail!("{} is the worker's own", fault.word()),
    }
}

/// Fills a cluster's disk to its last byte.
fn fill(cluster: &Cluster) -> Result<PathBuf> {
    const PIECE: usize = 1 << 20;
    let path = cluster.data().join("ballast");
    let mut file = std::fs::File::create(&path).context("filling a disk")?;
    let piece = vec![b'x'; PIECE];
    let mut size = PIECE;
    while size > 0 {
        match file.write_all(&piece[..size]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => return Err(error).context("filling a disk"),
        }
    }
    Ok(path)
}

/// Nobody reads a side's slots for a while, in which it writes more WAL than it is told to keep for them.
async fn lose_slots(lab: &Lab<'_>, side: Side) -> Result<()> {
    lab.links.peer.cut();
    let client = connect::as_superuser(lab.info().cluster(side), "postgres").await?;
    keep_wal(&client, "'1MB'").await?;
    let lost = process::wait_until("the slots have lost their WAL", Duration::from_secs(60), async || {
        let more = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where backend_type = 'walsender';
            select pg_catalog.pg_logical_emit_message(false, 'ballast', 'x'), pg_catalog.pg_switch_wal()";
        let kept = "select 1 from pg_catalog.pg_replication_slots where wal_status <> 'lost'";
        let all = "select 1 from pg_catalog.pg_replication_slots";
        let written = client.batch_execute(more).await.is_ok() && client.batch_execute("checkpoint").await.is_ok();
        let count = async |sql| client.query(sql, &[]).await.map_or(0, |rows| rows.len());
        written && count(all).await > 0 && count(kept).await == 0
    })
    .await;
    keep_wal(&client, "default").await?;
    lab.links.peer.heal();
    lost
}

async fn keep_wal(client: &tokio_postgres::Client, much: &str) -> Result<()> {
    // Each in a transaction of its own: ALTER SYSTEM wants that.
    client.batch_execute(&format!("alter system set max_slot_wal_keep_size = {much}")).await?;
    client.batch_execute("select pg_catalog.pg_reload_conf()").await.context("telling how much WAL is kept")
}

/// Connections to the one that was killed may keep its port for a moment.
async fn start_again(temporal: &Temporal) -> Result<()> {
    let again = async || temporal.start().await.is_ok();
    process::wait_until("Temporal is up again", Duration::from_secs(60), again).await
}

async fn restart(lab: &Lab<'_>, side: Side) -> Result<()> {
    let cluster = lab.info().cluster(side);
    cluster.stop(lab.stack.user(), StopMode::Immediate).await?;
    cluster.start(lab.stack.user()).await
}

/// The worker's and those of replication, whatever they do.
async fn end_sessions(cluster: &Cluster) -> Result<()> {
    let client = connect::as_superuser(cluster, "postgres").await?;
    let sql = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
        where usename in ('changeover', 'changeover_repl') or backend_type = 'walsender' or backend_type like 'pglogical apply%'";
    client.batch_execute(sql).await.context("ending sessions")
}

/// A table that writers and the product want, locked against everybody for a while. None where it isn't there yet.
async fn hold_lock(cluster: &Cluster) -> Result<Option<JoinHandle<()>>> {
    let client = connect::as_superuser(cluster, "shop").await?;
    let there = "select pg_catalog.to_regclass('workload.ledger') is not null";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    client.batch_execute("begin; set local lock_timeout = '20s'").await?;
    client.batch_execute("lock table workload.ledger in access exclusive mode").await.context("taking the lock")?;
    Ok(Some(tokio::spawn(async move {
        tokio::time::sleep(WHILE).await;
        // The session ends with it in any case.
        let _released = client.batch_execute("rollback").await;
    })))
}
