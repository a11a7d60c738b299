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
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// Holds what is to be done.
    const VARIABLE: &str = "CHANGEOVER_FAILPOINTS";

    static POINTS: LazyLock<Result<Vec<Point>, String>> =
        LazyLock::new(|| parse(&std::env::var(VARIABLE).unwrap_or_default()));

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
        let points = POINTS.as_ref().map_err(|why| Failure::invariant("CO0750", format!("{VARIABLE}: {why}")))?;
        for point in points.iter().filter(|p| p.effect == effect && p.when == when) {
            if point.seen.fetch_add(1, Ordering::SeqCst) + 1 == point.at {
                act(point)?;
            }
        }
        Ok(())
    }

    fn act(point: &Point) -> Result<(), Failure> {
        let name = format!("{}.{}", point.effect.name(), word(point.when));
        tracing::warn!(failpoint = name, action = ?point.action, "a failpoint acts");
        let signal = match point.action {
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
