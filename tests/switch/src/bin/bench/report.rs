//! The figures as Markdown.

use super::sample::{FloorSample, MethodSample, Run, SwitchSample};
use std::{collections::BTreeMap, fmt::Write as _};

/// An attempt that held writers for longer is told with its steps.
const OUTLIER_US: u64 = 500_000;

/// Quantiles of a set of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            // The nearest rank.
            let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
            values.get(rank - 1).copied().unwrap_or(0.0)
        };
        Self { count: values.len(), p50: at(0.50), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

struct Figures {
    window: Quantiles,
    gap: Quantiles,
    statement: Quantiles,
    forward: Quantiles,
    reverse: Quantiles,
    floor: Quantiles,
    held: Quantiles,
    method: Quantiles,
    method_gap: Quantiles,
}

impl Figures {
    fn of(run: &Run) -> Self {
        let open = || run.switches.iter().filter(|switch| switch.outcome == "open");
        let window = |switch: &SwitchSample| ms(switch.pause_us);
        let towards = |word: &'static str| Quantiles::of(open().filter(move |s| s.direction == word).map(window));
        let floor = |held: bool| {
            let samples = run.floors.iter().filter(move |sample| sample.held == held);
            Quantiles::of(samples.map(|sample: &FloorSample| ms(sample.durable_us)))
        };
        Self {
            window: Quantiles::of(open().map(window)),
            gap: Quantiles::of(open().map(|switch| switch.gap_ms)),
            statement: Quantiles::of(open().map(|switch| switch.statement_ms)),
            forward: towards("forward"),
            reverse: towards("reverse"),
            floor: floor(false),
            held: floor(true),
            method: Quantiles::of(run.methods.iter().map(|sample: &MethodSample| ms(sample.window_us))),
            method_gap: Quantiles::of(run.methods.iter().map(|sample| sample.gap_ms)),
        }
    }
}

/// One line while it runs.
pub(crate) fn line(run: &Run) -> String {
    let figures = Figures::of(run);
    format!(
        "{:>5} switches ({} open): window p50 {:.1} p99 {:.1} ms, floor p50 {:.1} p99 {:.1} ms, load {:.1}",
        run.switches.len(),
        figures.window.count,
        figures.window.p50,
        figures.window.p99,
        figures.floor.p50,
        figures.floor.p99,
        super::machine::load()
    )
}

/// The whole report.
pub(crate) fn markdown(run: &Run) -> String {
    let figures = Figures::of(run);
    let mut text = head(run);
    text += "| milliseconds | samples | p50 | p95 | p99 | max |\n|---|---|---|---|---|---|\n";
    text += &row("fence window: writers may wait until the other side takes writes", &figures.window);
    text += &row("— forward", &figures.forward);
    text += &row("— back", &figures.reverse);
    text += &row("clients: longest time between two acknowledged writes to one database", &figures.gap);
    text += &row("clients: slowest statement", &figures.statement);
    text += &row("floor, writers running", &figures.floor);
    text += &row("floor, writers held", &figures.held);
    text += &row("method of pg_easy_replicate, rebuilt: refused until complete", &figures.method);
    text += &row("— clients' longest time between two acknowledged writes", &figures.method_gap);
    text += &goals(run, &figures);
    text += &steps(run);
    text += &refusals(run);
    text += &outliers(run);
    text
}

fn head(run: &Run) -> String {
    let load = Quantiles::of(run.switches.iter().map(|switch| switch.load));
    let cpu = Quantiles::of(run.switches.iter().map(|switch| switch.cpu * 100.0));
    format!(
        "{} to {}; {}; PostgreSQL 15 twice and PgBouncer on the same machine, TLS throughout, fsync on, pglogical.\n\
         {} tables in 2 databases; {} writers through the pooler at {} transactions/s each ({:.0}/s acknowledged over the run);\n\
         load average at the switches p50 {:.1}, max {:.1}; {:.0} % of the machine busy during a switch (p50).\n\
         At the end: {} commits acknowledged, {} lost, {} doubled, {}.\n\n",
        run.began,
        run.ended,
        run.machine,
        run.tables,
        run.writers,
        run.rate,
        run.transactions_per_second,
        load.p50,
        load.max,
        cpu.p50,
        run.acknowledged,
        run.lost,
        run.doubled,
        if run.faults.is_empty() { "both sides equal".to_owned() } else { run.faults.join("; ") }
    )
}

fn row(what: &str, q: &Quantiles) -> String {
    format!("| {what} | {} | {:.1} | {:.1} | {:.1} | {:.1} |\n", q.count, q.p50, q.p95, q.p99, q.max)
}

fn goals(run: &Run, figures: &Figures) -> String {
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let (forward, reverse) = (figures.forward.p50, figures.reverse.p50);
    let errors = sum(run.switches.iter().map(|switch| &switch.errors));
    let theirs = sum(run.methods.iter().map(|sample| &sample.errors));
    let met = |yes: bool| if yes { "met" } else { "missed" };
    let mut text = "\n| goal | found | |\n|---|---|---|\n".to_owned();
    let mut goal = |what: &str, found: f64, most: f64| {
        let _infallible = writeln!(text, "| {what} ≤ {most} | {found:.2} | {} |", met(found > 0.0 && found <= most));
    };
    goal("window p50 / floor p50 (writers running)", ratio(figures.window.p50, figures.floor.p50), 2.0);
    goal("window p99 / floor p99 (writers running)", ratio(figures.window.p99, figures.floor.p99), 5.0);
    goal("window p50 / floor p50 (writers held)", ratio(figures.window.p50, figures.held.p50), 2.0);
    goal("window p99 / floor p50 (writers running)", ratio(figures.window.p99, figures.floor.p50), 5.0);
    goal("back p50 / forward p50", ratio(reverse, forward), 1.2);
    let shorter = ratio(figures.method.p50, figures.window.p50);
    let _infallible =
        writeln!(text, "| times shorter than the rebuilt method ≥ 10 | {shorter:.1} | {} |", met(shorter >= 10.0));
    let _infallible =
        writeln!(text, "| errors of clients by SQLSTATE: none | {} | {} |", counts(&errors), met(errors.is_empty()));
    let _infallible = writeln!(text, "\nErrors of the same clients under the rebuilt method: {}.", counts(&theirs));
    text
}

fn sum<'a>(all: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (state, count) in all.flatten() {
        *sum.entry(state.clone()).or_default() += count;
    }
    sum
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(state, count)| format!("{state}: {count}")).collect::<Vec<_>>().join(", ")
}

