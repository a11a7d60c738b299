//! `status --watch`: follows a migration until it ends, or until what was asked for has come.

mod bars;
mod lines;

use std::time::{Duration, Instant};

use changeover_domain::{
    proto::{StageState, State, Status},
    stage::{Phase, STAGES},
};

use crate::{client::Temporal, exit::Exit, problem::Problem, render, ui::Ui};

/// What a watch waits for, short of the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it waits for a person.
    Waiting,
    /// Until it has parked.
    Parked,
    /// Until it has come to a stage.
    Stage(String),
}

impl std::str::FromStr for Until {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "waiting" => Ok(Until::Waiting),
            "parked" => Ok(Until::Parked),
            stage if STAGES.iter().any(|s| s.word == stage) => Ok(Until::Stage(stage.to_owned())),
            _ => {
                let stages: Vec<&str> = STAGES.iter().map(|s| s.word).collect();
                Err(format!("use `waiting`, `parked` or a stage: {}", stages.join(", ")))
            }
        }
    }
}

/// How a watch goes.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) until: Option<Until>,
    pub(crate) every: Duration,
    pub(crate) timeout: Option<Duration>,
}

/// What a watch has come to with this status; none: it goes on.
pub(crate) fn verdict(status: &Status, until: Option<&Until>) -> Option<Exit> {
    match (status.state(), until) {
        (State::Finished, _) => Some(Exit::Done),
        (State::Aborted, _) => Some(Exit::Aborted),
        (State::Refused, _) => Some(Exit::Refused),
        (State::Parked, Some(Until::Parked)) | (State::Waiting, Some(Until::Waiting)) => Some(Exit::Done),
        (_, Some(Until::Stage(stage))) if reached(status, stage) => Some(Exit::Done),
        // Whoever waits for something else would wait for ever.
        (State::Parked, Some(_)) => Some(Exit::Parked),
        _ => None,
    }
}

fn reached(status: &Status, stage: &str) -> bool {
    if status.stage == stage {
        return true;
    }
    let done = status.stages.iter().any(|row| row.stage == stage && row.state() == StageState::Done);
    // Once the target serves, a stage before the switch comes again only after a rollback: that it was once done says nothing.
    let before = STAGES.iter().any(|s| s.word == stage && s.phase == Phase::BeforeSwitch);
    done && !(before && status.serving == "target")
}

/// What is shown while it goes on.
enum Shown {
    Bars(bars::Bars),
    Lines(lines::Lines),
    Json(Option<Box<Status>>),
}

impl Shown {
    fn show(&mut self, ui: &Ui, status: &Status) -> Result<(), Problem> {
        match self {
            Shown::Bars(bars) => bars.show(status),
            Shown::Lines(lines) => {
                if let Some(line) = lines.next(status) {
                    ui.print(&line);
                }
            }
            Shown::Json(last) => {
                // The time at which it was asked is no change.
                let timeless = |status: &Status| Status { updated_at: String::new(), ..status.clone() };
                let changed = last.as_ref().is_none_or(|last| timeless(last) != timeless(status));
                if changed {
                    ui.print_json_line(status)?;
                    *last = Some(Box::new(status.clone()));
                }
            }
        }
        Ok(())
    }
    fn trouble(&mut self, ui: &Ui, problem: &Problem) {
        match self {
            Shown::Bars(bars) => bars.trouble(&problem.message),
            Shown::Lines(_) | Shown::Json(_) => ui.warn(&format!("{}; still watching", problem.message)),
        }
    }
}

/// Follows it.
pub(crate) async fn watch(ui: &Ui, temporal: &Temporal, name: &str, watch: &Watch) -> Result<Exit, Problem> {
    let mut shown = if ui.json {
        Shown::Json(None)
    } else if ui.draws() {
        Shown::Bars(bars::Bars::new())
    } else {
        Shown::Lines(lines::Lines::default())
    };
    let started = Instant::now();
    let mut troubled = false;
    let (exit, last) = loop {
        let asked = tokio::select! {
            asked = temporal.status(name) => asked,
            _ = tokio::signal::ctrl_c() => break (Exit::Interrupted, None),
        };
        match asked {
            Ok(status) => {
                troubled = false;
                shown.show(ui, &status)?;
                if let Some(exit) = verdict(&status, watch.until.as_ref()) {
                    break (exit, Some(status));
                }
            }
            // A worker or server that is away comes back; everything else is an answer.
            Err(problem) if ["CO0901", "CO0903", "CO0911"].contains(&problem.code.as_str()) => {
                if !troubled {
                    shown.trouble(ui, &problem);
                }
                troubled = true;
            }
            Err(problem) => return Err(problem),
        }
        if watch.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            break (Exit::TimedOut, None);
        }
        tokio::select! {
            () = tokio::time::sleep(watch.every) => {}
            _ = tokio::signal::ctrl_c() => break (Exit::Interrupted, None),
        }
    };
    finish(ui, name, shown, exit, last.as_ref());
    Ok(exit)
}

fn finish(ui: &Ui, name: &str, shown: Shown, exit: Exit, last: Option<&Status>) {
    let drawn = matches!(shown, Shown::Bars(_));
    // Drops the bars, and with them what they cover.
    drop(shown);
    match (exit, last) {
        (Exit::TimedOut, _) => ui.warn(&format!("the time given is over; {name} goes on")),
        (Exit::Interrupted, _) => ui.say(&format!("watching ended; {name} goes on")),
        (_, Some(status)) if drawn => ui.print(&render::status::status(status, ui.out)),
        (_, Some(status)) if !ui.json && !status.next_command.is_empty() => ui.hint(&status.next_command),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use rstest::rstest;

    #[rstest]
    #[case::goes_on(samples::copying(), None, None)]
    #[case::finished(samples::finished(), None, Some(Exit::Done))]
    #[case::parked_goes_on(samples::parked(), None, None)]
    #[case::parked_as_wanted(samples::parked(), Some("parked"), Some(Exit::Done))]
    #[case::parked_instead(samples::parked(), Some("waiting"), Some(Exit::Parked))]
    #[case::waiting(samples::waiting(), Some("waiting"), Some(Exit::Done))]
    #[case::waiting_without_until(samples::waiting(), None, None)]
    #[case::stage_reached(samples::copying(), Some("copy"), Some(Exit::Done))]
    #[case::stage_passed(samples::waiting(), Some("copy"), Some(Exit::Done))]
    #[case::stage_of_before_the_switch(samples::soaking(), Some("approval"), None)]
    #[case::switch_passed(samples::soaking(), Some("switch"), Some(Exit::Done))]
    #[case::stage_to_come(samples::copying(), Some("verify"), None)]
    #[case::finished_instead(samples::finished(), Some("parked"), Some(Exit::Done))]
    #[case::aborted(samples::at("copy", State::Aborted), Some("waiting"), Some(Exit::Aborted))]
    #[case::refused(samples::at("preflight", State::Refused), None, Some(Exit::Refused))]
    fn a_watch_knows_when_to_end(#[case] status: Status, #[case] until: Option<&str>, #[case] exit: Option<Exit>) {
        let until: Option<Until> = until.map(|u| u.parse().unwrap());
        assert_eq!(verdict(&status, until.as_ref()), exit);
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_list() {
        assert!("copying".parse::<Until>().unwrap_err().contains("copy, finish_schema"));
    }
}
