#![allow(missing_docs)] // the macros make constants without documentation; what each does is said in the contract
//! The activities, one short function each.

use changeover_domain::{
    Direction, Failure, Side,
    fence::Fence,
    proto::{PreflightReport, Spec, SwitchRecord, VerifyTotals},
};
use changeover_postgres::{
    Migration, ddl_guard, drift,
    failpoint::{self, Step, step},
    gate, membership, pglogical, predecessor, preflight, roles, schema, switch, triggers, verify,
};
use changeover_traffic::PgBouncer;
use changeover_workflows::contract::{
    self, AwsDone, AwsInput, AwsPlanned, AwsUndoInput, AwsUndone, Directed, DriftLook, Evidence, FinalizeInput,
    HealthLook, HousekeepingInput, RolesDone, SwitchInput, SyncLook, UndoInput, Watch,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    aws,
    beat::{CALM, Doing, FAST, beating, beating_through, directed},
    finalize, undo,
};

/// The implementations of the workflow's contract.
pub struct Activities;

fn evidence(ctx: &ActivityContext, detail: impl Into<String>) -> Evidence {
    Evidence { detail: detail.into(), attempt: ctx.info().attempt, warnings: Vec::new() }
}

/// How many changes of the schema travel to the workflow.
const CHANGES_TOLD: usize = 10;
/// Attempts, with about 15 s between first and last, after which a preflight that was kept from seeing something says so.
const PREFLIGHT_ATTEMPTS: u32 = 5;

