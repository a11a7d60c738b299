//! Every change that a switch makes, with the worker killed or stopped before and after it: the next run of the same epoch brings
//! the attempt to its end, writes go on, one side is open, nothing is lost or doubled; and a worker that was stopped does no harm
//! when it wakes up after somebody else has taken over.
//!
//! The cases come from `Effect::ALL`. By default each effect is tried in one of its four ways. With `CHANGEOVER_RECOVERY=full` all of
//! them are, with another value those whose failpoint contains it; `CHANGEOVER_RECOVERY_TABLE` names a file for the table.
//! With `CHANGEOVER_RECOVERY_FENCE=gate` the fence is the gate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result, bail, ensure};
use changeover_domain::{Direction, fence::Fence};
use changeover_postgres::switch::{Effect, Path};
use changeover_switch_tests::{Ended, Lab, LabOptions, Verb};
use changeover_tests::stack::Side;
use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

const MINUTE: Duration = Duration::from_secs(60);
/// Writes are possible again within this time, at the 95th percentile.
const WITHIN: Duration = Duration::from_secs(5);
/// An attempt that ends before its failpoint (a direct writer kept it from its lock) is tried again, this often.
const TRIES: usize = 10;
/// After this many cases everything that was written is judged.
const JUDGED_EVERY: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    effect: Effect,
    when: &'static str,
    action: &'static str,
}

/// Effects that no case is made of, and why.
const LEFT_OUT: [(Effect, &str); 5] = [
    (Effect::LetGo, "a second fault on top of a stop: only an overtaken worker comes there"),
    (Effect::EvictLeft, "housekeeping: it is done again, traffic flows"),
    (Effect::Prune, "housekeeping: it is done again, traffic flows"),
    (Effect::ForgetNotes, "housekeeping: it is done again, traffic flows"),
    (Effect::TakeLastEpoch, "at the end of a migration: it is done again, traffic flows"),
];

fn fence() -> Fence {
    match std::env::var("CHANGEOVER_RECOVERY_FENCE").as_deref() {
        Ok("gate") => Fence::Gate,
        _ => Fence::Lock,
    }
}

impl Case {
    fn all() -> Vec<Self> {
        let ways = [("before", "kill"), ("after", "kill"), ("before", "stop"), ("after", "stop")];
        let effects = Effect::ALL.iter().copied().filter(|effect| LEFT_OUT.iter().all(|(out, _)| out != effect));
        let effects = effects.filter(|effect| effect.is_of(fence()));
        effects.flat_map(|effect| ways.map(|(when, action)| Self { effect, when, action })).collect()
    }

    fn chosen() -> Vec<Self> {
        let all = Self::all();
        match std::env::var("CHANGEOVER_RECOVERY") {
            Ok(full) if full == "full" => all,
            Ok(part) => all.into_iter().filter(|case| case.failpoint().contains(&part)).collect(),
            Err(_) => all.into_iter().enumerate().filter(|(i, _)| i % 4 == (i / 4) % 4).map(|(_, case)| case).collect(),
        }
    }

    fn failpoint(self) -> String {
        format!("{}.{}={}", self.effect.name(), self.when, self.action)
    }

    /// What happens to the run before, where the effect is one of undoing or finishing.
    fn prelude(self) -> Option<&'static str> {
        match (self.effect.path(), self.effect) {
            (Path::Prepare | Path::Window | Path::After, _) => None,
            (Path::Undo, Effect::ReleaseFence | Effect::ReopenAtOnce | Effect::RouteAtOnce | Effect::ResumeAtOnce) => {
                None
            }
            (Path::Undo, _) => Some("switch.commit_fence.after=kill"),
            (Path::Finish, _) => Some("switch.decide.after=kill"),
        }
    }

    /// All failpoints of the run under test.
    fn failpoints(self) -> String {
        match self.effect {
            // They are reached by a run that fails by itself before anything was committed.
            Effect::ReleaseFence | Effect::RouteAtOnce | Effect::ResumeAtOnce => {
                format!("switch.mark.before=error, {}", self.failpoint())
            }
            // The same, when the logins have been closed.
            Effect::ReopenAtOnce => format!("switch.evict.after=lost, {}", self.failpoint()),
            _ => self.failpoint(),
        }
    }

    /// The outcome that there must be, where there is only one.
    fn outcome(self) -> Option<&'static str> {
        match (self.effect, self.when) {
            // Nothing had begun: the next run is one like any other.
            (Effect::Canary, _) | (Effect::Claim, "before") => None,
            // The epoch before is concluded under that lock, too, where it was opened; then as well nothing had begun.
            (Effect::HoldRoute, _) => None,
            (Effect::Decide, "after") | (Effect::Resume | Effect::FinishRoute | Effect::FinishResume, _) => {
                Some("open")
            }
            _ => Some("abort"),
        }
    }
}

