//! A migration's state: what status shows, what continue-as-new carries. Everything in here is data and pure.

use std::{collections::BTreeMap, time::SystemTime};

use changeover_domain::{
    Direction, Failure,
    aws::{
        provision::{AwsFacts, AwsStep, PROVISION},
        undo::AwsUndo,
    },
    history,
    progress::Rate,
    proto::{
        ApprovalKind, Approve, AuditEvent, Control, Finding, History, Severity, Spec, StageState, StageStatus,
        State as Phase, Status, SwitchRecord,
    },
    stage::{STAGES, Stage, StageName, stages_of},
    undo::Regime,
    wal::Pile,
};
use serde::{Deserialize, Serialize};

use super::looks::Looks;

/// Who does what nobody told it to.
pub const ITSELF: &str = "changeover";

/// A migration's whole state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The spec that was accepted.
    pub spec: Spec,
    /// The hash of the plan that was read.
    pub plan_hash: String,
    /// Where it is.
    pub stage: StageName,
    /// Which side serves, with the undo stack.
    pub regime: Regime,
    /// Raised by each attempt to switch.
    pub epoch: u64,
    /// What status shows; the fields above are filled in when it's asked.
    pub status: Status,
    /// The audit trail.
    pub audit: Vec<AuditEvent>,
    /// The copy's rate.
    pub rate: Rate,
    /// Set while `pause` holds.
    pub paused: bool,
    /// The last known workflow time.
    pub now: SystemTime,
    /// What people have asked for and nobody has acted on yet.
    pub asked: Asked,
    /// When the soak ends.
    pub soak_until: Option<SystemTime>,
    /// The soak has compared every row.
    pub soak_verified: bool,
    /// When the last comparison of all rows began, if it found no difference and nothing has made it worthless since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<SystemTime>,
    /// The switch after which nobody has tidied up yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untidied: Option<(Direction, u64)>,
    /// A person has said that the source is gone for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_lost: bool,
    /// Finalize has begun to take things down: there is no way back to the soak.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_down: bool,
    /// An attempt to switch whose activity failed: nobody knows yet which side serves. Settled before anything else is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<(Direction, u64)>,
    /// The slot of the way back has lost its WAL while the target serves, and it was said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub way_back_is_lost: bool,
    /// Every row is being compared, and nobody looks at links meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comparing: bool,
    /// Deployments are awaited, and nobody looks at links meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deploying: bool,
    /// The last looks at the WAL that slots hold back, by direction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub piles: BTreeMap<String, Pile>,
    /// What is remembered from look to look.
    #[serde(default)]
    pub looks: Looks,
    /// Carried over from an earlier run in the midst of a stage's looks: the stage isn't begun again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
    /// The earlier run was waiting for a person to go on with what had failed, or with what was paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// The number of events after which this run ends, told by the one before it, or by its own beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<u32>,
    /// The AWS half, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsState>,
    /// Where a rollback that was asked for is to begin.
    pub ended: bool,
}

/// How far the AWS half is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwsState {
    /// The next step of `provision`; nothing when all are done.
    pub next: Option<AwsStep>,
    /// What is known.
    pub facts: AwsFacts,
    /// A switch has opened a side whose endpoint isn't published yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpublished: bool,
    /// Deployments haven't read yet what was published last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undeployed: bool,
    /// Before this time it isn't tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_after: Option<SystemTime>,
    /// It has failed where nobody looks any more after it, and a person has heard of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deploy_failed: bool,
    /// Finalize has removed everything from the servers: only the old instance is left to be dealt with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ending: bool,
    /// What of the end is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<AwsStep>,
    /// The instance that an approval of its deletion has named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub named: String,
    /// What an abort has to undo, first to last. It has a stack of its own, since most of it outlives the switch, and nothing of it is
    /// undone after one.
    pub undo: Vec<AwsUndo>,
}