#[activities]
impl Activities {
    #[activity(definition = contract::Preflight)]
    pub async fn preflight(ctx: ActivityContext, spec: Spec) -> Result<PreflightReport, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            preflight::attempt(&migration, ctx.info().attempt >= PREFLIGHT_ATTEMPTS).await
        })
        .await
    }

    #[activity(definition = contract::EnsureHome)]
    pub async fn ensure_home(ctx: ActivityContext, spec: Spec) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            // With the memberships: the source's home can be made only with the rights of its databases' owners.
            membership::ensure(&migration, Side::Source).await?;
            Ok(evidence(&ctx, "the home schema is on both sides, memberships taken on the source"))
        })
        .await
    }

    #[activity(definition = contract::EnsureRoles)]
    pub async fn ensure_roles(ctx: ActivityContext, spec: Spec) -> Result<RolesDone, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = alone(&ctx, aws::resolve_with_roles(&spec).await?).await?;
            let outcome = roles::ensure(&migration).await?;
            membership::ensure(&migration, Side::Target).await?;
            let detail = format!(
                "{} roles created, {} were there; closed: none can log in on the target; {} passwords to be set by hand",
                outcome.created,
                outcome.existing,
                outcome.without_password.len()
            );
            let evidence = told(evidence(&ctx, detail), "CO0417", outcome.to_be_set);
            Ok(RolesDone { evidence, without_password: outcome.without_password })
        })
        .await
    }

    #[activity(definition = contract::EnsureSchema)]
    pub async fn ensure_schema(ctx: ActivityContext, spec: Spec) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            // Before the dump: a change between the two would go unseen.
            drift::baseline(&migration, Side::Source).await?;
            let outcome = schema::ensure_before_data(&migration).await?;
            let detail = format!("{} objects restored, {} tables with their keys", outcome.objects, outcome.tables);
            Ok(told(evidence(&ctx, detail), "CO0430", outcome.reported))
        })
        .await
    }

    #[activity(definition = contract::EnsureForward)]
    pub async fn ensure_forward(ctx: ActivityContext, spec: Spec) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            let mut warnings = Vec::new();
            for side in [Side::Source, Side::Target] {
                doing.now(format!("DDL guard on the {side}"));
                warnings.extend(ddl_guard::ensure(&migration, side).await?.warnings);
            }
            doing.now("nodes, sets and subscriptions");
            let outcome = pglogical::ensure_forward(&migration).await?;
            warnings.extend(outcome.warnings);
            let refused =
                if warnings.iter().any(|w| w.starts_with("CO0517")) { "" } else { "; DDL is refused until the end" };
            let detail = format!("replication of {} tables to the target has begun{refused}", outcome.tables);
            Ok(warned(evidence(&ctx, detail), warnings))
        })
        .await
    }

    #[activity(definition = contract::LookAtSync)]
    pub async fn look_at_sync(ctx: ActivityContext, spec: Spec) -> Result<SyncLook, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = aws::resolve(&spec).await?;
            let look = pglogical::sync_progress(&migration).await?;
            Ok(SyncLook { progress: look.progress, ready: look.ready, problems: look.problems })
        })
        .await
    }

    #[activity(definition = contract::FinishSchema)]
    pub async fn finish_schema(ctx: ActivityContext, spec: Spec) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        let heartbeat = {
            let doing = doing.clone();
            move |text: String| doing.now(text)
        };
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            let outcome = schema::ensure_after_data(&migration, &heartbeat).await?;
            let detail = format!("{} objects restored; triggers quiet on apply; analyzed", outcome.objects);
            Ok(told(evidence(&ctx, detail), "CO0430", outcome.reported))
        })
        .await
    }

    #[activity(definition = contract::LookAtLinks)]
    pub async fn look_at_links(ctx: ActivityContext, input: Directed) -> Result<HealthLook, ActivityError> {
        let doing = Doing::default();
        let work = async {
            let migration = aws::resolve(&input.spec).await?;
            let links = match input.watch {
                None => {
                    pglogical::unstick(&migration, input.direction).await?;
                    pglogical::health(&migration, input.direction).await?
                }
                Some(Watch { seconds, held_bytes }) => {
                    let time = std::time::Duration::from_secs(seconds);
                    pglogical::watch(&migration, input.direction, time, held_bytes).await?
                }
            };
            Ok(HealthLook { links })
        };
        let kind = if input.watch.is_some() { "watch." } else { "" };
        beating(&ctx, CALM, &doing, directed(&ctx, kind, input.direction, work)).await
    }

    #[activity(definition = contract::LookForDrift)]
    pub async fn look_for_drift(ctx: ActivityContext, input: Directed) -> Result<DriftLook, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = aws::resolve(&input.spec).await?;
            let drift = drift::check(&migration, input.direction.from_side()).await?;
            let changes = drift.iter().take(CHANGES_TOLD).map(tell).collect();
            Ok(DriftLook { changes, total: drift.len() as u64 })
        })
        .await
    }

    #[activity(definition = contract::Verify)]
    pub async fn verify(ctx: ActivityContext, input: Directed) -> Result<VerifyTotals, ActivityError> {
        let doing = Doing::default();
        let resume = ctx.heartbeat_details().deserialize::<verify::VerifyCursor>().ok().flatten();
        let cursor = std::sync::Mutex::new(resume.clone());
        let tick = |now: &verify::VerifyCursor| {
            *cursor.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(now.clone());
        };
        let work = async {
            let migration = begin(&ctx, &input.spec).await?;
            verify::run(&migration, input.direction, resume, &tick).await
        };
        let work = directed(&ctx, "", input.direction, work);
        let _unused = &doing;
        crate::beat::beating_with(
            &ctx,
            CALM,
            || cursor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            work,
        )
        .await
    }

    #[activity(definition = contract::EnsureReverse)]
    pub async fn ensure_reverse(ctx: ActivityContext, spec: Spec) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &spec).await?;
            triggers::quiet_replica_triggers(&migration, Side::Source).await?;
            step(Step::Quiet)?;
            let reverse = pglogical::ensure_reverse(&migration).await?;
            step(Step::Reverse)?;
            doing.now("the fence");
            let outcome = gate::ensure(&migration).await?;
            let fence = match outcome.fence {
                Fence::Lock => "fence lock".to_owned(),
                Fence::Gate => format!("fence gate, on {} tables of both sides", outcome.tables),
            };
            let evidence = evidence(&ctx, format!("replication target to source runs; {fence}"));
            Ok(warned(evidence, reverse.warnings))
        })
        .await
    }

    #[activity(definition = contract::Housekeeping)]
    pub async fn housekeeping(ctx: ActivityContext, input: HousekeepingInput) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &input.spec).await?;
            let traffic = PgBouncer::new(&migration)?;
            if input.direction == Direction::Forward {
                drift::baseline(&migration, Side::Target).await?;
            }
            switch::housekeeping(&migration, input.direction, input.epoch, &traffic).await?;
            let closed = input.direction.from_side();
            Ok(evidence(&ctx, format!("clients are served; the {closed} has no sessions left and follows")))
        })
        .await
    }

    #[activity(definition = contract::UndoActivity)]
    pub async fn undo(ctx: ActivityContext, input: UndoInput) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating_through(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &input.spec).await?;
            let name = format!("activity.undo.{}", input.undo.word());
            let detail = failpoint::around(&name, Box::pin(undo::run(&migration, input.undo))).await?;
            Ok(evidence(&ctx, detail))
        })
        .await
    }

    #[activity(definition = contract::Finalize)]
    pub async fn finalize(ctx: ActivityContext, input: FinalizeInput) -> Result<Evidence, ActivityError> {
        let doing = Doing::default();
        beating_through(&ctx, CALM, &doing, async {
            let migration = begin(&ctx, &input.spec).await?;
            let name = format!("activity.finalize.{}", input.step.word());
            let work = Box::pin(finalize::run(&migration, input.step, input.source_is_lost));
            let detail = failpoint::around(&name, work).await?;
            Ok(evidence(&ctx, detail))
        })
        .await
    }

    #[activity(definition = contract::AwsPlan)]
    pub async fn aws_plan(ctx: ActivityContext, input: AwsInput) -> Result<AwsPlanned, ActivityError> {
        let doing = Doing::default();
        doing.now(input.step.doing());
        beating(&ctx, CALM, &doing, async {
            let name = format!("activity.aws_plan.{}", input.step.word());
            failpoint::around(&name, Box::pin(aws::plan(input, &run_id(&ctx)))).await
        })
        .await
    }

    #[activity(definition = contract::AwsAct)]
    pub async fn aws_act(ctx: ActivityContext, input: AwsInput) -> Result<AwsDone, ActivityError> {
        let doing = Doing::default();
        doing.now(input.step.doing());
        beating(&ctx, CALM, &doing, async {
            let name = format!("activity.aws_act.{}", input.step.word());
            failpoint::around(&name, Box::pin(aws::act(input, ctx.info().attempt, &run_id(&ctx)))).await
        })
        .await
    }

    #[activity(definition = contract::AwsUndoActivity)]
    pub async fn aws_undo(ctx: ActivityContext, input: AwsUndoInput) -> Result<AwsUndone, ActivityError> {
        let doing = Doing::default();
        doing.now(input.undo.describe());
        beating_through(&ctx, CALM, &doing, async { Box::pin(aws::undo(input)).await }).await
    }
}

