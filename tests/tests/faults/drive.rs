//! One run: begun, hurt where it was planned, helped where it asks for help, ended.

use crate::{
    fault::{Fault, Injection},
    lab::Lab,
    outside::{Later, strike},
    run::{Came, Outcome, Run, TO_THE_END},
    watched::{Mark, Watched},
};
use anyhow::{Context, Result, bail, ensure};
use changeover_tests::{
    product::{Status, Worker},
    scenario::NAME,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// A run's time, and what each fault may add to it.
const BASE: Duration = Duration::from_secs(180);
const EACH: Duration = Duration::from_secs(60);
/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);
/// A worker that was frozen is woken after this at the latest.
const FROZEN: Duration = Duration::from_secs(30);
/// After so long a fault has had its end where nothing tells that, because it was over before anybody looked.
const LATE: Duration = Duration::from_secs(20);
/// How often one fault may park.
const PARKS: u32 = 3;

/// A fault that has happened.
struct Fired {
    injection: Injection,
    at: Instant,
    /// Where the run was then, as soon as that is known.
    mark: Option<Mark>,
    parked: Option<(String, String)>,
    parks: u32,
    recovered: Option<Duration>,
}

/// A worker that stands still.
struct Frozen {
    worker: Worker,
    since: Instant,
    /// Its fault, among those that have happened.
    fired: usize,
    to_the_end: bool,
}

struct Drive<'l, 'a> {
    lab: &'l mut Lab<'a>,
    run: &'l Run,
    number: u32,
    stages: &'l [String],
    pending: Vec<Injection>,
    /// Of those, what its stage has not come to. A worker may still come there late.
    given_up: Vec<Injection>,
    /// Places of workers that were to stand still, which another one has passed.
    passed: Vec<Injection>,
    fired: Vec<Fired>,
    worker: Option<Worker>,
    workers: u32,
    /// How much of the worker's log has been read.
    read: usize,
    frozen: Vec<Frozen>,
    later: Later,
    mark: Mark,
    aborted: bool,
    /// When a person has last said something.
    said: Instant,
    /// Stages whose late faults are armed.
    armed: BTreeSet<String>,
}

/// Drives a run to its end. The migration is aborted then, whatever was done to it.
pub async fn drive(lab: &mut Lab<'_>, run: &Run, stages: &[String]) -> Result<Outcome> {
    let number = lab.next_run();
    let pending = run.injections.clone();
    let mut drive = Drive {
        lab,
        run,
        number,
        stages,
        pending,
        given_up: Vec::new(),
        passed: Vec::new(),
        fired: Vec::new(),
        worker: None,
        workers: 0,
        read: 0,
        frozen: Vec::new(),
        later: Later::default(),
        mark: Mark::default(),
        aborted: false,
        said: Instant::now(),
        armed: BTreeSet::new(),
    };
    let ended = drive.end_it().await;
    let cleaned = drive.clean_up().await;
    ended.and(cleaned)?;
    drive.outcome()
}

