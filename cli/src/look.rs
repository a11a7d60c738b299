//! A preflight from the command line: the same code that the migration's first stage runs, on this machine.

use changeover_domain::proto::{PreflightReport, Severity, Spec};
use changeover_postgres::Migration;

use crate::problem::Problem;

/// Reads both sides; changes nothing.
pub(crate) async fn look(spec: &Spec) -> Result<PreflightReport, Problem> {
    let migration = Migration::resolve(spec)?;
    Ok(changeover_postgres::preflight::run(&migration).await?)
}

/// Whether anything in it stops a migration.
pub(crate) fn blocked(report: &PreflightReport) -> bool {
    report.findings.iter().any(|f| f.severity() == Severity::Blocker)
}
