//! The reboot by which static parameters come into force, with its length measured.

use changeover_domain::{
    Failure,
    aws::{
        status::{Progress, reboot_pending},
        target::InstanceSeen,
    },
};
use serde::{Deserialize, Serialize};

use crate::{claim, error::Told, instance, probe, session::Session};

/// How far a reboot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reboot")]
pub enum Reboot {
    /// It is needed, and can be asked for.
    Needed {
        /// Whether there is a standby to fail over to, which makes it shorter.
        failover: bool,
    },
    /// Something else goes on, or the reboot itself.
    Working {
        /// AWS's own word.
        status: String,
    },
    /// All parameters are in force.
    Done,
}

/// What a reboot was like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootEvidence {
    /// Whether the standby took over.
    pub failover: bool,
    /// The longest time without an answer, ms.
    pub away_ms: u64,
}

/// How far it is.
pub async fn observe_reboot(session: &Session, identifier: &str) -> Result<Reboot, Failure> {
    let seen = instance::look_at_existing(session, identifier).await?;
    state(session, &seen)
}

fn state(session: &Session, seen: &InstanceSeen) -> Result<Reboot, Failure> {
    Ok(match instance::progress(seen) {
        Progress::Ready if reboot_pending(&seen.parameter_status) => Reboot::Needed { failover: seen.shape.multi_az },
        // `applying` passes into `pending-reboot` or `in-sync` by itself.
        Progress::Ready if seen.parameter_status == "applying" => Reboot::Working { status: "applying".to_owned() },
        Progress::Ready => Reboot::Done,
        Progress::Working { status, .. } => Reboot::Working { status },
        Progress::Stopped => return Err(instance::failed(session, &seen.identifier, "stopped")),
        Progress::Failed { status } => return Err(instance::failed(session, &seen.identifier, &status)),
        Progress::Absent => return Err(instance::failed(session, &seen.identifier, "gone")),
    })
}

/// Asks for the reboot, if one is pending and none goes on. The source's claim is checked first. Returns at once; [`observe_reboot`] tells
/// when it is over.
pub async fn ensure_reboot(source: &Session, identifier: &str) -> Result<Reboot, Failure> {
    claim::check_claim(source, identifier).await?;
    reboot(source, identifier).await
}

/// The same for the target, which nobody uses yet.
pub(crate) async fn reboot(session: &Session, identifier: &str) -> Result<Reboot, Failure> {
    let now = observe_reboot(session, identifier).await?;
    let Reboot::Needed { failover } = now else { return Ok(now) };
    let request = session.rds.reboot_db_instance().db_instance_identifier(identifier).force_failover(failover);
    let what = format!("rebooting {identifier}");
    // Another attempt's reboot is as good.
    request.send().await.unless(&["InvalidDBInstanceState"], session.side(), &what)?;
    Ok(Reboot::Working { status: "rebooting".to_owned() })
}

/// Asks for the reboot and measures how long nobody can log in, until `over` says that it is over: the one wait of this crate that isn't a
/// durable timer's, since what is measured is over in a minute or two and has to be looked at ten times a second. `over` looks by
/// [`observe_reboot`] and beats for the activity meanwhile.
pub async fn reboot_measured(
    source: &Session,
    identifier: &str,
    over: impl Future<Output = Result<(), Failure>>,
) -> Result<RebootEvidence, Failure> {
    let seen = instance::look_at_existing(source, identifier).await?;
    let failover = seen.shape.multi_az;
    let (host, port) =
        (seen.host.unwrap_or_default(), seen.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(5432));
    let mut outcome = Ok(());
    let work = async {
        outcome = match ensure_reboot(source, identifier).await {
            Ok(_) => over.await,
            Err(failure) => Err(failure),
        };
    };
    let blip = probe::measure(&host, port, work).await;
    outcome?;
    Ok(RebootEvidence { failover, away_ms: u64::try_from(blip.longest.as_millis()).unwrap_or(u64::MAX) })
}
