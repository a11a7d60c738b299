//! One switch with its fault, and what follows from it: somebody takes over, writes flow, one side is open.

use super::{
    PATIENCE,
    fault::{Fault, Plan, When},
};
use anyhow::{Context, Result, bail, ensure};
use changeover_domain::{Class, Direction};
use changeover_switch_tests::{Ended, Lab, Running, Verb, side};
use changeover_tests::stack::{Side, StopMode};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// What became of one switch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) index: u64,
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) direction: String,
    pub(crate) fault: String,
    /// A kill or stop at a random time that struck a running switch.
    pub(crate) random_strike: bool,
    /// The last step that was told when the fault struck.
    pub(crate) phase: String,
    /// `open`, `abort` or `FAILED`.
    pub(crate) outcome: String,
    /// How the one that the fault struck ended.
    pub(crate) first: String,
    /// From the fault (or the start) until every kind of writer was acknowledged for something begun since, milliseconds.
    pub(crate) flow_ms: f64,
    /// The same from the takeover's start, or the return of the server or pooler that was restarted; 0 without either.
    pub(crate) takeover_ms: f64,
    /// Longest time between two acknowledged writes through the pooler to one database, milliseconds.
    pub(crate) pooled_gap_ms: f64,
    /// The same for direct writers.
    pub(crate) direct_gap_ms: f64,
    /// Errors of pooled clients by SQLSTATE.
    pub(crate) pooled_errors: std::collections::BTreeMap<String, u64>,
    /// Why it didn't switch, or what failed.
    pub(crate) refusal: String,
}

impl Line {
    /// One that ended the run.
    pub(crate) fn failed(plan: &Plan, direction: Direction, error: Option<&anyhow::Error>) -> Self {
        let mut line = Self::new(plan, direction);
        line.outcome = "FAILED".to_owned();
        line.refusal = error.map_or_else(String::new, |error| format!("{error:#}"));
        line
    }

    fn new(plan: &Plan, direction: Direction) -> Self {
        Self {
            index: plan.index,
            at: jiff::Timestamp::now().to_string(),
            direction: direction.word().to_owned(),
            fault: plan.fault.word(),
            random_strike: false,
            phase: String::new(),
            outcome: String::new(),
            first: String::new(),
            flow_ms: 0.0,
            takeover_ms: 0.0,
            pooled_gap_ms: 0.0,
            direct_gap_ms: 0.0,
            pooled_errors: std::collections::BTreeMap::new(),
            refusal: String::new(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>4} {:7} {:31} at {:8} first {:13} -> {:6} flow {:5.0} ms, gap pooled {:5.0} direct {:5.0} ms",
            self.index,
            self.direction,
            self.fault,
            self.phase,
            self.first,
            self.outcome,
            self.flow_ms,
            self.pooled_gap_ms,
            self.direct_gap_ms
        )?;
        if !self.pooled_errors.is_empty() {
            write!(f, " {:?}", self.pooled_errors)?;
        }
        if self.refusal.is_empty() { Ok(()) } else { write!(f, " | {}", self.refusal) }
    }
}

/// A switch under way and what is noted of it.
struct Trial<'a> {
    lab: &'a mut Lab,
    plan: &'a Plan,
    direction: Direction,
    epoch: u64,
    line: Line,
    begun: SystemTime,
    struck: SystemTime,
    taken_over: Option<SystemTime>,
}

/// Runs it; returns what became of it and the side that serves now.
pub(crate) async fn run(lab: &mut Lab, plan: &Plan, direction: Direction) -> Result<(Line, Side)> {
    let now = SystemTime::now();
    let epoch = lab.next_epoch();
    let line = Line::new(plan, direction);
    let mut trial = Trial { lab, plan, direction, epoch, line, begun: now, struck: now, taken_over: None };
    let ended = trial.play().await?;
    let Ended::Record(record) = &ended else { bail!("it came to no end: {ended:?}") };
    trial.line.outcome.clone_from(&record.outcome);
    trial.line.refusal.clone_from(&record.refusal);
    trial.measure().await?;
    let wanted = side(if record.outcome == "open" { direction.to_side() } else { direction.from_side() });
    let serving = trial.lab.serving().await?;
    ensure!(serving.faults.is_empty(), "{}", serving.faults.join("; "));
    ensure!(serving.open == Some(wanted), "{} should serve: {serving:?}", wanted.name());
    trial.lab.until_ready(PATIENCE).await?;
    Ok((trial.line, wanted))
}

