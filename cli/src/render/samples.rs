//! Statuses to render, shared by tests.

use changeover_domain::{
    proto::{
        ApprovalKind, Approve, Failure, Finding, LinkHealth, Progress, Severity, Spec, StageState, StageStatus, State,
        Status, SwitchRecord, VerifyTotals,
    },
    stage::{Stage, stages_of},
};

/// A status in `stage`, all stages before it done.
pub(crate) fn at(stage: &str, state: State) -> Status {
    let all: Vec<&Stage> = stages_of(&Spec::default()).collect();
    let at = all.iter().position(|s| s.word == stage).unwrap();
    let stages = all.iter().enumerate().map(|(index, row)| {
        let (state, started, ended) = match index.cmp(&at) {
            std::cmp::Ordering::Less => (StageState::Done, time(index), time(index + 1)),
            std::cmp::Ordering::Equal => (StageState::Running, time(index), String::new()),
            std::cmp::Ordering::Greater => (StageState::Pending, String::new(), String::new()),
        };
        StageStatus {
            stage: row.word.into(),
            title: row.title.into(),
            state: state.into(),
            attempts: u32::from(index <= at),
            started_at: started,
            ended_at: ended,
            evidence: String::new(),
        }
    });
    Status {
        migration: "shop".into(),
        state: state.into(),
        stage: stage.into(),
        serving: "source".into(),
        plan_hash: "0123456789abcdef0123".into(),
        stages: stages.collect(),
        started_at: time(0),
        updated_at: "2026-11-23T09:30:00.000Z".into(),
        ..Status::default()
    }
}

fn time(minutes: usize) -> String {
    format!("2026-11-23T08:{minutes:02}:00.000Z")
}

fn link(direction: &str) -> LinkHealth {
    LinkHealth {
        database: "shop".into(),
        direction: direction.into(),
        status: "replicating".into(),
        slot_active: true,
        wal_status: "reserved".into(),
        lag_bytes: 12_345,
        retained_wal_bytes: 4_000_000,
        canary_ms: Some(35),
        tables_total: 17,
        tables_ready: 17,
        ..LinkHealth::default()
    }
}

/// 42 % copied.
pub(crate) fn copying() -> Status {
    let mut status = at("copy", State::Running);
    status.doing = "starts replication source to target, copies all rows, polls until every table is ready".into();
    status.stages[0].evidence = "no blockers, 1 warning".into();
    status.progress = Some(Progress {
        bytes_done: 84_000_000,
        bytes_total: 200_000_000,
        rows_done: 420_000,
        rows_total: 1_000_000,
        tables_done: 3,
        tables_total: 17,
        bytes_per_second: 12_300_000.0,
        eta_seconds: Some(9),
    });
    let mut link = link("forward");
    link.status = "initializing".into();
    link.tables_ready = 3;
    link.canary_ms = None;
    status.links = vec![link];
    status.undo = vec!["remove replication source to target".into(), "empty the target's databases".into()];
    status.warnings = vec![Finding {
        code: "CO0321".into(),
        severity: Severity::Warning.into(),
        message: "audit.log has no key".into(),
        ..Finding::default()
    }];
    status
}

/// The target is ready.
pub(crate) fn waiting() -> Status {
    let mut status = at("approval", State::Waiting);
    status.doing = "the target is ready; watching lag, canary and schema".into();
    status.waiting_for = "a person: approval for the cutover".into();
    status.next_command = "changeover approve shop --for cutover".into();
    status.links = vec![link("forward"), link("reverse")];
    status.verified = Some(VerifyTotals {
        tables: 17,
        rows: 1_000_042,
        bytes: 201_000_000,
        chunks: 60,
        rechecked_keys: 12,
        ..VerifyTotals::default()
    });
    status.roles_without_password = vec!["app".into(), "report".into()];
    status
}

/// Stopped by a failure.
pub(crate) fn parked() -> Status {
    let mut status = at("catch_up", State::Parked);
    status.stages[5].state = StageState::Failed.into();
    status.stages[5].attempts = 3;
    status.doing = "stopped".into();
    status.waiting_for = "a person: free disk space on the target".into();
    status.next_command = "changeover retry shop   (or: changeover abort shop)".into();
    status.failure = Some(Failure {
        code: "CO0816".into(),
        class: "needs_human".into(),
        message: "replication of shop is down".into(),
        remedy: "free disk space on the target".into(),
        stage: "catch_up".into(),
    });
    let mut link = link("forward");
    link.status = "down".into();
    link.slot_active = false;
    link.problems = vec!["the apply worker doesn't run".into()];
    status.links = vec![link];
    status
}

/// Switched, in its soak.
pub(crate) fn soaking() -> Status {
    let mut status = at("soak", State::Running);
    status.serving = "target".into();
    status.epoch = 2;
    status.doing = "soaking: the target serves, the source follows".into();
    status.waiting_for = "the soak to end at 2026-11-23T10:30:00.000Z".into();
    status.soak_until = "2026-11-23T10:30:00.000Z".into();
    status.links = vec![link("reverse")];
    let record = |epoch, outcome: &str, pause_us, refusal: &str| SwitchRecord {
        epoch,
        direction: "forward".into(),
        outcome: outcome.into(),
        attempts: 1,
        pause_us,
        refusal: refusal.into(),
        ..SwitchRecord::default()
    };
    status.switches =
        vec![record(1, "abort", 301_200, "the fence's locks took longer than 300 ms"), record(2, "open", 87_654, "")];
    status.approvals = vec![Approve {
        approver: "ada".into(),
        reason: "checked by hand".into(),
        epoch: 0,
        expires_at: "2026-11-24T08:00:00.000Z".into(),
        kind: ApprovalKind::Cutover.into(),
        ..Approve::default()
    }];
    status
}

/// Over.
pub(crate) fn finished() -> Status {
    let mut status = soaking();
    status.state = State::Finished.into();
    status.stage = "finalize".into();
    status.doing = "finished: the target serves, nothing is left of the migration".into();
    status.waiting_for.clear();
    status.soak_until.clear();
    status.links.clear();
    for (index, row) in status.stages.iter_mut().enumerate() {
        row.state = StageState::Done.into();
        row.started_at = time(index);
        row.ended_at = time(index + 1);
        row.attempts = 1;
    }
    status
}
