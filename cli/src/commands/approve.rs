//! `changeover approve`

use std::time::{Duration, SystemTime};

use changeover_domain::{
    plan::{same_plan, short_hash},
    proto::{ApprovalKind, Approve, Status},
    stage::StageName,
};
use clap::ValueEnum;

use crate::{connect, exit::Exit, problem::Problem, ui::Ui};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum For {
    Cutover,
    Rollback,
    Finalize,
    /// The source's reboot, in a migration with an AWS half
    Reboot,
    /// Stopping the old instance, after finalize
    Stop,
    /// Deleting the old instance, after finalize; names it by --object
    Delete,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration
    #[arg(value_name = "NAME")]
    name: String,
    /// Who approves
    #[arg(long, value_name = "PERSON", env = "CHANGEOVER_APPROVER")]
    approver: String,
    /// Why it may be done
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What is approved; without it, what comes next
    #[arg(long = "for", value_name = "STEP")]
    kind: Option<For>,
    /// The identifier of the instance that is deleted
    #[arg(long, value_name = "IDENTIFIER")]
    object: Option<String>,
    /// How long the approval counts
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "24h")]
    expires: Duration,
    /// The plan that was read, as `changeover plan` prints it; without it, the plan that runs
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
    /// The epoch it is for; without it, the one that holds
    #[arg(long)]
    epoch: Option<u64>,
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let status = temporal.status(&args.name).await?;
    let approve = approve_of(args, &status, SystemTime::now());
    ui.say(&format!(
        "approving {} of {}: plan {}, epoch {}, until {}; {} serves",
        changeover_domain::approval::word(approve.kind()),
        args.name,
        short_hash(&approve.plan_hash),
        approve.epoch,
        approve.expires_at,
        status.serving,
    ));
    let kind = approve.kind();
    let accepted = temporal.approve(&args.name, approve).await?;
    if ui.json {
        ui.print_json(&accepted)?;
    } else {
        ui.print(&format!("{}: {}", args.name, accepted.message));
        ui.hint(&next_command(kind, &args.name));
    }
    Ok(Exit::Done)
}

fn approve_of(args: &Args, status: &Status, now: SystemTime) -> Approve {
    let kind = match args.kind {
        Some(For::Cutover) => ApprovalKind::Cutover,
        Some(For::Rollback) => ApprovalKind::Rollback,
        Some(For::Finalize) => ApprovalKind::Finalize,
        Some(For::Reboot) => ApprovalKind::Reboot,
        Some(For::Stop) => ApprovalKind::Stop,
        Some(For::Delete) => ApprovalKind::Delete,
        None if status.stage == StageName::Provision.word() => ApprovalKind::Reboot,
        None if status.serving == "target" => ApprovalKind::Finalize,
        None => ApprovalKind::Cutover,
    };
    let plan_hash = match &args.plan_hash {
        // The short form stands for the plan that runs; any other goes as it is, and is refused.
        Some(given) if !same_plan(given, &status.plan_hash) => given.clone(),
        _ => status.plan_hash.clone(),
    };
    // A duration beyond the end of time is as good as none: the migration refuses an expiry that is past.
    let expires =
        now.checked_add(args.expires).filter(|_| args.expires < Duration::from_secs(86_400 * 365 * 100)).unwrap_or(now);
    Approve {
        approver: args.approver.clone(),
        reason: args.reason.clone(),
        plan_hash,
        epoch: args.epoch.unwrap_or(status.epoch),
        expires_at: changeover_domain::rfc3339(expires),
        kind: kind.into(),
        object: args.object.clone().unwrap_or_default(),
    }
}

/// A cutover, a rollback and finalize are commands of their own; the rest goes on by itself.
fn next_command(kind: ApprovalKind, name: &str) -> String {
    match kind {
        ApprovalKind::Reboot | ApprovalKind::Stop | ApprovalKind::Delete => format!("changeover status {name} --watch"),
        kind => format!("changeover {} {name}", changeover_domain::approval::word(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use std::time::UNIX_EPOCH;

    fn args() -> Args {
        Args {
            name: "shop".into(),
            approver: "ada".into(),
            reason: "checked".into(),
            kind: None,
            object: None,
            expires: Duration::from_secs(3600),
            plan_hash: None,
            epoch: None,
        }
    }

    #[test]
    fn what_is_not_said_comes_from_the_status() {
        let approve = approve_of(&args(), &samples::waiting(), UNIX_EPOCH);
        assert_eq!(approve.kind(), ApprovalKind::Cutover);
        assert_eq!((approve.epoch, approve.plan_hash.as_str()), (0, "0123456789abcdef0123"));
        assert_eq!(approve.expires_at, "1970-01-01T01:00:00.000Z");
        assert_eq!(approve_of(&args(), &samples::soaking(), UNIX_EPOCH).kind(), ApprovalKind::Finalize);
    }

    #[test]
    fn what_is_said_counts_even_if_it_will_be_refused() {
        let said = |hash: &str| {
            approve_of(
                &Args { plan_hash: Some(hash.into()), epoch: Some(7), ..args() },
                &samples::waiting(),
                UNIX_EPOCH,
            )
        };
        assert_eq!(said("0123456789ab").plan_hash, "0123456789abcdef0123");
        assert_eq!(said("ffff").plan_hash, "ffff");
        assert_eq!(said("ffff").epoch, 7);
    }

    #[test]
    fn an_endless_approval_is_none() {
        let approve = approve_of(&Args { expires: Duration::MAX, ..args() }, &samples::waiting(), UNIX_EPOCH);
        assert_eq!(approve.expires_at, "1970-01-01T00:00:00.000Z");
    }
}
