//! The AWS half: what is made before anything is replicated, published at each switch, undone by an abort, ended after finalize.
//!
//! Each step is planned, its undo is kept, then it is done by one call or many with a durable timer between them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use changeover_domain::{
    Failure, Side,
    aws::{
        provision::{AwsFacts, AwsStep, deploys, fill_in},
        stored,
        undo::{AwsUndo, Kind},
    },
    from_rfc3339,
    proto::{ApprovalKind, State as Phase},
    stage::StageName,
};
use temporalio_workflow::{WorkflowContext, WorkflowTermination};

use super::{
    Migration,
    call::{Limits, Stop, call, call_through, call_until, stop_asked},
    drive::Step,
    stages::{poll_interval, spec},
    state::{AwsState, ITSELF, State},
    unwind::{park, wait_for_retry},
    wait::{between_looks, continue_when_long, pause, stop_wanted},
};
use crate::{
    contract::{AwsAct, AwsDone, AwsInput, AwsPlan, AwsPlanned, AwsUndoActivity, AwsUndoInput, AwsUndone},
    patches,
};

/// A reboot takes a minute or two, and its activity measures it.
const REBOOT_SECONDS: u64 = 3_600;
/// What takes AWS minutes isn't looked at more often than this.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks it is looked at more calmly, and after as many more again.
const CALMER: u32 = 6;
/// Seldomer than this it never is.
const CALM: Duration = Duration::from_secs(30);
/// One attempt to have deployments read the endpoint.
const DEPLOYED: Duration = Duration::from_secs(900);
/// Between a deployment that failed and the next attempt.
const DEPLOY_AGAIN: Duration = Duration::from_secs(60);
/// What another network takes to be joined takes minutes at most.
const JOINED: Duration = Duration::from_secs(1_800);
/// While a person is waited for, nothing changes by itself.
const DAY: Duration = Duration::from_secs(86_400);
/// What warnings of steps are filed under, with the step's word behind it.
pub(super) const WARNED: &str = "AWS: ";
/// What warnings about publishing are filed under.
const PUBLISHING: &str = "published endpoint";
/// The same for what follows it.
const DEPLOYING: &str = "deployment";

/// Takes in what was planned, with what undoes it; returns what has to be approved.
fn take(ctx: &WorkflowContext<Migration>, planned: AwsPlanned) -> Option<String> {
    known(ctx, |aws| {
        aws.facts = planned.facts;
        planned.undo.into_iter().for_each(|undo| aws.push(undo));
    });
    planned.approve
}

/// Whether a switch has opened a side whose endpoint isn't published yet.
fn is_unpublished(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.state(|m| m.state.aws.as_ref().is_some_and(|aws| aws.unpublished))
}

fn known<T>(ctx: &WorkflowContext<Migration>, look: impl FnOnce(&mut AwsState) -> T) -> T {
    ctx.state_mut(|m| look(m.state.aws.get_or_insert_default()))
}

/// The stage: all steps from where it is.
pub(super) async fn provision(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    while let Some(step) = known(ctx, |aws| aws.next) {
        one(ctx, step).await?;
        let next = ctx.state(|m| m.state.spec.aws.as_ref().and_then(|aws| step.next(aws)));
        known(ctx, |aws| aws.next = next);
    }
    let facts = known(ctx, |aws| aws.facts.clone());
    Ok(ctx.state_mut(|m| {
        fill_in(&mut m.state.spec, &facts);
        m.state.done(StageName::Provision, told(&facts));
        Step::To(StageName::Preflight)
    }))
}

fn told(facts: &AwsFacts) -> String {
    let (host, port) = facts.target.clone().unwrap_or_default();
    let away =
        facts.away_ms.map_or_else(String::new, |ms| format!("; the source's reboot kept clients away for {ms} ms"));
    format!("the target is at {host}:{port}, encrypted with {}{away}", facts.key)
}

