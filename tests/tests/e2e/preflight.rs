//! What can't be moved is refused before anything is changed, and so is a spec with mistakes, all of them at once.

use crate::common::{self, on_stack, sql};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    scenario::{NAME, SHORT, Scenario},
    stack::StackInfo,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Code, what brings it about, and what takes it back.
const BLOCKERS: [(&str, &str, &str); 6] = [
    ("CO0331", "create table sales.keyless (a integer)", "drop table sales.keyless"),
    (
        "CO0334",
        "create table sales.generated (a integer primary key, b integer generated always as (a + 1) stored)",
        "drop table sales.generated",
    ),
    ("CO0335", "create unlogged table sales.unlogged (a integer primary key)", "drop table sales.unlogged"),
    (
        "CO0336",
        "create table sales.deferrable (a integer primary key, b integer unique deferrable)",
        "drop table sales.deferrable",
    ),
    ("CO0337", "select pg_catalog.lo_create(4711)", "select pg_catalog.lo_unlink(4711)"),
    ("CO0330", "alter table crm.note force row level security", "alter table crm.note no force row level security"),
];

/// A transaction that was prepared just now may be about to be committed; only a forgotten one stops a start.
const PREPARE: &str = "begin; insert into crm.department values (900, 'x'); prepare transaction 'mine'";
const PREPARED: &str = "CO0353";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused_and_nothing_is_changed() -> Result<()> {
    on_stack("preflight", &[], async |stack, directory| {
        let info = stack.info();
        let mut scenario = Scenario::prepare(info, &common::options(&directory, 1, 0), false).await?;
        let spec = scenario.spec.clone();
        a_spec_with_mistakes(&scenario, &spec).await?;
        let found = findings(&scenario, &spec, 0).await?;
        ensure!(found.blockers.is_empty() && !found.warnings.contains(PREPARED), "the sample itself: {found:?}");
        sql::script(&info.source, "shop", PREPARE).await?;
        let found = findings(&scenario, &spec, 0).await?;
        ensure!(found.warnings.contains(PREPARED), "the prepared transaction isn't seen: {found:?}");
        sql::script(&info.source, "shop", "rollback prepared 'mine'").await?;
        for (code, plant, back) in BLOCKERS {
            as_owner(info, plant).await?;
            let found = findings(&scenario, &spec, 3).await.with_context(|| plant)?.blockers;
            ensure!(found.len() == 1 && found.contains(code), "after `{plant}`: {found:?} instead of {code} alone");
            as_owner(info, back).await?;
        }
        for (_, plant, _) in BLOCKERS {
            as_owner(info, plant).await?;
        }
        let before = changeover_tests::scenario::Pair::take(info).await?;
        scenario.say(&["start", &spec]).await?;
        let status = scenario.product.wait_for(NAME, "its refusal", SHORT, |s| s.state() == "REFUSED").await?;
        ensure!(status.0["failure"]["code"] == "CO0813", "{}", status.0);
        let changed = before.after_abort(info).await?;
        ensure!(changed.is_empty(), "a refused start changed:\n{}", common::lines(&changed));
        for (_, _, back) in BLOCKERS {
            as_owner(info, back).await?;
        }
        findings(&scenario, &spec, 0).await.context("taken back, and still refused")?;
        scenario.stop_worker().await
    })
    .await
}

/// As the tables' owner: a superuser's objects would be refused for that.
async fn as_owner(info: &StackInfo, statement: &str) -> Result<()> {
    let owner = if statement.contains("crm.") { "crm_owner" } else { "shop_owner" };
    sql::script(&info.source, "shop", &format!("set role {owner};\n{statement};")).await
}

/// The codes of a report.
#[derive(Debug)]
struct Findings {
    blockers: BTreeSet<String>,
    warnings: BTreeSet<String>,
}

/// What preflight finds; `code` is the exit code that it has to end with.
async fn findings(scenario: &Scenario<'_>, spec: &str, code: i32) -> Result<Findings> {
    let finished = scenario.product.run(&["preflight", spec, "--json"]).await?;
    ensure!(finished.code == code, "preflight ended with {} instead of {code}: {finished:?}", finished.code);
    let report: Value = serde_json::from_str(&finished.stdout).context("the report is no JSON")?;
    let findings = report["findings"].as_array().context("a report without findings")?;
    let of = |severity: &str| {
        let codes = findings.iter().filter(|finding| finding["severity"] == severity);
        codes.filter_map(|finding| finding["code"].as_str().map(str::to_owned)).collect()
    };
    Ok(Findings { blockers: of("SEVERITY_BLOCKER"), warnings: of("SEVERITY_WARNING") })
}

/// All at once, each with its line.
async fn a_spec_with_mistakes(scenario: &Scenario<'_>, spec: &str) -> Result<()> {
    let good = std::fs::read_to_string(spec)?;
    let bad = good
        .replace("engine = \"pglogical\"", "engine = \"slony\"")
        .replacen("port = ", "porto = ", 1)
        .replace("[soak]", "[soak]\ncolour = \"red\"")
        .replace("sequence_margin = 1000", "sequence_margin = \"many\"");
    let path = scenario.product.directory().join("mistakes.toml");
    std::fs::write(&path, &bad)?;
    for verb in ["preflight", "plan", "start"] {
        let finished = scenario.product.run(&[verb, &path.display().to_string()]).await?;
        ensure!(finished.code == 3, "`{verb}` of a spec with mistakes: {finished:?}");
        for word in ["engine = \"slony\"", "porto", "colour", "sequence_margin = \"many\""] {
            let line = bad.lines().position(|line| line.contains(word)).context(word)? + 1;
            ensure!(
                finished.stderr.contains(&format!("line {line}: ")),
                "`{verb}` doesn't tell the mistake of line {line} (`{word}`): {}",
                finished.stderr
            );
        }
    }
    Ok(())
}
