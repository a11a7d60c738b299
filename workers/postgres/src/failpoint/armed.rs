//! The failpoints of builds with debug assertions.

use std::{
    io::ErrorKind,
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use changeover_domain::Failure;
use rustix::process::{Signal, getpid, kill_process};

use super::{Step, When};
use crate::switch::Effect;

/// Holds what is to be done.
const VARIABLE: &str = "CHANGEOVER_FAILPOINTS";
/// By then a signal to this process has been taken.
const TAKEN: Duration = Duration::from_millis(100);
/// What names of activities begin with.
const ACTIVITY: &str = "activity.";

static POINTS: LazyLock<Result<Points, String>> =
    LazyLock::new(|| Points::told(&std::env::var(VARIABLE).unwrap_or_default()));

#[derive(Debug)]
enum Points {
    /// For this process.
    Own(Vec<Point>),
    /// For whoever comes first.
    Shared(PathBuf),
}

impl Points {
    fn told(text: &str) -> Result<Self, String> {
        text.strip_prefix('@').map_or_else(|| parse(text).map(Self::Own), |path| Ok(Self::Shared(path.into())))
    }

    /// What is to be done here and now. All of this process's own count before one acts: an error mustn't keep the others from
    /// seeing that this place was reached. With the time at which each was to act.
    fn due(&self, name: &str, when: When) -> Result<Vec<(Action, u32)>, String> {
        let here = |point: &&Point| point.name == name && point.when == when;
        match self {
            Self::Own(points) => Ok(points
                .iter()
                .filter(here)
                .filter(|point| point.seen.fetch_add(1, Ordering::SeqCst) + 1 == point.at)
                .map(|point| (point.action, point.at))
                .collect()),
            Self::Shared(path) => {
                let Some(text) = there(std::fs::read_to_string(path))? else { return Ok(Vec::new()) };
                let point = parse_one(text.trim())?;
                if !here(&&point) {
                    return Ok(Vec::new());
                }
                let taken = path.with_added_extension(std::process::id().to_string());
                Ok(there(std::fs::rename(path, taken))?.map(|()| (point.action, point.at)).into_iter().collect())
            }
        }
    }
}

/// A file that isn't there, or has been taken by somebody else, is no error.
fn there<T>(result: std::io::Result<T>) -> Result<Option<T>, String> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(|error| error.to_string()),
    }
}

#[derive(Debug)]
struct Point {
    name: String,
    when: When,
    action: Action,
    /// At which time; 1 is the first.
    at: u32,
    seen: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Stop,
    Fail,
    Refuse,
}

/// See `super::reach`.
pub fn reach(name: &str, when: When) -> Result<(), Failure> {
    let told = |why: &str| Failure::invariant("CO0750", format!("{VARIABLE}: {why}"));
    let points = POINTS.as_ref().map_err(|why| told(why))?;
    let due = points.due(name, when).map_err(|why| told(&why))?;
    due.into_iter().try_for_each(|(action, at)| act(name, when, action, at))
}

/// See `super::check`.
pub fn check(activities: &[&str]) -> Result<(), String> {
    let points = match POINTS.as_ref().map_err(|why| format!("{VARIABLE}: {why}"))? {
        Points::Own(points) => points,
        // It may be written later.
        Points::Shared(_) => return Ok(()),
    };
    let unknown = |point: &&Point| {
        let activity = point.name.strip_prefix(ACTIVITY).map(|rest| rest.split('.').next().unwrap_or(rest));
        activity.is_some_and(|activity| !activities.contains(&activity))
    };
    match points.iter().find(unknown) {
        Some(point) => Err(format!("{VARIABLE}: there is no `{}`", point.name)),
        None => Ok(()),
    }
}

