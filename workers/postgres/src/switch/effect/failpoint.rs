//! Failpoints: what tests do to a switch at each of its effects. Only in builds with debug assertions, and only when the
//! environment variable `CHANGEOVER_FAILPOINTS` says so:
//!
//! ```text
//! CHANGEOVER_FAILPOINTS='switch.decide.after=kill'
//! CHANGEOVER_FAILPOINTS='switch.claim.before=stop@3, undo.bar.after=lost'
//! ```
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process kills itself (SIGKILL) |
//! | `stop` | the process stops itself (SIGSTOP), and goes on when somebody sends SIGCONT |
//! | `error` | only `before`: the change isn't made and an error is returned |
//! | `lost` | only `after`: the change is made and an error is returned, as when the answer is lost |
//!
//! `@3` means the third time that the process comes there; without it the first. Each failpoint acts once. An entry that isn't
//! understood makes every change fail: a test that means to kill must not pass without having killed.
//!
//! `CHANGEOVER_FAILPOINTS=@FILE` is for several workers at once: one entry, without `@N`, stands in the file, for as long as there is
//! one. Whoever comes to it first takes the file away, as `FILE.PID`, and acts alone.

use changeover_domain::Failure;

use super::Effect;

/// On which side of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

#[cfg(not(debug_assertions))]
pub(super) fn reach(_: Effect, _: When) -> Result<(), Failure> {
    Ok(())
}

#[cfg(debug_assertions)]
pub(super) use armed::reach;

#[cfg(debug_assertions)]
mod armed {
    use std::{
        io::ErrorKind,
        path::PathBuf,
        sync::{
            LazyLock,
            atomic::{AtomicU32, Ordering},
        },
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// Holds what is to be done.
    const VARIABLE: &str = "CHANGEOVER_FAILPOINTS";

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

        /// What is to be done here and now.
        fn due(&self, effect: Effect, when: When) -> Result<Option<Action>, String> {
            let here = |point: &&Point| point.effect == effect && point.when == when;
            match self {
                // Each that stands here counts, whichever of them acts.
                Self::Own(points) => {
                    let mut due = None;
                    for point in points.iter().filter(here) {
                        if point.seen.fetch_add(1, Ordering::SeqCst) + 1 == point.at {
                            due = Some(point.action);
                        }
                    }
                    Ok(due)
                }
                Self::Shared(path) => {
                    let Some(text) = there(std::fs::read_to_string(path))? else { return Ok(None) };
                    let point = parse_one(text.trim())?;
                    if !here(&&point) {
                        return Ok(None);
                    }
                    let taken = path.with_added_extension(std::process::id().to_string());
                    Ok(there(std::fs::rename(path, taken))?.map(|()| point.action))
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
        effect: Effect,
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
    }

    pub(in super::super) fn reach(effect: Effect, when: When) -> Result<(), Failure> {
        let told = |why: &str| Failure::invariant("CO0750", format!("{VARIABLE}: {why}"));
        let points = POINTS.as_ref().map_err(|why| told(why))?;
        match points.due(effect, when).map_err(|why| told(&why))? {
            Some(action) => act(effect, when, action),
            None => Ok(()),
        }
    }

    fn act(effect: Effect, when: When, action: Action) -> Result<(), Failure> {
        let name = format!("{}.{}", effect.name(), word(when));
        tracing::warn!(failpoint = name, ?action, "a failpoint acts");
        let signal = match action {
            Action::Fail => {
                let message = format!("failpoint {name}: an error as told");
                return Err(Failure::transient("CO0750", message, "unset CHANGEOVER_FAILPOINTS"));
            }
            Action::Kill => Signal::KILL,
            Action::Stop => Signal::STOP,
        };
        kill_process(getpid(), signal)
            .map_err(|error| Failure::invariant("CO0750", format!("failpoint {name}: no signal was sent: {error}")))
    }

    fn word(when: When) -> &'static str {
        match when {
            When::Before => "before",
            When::After => "after",
        }
    }

    fn parse(text: &str) -> Result<Vec<Point>, String> {
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(parse_one).collect()
    }

    fn parse_one(entry: &str) -> Result<Point, String> {
        let unknown = || format!("`{entry}` isn't EFFECT.before|after=kill|stop|error|lost, with @N or without");
        let (place, action) = entry.split_once('=').ok_or_else(unknown)?;
        let (name, when) = place.rsplit_once('.').ok_or_else(unknown)?;
        let (action, at) = action.split_once('@').unwrap_or((action, "1"));
        let when = [When::Before, When::After].into_iter().find(|w| word(*w) == when).ok_or_else(unknown)?;
        let action = match (action, when) {
            ("kill", _) => Action::Kill,
            ("stop", _) => Action::Stop,
            ("error", When::Before) | ("lost", When::After) => Action::Fail,
            _ => return Err(unknown()),
        };
        let effect = Effect::ALL.iter().copied().find(|e| e.name() == name).ok_or_else(unknown)?;
        let at = at.parse().ok().filter(|at| *at > 0).ok_or_else(unknown)?;
        Ok(Point { effect, when, action, at, seen: AtomicU32::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn entries_are_understood() {
            let points = parse("switch.decide.after=kill, switch.claim.before=stop@3,").unwrap();
            let told: Vec<_> = points.iter().map(|p| (p.effect, p.when, p.action, p.at)).collect();
            assert_eq!(
                told,
                [(Effect::Decide, When::After, Action::Kill, 1), (Effect::Claim, When::Before, Action::Stop, 3)]
            );
            assert!(parse("").unwrap().is_empty());
        }

        #[test]
        fn a_file_is_for_whoever_comes_first() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("failpoint");
            let points = Points::told(&format!("@{}", path.display())).unwrap();
            assert_eq!(points.due(Effect::Decide, When::After), Ok(None));
            std::fs::write(&path, "switch.decide.after=kill\n").unwrap();
            assert_eq!(points.due(Effect::Decide, When::Before), Ok(None));
            assert_eq!(points.due(Effect::Decide, When::After), Ok(Some(Action::Kill)));
            assert_eq!(points.due(Effect::Decide, When::After), Ok(None));
            assert!(path.with_added_extension(std::process::id().to_string()).exists());
            std::fs::write(&path, "decide=kill").unwrap();
            assert!(points.due(Effect::Claim, When::Before).is_err());
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
            ] {
                assert!(parse(text).is_err(), "{text}");
            }
        }
    }
}
