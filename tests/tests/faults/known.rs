//! What the product tells of itself: its stages, its failpoints, and which activities a stage runs.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    demo,
    product::Status,
    scenario::{LONG, NAME},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// An activity that a stage runs, as its failpoints name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub stage: String,
    /// Such as `look_at_links.forward`.
    pub activity: String,
}

/// A place within activities.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub activities: Vec<String>,
}

/// Everything that the matrix is made of.
#[derive(Clone, Debug)]
pub struct Known {
    /// The stages before the switch, in order.
    pub stages: Vec<String>,
    /// What they run, in order.
    pub pairs: Vec<Pair>,
    pub undos: Vec<String>,
    /// The steps of finalize.
    pub finalize: Vec<String>,
    pub steps: Vec<Step>,
}

impl Known {
    /// Asks the product, and looks at a run that nothing happens to.
    pub async fn learn(lab: &mut Lab<'_>) -> Result<Self> {
        let plan = lab.product().json(&["plan", &lab.scenario.spec]).await?;
        let points = lab.product().json(&["failpoints"]).await?;
        let stages = words(&plan["stages"], "stage")?;
        let switch = stages.iter().position(|stage| stage == "switch").context("the plan has no switch")?;
        let stages = stages[..switch].to_vec();
        let (status, history) = quiet_run(lab).await?;
        let undos = undone(&history)?;
        let (done, listed): (BTreeSet<_>, BTreeSet<_>) =
            (undos.iter().cloned().collect(), list(&points["undos"])?.into_iter().collect());
        ensure!(done == listed, "the abort did {done:?}, and the product lists {listed:?}");
        let pairs = pairs(&status, &history)?;
        let without: Vec<_> = stages.iter().filter(|stage| !pairs.iter().any(|pair| pair.stage == **stage)).collect();
        ensure!(without.is_empty(), "no activity was seen in the stages {without:?}");
        every_activity_is_somewhere(&list(&points["activities"])?, &pairs)?;
        let finalize = list(&points["finalize"])?;
        Ok(Self { stages, pairs, undos, finalize, steps: steps(&points["steps"])? })
    }

    /// The stage in which a step is reached first.
    pub fn stage_of(&self, step: &Step) -> Option<&str> {
        let of = |pair: &&Pair| step.activities.iter().any(|a| pair.activity.split('.').next() == Some(a));
        self.pairs.iter().find(of).map(|pair| pair.stage.as_str())
    }
}

/// What runs beside the stages has failpoints of its own, and isn't there in every run.
pub const WATCH: &str = "watch.";

/// Activities that only a switch and what follows it run, or an abort.
const AFTER: [&str; 4] = ["switch", "housekeeping", "undo", "finalize"];

/// What only a migration with an AWS half runs: tests/aws tries its faults, on the local AWS.
const OF_AWS: &str = "aws_";

/// What the soak runs: whether it has been seen before, and so is armed late.
pub const SOAK: [(&str, bool); 4] =
    [("housekeeping", false), ("verify.reverse", false), ("look_at_links.reverse", true), ("look_for_drift", true)];

fn every_activity_is_somewhere(activities: &[String], pairs: &[Pair]) -> Result<()> {
    let seen: BTreeSet<&str> = pairs.iter().filter_map(|pair| pair.activity.split('.').next()).collect();
    let here = activities.iter().filter(|a| !a.starts_with(OF_AWS));
    let missed: Vec<_> = here.filter(|a| !seen.contains(a.as_str()) && !AFTER.contains(&a.as_str())).collect();
    ensure!(missed.is_empty(), "no stage before the switch runs {missed:?}");
    Ok(())
}

async fn quiet_run(lab: &mut Lab<'_>) -> Result<(Status, String)> {
    let worker = lab.product().worker("quiet-worker").await?;
    lab.product().ok(&["start", &lab.scenario.spec]).await?;
    lab.scenario.until_waiting("approval", LONG).await?;
    // Until it has looked at replication at the approval, both ways.
    let mut looks = String::new();
    let deadline = std::time::Instant::now() + LONG;
    while looks.matches("\"name\": \"look_at_links\"").count() < 4
        || !looks.contains("look_for_drift")
        || !settled(lab, &looks).await?
    {
        ensure!(std::time::Instant::now() < deadline, "it doesn't look at anything while it waits for an approval");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        looks = demo::temporal_history(lab.info(), NAME).await?;
    }
    let status = lab.product().status(NAME).await?;
    lab.scenario.abort().await?;
    worker.stop().await?;
    Ok((status, demo::temporal_history(lab.info(), NAME).await?))
}

