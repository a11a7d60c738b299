//! What the status of an instance or a snapshot means for who waits for it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{Failure, rfc3339};

/// How far something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress")]
pub enum Progress {
    /// It can be used.
    Ready,
    /// It isn't yet; look again.
    Working {
        /// AWS's own word.
        status: String,
        /// How much is done, where AWS says so.
        percent: Option<i32>,
    },
    /// It is stopped.
    Stopped,
    /// It won't be without a person.
    Failed {
        /// AWS's own word.
        status: String,
    },
    /// It isn't there.
    Absent,
}

impl Progress {
    /// Whether looking again is of use.
    pub fn goes_on(&self) -> bool {
        matches!(self, Progress::Working { .. })
    }
}

/// Of an instance
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html>). What isn't known is work: a deadline ends the wait.
pub fn instance(status: &str) -> Progress {
    match status {
        "available" | "storage-optimization" => Progress::Ready,
        "stopped" => Progress::Stopped,
        "failed"
        | "incompatible-create"
        | "incompatible-network"
        | "incompatible-option-group"
        | "incompatible-parameters"
        | "incompatible-restore"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "insufficient-capacity"
        | "restore-error"
        | "storage-full" => Progress::Failed { status: status.to_owned() },
        other => Progress::Working { status: other.to_owned(), percent: None },
    }
}

/// Of a snapshot.
pub fn snapshot(status: &str, percent: Option<i32>) -> Progress {
    match status {
        "available" => Progress::Ready,
        "failed" | "incompatible" => Progress::Failed { status: status.to_owned() },
        other => Progress::Working { status: other.to_owned(), percent },
    }
}

/// How far an instance has taken its parameter group over
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBParameterGroupStatus.html>).
pub fn reboot_pending(apply_status: &str) -> bool {
    apply_status == "pending-reboot"
}

/// How far parameters are in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InForce {
    /// All are.
    All,
    /// They wait for a reboot.
    WithReboot,
    /// Not yet, without anything being asked for; look again.
    NotYet(String),
}

/// Decides it by RDS' word for how far an instance is with its group and by what the server itself lacks
/// ([`lacking`](super::parameters::lacking)): `in-sync` is said as well of a change that RDS hasn't noticed yet.
pub fn in_force(apply_status: &str, lacking: &[String]) -> InForce {
    match apply_status {
        status if reboot_pending(status) => InForce::WithReboot,
        // Passes into `pending-reboot` or `in-sync` by itself.
        "applying" => InForce::NotYet("applying".to_owned()),
        _ if lacking.is_empty() => InForce::All,
        _ => InForce::NotYet(format!("not in force yet: {}", lacking.join(", "))),
    }
}

/// One approval is one reboot: refuses a second one. CO1027.
pub fn check_reboot(identifier: &str, started: bool) -> Result<(), Failure> {
    if !started {
        return Ok(());
    }
    let message = format!("{identifier} was rebooted, and its parameters still wait for a reboot");
    Err(Failure::needs_human(
        "CO1027",
        message,
        "see its events for why the reboot didn't bring them into force; approve another one, or reboot it yourself",
    ))
}

/// That an approval still counts when what it allows is asked for: a worker may have been away since it was given. CO1089.
pub fn check_approved(what: &str, until: Option<SystemTime>, now: SystemTime) -> Result<(), Failure> {
    let why = match until {
        Some(until) if until > now => return Ok(()),
        Some(until) => format!("its approval expired at {} before a worker came to it", rfc3339(until)),
        None => "it became needed when nobody was to be asked any more".to_owned(),
    };
    let remedy = "`changeover retry`, then approve it when status says that it waits for that";
    Err(Failure::needs_human("CO1089", format!("{what} wasn't asked for: {why}"), remedy))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn in_sync_is_believed_only_with_the_server() {
        let lacks = ["max_wal_senders".to_owned()];
        assert_eq!(in_force("in-sync", &[]), InForce::All);
        assert!(matches!(in_force("in-sync", &lacks), InForce::NotYet(_)));
        assert!(matches!(in_force("applying", &[]), InForce::NotYet(_)));
        assert_eq!(in_force("pending-reboot", &[]), InForce::WithReboot);
    }

    #[test]
    fn one_approval_is_one_reboot() {
        check_reboot("orders", false).unwrap();
        assert_eq!(check_reboot("orders", true).unwrap_err().code, "CO1027");
    }

    #[test]
    fn an_approval_counts_until_it_expires() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(check_approved("the reboot of orders", None, at(9)).unwrap_err().code, "CO1089");
        check_approved("the reboot of orders", Some(at(10)), at(9)).unwrap();
        let failure = check_approved("the reboot of orders", Some(at(10)), at(10)).unwrap_err();
        assert_eq!(failure.code, "CO1089");
        assert!(failure.message.contains("1970-01-01T00:00:10"), "{}", failure.message);
    }

    #[test]
    fn each_kind_of_status_is_told() {
        assert_eq!(instance("available"), Progress::Ready);
        assert!(instance("creating").goes_on());
        assert!(instance("a-word-of-tomorrow").goes_on());
        assert!(!instance("incompatible-parameters").goes_on());
        assert_eq!(snapshot("creating", Some(40)), Progress::Working { status: "creating".into(), percent: Some(40) });
        assert!(matches!(snapshot("failed", None), Progress::Failed { .. }));
        assert!(reboot_pending("pending-reboot") && !reboot_pending("in-sync"));
    }
}