async fn one(ctx: &WorkflowContext<Migration>, step: AwsStep) -> Result<(), Stop> {
    say(ctx, step.doing());
    let planned = call(ctx, AwsPlan, input(ctx, step), Limits::short()).await?;
    if let Some(what) = take(ctx, planned) {
        approved(ctx, ApprovalKind::Reboot, &what).await?;
        say(ctx, step.doing());
    }
    let done = act(ctx, step).await;
    if step == AwsStep::Reboot {
        // It was for one reboot.
        ctx.state_mut(|m| m.state.forget_approval(ApprovalKind::Reboot));
    }
    done.map(drop)
}

/// Keeps applications' logins, once the roles have their passwords.
pub(super) async fn role_secrets(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| !stored::role_secrets(&m.state.spec).is_empty()) {
        one(ctx, AwsStep::RoleSecrets).await?;
    }
    Ok(())
}

/// Calls a step until it is done.
async fn act(ctx: &WorkflowContext<Migration>, step: AwsStep) -> Result<AwsDone, Stop> {
    let mut looks = 0;
    let began = ctx.state(|m| m.state.now);
    loop {
        let limits = if step == AwsStep::Reboot { Limits::stage(REBOOT_SECONDS) } else { Limits::short() };
        let done = call(ctx, AwsAct, input(ctx, step), limits).await?;
        known(ctx, |aws| aws.facts = done.facts.clone());
        match &done.goes_on {
            Some(status) => {
                say(ctx, &format!("{}: {status}", step.doing()));
                check_joining(ctx, step, began, status)?;
                looks += 1;
                between_looks(ctx, next_look(ctx, looks)).await?;
            }
            None => {
                note(ctx, step, &done);
                return Ok(done);
            }
        }
    }
}

/// A peering that gets no further, for a reason that EC2 has no word of, isn't waited for for ever. CO1041.
fn check_joining(ctx: &WorkflowContext<Migration>, step: AwsStep, began: SystemTime, status: &str) -> Result<(), Stop> {
    let lasted = ctx.state(|m| m.state.now.duration_since(began).unwrap_or_default());
    if !matches!(step, AwsStep::Peering | AwsStep::Ways) || lasted < JOINED {
        return Ok(());
    }
    let message = format!("the two networks aren't joined after {} min: {status}", lasted.as_secs() / 60);
    let remedy = "see the peering in both accounts, mend what holds it up, then `changeover retry`";
    Err(Stop::Failed(Failure::needs_human("CO1041", message, remedy)))
}

/// The pause until the next look at what AWS is doing: an hour of it is some hundred events.
fn next_look(ctx: &WorkflowContext<Migration>, looks: u32) -> Duration {
    let every = poll_interval(ctx).max(LOOK);
    (every * (1 + looks / CALMER)).min(every.max(CALM))
}

fn note(ctx: &WorkflowContext<Migration>, step: AwsStep, done: &AwsDone) {
    ctx.state_mut(|m| {
        m.state.record(ITSELF, "provisioned", format!("{}: {}", step.word(), done.detail));
        m.state.warn_about(&format!("{WARNED}{}", step.word()), &done.warnings);
    });
}

fn say(ctx: &WorkflowContext<Migration>, doing: &str) {
    ctx.state_mut(|m| m.state.set(Phase::Running, doing, "", ""));
}

fn input(ctx: &WorkflowContext<Migration>, step: AwsStep) -> AwsInput {
    let AwsState { facts, named, .. } = known(ctx, |aws| aws.clone());
    ctx.state(|m| AwsInput {
        spec: m.state.spec.clone(),
        step,
        facts,
        serving: m.state.regime.serving(),
        switched_at: switched_at(&m.state),
        named,
        approved_until: approved_until(&m.state, step),
        deploys: false,
    })
}

/// Which approval a step is done by.
fn approval_of(step: AwsStep) -> Option<ApprovalKind> {
    match step {
        AwsStep::Reboot | AwsStep::RebootBack => Some(ApprovalKind::Reboot),
        AwsStep::Stop => Some(ApprovalKind::Stop),
        AwsStep::Delete => Some(ApprovalKind::Delete),
        _ => None,
    }
}