fn run_id(ctx: &ActivityContext) -> String {
    ctx.info().workflow_run_id.clone().unwrap_or_default()
}

/// The switch, which has a task queue of its own.
pub struct Switching;

#[activities]
impl Switching {
    #[activity(definition = contract::Switch)]
    pub async fn switch(ctx: ActivityContext, input: SwitchInput) -> Result<SwitchRecord, ActivityError> {
        let doing = Doing::default();
        beating_through(&ctx, FAST, &doing, switch_once(&input)).await
    }
}

/// The migration, with no session of an earlier attempt left that might hold something, or wake up. Activities that only look
/// resolve it themselves: their sessions hold nothing, and a watch that is tried again must not end what runs beside it.
async fn begin(ctx: &ActivityContext, spec: &Spec) -> Result<Migration, Failure> {
    alone(ctx, aws::resolve(spec).await?).await
}

async fn alone(ctx: &ActivityContext, migration: Migration) -> Result<Migration, Failure> {
    if ctx.info().attempt > 1 {
        predecessor::evict(&migration).await?;
    }
    Ok(migration)
}

/// With warnings: in the words for the audit trail, and apart for status.
fn warned(evidence: Evidence, warnings: Vec<String>) -> Evidence {
    let detail = [evidence.detail].into_iter().chain(warnings.iter().cloned()).collect::<Vec<_>>().join("; ");
    Evidence { detail, warnings, ..evidence }
}

/// With what a person should read, for status; the audit trail has the number.
fn told(evidence: Evidence, code: &str, lines: Vec<String>) -> Evidence {
    if lines.is_empty() {
        return evidence;
    }
    let detail = format!("{}; {} warnings", evidence.detail, lines.len());
    Evidence { detail, warnings: lines.into_iter().map(|line| format!("{code} {line}")).collect(), ..evidence }
}

fn tell(drift: &drift::Drift) -> String {
    let change = match drift.change {
        drift::Change::Added => "added",
        drift::Change::Removed => "removed",
        drift::Change::Changed => "changed",
    };
    format!("{}: {} {change}", drift.database, drift.object)
}

async fn switch_once(input: &SwitchInput) -> Result<SwitchRecord, Failure> {
    let migration = aws::resolve(&input.spec).await?;
    let traffic = PgBouncer::new(&migration)?;
    // What can't be read isn't known, and the gate refuses it.
    let verified_at = input.verified_at.as_deref().and_then(changeover_domain::from_rfc3339);
    let request = switch::SwitchRequest { direction: input.direction, epoch: input.epoch, verified_at };
    if input.settle {
        return switch::settle(&migration, &request, &traffic).await;
    }
    switch::run(&migration, &request, &traffic).await
}
