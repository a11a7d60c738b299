//! Failpoints: what tests do to a worker on either side of what it changes. Only in builds with debug assertions, and only when
//! the environment variable `CHANGEOVER_FAILPOINTS` says so:
//!
//! ```text
//! CHANGEOVER_FAILPOINTS='switch.decide.after=kill'
//! CHANGEOVER_FAILPOINTS='activity.ensure_roles.before=stop, engine.node.after=refuse@2, activity.undo.after=lost'
//! ```
//!
//! | name | where |
//! |---|---|
//! | `activity.NAME` | around an activity of the contract, whatever it does; with its direction, undo or step, where it has one, such as `activity.undo.drop_roles` |
//! | a [`Step`]'s | within an activity, when one of its parts is done and the next one isn't begun: only `after` |
//! | a [`switch::Effect`](crate::switch::Effect)'s | around one change of a switch |
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process kills itself (SIGKILL) |
//! | `stop` | the process stops itself (SIGSTOP), and goes on when somebody sends SIGCONT |
//! | `error` | only `before`: nothing is done and an error is returned that passes by itself |
//! | `lost` | only `after`: it is done and an error is returned that passes by itself, as when the answer is lost |
//! | `refuse` | an error is returned that doesn't pass by itself: before, nothing is done; after, it is done |
//!
//! `@3` means the third time that the process comes there; without it the first. Each entry acts once. An entry that isn't
//! understood makes every change fail: a test that means to kill must not pass without having killed.
//!
//! `CHANGEOVER_FAILPOINTS=@FILE` is for several workers at once: one entry, without `@N`, stands in the file, for as long as there is
//! one. Whoever comes to it first takes the file away, as `FILE.PID`, and acts alone.

mod step;

use changeover_domain::Failure;

pub use step::Step;

/// On which side of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing has been done.
    Before,
    /// It has been done.
    After,
}

#[cfg(not(debug_assertions))]
mod armed {
    use super::{Failure, When};

    /// No failpoint.
    pub fn reach(_: &str, _: When) -> Result<(), Failure> {
        Ok(())
    }
    /// No failpoint.
    pub fn check(_: &[&str]) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(debug_assertions)]
mod armed;

/// Comes to one side of a change.
///
/// # Errors
/// What the failpoint was told to pretend; CO0750.
pub use armed::reach;

/// Looks whether `CHANGEOVER_FAILPOINTS` is understood, with these activities.
///
/// # Errors
/// What isn't understood.
pub use armed::check;

/// Does something between its two failpoints. Boxed: an activity's work is large, and each hand that it goes through by value would
/// need its size once more on the stack.
///
/// # Errors
/// The work's own, or what a failpoint was told to pretend.
pub async fn around<T>(name: &str, work: impl Future<Output = Result<T, Failure>> + Unpin) -> Result<T, Failure> {
    reach(name, When::Before)?;
    let done = work.await?;
    reach(name, When::After)?;
    Ok(done)
}

/// Comes to a place within an activity.
///
/// # Errors
/// What the failpoint was told to pretend.
pub fn step(step: Step) -> Result<(), Failure> {
    reach(step.name(), When::After)
}