/// The worker looks at it again, when it comes to it.
fn approved_until(state: &State, step: AwsStep) -> String {
    let given = |kind| state.status.approvals.iter().find(|approve| approve.kind() == kind);
    approval_of(step).and_then(given).map(|approve| approve.expires_at.clone()).unwrap_or_default()
}

/// When the target was opened for the last time, seconds since 1970.
fn switched_at(state: &State) -> i64 {
    let opened =
        state.status.switches.iter().rev().find(|record| record.outcome == "open" && record.direction == "forward");
    let at = opened.and_then(|record| from_rfc3339(&record.ended_at)).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    at.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

/// Waits until a person has approved, for weeks if need be.
async fn approved(ctx: &WorkflowContext<Migration>, kind: ApprovalKind, what: &str) -> Result<(), Stop> {
    let valid = move |state: &State| state.valid_approval(kind).is_ok();
    let word = changeover_domain::approval::word(kind);
    loop {
        ctx.state_mut(|m| {
            let aws = m.state.spec.aws.as_ref();
            let object = aws
                .filter(|_| kind == ApprovalKind::Delete)
                .map_or_else(String::new, |aws| format!(" --object {}", aws.instance));
            let next = format!("changeover approve {} --for {word}{object}", m.state.spec.name);
            m.state.set(Phase::Waiting, what, &format!("a person: approval to {word}"), &next);
        });
        pause(ctx, DAY, |state| valid(state) || stop_wanted(state)).await;
        if ctx.state(|m| stop_wanted(&m.state)) {
            return Err(stop_asked(ctx));
        }
        if ctx.state(|m| valid(&m.state)) {
            return Ok(());
        }
        continue_when_long(ctx)?;
    }
}

/// Marks the target, before a switch to it: what has served isn't deleted by an abort.
pub(super) async fn mark_served(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| m.state.spec.aws.is_none()) {
        return Ok(());
    }
    act(ctx, AwsStep::Served).await.map(drop)
}

/// Publishes the endpoint of the side that a switch has opened, where that is still to be done. A failure is shown and tried again at the
/// next look: traffic and the run have nothing to do with it.
pub(super) async fn publish(ctx: &WorkflowContext<Migration>) {
    if !is_unpublished(ctx) {
        return;
    }
    if let Err(failure) = publish_once(ctx).await {
        let warning = format!("{} {}; it is tried again", failure.code, failure.message);
        ctx.state_mut(|m| m.state.warn_about(PUBLISHING, &[warning]));
    }
}

/// Nothing interrupts it: which side a parameter names must not be in doubt.
async fn publish_once(ctx: &WorkflowContext<Migration>) -> Result<(), Failure> {
    let planned = call_through(ctx, AwsPlan, input(ctx, AwsStep::Publish), Limits::at_leisure()).await?;
    take(ctx, planned);
    let deploys = ctx.state(|m| m.state.spec.aws.as_ref().is_some_and(deploys));
    // Runs that were begun before have their deployments with the publication.
    let together = deploys && !patches::deploys_apart(ctx);
    let timeout = if together { DEPLOYED } else { Limits::at_leisure().timeout };
    let limits = Limits { timeout, attempts: 1, ..Limits::at_leisure() };
    let input = AwsInput { deploys: together, ..input(ctx, AwsStep::Publish) };
    let done = call_through(ctx, AwsAct, input, limits).await?;
    known(ctx, |aws| {
        aws.facts = done.facts;
        aws.unpublished = false;
        aws.undeployed = deploys && !together;
        aws.deploy_after = None;
        aws.deploy_failed = false;
    });
    ctx.state_mut(|m| {
        m.state.warn_about(PUBLISHING, &[]);
        m.state.record(ITSELF, "published", done.detail);
    });
    Ok(())
}

