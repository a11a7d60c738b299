//! Totals as Markdown.

use super::state::{ByFault, Times, Totals};
use anyhow::{Context, Result};
use std::{fmt::Write as _, path::Path};

/// The totals of a run.
pub(crate) fn markdown(totals: &Totals) -> String {
    let mut text = format!(
        "seed {}: {} switches, {} kills or stops at random times, {} restarts of a server; \
         {} commits acknowledged, {} in doubt, {} lost, {} doubled, {} else wrong\n\n",
        totals.seed,
        totals.switches,
        totals.random_strikes,
        totals.server_restarts,
        totals.acknowledged,
        totals.in_doubt,
        totals.lost,
        totals.doubled,
        totals.else_wrong
    );
    text += "| fault | switches | open | abort | failed | writes flow, ms p50 / p95 / max | since the takeover, or the server's return | pooled clients' gap |\n";
    text += "|---|---|---|---|---|---|---|---|\n";
    for (fault, figures) in &totals.by_fault {
        text += &row(fault, figures);
    }
    text += &row("all", &totals.all);
    for fault in &totals.faults {
        let _infallible = writeln!(text, "\nWRONG: {fault}");
    }
    text
}

fn row(fault: &str, figures: &ByFault) -> String {
    let ByFault { switches, open, abort, failed, flow, after_takeover, pooled_gap } = figures;
    format!(
        "| {fault} | {switches} | {open} | {abort} | {failed} | {} | {} | {} |\n",
        times(flow),
        times(after_takeover),
        times(pooled_gap)
    )
}

fn times(times: &Times) -> String {
    format!("{:.0} / {:.0} / {:.0}", times.p50, times.p95, times.max)
}

const HEAD: &str = "\
# Switches soaked so far

Each line is a run of `make soak-test` that added itself (`--note`). A switch counts whatever became of it; `lost` and `doubled` are
the ledger's at the run's end, `failed` are switches after which something wasn't as it must be.

| ended (UTC) | seed | switches | open | abort | failed | kills and stops at random times | restarts of a server | commits acknowledged | lost | doubled | writes flow, ms p50 / p95 / max |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

/// Adds a run to the table of all runs; the sum over all of them stands in the last line.
pub(crate) fn note(path: &Path, totals: &Totals) -> Result<()> {
    let old = if path.exists() { std::fs::read_to_string(path)? } else { HEAD.to_owned() };
    let mut text: String =
        old.lines().filter(|line| !line.starts_with("| **all**")).fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        });
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M").to_string();
    let all = &totals.all;
    let _infallible = writeln!(
        text,
        "| {now} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        totals.seed,
        totals.switches,
        all.open,
        all.abort,
        all.failed,
        totals.random_strikes,
        totals.server_restarts,
        totals.acknowledged,
        totals.lost,
        totals.doubled,
        times(&all.flow)
    );
    text += &sums(&text);
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn sums(text: &str) -> String {
    let mut sums = [0_u64; 9];
    let runs = text.lines().filter(|line| line.starts_with("| 2"));
    for line in runs {
        for (sum, cell) in sums.iter_mut().zip(line.split('|').skip(3)) {
            *sum += cell.trim().parse::<u64>().unwrap_or(0);
        }
    }
    let cells: Vec<String> = sums.iter().map(|sum| format!("**{sum}**")).collect();
    format!("| **all** | | {} | |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::sums;

    #[test]
    fn the_last_line_adds_up_the_runs() {
        let text = "| ended | x |\n| 2026-11-23 13:00 | 7 | 10 | 8 | 2 | 0 | 5 | 1 | 900 | 0 | 0 | 1 / 2 / 3 |\n\
                    | 2026-11-24 13:00 | 8 | 20 | 18 | 2 | 0 | 6 | 1 | 1000 | 0 | 0 | 1 / 2 / 3 |\n";
        assert_eq!(
            sums(text),
            "| **all** | | **30** | **26** | **4** | **0** | **11** | **2** | **1900** | **0** | **0** | |\n"
        );
    }
}
