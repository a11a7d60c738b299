//! `changeover rollback`: with its approval in the same breath, so that an emergency takes one command.

use std::time::{Duration, SystemTime};

use changeover_domain::proto::{ApprovalKind, Approve, Control, Status};

use super::{confirm, control::Confirmed};
use crate::{client::Verb, exit::Exit, problem::Problem, ui::Ui};

/// How long an approval counts that is given with the command: it's used at once, or refused.
const AT_ONCE: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    confirmed: Confirmed,
    /// Who approves it, with --reason; left out, `changeover approve --for rollback` must have been said before
    #[arg(long, value_name = "PERSON", env = "CHANGEOVER_APPROVER", requires = "reason")]
    approver: Option<String>,
}

pub(super) async fn run(ui: &Ui, args: &RollbackArgs) -> Result<Exit, Problem> {
    let control = |status: &Status| control_of(args, status, SystemTime::now());
    args.confirmed.run_with(ui, Verb::Rollback, confirm::what(Verb::Rollback), control).await
}

fn control_of(args: &RollbackArgs, status: &Status, now: SystemTime) -> Control {
    let plain = args.confirmed.args.control();
    let approval = args.approver.as_ref().map(|approver| Approve {
        approver: approver.clone(),
        reason: plain.reason.clone(),
        plan_hash: status.plan_hash.clone(),
        epoch: status.epoch,
        expires_at: changeover_domain::rfc3339(now + AT_ONCE),
        kind: ApprovalKind::Rollback.into(),
        object: String::new(),
    });
    // Whoever approves it is who says it, unless somebody else is named.
    let actor =
        args.confirmed.args.actor.clone().or_else(|| args.approver.clone()).unwrap_or_else(|| plain.actor.clone());
    Control { actor, approval, ..plain }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use clap::Parser;

    use super::*;
    use crate::render::samples;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: RollbackArgs,
    }

    fn typed(words: &[&str]) -> Control {
        let args = Typed::parse_from(["rollback", "shop"].iter().chain(words)).args;
        control_of(&args, &samples::soaking(), UNIX_EPOCH)
    }

    #[test]
    fn the_approval_is_for_this_plan_and_epoch_and_for_minutes() {
        let control = typed(&["--approver", "ada", "--reason", "errors"]);
        let approval = control.approval.unwrap();
        assert_eq!((control.actor.as_str(), control.reason.as_str()), ("ada", "errors"));
        assert_eq!((approval.approver.as_str(), approval.reason.as_str()), ("ada", "errors"));
        assert_eq!(approval.kind(), ApprovalKind::Rollback);
        assert_eq!((approval.plan_hash, approval.epoch), (samples::soaking().plan_hash, samples::soaking().epoch));
        assert_eq!(approval.expires_at, "1970-01-01T00:10:00.000Z");
    }

    #[test]
    fn without_an_approver_an_earlier_approval_has_to_count() {
        assert_eq!(typed(&["--actor", "bob"]).approval, None);
        assert_eq!(typed(&["--actor", "bob", "--approver", "ada", "--reason", "r"]).actor, "bob");
    }
}
