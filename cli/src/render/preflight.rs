//! What preflight found.

use changeover_domain::proto::{Finding, PreflightReport, Severity};

use super::format::{bytes, count, plural};
use crate::ui::Paint;

/// The report as text: what stops first.
pub(crate) fn preflight(report: &PreflightReport, paint: Paint) -> String {
    let mut out = format!(
        "source PostgreSQL {}, target PostgreSQL {}, engine {}\n",
        version(report.source_version),
        version(report.target_version),
        report.engine
    );
    for database in &report.databases {
        out.push_str(&format!(
            "  {:<20} {:>10}  {}, about {} rows, {}\n",
            database.name,
            bytes(database.bytes),
            plural(database.tables, "table"),
            count(database.rows_estimated),
            plural(database.sequences, "sequence"),
        ));
    }
    out.push('\n');
    let of = |severity: Severity| report.findings.iter().filter(move |f| f.severity() == severity);
    for severity in [Severity::Blocker, Severity::Warning, Severity::Info] {
        for finding in of(severity) {
            out.push_str(&finding_lines(finding, paint));
        }
    }
    let (blockers, warnings) = (of(Severity::Blocker).count() as u64, of(Severity::Warning).count() as u64);
    let verdict = match (blockers, warnings) {
        (0, 0) => paint.good("nothing stands in the way"),
        (0, _) => paint.good(&format!("nothing stops the migration; {}", plural(warnings, "warning"))),
        _ => paint.bad(&format!("{} to mend first; {}", plural(blockers, "blocker"), plural(warnings, "warning"))),
    };
    out.push_str(&format!("{verdict}\n"));
    out
}

fn finding_lines(finding: &Finding, paint: Paint) -> String {
    let label = match finding.severity() {
        Severity::Blocker => paint.bad("blocker"),
        Severity::Warning => paint.warn("warning"),
        Severity::Info | Severity::Unspecified => paint.faint("info   "),
    };
    let place: Vec<&str> =
        [finding.side.as_str(), &finding.database, &finding.object].into_iter().filter(|p| !p.is_empty()).collect();
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(" ")) };
    let mut out = format!("{label} {place}{} {}\n", finding.message, paint.faint(&format!("[{}]", finding.code)));
    if !finding.remedy.is_empty() {
        out.push_str(&format!("        {} {}\n", paint.now("help:"), finding.remedy));
    }
    out
}

/// `15.8` of `150008`.
pub(crate) fn version(number: u32) -> String {
    if number >= 100_000 {
        format!("{}.{}", number / 10_000, number % 10_000)
    } else {
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    }
}