/// After one that failed, looks come first for a while.
fn is_time_to_deploy(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.state(|m| m.state.aws.as_ref().and_then(|aws| aws.deploy_after).is_none_or(|after| m.state.now >= after))
}

fn is_undeployed(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.state(|m| m.state.aws.as_ref().is_some_and(|aws| aws.undeployed))
}

/// Once at a look: it is tried again at the next one.
fn input_to_deploy(ctx: &WorkflowContext<Migration>) -> (AwsInput, Limits) {
    let limits = Limits { timeout: DEPLOYED, attempts: 1, ..Limits::at_leisure() };
    (input(ctx, AwsStep::Deploy), limits)
}

/// Has deployments read what was published, and waits for them. A person's word ends the wait: a rollback doesn't wait for a deployment
/// that it makes needless. Slots are watched meanwhile.
pub(super) async fn deploy(ctx: &WorkflowContext<Migration>) {
    let ends = |state: &State| stop_wanted(state) || state.asked.cutover.is_some() || state.asked.finalize.is_some();
    // What isn't published yet isn't what deployments are to read; and none is begun to be ended at once.
    if !is_undeployed(ctx) || is_unpublished(ctx) || !is_time_to_deploy(ctx) || ctx.state(|m| ends(&m.state)) {
        return;
    }
    ctx.state_mut(|m| {
        m.state.deploying = true;
        AwsStep::Deploy.doing().clone_into(&mut m.state.status.doing);
    });
    let (input, limits) = input_to_deploy(ctx);
    let ended = call_until(ctx, AwsAct, input, limits, ends).await;
    ctx.state_mut(|m| m.state.deploying = false);
    match ended {
        Some(Ok(done)) => deployed(ctx, &done),
        Some(Err(failure)) => {
            let warning = format!("{} {}; it is tried again", failure.code, failure.message);
            ctx.state_mut(|m| m.state.warn_about(DEPLOYING, &[warning]));
            let now = ctx.state(|m| m.state.now);
            known(ctx, |aws| aws.deploy_after = Some(now + DEPLOY_AGAIN));
        }
        None => {}
    }
}

fn deployed(ctx: &WorkflowContext<Migration>, done: &AwsDone) {
    known(ctx, |aws| {
        aws.undeployed = false;
        aws.deploy_after = None;
        aws.deploy_failed = false;
    });
    ctx.state_mut(|m| {
        m.state.warn_about(DEPLOYING, &[]);
        m.state.record(ITSELF, "deployed", done.detail.clone());
    });
}

/// Publishes and deploys what is still to be: nobody looks any more after this. A deployment that fails once more after a person's `retry`
/// is left to people: whoever is told may be gone for good.
async fn tell_the_last(ctx: &WorkflowContext<Migration>) -> Result<(), Failure> {
    if is_unpublished(ctx) {
        publish_once(ctx).await?;
    }
    if is_undeployed(ctx) {
        let (input, limits) = input_to_deploy(ctx);
        match call_through(ctx, AwsAct, input, limits).await {
            Ok(done) => deployed(ctx, &done),
            Err(failure) if known(ctx, |aws| std::mem::replace(&mut aws.deploy_failed, true)) => {
                known(ctx, |aws| aws.undeployed = false);
                ctx.state_mut(|m| {
                    m.state.record(ITSELF, "left", format!("the deployment is left to people: {failure}"))
                });
            }
            Err(failure) => {
                let remedy = "mend whoever deploys, then `changeover retry`; if it fails once more it is left to you";
                return Err(Failure::needs_human(&failure.code, failure.message, remedy));
            }
        }
    }
    Ok(())
}

/// What warnings about metrics are filed under.
const METRICS: &str = "CloudWatch";

/// Compares the target's metrics with what was usual for the source. What is unusual, or can't be told, is said and stops nothing.
pub(super) async fn watch(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| m.state.spec.aws.is_none()) {
        return Ok(());
    }
    let warnings = match call(ctx, AwsAct, input(ctx, AwsStep::Watch), Limits::at_leisure()).await {
        Ok(done) => done.warnings,
        Err(Stop::Failed(failure)) => vec![format!("{} {}", failure.code, failure.message)],
        Err(stop) => return Err(stop),
    };
    ctx.state_mut(|m| m.state.warn_about(METRICS, &warnings));
    Ok(())
}