impl Trial<'_> {
    async fn play(&mut self) -> Result<Ended> {
        match self.plan.fault.clone() {
            Fault::None => self.start()?.end(PATIENCE).await,
            Fault::Kill(when) => {
                let mut child = self.start()?;
                self.strike(&mut child, &when).await;
                child.kill().await?;
                self.first(&Ended::Killed);
                self.take_over().await
            }
            Fault::Stop(when) => self.stop_and_wake(&when).await,
            Fault::Failpoint(place, action) => self.failpoint(&place, &action).await,
            Fault::Twice(when, place) => {
                let mut child = self.start()?;
                self.strike(&mut child, &when).await;
                child.kill().await?;
                sleep(self.plan.noticed).await;
                let second = self.lab.switcher(Verb::Run, self.direction, self.epoch);
                let second = second.failpoints(&format!("{place}=kill")).finish(PATIENCE).await?;
                self.line.first = format!("killed+{}", second.word());
                // Another place may have been its way.
                if matches!(second, Ended::Record(_)) { Ok(second) } else { self.take_over().await }
            }
            Fault::Twin(later) => self.twins(later, self.epoch).await,
            Fault::Rival(later) => {
                let next = self.lab.next_epoch();
                self.twins(later, next).await
            }
            Fault::Pooler(later, away) => self.pooler(later, away).await,
            Fault::Source(when) => self.restart(Side::Source, &when).await,
            Fault::Target(when) => self.restart(Side::Target, &when).await,
        }
    }

    fn start(&mut self) -> Result<Running> {
        self.lab.switcher(Verb::Run, self.direction, self.epoch).start()
    }

    fn first(&mut self, ended: &Ended) {
        ended.word().clone_into(&mut self.line.first);
    }

    /// Waits for the moment of the fault. A switch that has ended by then isn't struck.
    async fn strike(&mut self, child: &mut Running, when: &When) {
        match when {
            When::After(time) => sleep(*time).await,
            When::Step(step, time) => {
                child.until_step(step, PATIENCE).await;
                sleep(*time).await;
            }
        }
        let running = !child.has_ended();
        self.line.random_strike = running && self.plan.fault.is_random_strike();
        let last = child.steps().pop().unwrap_or_else(|| "before".to_owned());
        self.line.phase = if running { last } else { "its end".to_owned() };
        self.struck = SystemTime::now();
    }

    async fn stop_and_wake(&mut self, when: &When) -> Result<Ended> {
        let mut child = self.start()?;
        self.strike(&mut child, when).await;
        if self.line.random_strike {
            // It may end in between.
            let _gone = child.stop().await;
        }
        let ended = self.take_over().await?;
        self.wake(child, &ended).await?;
        Ok(ended)
    }

    /// A woken one must find that its time is over, or that all is as it meant to bring about.
    async fn wake(&mut self, child: Running, concluded: &Ended) -> Result<()> {
        sleep(self.plan.woken).await;
        let _gone = child.wake().await;
        let log = child.log.clone();
        let zombie = child.end(PATIENCE).await?;
        self.first(&zombie);
        if let (Ended::Record(late), Ended::Record(record)) = (&zombie, concluded) {
            ensure!(
                late.outcome == record.outcome,
                "the woken one says {}, who took over said {}: {}",
                late.outcome,
                record.outcome,
                log.display()
            );
        }
        Ok(())
    }

    async fn failpoint(&mut self, place: &str, action: &str) -> Result<Ended> {
        let switcher = self.lab.switcher(Verb::Run, self.direction, self.epoch);
        let mut child = switcher.failpoints(&format!("{place}={action}")).start()?;
        let deadline = Instant::now() + PATIENCE;
        while !child.has_ended() && !child.is_stopped() {
            ensure!(Instant::now() < deadline, "the failpoint {place} neither ended nor stopped it");
            sleep(Duration::from_millis(2)).await;
        }
        self.struck = SystemTime::now();
        self.line.phase = place.to_owned();
        if !child.has_ended() {
            let ended = self.take_over().await?;
            self.wake(child, &ended).await?;
            return Ok(ended);
        }
        let ended = child.end(PATIENCE).await?;
        self.first(&ended);
        if matches!(ended, Ended::Record(_)) { Ok(ended) } else { self.take_over().await }
    }

    /// Two at once. Whatever they said, the last epoch's end is asked for, and an `open` of either must stand.
    async fn twins(&mut self, later: Duration, other: u64) -> Result<Ended> {
        let one = self.start()?;
        sleep(later).await;
        self.line.phase = one.steps().pop().unwrap_or_else(|| "before".to_owned());
        self.struck = SystemTime::now();
        let two = self.lab.switcher(Verb::Run, self.direction, other).start()?;
        let (one, two) = tokio::try_join!(one.end(PATIENCE), two.end(PATIENCE))?;
        self.line.first = format!("{}+{}", one.word(), two.word());
        let mut outcomes = vec![one, two];
        if !outcomes.iter().any(|ended| matches!(ended, Ended::Record(record) if record.outcome == "open")) {
            self.epoch = other;
            outcomes.push(self.take_over().await?);
        }
        let open = outcomes.iter().find(|ended| matches!(ended, Ended::Record(record) if record.outcome == "open"));
        let any = outcomes.iter().rev().find(|ended| matches!(ended, Ended::Record(_)));
        open.or(any).cloned().context("neither came to an end")
    }

    async fn pooler(&mut self, later: Duration, away: Duration) -> Result<Ended> {
        let mut child = self.start()?;
        self.strike(&mut child, &When::Step("paused".to_owned(), later)).await;
        let (pooler, user) = (self.lab.info().pooler.clone(), self.lab.stack().user());
        pooler.kill().await?;
        self.struck = SystemTime::now();
        sleep(away).await;
        pooler.start(user).await?;
        self.taken_over = Some(SystemTime::now());
        self.finish(child).await
    }

    async fn restart(&mut self, side: Side, when: &When) -> Result<Ended> {
        let mut child = self.start()?;
        self.strike(&mut child, when).await;
        let (cluster, user) = (self.lab.info().cluster(side).clone(), self.lab.stack().user());
        cluster.stop(user, StopMode::Immediate).await?;
        // Telling it to stop takes a while, in which writes may still be acknowledged.
        self.struck = SystemTime::now();
        cluster.start(user).await?;
        self.taken_over = Some(SystemTime::now());
        self.finish(child).await
    }

    /// Lets it end by itself; where it ended with a failure, somebody takes over.
    async fn finish(&mut self, child: Running) -> Result<Ended> {
        let ended = child.end(PATIENCE).await?;
        self.first(&ended);
        if matches!(ended, Ended::Record(_)) { Ok(ended) } else { self.take_over().await }
    }

    /// What Temporal does with an activity that doesn't answer, or failed in a way that passes; and for one that needs somebody to
    /// look first, what that one does: `retry`.
    async fn take_over(&mut self) -> Result<Ended> {
        sleep(self.plan.noticed).await;
        self.taken_over.get_or_insert_with(SystemTime::now);
        let deadline = Instant::now() + PATIENCE;
        let mut verb = Verb::Run;
        loop {
            let ended = self.lab.switcher(verb, self.direction, self.epoch).finish(PATIENCE).await?;
            let Ended::Failed(failure) = &ended else { return Ok(ended) };
            ensure!(Instant::now() < deadline, "nobody could bring it to its end: {failure} [{}]", failure.code);
            match failure.class {
                Class::Transient => {}
                Class::NeedsHuman => verb = Verb::Settle,
                _ => bail!("who took over failed: {failure} [{}]", failure.code),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn measure(&mut self) -> Result<()> {
        let flow = self.lab.until_writes_flow_since(self.struck, PATIENCE).await?;
        self.line.flow_ms = millis(flow);
        if let Some(taken_over) = self.taken_over {
            let flows = self.struck + flow;
            self.line.takeover_ms = flows.duration_since(taken_over).map_or(0.0, millis);
        }
        let seen = self.lab.workload()?.window(self.begun, SystemTime::now());
        let longest = |way: &str| {
            let lanes = seen.longest_gap_ms_by_path.iter().filter(|(lane, _)| lane.starts_with(way));
            lanes.map(|(_, gap)| *gap).fold(0.0, f64::max)
        };
        (self.line.pooled_gap_ms, self.line.direct_gap_ms) = (longest("bouncer"), longest("direct"));
        for (_, errors) in seen.errors_by_path.iter().filter(|(lane, _)| lane.starts_with("bouncer")) {
            for (state, count) in errors {
                *self.line.pooled_errors.entry(state.clone()).or_default() += count;
            }
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