/// Whether it has looked for drift since it began to wait.
async fn settled(lab: &Lab<'_>, history: &str) -> Result<bool> {
    let status = lab.product().status(NAME).await?;
    let pairs = pairs(&status, history)?;
    Ok(pairs.iter().any(|pair| pair.stage == "approval" && pair.activity == "look_for_drift"))
}

fn words(list: &Value, field: &str) -> Result<Vec<String>> {
    let list = list.as_array().context("no list")?;
    list.iter().map(|one| Ok(one[field].as_str().with_context(|| format!("no {field}"))?.to_owned())).collect()
}

fn list(value: &Value) -> Result<Vec<String>> {
    let list = value.as_array().context("no list")?;
    list.iter().map(|one| Ok(one.as_str().context("no word")?.to_owned())).collect()
}

fn steps(value: &Value) -> Result<Vec<Step>> {
    let all = value.as_array().context("no steps")?.iter();
    all.map(|one| {
        let name = one["name"].as_str().context("a step without a name")?.to_owned();
        Ok(Step { name, activities: list(&one["activities"])? })
    })
    .collect()
}

/// Which activities were begun while which stage was under way; each once.
fn pairs(status: &Status, history: &str) -> Result<Vec<Pair>> {
    let rows = status.0["stages"].as_array().context("a status without stages")?;
    let mut begun = Vec::new();
    for row in rows {
        if let Some(at) = row["startedAt"].as_str().filter(|at| !at.is_empty()) {
            begun.push((time(at)?, row["stage"].as_str().unwrap_or_default().to_owned()));
        }
    }
    let history: Value = serde_json::from_str(history).context("parsing the history")?;
    let mut pairs: Vec<Pair> = Vec::new();
    for event in history["events"].as_array().context("a history without events")? {
        let scheduled = &event["activityTaskScheduledEventAttributes"];
        let Some(name) = scheduled["activityType"]["name"].as_str() else { continue };
        if name == "undo" {
            continue;
        }
        let at = time(event["eventTime"].as_str().unwrap_or_default())?;
        let stage = begun.iter().rev().find(|(since, _)| *since <= at).context("an activity before all stages")?;
        let input = demo::payload(&scheduled["input"]["payloads"][0]);
        let input = serde_json::from_slice::<Value>(&input).unwrap_or_default();
        let kind = if input["watch"].is_object() { WATCH } else { "" };
        let direction = input["direction"].as_str().map(|direction| format!("{kind}{direction}"));
        // Only these have failpoints of their own for each direction.
        let directed = direction.filter(|_| ["look_at_links", "verify"].contains(&name));
        let activity = directed.map_or(name.to_owned(), |direction| format!("{name}.{direction}"));
        let pair = Pair { stage: stage.1.clone(), activity };
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// The undos of an abort in their order, as their failpoints name them.
fn undone(history: &str) -> Result<Vec<String>> {
    let history: Value = serde_json::from_str(history).context("parsing the history")?;
    let mut undos = Vec::new();
    for event in history["events"].as_array().context("a history without events")? {
        let scheduled = &event["activityTaskScheduledEventAttributes"];
        if scheduled["activityType"]["name"] == "undo" {
            let input: Value = serde_json::from_slice(&demo::payload(&scheduled["input"]["payloads"][0]))?;
            let undo = &input["undo"];
            let words = ["undo", "side", "direction"].iter().filter_map(|field| undo[*field].as_str());
            undos.push(words.collect::<Vec<_>>().join("."));
        }
    }
    Ok(undos)
}

fn time(text: &str) -> Result<jiff::Timestamp> {
    text.parse().with_context(|| format!("`{text}` is no time"))
}