/// Whether finalize has done all that it has to do on the servers.
pub(super) fn is_ending(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.state(|m| m.state.aws.as_ref().is_some_and(|aws| aws.ending))
}

/// After finalize: what the spec says of the old instance, each with its approval; then the source is given free. Nothing is skipped in
/// silence, and nothing is undone any more.
pub(super) async fn end(ctx: &WorkflowContext<Migration>) -> Result<Vec<String>, Stop> {
    let Some(aws) = ctx.state(|m| m.state.spec.aws.clone()) else { return Ok(Vec::new()) };
    known(ctx, |aws| aws.ending = true);
    let wanted = aws.end.unwrap_or_default();
    let mut told = Vec::new();
    // What still reads the old endpoint has to be told before the old instance goes.
    tell_the_last(ctx).await?;
    if ctx.state(|m| m.state.source_lost) {
        return Ok(vec!["the source is lost: what AWS has of it is left alone".to_owned()]);
    }
    if wanted.final_snapshot {
        told.extend(end_step(ctx, AwsStep::FinalSnapshot, None).await?);
    }
    for (is_wanted, kind, step) in
        [(wanted.stop, ApprovalKind::Stop, AwsStep::Stop), (wanted.delete, ApprovalKind::Delete, AwsStep::Delete)]
    {
        if is_wanted {
            told.extend(end_step(ctx, step, Some(kind)).await?);
        }
    }
    told.extend(part_networks(ctx, wanted.part_networks).await?);
    let claim = AwsUndo::Delete { side: Side::Source, kind: Kind::Claim, name: aws.instance };
    told.push(call_through(ctx, AwsUndoActivity, undo_input(ctx, claim), Limits::taking_down(600)).await?.detail);
    Ok(told)
}

/// Takes away what was made between the networks, or says that it stays: applications may reach the target by it.
async fn part_networks(ctx: &WorkflowContext<Migration>, is_wanted: bool) -> Result<Vec<String>, Failure> {
    if !is_wanted {
        let peering = known(ctx, |aws| aws.facts.peering.clone());
        return Ok(peering.map(|id| format!("{id}, its routes and its rules stay")).into_iter().collect());
    }
    let made: Vec<AwsUndo> =
        known(ctx, |aws| aws.undo.iter().rev().filter(|undo| undo.is_of_network()).cloned().collect());
    let mut told = Vec::new();
    for undo in made {
        told.push(format!("{}: {}", undo.describe(), undo_one(ctx, &undo).await?.detail));
    }
    Ok(told)
}

/// A step of the end, once: what is gone by then can't be asked again.
async fn end_step(
    ctx: &WorkflowContext<Migration>,
    step: AwsStep,
    approval: Option<ApprovalKind>,
) -> Result<Option<String>, Stop> {
    if known(ctx, |aws| aws.ended.contains(&step)) {
        return Ok(None);
    }
    if let Some(kind) = approval {
        approved(ctx, kind, &format!("everything is done but {}", step.doing())).await?;
        // Kept: it may expire while AWS is at work.
        let named =
            ctx.state(|m| m.state.valid_approval(kind).map(|approve| approve.object.clone()).unwrap_or_default());
        known(ctx, |aws| aws.named = named);
    }
    let done = act(ctx, step).await?;
    known(ctx, |aws| aws.ended.push(step));
    Ok(Some(done.detail))
}

fn undo_input(ctx: &WorkflowContext<Migration>, undo: AwsUndo) -> AwsUndoInput {
    let run = known(ctx, |aws| aws.facts.run.clone());
    AwsUndoInput { spec: spec(ctx), run, undo }
}