/// How long each step took, from the one before it.
fn steps(run: &Run) -> String {
    let mut order: Vec<String> = Vec::new();
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for switch in run.switches.iter().filter(|switch| switch.outcome == "open") {
        let mut before = 0;
        for (name, at) in &switch.steps {
            if !order.contains(name) {
                order.push(name.clone());
            }
            times.entry(name.clone()).or_default().push(ms(at.saturating_sub(before)));
            before = *at;
        }
    }
    let mut text = "\n| step, from the one before it, ms | p50 | p95 | p99 | max |\n|---|---|---|---|---|\n".to_owned();
    for name in order {
        let q = Quantiles::of(times.remove(&name).unwrap_or_default().into_iter());
        let _infallible = writeln!(text, "| {name} | {:.1} | {:.1} | {:.1} | {:.1} |", q.p50, q.p95, q.p99, q.max);
    }
    text
}

fn refusals(run: &Run) -> String {
    let mut codes: BTreeMap<String, u64> = BTreeMap::new();
    for switch in run.switches.iter().filter(|switch| switch.outcome != "open") {
        let reason = switch.refusal.split(';').next().unwrap_or_default().chars().take(90).collect();
        *codes.entry(reason).or_default() += 1;
    }
    if codes.is_empty() {
        return "\nEvery attempt opened the other side.\n".to_owned();
    }
    let attempts: u64 = codes.values().sum();
    let mut text =
        format!("\n{attempts} of {} attempts were given up, writes going on where they were:\n", run.switches.len());
    for (reason, count) in codes {
        let _infallible = writeln!(text, "- {count}: {reason}");
    }
    text
}

fn outliers(run: &Run) -> String {
    let mut text = String::new();
    for switch in run.switches.iter().filter(|switch| switch.pause_us > OUTLIER_US || switch.gap_ms > ms(OUTLIER_US)) {
        let steps: Vec<String> = switch.steps.iter().map(|(name, at)| format!("{name} {:.1}", ms(*at))).collect();
        let _infallible = writeln!(
            text,
            "- {} {} ({}): window {:.1} ms, gap {:.1} ms, load {:.1}; {}",
            switch.at,
            switch.direction,
            switch.outcome,
            ms(switch.pause_us),
            switch.gap_ms,
            switch.load,
            steps.join(", ")
        );
    }
    if text.is_empty() { "\nNothing above 500 ms.\n".to_owned() } else { format!("\nAbove 500 ms:\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let q = Quantiles::of((1..=1_000).rev().map(f64::from));
        assert_eq!((q.p50, q.p95, q.p99, q.max, q.count), (500.0, 950.0, 990.0, 1_000.0, 1_000));
    }
}
