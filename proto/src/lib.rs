//! Changeover's wire contract: the spec, the status, the controls and the audit events, as prost messages whose JSON is
//! the one readable form in Temporal's history, on the command line and in reports.
//!
//! *Architecture Invariant:* no message has a place for a secret, only for a reference to one.

/// Version 1 of the contract.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::expect_used)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/changeover.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/changeover.v1.serde.rs"));
}