fn act(name: &str, when: When, action: Action, at: u32) -> Result<(), Failure> {
    let name = format!("{name}.{}", word(when));
    tracing::warn!(failpoint = name, at, ?action, "a failpoint acts");
    let remedy = "unset CHANGEOVER_FAILPOINTS";
    let signal = match action {
        Action::Fail => {
            return Err(Failure::transient("CO0750", format!("failpoint {name}: an error as told"), remedy));
        }
        Action::Refuse => {
            return Err(Failure::needs_human("CO0750", format!("failpoint {name}: refused as told"), remedy));
        }
        Action::Kill => Signal::KILL,
        Action::Stop => Signal::STOP,
    };
    kill_process(getpid(), signal)
        .map_err(|error| Failure::invariant("CO0750", format!("failpoint {name}: no signal was sent: {error}")))?;
    // Another thread may take the signal, and this one would go on past the failpoint until it has. The time runs on while stopped.
    std::thread::sleep(TAKEN);
    Ok(())
}

fn word(when: When) -> &'static str {
    match when {
        When::Before => "before",
        When::After => "after",
    }
}

/// Activities are known to the worker alone, which looks at them by [`check`].
fn is_known(name: &str, when: When) -> bool {
    name.starts_with(ACTIVITY)
        || Effect::ALL.iter().any(|effect| effect.name() == name)
        || (when == When::After && Step::ALL.iter().any(|step| step.name() == name))
}

fn parse(text: &str) -> Result<Vec<Point>, String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(parse_one).collect()
}

fn parse_one(entry: &str) -> Result<Point, String> {
    let unknown = || format!("`{entry}` isn't NAME.before|after=kill|stop|error|lost|refuse, with @N or without");
    let (place, action) = entry.split_once('=').ok_or_else(unknown)?;
    let (name, when) = place.rsplit_once('.').ok_or_else(unknown)?;
    let (action, at) = action.split_once('@').unwrap_or((action, "1"));
    let when = [When::Before, When::After].into_iter().find(|w| word(*w) == when).ok_or_else(unknown)?;
    let action = match (action, when) {
        ("kill", _) => Action::Kill,
        ("stop", _) => Action::Stop,
        ("error", When::Before) | ("lost", When::After) => Action::Fail,
        ("refuse", _) => Action::Refuse,
        _ => return Err(unknown()),
    };
    if !is_known(name, when) {
        return Err(unknown());
    }
    let at = at.parse().ok().filter(|at| *at > 0).ok_or_else(unknown)?;
    Ok(Point { name: name.to_owned(), when, action, at, seen: AtomicU32::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_understood() {
        let text = "switch.decide.after=kill, switch.claim.before=stop@3, activity.undo.before=refuse, engine.node.after=lost,";
        let points = parse(text).unwrap();
        let told: Vec<_> = points.iter().map(|p| (p.name.as_str(), p.when, p.action, p.at)).collect();
        assert_eq!(
            told,
            [
                ("switch.decide", When::After, Action::Kill, 1),
                ("switch.claim", When::Before, Action::Stop, 3),
                ("activity.undo", When::Before, Action::Refuse, 1),
                ("engine.node", When::After, Action::Fail, 1),
            ]
        );
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_file_is_for_whoever_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("failpoint");
        let points = Points::told(&format!("@{}", path.display())).unwrap();
        assert_eq!(points.due("switch.decide", When::After), Ok(vec![]));
        std::fs::write(&path, "switch.decide.after=kill\n").unwrap();
        assert_eq!(points.due("switch.decide", When::Before), Ok(vec![]));
        assert_eq!(points.due("switch.decide", When::After), Ok(vec![(Action::Kill, 1)]));
        assert_eq!(points.due("switch.decide", When::After), Ok(vec![]));
        assert!(path.with_added_extension(std::process::id().to_string()).exists());
        std::fs::write(&path, "decide=kill").unwrap();
        assert!(points.due("switch.claim", When::Before).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "decide.after=kill",
            "switch.decide=kill",
            "switch.decide.after=kil",
            "switch.decide.after=error",
            "switch.decide.before=lost",
            "switch.decide.before=kill@0",
            "switch.decide.before",
            "engine.node.before=kill",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
