//! A run: what is planned, and what it came to.

use crate::fault::Injection;
use std::time::Duration;

/// Where a run ends that isn't aborted.
pub const TO_THE_END: &str = "finalize";

/// What is to be done to one migration.
#[derive(Clone, Debug)]
pub struct Run {
    /// For people.
    pub name: String,
    /// What is done to it, each once.
    pub injections: Vec<Injection>,
    /// The stage after which it is aborted, the approval at the latest; or [`TO_THE_END`].
    pub to: String,
}

impl Run {
    /// It takes a stack whose disks can run full.
    pub fn wants_disks(&self) -> bool {
        self.injections.iter().any(|one| one.fault.wants_a_disk())
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What was done to it.
    pub came: Vec<Came>,
    /// Faults whose place a worker passed that had been woken, and wasn't told of them. Each is to be tried in a run of its own.
    pub passed: Vec<Injection>,
}

/// What a fault came to.
#[derive(Clone, Debug)]
pub struct Came {
    pub injection: Injection,
    /// Code and remedy where it parked.
    pub parked: Option<(String, String)>,
    /// From the fault until the run went on.
    pub after: Duration,
}
