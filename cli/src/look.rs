//! A preflight from the command line: the same code that the migration's first stage runs, on this machine.

use changeover_domain::proto::{PreflightReport, Severity, Spec};
use changeover_postgres::Migration;

use crate::{exit::Exit, problem::Problem};

/// Reads both sides; changes nothing.
pub(crate) async fn look(spec: &Spec) -> Result<PreflightReport, Problem> {
    if spec.aws.is_some() {
        let message = "the target isn't there yet: preflight runs when AWS has made it, as the stage after `provision`";
        let remedy = "`changeover plan SPEC` shows what would be done in AWS";
        return Err(Problem::new("CO1084", message, remedy).exit(Exit::Refused));
    }
    let migration = Migration::resolve(spec)?;
    Ok(changeover_postgres::preflight::run(&migration).await?)
}

/// Whether anything in it stops a migration.
pub(crate) fn blocked(report: &PreflightReport) -> bool {
    report.findings.iter().any(|f| f.severity() == Severity::Blocker)
}
