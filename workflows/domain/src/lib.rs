//! Changeover's decisions: what a stage is, when a gate opens, what undoes what, what a failure means.
//!
//! *Architecture Invariant:* nothing in here awaits, reads a clock, or touches a file, a socket or the environment.

pub mod approval;
pub mod aws;
pub mod direction;
pub mod failure;
pub mod fence;
pub mod gate;
pub mod history;
pub mod ident;
pub mod lsn;
pub mod names;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod spec;
pub mod stage;
pub mod undo;
pub mod verify;
pub mod wal;

pub use changeover_proto::v1 as proto;
pub use direction::{Direction, Side};
pub use failure::{Class, Failure};
pub use ident::{Ident, QualifiedName};
pub use lsn::Lsn;
pub use names::MigrationId;

/// A time as RFC 3339 in UTC with milliseconds, the form of every time in the contract.
pub fn rfc3339(at: std::time::SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// The time that a text in that form stands for; `None` when it is in another form.
pub fn from_rfc3339(text: &str) -> Option<std::time::SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
