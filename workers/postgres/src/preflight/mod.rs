//! Preflight: looks at both sides and at the poolers, and changes nothing.
//!
//! Each fact is one statement over the whole catalog (`sql/preflight/*.sql`), never one per table. Every session is read-only, but
//! for the attempt of each server to reach the other one, which is a transaction that is rolled back.
//! A look that fails becomes a finding by itself, so that everything is reported at once.

mod collect;
mod look;
mod pooler;

use changeover_domain::{Failure, preflight, proto::PreflightReport};

use crate::Migration;

/// Looks at everything and judges it. What can't be reached or read is a blocker of the report, not a failure.
///
/// # Errors
/// None today; the type leaves room for a report that can't be made at all.
pub async fn run(migration: &Migration) -> Result<PreflightReport, Failure> {
    attempt(migration, true).await
}

/// As [`run`], but a look that failed by what may pass by itself, as a connection that was cut, fails an attempt that isn't the `last`
/// one: it must not end a migration as if a flaw had been found.
///
/// # Errors
/// CO0301 and CO0302 of such a look, transient.
pub async fn attempt(migration: &Migration, last: bool) -> Result<PreflightReport, Failure> {
    let facts = collect::collect(migration).await;
    match facts.worth_another_attempt() {
        Some(failure) if !last => Err(failure),
        _ => Ok(preflight::report(&migration.spec, &facts)),
    }
}
