//! The reboot by which static parameters come into force, with its length measured.

use std::time::SystemTime;

use aws_sdk_rds::config::retry::RetryConfig;
use changeover_domain::{
    Failure,
    aws::{
        status::{InForce, Progress, check_approved, check_reboot, in_force},
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
        /// Whether there is a standby that could be failed over to.
        standby: bool,
    },
    /// It has just been asked for.
    Asked,
    /// Something else goes on, or the reboot itself.
    Working {
        /// AWS's own word.
        status: String,
    },
    /// All parameters are in force.
    Done,
}

/// A reboot that a person has approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whether the standby is to take over. The spec asks for it; never by default: it changes the zone and the address of the primary.
    pub failover: bool,
    /// Whether the server was rebooted since the approval: an answer that is lost doesn't make two reboots of one approval.
    pub started: bool,
    /// Until when the approval counts; without one nothing is rebooted.
    pub until: Option<SystemTime>,
}

/// What a reboot was like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootEvidence {
    /// Whether the standby took over.
    pub failover: bool,
    /// The longest time without an answer, ms; `None` if no reboot was asked for.
    pub away_ms: Option<u64>,
}

/// How far it is. `lacking` names what the server itself doesn't have yet
/// ([`lacking`](changeover_domain::aws::parameters::lacking)), which the caller has read from it.
pub async fn observe_reboot(session: &Session, identifier: &str, lacking: &[String]) -> Result<Reboot, Failure> {
    let seen = instance::look_at_existing(session, identifier).await?;
    state(session, &seen, lacking)
}

fn state(session: &Session, seen: &InstanceSeen, lacking: &[String]) -> Result<Reboot, Failure> {
    Ok(match instance::progress(seen) {
        Progress::Ready => match in_force(&seen.parameter_status, lacking) {
            InForce::WithReboot => Reboot::Needed { standby: seen.shape.multi_az },
            InForce::NotYet(status) => Reboot::Working { status },
            InForce::All => Reboot::Done,
        },
        Progress::Working { status, .. } => Reboot::Working { status },
        Progress::Stopped => return Err(instance::failed(session, &seen.identifier, "stopped")),
        Progress::Failed { status } => return Err(instance::failed(session, &seen.identifier, &status)),
        Progress::Absent => return Err(instance::failed(session, &seen.identifier, "gone")),
    })
}

/// Asks for the reboot, if one is pending and none goes on. The source's claim is checked first. Returns at once; [`observe_reboot`] tells
/// when it is over. CO1027 if one is still pending after the one that was approved.
pub async fn ensure_reboot(
    source: &Session,
    identifier: &str,
    order: Order,
    lacking: &[String],
) -> Result<Reboot, Failure> {
    let seen = claim::check_claim(source, identifier).await?;
    let now = state(source, &seen, lacking)?;
    let Reboot::Needed { .. } = now else { return Ok(now) };
    check_reboot(identifier, order.started)?;
    check_approved(&format!("the reboot of {identifier}"), order.until, SystemTime::now())?;
    ask(source, identifier, order.failover && seen.shape.multi_az).await
}

/// For the target, which nobody uses yet.
pub(crate) async fn reboot(target: &Session, identifier: &str) -> Result<Reboot, Failure> {
    let now = observe_reboot(target, identifier, &[]).await?;
    let Reboot::Needed { .. } = now else { return Ok(now) };
    ask(target, identifier, false).await
}

async fn ask(session: &Session, identifier: &str, failover: bool) -> Result<Reboot, Failure> {
    let request = session.rds.reboot_db_instance().db_instance_identifier(identifier).force_failover(failover);
    let what = format!("rebooting {identifier}");
    // A second request of the SDK's own could be a second reboot; ours looks first.
    let once = aws_sdk_rds::config::Builder::new().retry_config(RetryConfig::disabled());
    let asked = request.customize().config_override(once).send().await;
    match asked.unless(&["InvalidDBInstanceState"], session.side(), &what)? {
        Some(_) => Ok(Reboot::Asked),
        // Something else goes on.
        None => observe_reboot(session, identifier, &[]).await,
    }
}

/// Asks for the reboot and measures how long nobody can log in, until `over` says that it is over: the one wait of this crate that isn't a
/// durable timer's, since what is measured is over in a minute or two and has to be looked at ten times a second. `over` looks by
/// [`observe_reboot`] and beats for the activity meanwhile.
pub async fn reboot_measured(
    source: &Session,
    identifier: &str,
    order: Order,
    lacking: &[String],
    over: impl Future<Output = Result<(), Failure>>,
) -> Result<RebootEvidence, Failure> {
    let seen = instance::look_at_existing(source, identifier).await?;
    let failover = order.failover && seen.shape.multi_az;
    let (host, port) =
        (seen.host.unwrap_or_default(), seen.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(5432));
    let mut outcome = Ok(Reboot::Done);
    let work = async {
        outcome = match ensure_reboot(source, identifier, order, lacking).await {
            Ok(Reboot::Asked) => over.await.map(|()| Reboot::Asked),
            other => other,
        };
    };
    let blip = probe::measure(&host, port, work).await;
    let asked = outcome? == Reboot::Asked;
    let away = u64::try_from(blip.longest.as_millis()).unwrap_or(u64::MAX);
    Ok(RebootEvidence { failover: asked && failover, away_ms: asked.then_some(away) })
}