/// What a case came to.
struct Found {
    case: Case,
    outcome: String,
    /// From the fault until every kind of writer had been acknowledged for a transaction begun after it.
    until_writes: Duration,
    /// How the worker that was stopped ended after it woke up.
    zombie: Option<String>,
}

#[test]
fn every_effect_is_in_the_matrix() {
    let all = Case::all();
    for effect in Effect::ALL {
        let cases = all.iter().filter(|case| case.effect == *effect).count();
        let left_out = LEFT_OUT.iter().any(|(out, _)| out == effect) || !effect.is_of(fence());
        assert_eq!(cases, if left_out { 0 } else { 4 }, "{effect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_worker_the_next_run_ends_it() {
    let edit_spec: fn(String) -> String = match fence() {
        Fence::Lock => |text| format!("fence = \"lock\"\n{text}"),
        Fence::Gate => |text| format!("fence = \"gate\"\n{text}"),
    };
    let mut lab = Lab::start(LabOptions { rate: 10.0, edit_spec, ..LabOptions::default() }).await.unwrap();
    lab.load().await.unwrap();
    let cases = Case::chosen();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        match try_case(&mut lab, *case).await {
            Ok(one) => {
                println!(
                    "{:40} {:6} {:5} ms {}",
                    case.failpoint(),
                    one.outcome,
                    one.until_writes.as_millis(),
                    one.zombie.as_deref().unwrap_or("")
                );
                found.push(one);
            }
            Err(error) => {
                println!("{:40} WRONG: {error:#}", case.failpoint());
                wrong.push(format!("{}: {error:#}", case.failpoint()));
                // What comes after a broken lab says nothing.
                if recovered(&mut lab).await.is_err() {
                    break;
                }
            }
        }
        if index % JUDGED_EVERY == JUDGED_EVERY - 1 {
            if let Err(error) = lab.check().await.and_then(|judgement| judgement.expect_clean()) {
                wrong.push(format!("after {}: {error:#}", case.failpoint()));
                break;
            }
            // The other side is to serve for a while; one that stays is fine, too.
            let _stays = switch_over(&mut lab).await;
        }
    }
    if wrong.is_empty() {
        lab.judge().await.unwrap().expect_clean().unwrap();
    }
    report(&found);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(found.len(), cases.len());
    let late = found.iter().filter(|one| one.until_writes > WITHIN).count();
    assert!(late * 20 <= found.len(), "{late} of {} took longer than {WITHIN:?}", found.len());
}

async fn direction(lab: &Lab) -> Result<Direction> {
    let serving = lab.serving().await?;
    Ok(match serving.open.with_context(|| serving.faults.join("; "))? {
        Side::Source => Direction::Forward,
        Side::Target => Direction::Reverse,
    })
}

async fn switch_over(lab: &mut Lab) -> Result<()> {
    lab.until_ready(MINUTE).await?;
    let direction = direction(lab).await?;
    lab.switch_over(direction, 8).await.map(drop)
}

/// After a case that went wrong: is there a side that serves?
async fn recovered(lab: &mut Lab) -> Result<()> {
    direction(lab).await?;
    lab.until_writes_flow(MINUTE).await.map(drop)
}

async fn try_case(lab: &mut Lab, case: Case) -> Result<Found> {
    let direction = direction(lab).await?;
    let mut last = String::new();
    for _ in 0..TRIES {
        lab.until_ready(MINUTE).await?;
        let epoch = lab.next_epoch();
        if let Some(prelude) = case.prelude() {
            let first = lab.switcher(Verb::Run, direction, epoch).failpoints(prelude).finish(MINUTE).await?;
            if !matches!(first, Ended::Killed) {
                last = format!("{first:?}");
                continue;
            }
        }
        let mut child = lab.switcher(Verb::Run, direction, epoch).failpoints(&case.failpoints()).start()?;
        while !child.has_ended() && !child.is_stopped() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let moment = SystemTime::now();
        let zombie = if child.is_stopped() {
            Some(child)
        } else {
            match child.end(MINUTE).await? {
                Ended::Killed => None,
                // By itself, before its failpoint.
                ended => {
                    last = format!("{ended:?}");
                    continue;
                }
            }
        };
        let next = lab.switcher(Verb::Run, direction, epoch).finish(MINUTE).await?;
        let Ended::Record(record) = next else { bail!("the next run ended with {next:?}") };
        let until_writes = lab.until_writes_flow_since(moment, MINUTE).await.context("after the next run")?;
        let ended = match zombie {
            None => None,
            Some(zombie) => {
                zombie.wake().await?;
                Some(zombie.end(MINUTE).await?.word().to_owned())
            }
        };
        judge_case(lab, case, direction, &record.outcome, ended.is_some()).await?;
        return Ok(Found { case, outcome: record.outcome, until_writes, zombie: ended });
    }
    bail!("the failpoint wasn't reached in {TRIES} attempts, the last: {last}")
}

async fn judge_case(lab: &Lab, case: Case, direction: Direction, outcome: &str, woken: bool) -> Result<()> {
    if let Some(wanted) = case.outcome() {
        ensure!(outcome == wanted, "the outcome is {outcome}, not {wanted}");
    }
    if woken {
        lab.until_writes_flow(MINUTE).await.context("after the worker that was stopped woke up")?;
    }
    let serving = lab.serving().await?;
    let wanted = if outcome == "open" { direction.to_side() } else { direction.from_side() };
    ensure!(
        serving.open == Some(changeover_switch_tests::side(wanted)),
        "outcome {outcome}: {}",
        serving.faults.join("; ")
    );
    Ok(())
}

/// One row per effect: the time until writes were possible again in each of its four ways.
fn report(found: &[Found]) {
    let mut text = String::from(
        "| effect | before, killed | after, killed | before, stopped | after, stopped | woken workers ended with |\n|---|---|---|---|---|---|\n",
    );
    for effect in Effect::ALL {
        let of = |when, action| {
            let one = found.iter().find(|one| one.case == Case { effect: *effect, when, action });
            one.map_or("-".to_owned(), |one| format!("{} ms, {}", one.until_writes.as_millis(), one.outcome))
        };
        if found.iter().any(|one| one.case.effect == *effect) {
            let zombies: Vec<&str> =
                found.iter().filter(|one| one.case.effect == *effect).filter_map(|one| one.zombie.as_deref()).collect();
            let cells =
                [of("before", "kill"), of("after", "kill"), of("before", "stop"), of("after", "stop")].join(" | ");
            let _infallible = writeln!(text, "| `{}` | {cells} | {} |", effect.name(), zombies.join(", "));
        }
    }
    let mut times: Vec<u128> = found.iter().map(|one| one.until_writes.as_millis()).collect();
    times.sort_unstable();
    if !times.is_empty() {
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        let (p50, p95, most) = (at(50), at(95), at(100));
        let _infallible = writeln!(
            text,
            "\n{} cases; writes possible again after p50 {p50} ms, p95 {p95} ms, at most {most} ms.",
            times.len()
        );
    }
    println!("{text}");
    if let Ok(path) = std::env::var("CHANGEOVER_RECOVERY_TABLE") {
        std::fs::write(path, text).unwrap();
    }
}