/// Undoes the AWS half, after all that was done on the servers. A failed undo parks.
pub(super) async fn unwind(ctx: &WorkflowContext<Migration>) -> Result<(), WorkflowTermination> {
    // After a rollback.
    while let Err(failure) = tell_the_last(ctx).await {
        park(ctx, &failure.during("publishing that the source serves"));
        wait_for_retry(ctx).await?;
    }
    while let Some(undo) = ctx.state(|m| m.state.aws.as_ref().and_then(|aws| aws.undo.last().cloned())) {
        let what = undo.describe();
        ctx.state_mut(|m| what.clone_into(&mut m.state.status.doing));
        match undo_one(ctx, &undo).await {
            Ok(done) => {
                if let Some(instance) = &done.pending_reboot {
                    reboot_or_leave(ctx, instance).await?;
                }
                known(ctx, |aws| aws.undo.pop());
                ctx.state_mut(|m| m.state.record(ITSELF, "undone", format!("{what}: {}", done.detail)));
            }
            Err(failure) => {
                park(ctx, &failure.during(&what));
                wait_for_retry(ctx).await?;
            }
        }
    }
    Ok(())
}

async fn undo_one(ctx: &WorkflowContext<Migration>, undo: &AwsUndo) -> Result<AwsUndone, Failure> {
    let mut looks = 0;
    loop {
        let done = call_through(ctx, AwsUndoActivity, undo_input(ctx, undo.clone()), Limits::taking_down(600)).await?;
        let Some(status) = &done.goes_on else { return Ok(done) };
        ctx.state_mut(|m| m.state.status.doing = format!("{}: {status}", undo.describe()));
        looks += 1;
        pause(ctx, next_look(ctx, looks), |_| false).await;
    }
}

/// Parameters that were set back hold from the next reboot on, which is a person's to ask for: with an approval it is made at `retry`,
/// without one it is left to whoever reboots next.
async fn reboot_or_leave(ctx: &WorkflowContext<Migration>, instance: &str) -> Result<(), WorkflowTermination> {
    let name = ctx.state(|m| m.state.spec.name.clone());
    let message = format!("static parameters of {instance} are set back, and hold from its next reboot on");
    let remedy = format!(
        "`changeover approve {name} --for reboot`, then `changeover retry {name}` reboots it now; `changeover retry {name}` alone leaves it to the next reboot"
    );
    // One that was given before was for something else.
    ctx.state_mut(|m| m.state.forget_approval(ApprovalKind::Reboot));
    park(ctx, &Failure::needs_human("CO1080", message, remedy));
    wait_for_retry(ctx).await?;
    if ctx.state(|m| m.state.valid_approval(ApprovalKind::Reboot).is_err()) {
        ctx.state_mut(|m| m.state.record(ITSELF, "left", format!("the reboot of {instance} is left to others")));
        return Ok(());
    }
    let rebooted = reboot_back(ctx).await;
    ctx.state_mut(|m| {
        m.state.forget_approval(ApprovalKind::Reboot);
        match rebooted {
            Ok(detail) => m.state.record(ITSELF, "rebooted", detail),
            Err(failure) => m.state.record(ITSELF, "left", failure.to_string()),
        }
    });
    Ok(())
}

async fn reboot_back(ctx: &WorkflowContext<Migration>) -> Result<String, Failure> {
    if patches::reboots_are_told_by_the_server(ctx) {
        let planned = call_through(ctx, AwsPlan, input(ctx, AwsStep::RebootBack), Limits::taking_down(600)).await?;
        take(ctx, planned);
    }
    let mut looks = 0;
    loop {
        let limits = Limits::stage(REBOOT_SECONDS);
        let done = call_through(ctx, AwsAct, input(ctx, AwsStep::RebootBack), limits).await?;
        let Some(status) = done.goes_on else { return Ok(done.detail) };
        ctx.state_mut(|m| m.state.status.doing = format!("{}: {status}", AwsStep::RebootBack.doing()));
        looks += 1;
        pause(ctx, next_look(ctx, looks), |_| false).await;
    }
}