impl Default for AwsState {
    fn default() -> Self {
        let next = PROVISION.first().copied();
        let facts = AwsFacts::default();
        Self {
            next,
            facts,
            unpublished: false,
            undeployed: false,
            deploy_after: None,
            deploy_failed: false,
            ending: false,
            ended: Vec::new(),
            named: String::new(),
            undo: Vec::new(),
        }
    }
}

impl AwsState {
    /// Keeps an undo, before its act. Of parameters that were set by an earlier plan the first values count.
    pub fn push(&mut self, undo: AwsUndo) {
        if let AwsUndo::SetBack { side, group, values } = &undo {
            let same = |known: &&mut AwsUndo| matches!(known, AwsUndo::SetBack { side: s, group: g, .. } if s == side && g == group);
            if let Some(AwsUndo::SetBack { values: known, .. }) = self.undo.iter_mut().find(same) {
                for (name, was) in values {
                    known.entry(name.clone()).and_modify(|known| known.again(was)).or_insert_with(|| was.clone());
                }
                return;
            }
        }
        if !self.undo.contains(&undo) {
            self.undo.push(undo);
        }
    }
}

/// What a run was waiting for a person in when another one went on in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// Paused before a stage.
    Paused,
    /// Parked in a stage.
    Parked,
    /// Parked within an abort.
    Undoing,
}

/// Controls that wait to be acted on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Asked {
    /// `retry`
    pub retry: Option<Control>,
    /// `abort`
    pub abort: Option<Control>,
    /// `cutover`
    pub cutover: Option<Control>,
    /// `rollback`
    pub rollback: Option<Control>,
    /// `finalize`
    pub finalize: Option<Control>,
    /// Nobody: a slot holds back more WAL than it may, and this is why the way through the stages has to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_is_full: Option<Failure>,
}

impl State {
    /// The state of a migration that begins.
    pub fn new(spec: Spec, plan_hash: String, now: SystemTime) -> Self {
        let stage = StageName::first_of(&spec);
        let stages = stages_of(&spec).map(pending).collect();
        let status = Status {
            migration: spec.name.clone(),
            state: Phase::Running.into(),
            stages,
            started_at: time(now),
            ..Status::default()
        };
        Self {
            spec,
            plan_hash,
            stage,
            regime: Regime::default(),
            epoch: 0,
            status,
            audit: Vec::new(),
            rate: Rate::default(),
            paused: false,
            now,
            asked: Asked::default(),
            soak_until: None,
            soak_verified: false,
            verified_at: None,
            untidied: None,
            source_lost: false,
            taken_down: false,
            unsettled: None,
            way_back_is_lost: false,
            comparing: false,
            deploying: false,
            piles: BTreeMap::new(),
            looks: Looks::default(),
            continued: false,
            rest: None,
            enough: None,
            aws: None,
            ended: false,
        }
    }

    /// This state for the run that goes on in its place: in the midst of a stage's looks, or of a person's rest.
    pub fn carried(&self, rest: Option<Rest>) -> Self {
        let mut next = Self { continued: rest.is_none(), rest, ..self.clone() };
        // Told, not measured anew by each run: what a later version measures must not change when a run of this one has ended.
        next.enough = Some(next.measure());
        next
    }

    /// The number of events after which a run ends that begins with this state.
    pub fn measure(&self) -> u32 {
        let bytes = |json: serde_json::Result<Vec<u8>>| json.map_or(usize::MAX, |json| json.len());
        history::enough(bytes(serde_json::to_vec(self)), bytes(serde_json::to_vec(&self.spec)))
    }

    /// What status shows.
    pub fn view(&self) -> Status {
        let mut status = self.status.clone();
        status.stage = self.stage.word().to_owned();
        status.serving = self.regime.serving().word().to_owned();
        status.epoch = self.epoch;
        status.plan_hash = self.plan_hash.clone();
        status.undo = self.undo_descriptions();
        status.soak_until = self.soak_until.map(time).unwrap_or_default();
        status.updated_at = time(self.now);
        status
    }

