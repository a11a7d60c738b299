//! The migration as a Temporal workflow, and the contracts of the activities that it calls.
//!
//! *Architecture Invariant:* workflow code names no clock, no random source, no socket and no tokio; it sequences what the
//! domain decides. `clippy.toml` beside this crate forbids the rest.

// The macros make constants and types without documentation; what is written by hand is documented.
// `unimplemented!()` is what a declaration without a body is written as.
#[allow(missing_docs, clippy::unimplemented)]
pub mod contract;
#[allow(missing_docs)]
pub mod migration;
mod patches;

pub use migration::{Migration, MigrationInput, MigrationOutcome};

/// The task queue of workflows and activities.
pub const TASK_QUEUE: &str = "changeover";

/// The task queue of the switch. A worker takes one at a time and doesn't poll meanwhile, so that no attempt waits for a worker that
/// stands still.
pub const SWITCH_QUEUE: &str = "changeover-switch";

/// The workflow type, in Temporal's history for ever: never rename it.
pub const WORKFLOW_TYPE: &str = "changeover.migration";
