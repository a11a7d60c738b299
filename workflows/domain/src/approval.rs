//! Whether an approval counts: for this plan, this epoch, this purpose, and still.

use std::time::SystemTime;

use crate::proto::{ApprovalKind, Approve};

/// What an approval is measured against.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The hash of the plan that runs.
    pub plan_hash: &'a str,
    /// The epoch that holds.
    pub epoch: u64,
    /// The purpose.
    pub kind: ApprovalKind,
    /// The time that it's used at.
    pub now: SystemTime,
}

/// Checks an approval; an error lists every reason against it.
pub fn check(approve: &Approve, expected: &Expected<'_>) -> Result<(), Vec<String>> {
    let mut reasons = Vec::new();
    if approve.approver.trim().is_empty() {
        reasons.push("it names no approver".to_owned());
    }
    if approve.reason.trim().is_empty() {
        reasons.push("it gives no reason".to_owned());
    }
    if approve.kind() == ApprovalKind::Unspecified {
        reasons.push("it doesn't say what it is for: cutover, rollback, finalize, reboot, stop or delete".to_owned());
    } else if approve.kind() != expected.kind && expected.kind != ApprovalKind::Unspecified {
        reasons.push(format!("it is for {}, not for {}", word(approve.kind()), word(expected.kind)));
    }
    if approve.plan_hash != expected.plan_hash {
        reasons.push(format!(
            "it is for plan {}, but plan {} runs",
            short(&approve.plan_hash),
            short(expected.plan_hash)
        ));
    }
    if approve.epoch != expected.epoch {
        reasons.push(format!("it is for epoch {}, but epoch {} holds", approve.epoch, expected.epoch));
    }
    match humantime::parse_rfc3339_weak(&approve.expires_at) {
        Err(_) => reasons.push(format!("its expiry `{}` is no RFC 3339 time", approve.expires_at)),
        Ok(expiry) if expiry <= expected.now => reasons.push(format!("it expired at {}", approve.expires_at)),
        Ok(_) => {}
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// `cutover`, `rollback`, `finalize`, `reboot`, `stop` or `delete`.
pub fn word(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Unspecified => "nothing",
        ApprovalKind::Cutover => "cutover",
        ApprovalKind::Finalize => "finalize",
        ApprovalKind::Rollback => "rollback",
        ApprovalKind::Reboot => "reboot",
        ApprovalKind::Stop => "stop",
        ApprovalKind::Delete => "delete",
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(if hash.is_empty() { "(none)" } else { hash })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::time::{Duration, UNIX_EPOCH};

    fn good() -> Approve {
        Approve {
            approver: "ada".into(),
            reason: "checked".into(),
            plan_hash: "abc".into(),
            epoch: 3,
            expires_at: "1970-01-02T00:00:00Z".into(),
            kind: ApprovalKind::Cutover.into(),
            object: String::new(),
        }
    }

    fn expected() -> Expected<'static> {
        Expected { plan_hash: "abc", epoch: 3, kind: ApprovalKind::Cutover, now: UNIX_EPOCH + Duration::from_secs(60) }
    }

    #[test]
    fn a_good_one_counts() {
        assert_eq!(check(&good(), &expected()), Ok(()));
    }

    #[rstest]
    #[case::anonymous(|a: &mut Approve| a.approver = " ".into(), "approver")]
    #[case::no_reason(|a: &mut Approve| a.reason.clear(), "reason")]
    #[case::other_plan(|a: &mut Approve| a.plan_hash = "x".into(), "plan")]
    #[case::old_epoch(|a: &mut Approve| a.epoch = 2, "epoch 2")]
    #[case::expired(|a: &mut Approve| a.expires_at = "1970-01-01T00:01:00Z".into(), "expired")]
    #[case::no_expiry(|a: &mut Approve| a.expires_at.clear(), "RFC 3339")]
    #[case::other_purpose(|a: &mut Approve| a.kind = ApprovalKind::Finalize.into(), "finalize")]
    #[case::rollback(|a: &mut Approve| a.kind = ApprovalKind::Rollback.into(), "rollback")]
    #[case::no_purpose(|a: &mut Approve| a.kind = 0, "what it is for")]
    fn each_flaw_is_named(#[case] spoil: fn(&mut Approve), #[case] word: &str) {
        let mut approve = good();
        spoil(&mut approve);
        let reasons = check(&approve, &expected()).unwrap_err();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].contains(word), "{reasons:?}");
    }
}