    /// What an abort would do, last first; nothing once the target serves.
    fn undo_descriptions(&self) -> Vec<String> {
        let aws = self.aws.iter().filter(|_| matches!(self.regime, Regime::Before(_)));
        let aws = aws.flat_map(|aws| aws.undo.iter().rev().map(AwsUndo::describe));
        self.regime.undo_descriptions().into_iter().chain(aws).collect()
    }

    /// The audit trail.
    pub fn history(&self) -> History {
        History { events: self.audit.clone() }
    }

    /// Writes into the audit trail.
    pub fn record(&mut self, actor: &str, event: &str, detail: impl Into<String>) {
        self.audit.push(AuditEvent {
            number: self.audit.len() as u64 + 1,
            at: time(self.now),
            actor: actor.to_owned(),
            event: event.to_owned(),
            stage: self.stage.word().to_owned(),
            detail: detail.into(),
        });
    }

    /// The words of the last event of that name in the audit trail.
    pub fn last_detail(&self, event: &str) -> String {
        self.audit.iter().rfind(|e| e.event == event).map(|e| e.detail.clone()).unwrap_or_default()
    }

    /// By its word: a run that an earlier version began has no row for a stage of a later one.
    fn row(&mut self, stage: StageName) -> &mut StageStatus {
        let rows = &mut self.status.stages;
        let at = rows.iter().position(|row| row.stage == stage.word()).unwrap_or_else(|| {
            rows.push(pending(stage.row()));
            rows.len() - 1
        });
        &mut rows[at]
    }

    /// A stage begins, or is tried again.
    pub fn begin(&mut self, stage: StageName) {
        let now = time(self.now);
        self.stage = stage;
        self.looks = Looks { since: Some(self.now), ..Looks::default() };
        self.set(Phase::Running, stage.row().does, "", "");
        let row = self.row(stage);
        if row.state() != StageState::Running {
            row.started_at = now;
        }
        row.state = StageState::Running.into();
        row.ended_at.clear();
        row.attempts += 1;
        let again = row.attempts > 1;
        self.record(ITSELF, if again { "stage_tried_again" } else { "stage_started" }, stage.row().does);
    }

    /// A stage is done.
    pub fn done(&mut self, stage: StageName, evidence: impl Into<String>) {
        let (now, evidence) = (time(self.now), evidence.into());
        let row = self.row(stage);
        row.state = StageState::Done.into();
        row.ended_at = now;
        row.evidence.clone_from(&evidence);
        self.record(ITSELF, "stage_done", evidence);
    }

    /// A stage has failed and waits for a person.
    pub fn park(&mut self, failure: &Failure) {
        let stage = self.stage;
        self.row(stage).state = StageState::Failed.into();
        self.status.failure = Some(failure.to_proto(stage.word()));
        let name = self.spec.name.clone();
        let next = match self.regime {
            Regime::Before(_) => format!("changeover retry {name}   (or: changeover abort {name})"),
            Regime::After(_) => {
                format!("changeover retry {name}   (or: changeover rollback {name} --approver WHO --reason WHY)")
            }
        };
        self.set(Phase::Parked, "stopped", &format!("a person: {}", failure.remedy), &next);
        self.record(ITSELF, "parked", failure.to_string());
    }

    /// Sets what status says of the moment.
    pub fn set(&mut self, phase: Phase, doing: &str, waiting_for: &str, next_command: &str) {
        self.status.state = phase.into();
        doing.clone_into(&mut self.status.doing);
        waiting_for.clone_into(&mut self.status.waiting_for);
        next_command.clone_into(&mut self.status.next_command);
        if phase != Phase::Parked {
            self.status.failure = None;
        }
    }

    /// Sets the warnings about one thing; those about others stay. Each is a code, a space and the words.
    pub fn warn_about(&mut self, what: &str, warnings: &[String]) {
        self.status.warnings.retain(|finding| finding.object != what);
        self.status.warnings.extend(warnings.iter().map(|warning| {
            let (code, message) = warning.split_once(' ').unwrap_or(("", warning));
            Finding {
                code: code.to_owned(),
                severity: Severity::Warning.into(),
                object: what.to_owned(),
                message: message.to_owned(),
                ..Finding::default()
            }
        }));
    }