impl Drive<'_, '_> {
    async fn end_it(&mut self) -> Result<()> {
        self.start_worker().await?;
        let spec = self.lab.scenario.spec.clone();
        self.lab.product().ok(&["start", &spec]).await?;
        let begun = Instant::now();
        let deadline = BASE + EACH * u32::try_from(self.run.injections.len())?;
        let mut told = Watched::start(self.lab.product().clone());
        loop {
            tokio::time::sleep(LOOK).await;
            self.look_at_worker().await?;
            self.later.tend(self.lab).await?;
            self.wake_overtaken().await?;
            if let Some((asked, status)) = told.news()
                && self.look_at_status(asked, &status).await?
            {
                return self.wake_all().await;
            }
            if begun.elapsed() > deadline {
                bail!("not at its end after {deadline:?}: {:?}, fired {:?}", self.mark, self.names());
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.fired.iter().map(|fired| fired.injection.to_string()).collect()
    }

    /// Starts a worker that is told of everything that hasn't happened yet, until it stands still: one that wakes up must do
    /// nothing more.
    async fn start_worker(&mut self) -> Result<()> {
        let due = |injection: &&Injection| !injection.late || self.armed.contains(&injection.stage);
        let mut told = Vec::new();
        for injection in self.pending.iter().filter(due) {
            told.push(injection.failpoint());
            if injection.fault.stands_still() {
                break;
            }
        }
        let failpoints = told.join(", ");
        self.workers += 1;
        let name = format!("run-{}-worker-{}", self.number, self.workers);
        let product = self.lab.product().with("CHANGEOVER_FAILPOINTS", &failpoints);
        self.worker = Some(product.worker(&name).await?);
        self.read = 0;
        Ok(())
    }

    /// What its failpoints did, and whether it lives.
    async fn look_at_worker(&mut self) -> Result<()> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let (ended, stopped) = (worker.has_ended(), worker.is_stopped());
        // After the look at the process: what it did before its end stands in the log.
        self.read_log()?;
        let last = self.fired.last().map(|fired| fired.injection.fault);
        if ended {
            ensure!(last == Some(Fault::Kill), "the worker has ended by itself, see run-{}", self.number);
            return self.start_worker().await;
        }
        match last {
            Some(fault) if stopped && fault.stops() => self.at_a_stop(fault).await,
            _ => Ok(()),
        }
    }

    fn read_log(&mut self) -> Result<()> {
        let Some(worker) = &self.worker else { return Ok(()) };
        let text = std::fs::read_to_string(&worker.log)?;
        let Some(whole) = text.rfind('\n') else { return Ok(()) };
        let new = text.get(self.read..whole).unwrap_or_default().to_owned();
        self.read = whole;
        for line in new.lines().filter(|line| line.contains("a failpoint acts")) {
            let line: Value = serde_json::from_str(line).context("a line of the worker's log")?;
            let fields = &line["fields"];
            let (place, at) = (fields["failpoint"].as_str().unwrap_or_default(), fields["at"].as_u64().unwrap_or(0));
            let injection = self.take(place, at).with_context(|| format!("{place}@{at} acts and isn't pending"))?;
            self.fired.push(Fired {
                injection,
                at: Instant::now(),
                mark: None,
                parked: None,
                parks: 0,
                recovered: None,
            });
        }
        Ok(())
    }

    /// What is due at a place; also what was given up, since the worker was told of it and may come there late.
    fn take(&mut self, place: &str, at: u64) -> Option<Injection> {
        let is_it = |i: &Injection| i.place == place && u64::from(i.at) == at;
        let all = [&mut self.pending, &mut self.given_up];
        all.into_iter().find_map(|list| list.iter().position(is_it).map(|found| list.remove(found)))
    }

    /// The worker stands at a place.
    async fn at_a_stop(&mut self, fault: Fault) -> Result<()> {
        if fault.stands_still() {
            let worker = self.worker.take().context("no worker")?;
            let to_the_end = fault == Fault::FreezeToTheEnd;
            self.frozen.push(Frozen { worker, since: Instant::now(), fired: self.fired.len() - 1, to_the_end });
            return self.start_worker().await;
        }
        let struck = strike(self.lab, fault, &mut self.later).await;
        let worker = self.worker.as_ref().context("no worker")?;
        worker.wake().await?;
        let pid = worker.pid();
        changeover_tests::stack::process::wait_until("the worker is awake", Duration::from_secs(10), async || {
            !changeover_tests::stack::process::is_stopped(pid)
        })
        .await?;
        struck
    }

    /// Wakes workers when the run has gone on without them. They end by themselves then.
    async fn wake_overtaken(&mut self) -> Result<()> {
        let overtaken = |frozen: &Frozen| self.fired[frozen.fired].recovered.is_some();
        let due = |frozen: &Frozen| !frozen.to_the_end && (overtaken(frozen) || frozen.since.elapsed() > FROZEN);
        let due = self.frozen.iter().position(due);
        let Some(index) = due else { return Ok(()) };
        let frozen = self.frozen.remove(index);
        frozen.worker.wake().await?;
        frozen.worker.stop().await
    }

    async fn wake_all(&mut self) -> Result<()> {
        for frozen in std::mem::take(&mut self.frozen) {
            frozen.worker.wake().await?;
            frozen.worker.stop().await?;
        }
        Ok(())
    }

    /// True at the end.
    async fn look_at_status(&mut self, asked: Instant, status: &Status) -> Result<bool> {
        // What was asked for before a person said something is out of date.
        if asked < self.said {
            return Ok(false);
        }
        self.mark = Mark::of(status);
        self.give_up_the_passed();
        self.let_the_next_stand_still().await?;
        if status.is_parked() {
            return self.help(status).await.map(|()| false);
        }
        self.see_who_recovered(asked);
        if status.state() == "REFUSED" && self.begin_again(status).await? {
            return Ok(false);
        }
        if status.has_ended() {
            let wanted = if self.run.to == TO_THE_END { "FINISHED" } else { "ABORTED" };
            ensure!(status.state() == wanted, "it ended with {}: {}", status.state(), status.0);
            return Ok(true);
        }
        if !self.aborted {
            self.go_on(status).await?;
        }
        Ok(false)
    }

    /// What a stage comes to only sometimes isn't waited for once the stage is over.
    fn give_up_the_passed(&mut self) {
        let at = |stage: &str| self.stages.iter().position(|s| s == stage);
        let now = at(&self.mark.stage);
        let passed = |one: &Injection| one.sometimes && at(&one.stage).is_some() && at(&one.stage) < now;
        for one in self.pending.extract_if(.., |one| passed(one)) {
            println!("  not reached this time: {one}");
            self.given_up.push(one);
        }
    }

    /// A worker that was woken may have been first at a place at which the next one is to stand still. That one is told of another place.
    async fn let_the_next_stand_still(&mut self) -> Result<()> {
        let at = |stage: &str| self.stages.iter().position(|s| s == stage);
        let now = at(&self.mark.stage);
        let passed = |one: &Injection| one.fault.stands_still() && at(&one.stage).is_some() && at(&one.stage) < now;
        if self.run.injections.len() == 1 || !self.pending.iter().any(passed) {
            return Ok(());
        }
        self.passed.extend(self.pending.extract_if(.., |one| passed(one)));
        if let Some(worker) = self.worker.take() {
            worker.stop().await?;
        }
        self.start_worker().await
    }

    /// A run has gone on when its stage is over, or when it has heard of something since the fault.
    fn see_who_recovered(&mut self, asked: Instant) {
        let (stages, mark) = (self.stages, &self.mark);
        let at = |stage: &str| stages.iter().position(|s| s == stage);
        let due =
            |fired: &&mut Fired| fired.recovered.is_none() && asked > fired.at && !fired.injection.fault.ends_it();
        for fired in self.fired.iter_mut().filter(due) {
            let stage = at(&fired.injection.stage);
            let over = stage.is_some() && stage < at(&mark.stage);
            // The first one tells where it stands.
            let before = fired.mark.get_or_insert_with(|| mark.clone());
            if over || before != mark {
                fired.recovered = Some(fired.at.elapsed());
            }
        }
    }

    /// A preflight that can't reach a side refuses, before anything is changed: a person mends it and starts again.
    async fn begin_again(&mut self, status: &Status) -> Result<bool> {
        let Some(fired) = self.fired.last_mut().filter(|fired| fired.injection.stage == status.stage()) else {
            return Ok(false);
        };
        let failure = &status.0["failure"];
        let text = |field: &str| failure[field].as_str().unwrap_or_default().to_owned();
        fired.parked.get_or_insert((text("code"), text("remedy")));
        fired.recovered.get_or_insert(fired.at.elapsed());
        if self.later.heal_at.is_none() {
            self.lab.product().ok(&["start", &self.lab.scenario.spec]).await?;
            self.said = Instant::now();
        }
        Ok(true)
    }

    fn is_open(&self, stage: &str) -> bool {
        self.pending.iter().any(|injection| injection.stage == stage)
    }

    /// Arms what is armed late, and says what a person says where the run waits, or is meant to end.
    async fn go_on(&mut self, status: &Status) -> Result<()> {
        let stage = status.stage().to_owned();
        if status.waits_at(&stage) && !self.armed.contains(&stage) {
            // One that has just been killed is seen, and replaced, first.
            if self.worker.as_mut().is_some_and(Worker::has_ended) {
                return Ok(());
            }
            self.armed.insert(stage.clone());
            if self.pending.iter().any(|injection| injection.late && injection.stage == stage) {
                if let Some(worker) = self.worker.take() {
                    worker.stop().await?;
                }
                return self.start_worker().await;
            }
        }
        if self.run.to == TO_THE_END {
            return self.towards_the_end(status).await;
        }
        let waits = status.waits_at("approval");
        let at = |stage: &str| self.stages.iter().position(|s| s == stage);
        let past = at(status.stage()) > at(&self.run.to);
        let done = if self.run.to == "approval" { waits && !self.is_open("approval") } else { waits || past };
        if done && self.is_settled() { self.abort("enough").await } else { Ok(()) }
    }

    /// Every fault has come to its end. Where nothing moves, time has to do; but what ends a migration has to be noticed.
    fn is_settled(&self) -> bool {
        let calm = |fired: &Fired| fired.at.elapsed() > LATE && !fired.injection.fault.ends_it();
        self.fired.iter().all(|fired| fired.recovered.is_some() || calm(fired))
    }

    /// Cuts over and finalizes, where it waits for that.
    async fn towards_the_end(&mut self, status: &Status) -> Result<()> {
        let (stage, next, approval) = match status.stage() {
            "approval" => ("approval", "cutover", "cutover"),
            "soak" => ("soak", "finalize", "finalize"),
            _ => return Ok(()),
        };
        if !status.waits_at(stage) || self.is_open(stage) || !self.is_settled() {
            return Ok(());
        }
        let product = self.lab.product();
        product.ok(&["approve", NAME, "--for", approval, "--approver", "ada", "--reason", "well"]).await?;
        product.ok(&[next, NAME, "--yes", "--actor", "ada", "--reason", "well"]).await?;
        self.said = Instant::now();
        Ok(())
    }

    async fn abort(&mut self, why: &str) -> Result<()> {
        self.aborted = true;
        let asked = self.lab.product().run(&["abort", NAME, "--actor", "ada", "--reason", why]).await?;
        ensure!(asked.code == 0 || asked.code == 5, "`abort` ended with {}: {}", asked.code, asked.stderr);
        self.said = Instant::now();
        Ok(())
    }

    /// It's parked: what a person does then.
    async fn help(&mut self, status: &Status) -> Result<()> {
        let failure = &status.0["failure"];
        let text = |field: &str| failure[field].as_str().unwrap_or_default().to_owned();
        let (code, remedy) = (text("code"), text("remedy"));
        ensure!(!code.is_empty() && !remedy.is_empty(), "parked without a code or a remedy: {failure}");
        let fired = self.fired.iter_mut().rev().find(|fired| fired.recovered.is_none() || fired.parked.is_some());
        let fired = fired.with_context(|| format!("parked, and nothing was done to it: {failure}"))?;
        ensure!(!fired.injection.fault.passes_by_itself(), "{} parked: {failure}", fired.injection);
        if fired.parked.is_none() {
            fired.parked = Some((code, remedy));
        }
        (fired.recovered, fired.mark) = (None, None);
        // A person says `retry` when it is mended.
        if self.later.heal_at.is_some() {
            return Ok(());
        }
        self.later.bring_back(self.lab).await?;
        fired.parks += 1;
        ensure!(fired.parks <= PARKS, "{} parks again and again: {failure}", fired.injection);
        if fired.injection.fault.ends_it() && !self.aborted {
            return self.abort("refused").await;
        }
        if let Some(rotated) = &self.later.rotated {
            self.lab.tell_password(&rotated.password)?;
        }
        self.lab.product().ok(&["retry", NAME, "--actor", "ada", "--reason", "mended"]).await?;
        self.said = Instant::now();
        Ok(())
    }

    /// Nothing of the run is left behind in the harness.
    async fn clean_up(&mut self) -> Result<()> {
        self.later.clean_up(self.lab).await?;
        for frozen in std::mem::take(&mut self.frozen) {
            frozen.worker.kill().await?;
        }
        match self.worker.take() {
            Some(worker) if worker.is_stopped() => worker.kill().await,
            Some(mut worker) => {
                if worker.has_ended() {
                    return Ok(());
                }
                worker.stop().await
            }
            None => Ok(()),
        }
    }

    fn outcome(self) -> Result<Outcome> {
        let mut passed = self.passed;
        // One worker stands still at a time, and each fault waits for the one before it.
        let (behind, missed): (Vec<_>, Vec<_>) =
            self.pending.into_iter().partition(|one| one.fault.stands_still() && self.run.injections.len() > 1);
        passed.extend(behind);
        let missed: Vec<String> = missed.iter().map(ToString::to_string).collect();
        ensure!(missed.is_empty(), "the run never came to {}", missed.join(", "));
        let unseen = self.fired.iter().find(|fired| fired.injection.fault.ends_it() && fired.parked.is_none());
        if let Some(fired) = unseen {
            bail!("nobody noticed {}", fired.injection);
        }
        let came = |fired: Fired| Came {
            after: fired.recovered.unwrap_or_else(|| fired.at.elapsed()),
            injection: fired.injection,
            parked: fired.parked,
        };
        Ok(Outcome { came: self.fired.into_iter().map(came).collect(), passed })
    }
}