    /// A person has said that the source is gone, and nobody has acted on it yet.
    pub fn source_given_up(&self) -> bool {
        self.asked.finalize.as_ref().is_some_and(|control| control.source_is_lost)
    }

    /// Marks the stages that an abort has undone.
    pub fn undone(&mut self) {
        for row in &mut self.status.stages {
            if row.state() != StageState::Pending {
                row.state = StageState::Undone.into();
            }
        }
    }

    /// Puts stages back to pending.
    pub fn reopen(&mut self, stages: &[StageName]) {
        for stage in stages {
            let row = self.row(*stage);
            row.state = StageState::Pending.into();
            row.ended_at.clear();
            row.evidence.clear();
        }
    }

    /// Puts the stages from `from` on back to pending, for a second way to the switch after a rollback.
    pub fn reopen_from(&mut self, from: StageName) {
        let stages: Vec<StageName> = STAGES.iter().map(|row| row.name).skip(from as usize).collect();
        self.reopen(&stages);
        self.soak_until = None;
        self.soak_verified = false;
        self.verified_at = None;
        self.status.approvals.clear();
        self.asked = Asked { abort: self.asked.abort.take(), ..Asked::default() };
    }

    /// Lets go of what people asked for before it was known which side serves; an abort or a rollback is noted as refused.
    pub fn forget_what_was_asked(&mut self, why: &str) {
        let asked = std::mem::take(&mut self.asked);
        for (verb, control) in [("abort", asked.abort), ("rollback", asked.rollback)] {
            if let Some(control) = control {
                self.record(&control.actor, "refused", format!("{verb}: {why}"));
            }
        }
    }

    /// Keeps an approval.
    pub fn approve(&mut self, approve: Approve) {
        let detail = format!(
            "{} for epoch {} of plan {}, until {}: {}",
            changeover_domain::approval::word(approve.kind()),
            approve.epoch,
            approve.plan_hash.get(..12).unwrap_or(&approve.plan_hash),
            approve.expires_at,
            approve.reason
        );
        self.record(&approve.approver.clone(), "approved", detail);
        self.forget_approval(approve.kind());
        self.status.approvals.push(approve);
    }

    /// Lets go of approvals that have served.
    pub fn forget_approval(&mut self, kind: ApprovalKind) {
        self.status.approvals.retain(|approve| approve.kind() != kind);
    }

    /// A switch or rollback has ended, one way or the other.
    pub fn switched(&mut self, direction: Direction, record: SwitchRecord) {
        let (opened, epoch) = (record.outcome == "open", record.epoch);
        let detail = format!(
            "{} epoch {}: {} after {} attempts, writes waited {:.1} ms {}",
            record.direction,
            record.epoch,
            record.outcome,
            record.attempts.max(1),
            record.pause_us as f64 / 1_000.0,
            record.refusal
        );
        self.record(ITSELF, if opened { "switched" } else { "switch_not_done" }, detail.trim_end().to_owned());
        self.status.switches.push(record);
        if opened {
            self.regime = std::mem::take(&mut self.regime).opened(direction);
            self.untidied = Some((direction, epoch));
            let publishes = self.spec.aws.as_ref().is_some_and(|aws| !aws.publish.is_empty());
            if let Some(aws) = self.aws.as_mut().filter(|_| publishes) {
                aws.unpublished = true;
                // What was published before isn't to be read any more.
                aws.undeployed = false;
            }
        }
    }
}

fn pending(stage: &Stage) -> StageStatus {
    StageStatus {
        stage: stage.word.to_owned(),
        title: stage.title.to_owned(),
        state: StageState::Pending.into(),
        ..StageStatus::default()
    }
}

/// RFC 3339 with milliseconds.
pub fn time(at: SystemTime) -> String {
    changeover_domain::rfc3339(at)
}
