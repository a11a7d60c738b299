//! What people say at the wrong time, for another plan or too late is refused, and the refusal is an answer.

use crate::common::{self, on_stack, sql};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::Product,
    scenario::{LONG, NAME, SHORT, Scenario, ScenarioOptions},
};
use std::time::Duration;

const REFUSED: i32 = 3;
const USAGE: i32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_the_wrong_time_is_refused_and_a_rollback_can_be_undone_to_the_end() -> Result<()> {
    on_stack("controls", &[], async |stack, directory| {
        let options = ScenarioOptions { soak: "1h".to_owned(), ..common::options(&directory, 2, 4) };
        let mut scenario = Scenario::prepare(stack.info(), &options, false).await?;
        let spec = scenario.spec.clone();
        refused(&scenario.product, &["status", NAME], 1, "CO0904").await?;
        scenario.say(&["start", &spec]).await?;
        scenario.until_waiting("approval", LONG).await?;
        before_an_approval(&scenario.product, &spec).await?;
        an_approval_that_does_not_count(&scenario.product).await?;
        an_approval_that_expires(&scenario.product).await?;
        everything_parses(&scenario.product).await?;
        common::no_writer_saw_an_error(&scenario)?;

        scenario.approve("cutover", "checked").await?;
        scenario.say(&["cutover", NAME, "--yes", "--actor", "ada"]).await?;
        scenario.product.wait_for(NAME, "the soak", SHORT, |s| s.stage() == "soak").await?;
        while_the_target_serves(&scenario.product).await?;
        // Nobody has approved a rollback, and an approval without a reason is none.
        refused(&scenario.product, &["rollback", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0803").await?;
        refused(&scenario.product, &["rollback", NAME, "--yes", "--approver", "ada"], USAGE, "--reason").await?;
        scenario.roll_back("the target disappoints").await?;
        scenario.until_waiting("approval", LONG).await?;
        // The approval was for another epoch.
        refused(&scenario.product, &["cutover", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0803").await?;
        abort_after_a_rollback(&mut scenario).await
    })
    .await
}

async fn refused(product: &Product, arguments: &[&str], code: i32, word: &str) -> Result<()> {
    let finished = product.run(arguments).await?;
    let told = format!("`changeover {}`", arguments.join(" "));
    ensure!(finished.code == code, "{told} ended with {} instead of {code}: {finished:?}", finished.code);
    ensure!(finished.stderr.contains(word), "{told} doesn't say {word}: {}", finished.stderr);
    ensure!(finished.stdout.is_empty(), "{told} was refused, and yet there is data: {}", finished.stdout);
    Ok(())
}

async fn before_an_approval(product: &Product, spec: &str) -> Result<()> {
    let cases: [(&[&str], i32, &str); 10] = [
        (&["cutover", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0803"),
        (&["cutover", NAME], USAGE, "CO0906"),
        (&["rollback", NAME], USAGE, "CO0906"),
        (&["finalize", NAME], USAGE, "CO0906"),
        (&["cutover", NAME, "--yes", "--actor", " "], REFUSED, "CO0801"),
        (&["rollback", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0805"),
        (&["finalize", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0810"),
        (&["retry", NAME, "--actor", "ada"], REFUSED, "CO0807"),
        (&["approve", NAME, "--for", "finalize", "--approver", "ada", "--reason", "early"], REFUSED, "CO0803"),
        (&["start", spec], REFUSED, "CO0905"),
    ];
    for (arguments, code, word) in cases {
        refused(product, arguments, code, word).await?;
    }
    Ok(())
}

async fn an_approval_that_does_not_count(product: &Product) -> Result<()> {
    let flaws: [&[&str]; 5] = [
        &["--reason", "checked", "--plan-hash", "ffffffffffff"],
        &["--reason", "checked", "--epoch", "7"],
        &["--reason", "checked", "--expires", "0s"],
        &["--reason", " "],
        &["--reason", "checked", "--approver", " "],
    ];
    for flaw in flaws {
        let mut arguments = vec!["approve", NAME, "--for", "cutover"];
        if !flaw.contains(&"--approver") {
            arguments.extend(["--approver", "ada"]);
        }
        arguments.extend(flaw);
        refused(product, &arguments, REFUSED, "CO0803").await?;
    }
    // None of them was kept.
    refused(product, &["cutover", NAME, "--yes", "--actor", "ada"], REFUSED, "there is no approval").await
}

async fn an_approval_that_expires(product: &Product) -> Result<()> {
    let approve =
        ["approve", NAME, "--for", "cutover", "--approver", "ada", "--reason", "for a moment", "--expires", "2s"];
    product.ok(&approve).await?;
    let expiry = product.status(NAME).await?.0["approvals"][0]["expiresAt"].as_str().map(str::to_owned);
    ensure!(expiry.is_some(), "the approval isn't kept");
    // Time itself is awaited.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    refused(product, &["cutover", NAME, "--yes", "--actor", "ada"], REFUSED, "expired").await
}

async fn everything_parses(product: &Product) -> Result<()> {
    let status = product.json(&["status", NAME]).await?;
    ensure!(status["migration"] == NAME && status["stages"].as_array().is_some_and(|s| s.len() == 12), "{status}");
    let history = product.json(&["history", NAME]).await?;
    let events = history["events"].as_array().context("a history without events")?;
    ensure!(events.iter().any(|event| event["event"] == "approved" && event["actor"] == "ada"), "{history}");
    let list = product.json(&["list"]).await?;
    ensure!(list.to_string().contains(NAME), "the list doesn't name it: {list}");
    let page = include_str!("../../../docs/errors/CO0803.md");
    let printed = product.ok(&["explain", "CO0803"]).await?;
    let title = page.lines().next().unwrap_or_default().trim_start_matches("# ");
    ensure!(printed.contains(title), "`explain` doesn't print its page: {printed}");
    Ok(())
}

async fn while_the_target_serves(product: &Product) -> Result<()> {
    let cases: [(&[&str], &str); 4] = [
        (&["finalize", NAME, "--yes", "--actor", "ada"], "CO0810"),
        (&["abort", NAME, "--actor", "ada"], "CO0808"),
        (&["cutover", NAME, "--yes", "--actor", "ada"], "CO0804"),
        (&["approve", NAME, "--for", "cutover", "--approver", "ada", "--reason", "again"], "CO0803"),
    ];
    for (arguments, word) in cases {
        refused(product, arguments, REFUSED, word).await?;
    }
    // The soak isn't over: an approval doesn't shorten it.
    product.ok(&["approve", NAME, "--for", "finalize", "--approver", "ada", "--reason", "in a hurry"]).await?;
    refused(product, &["finalize", NAME, "--yes", "--actor", "ada"], REFUSED, "CO0810").await
}

async fn abort_after_a_rollback(scenario: &mut Scenario<'_>) -> Result<()> {
    let finished = scenario.product.run(&["abort", NAME, "--actor", "ada", "--reason", "enough"]).await?;
    ensure!(finished.code == 0, "{finished:?}");
    scenario.product.wait_for(NAME, "its abort", SHORT, |s| s.state() == "ABORTED").await?;
    let left = scenario.before.after_abort(scenario.info).await?;
    ensure!(left.is_empty(), "not as before:\n{}", common::lines(&left));
    refused(&scenario.product, &["retry", NAME, "--actor", "ada"], REFUSED, "CO0802").await?;
    common::judge(scenario, changeover_tests::stack::Side::Source).await?;
    let tables = "select count(*) from pg_catalog.pg_class where relnamespace = 'public'::regnamespace";
    ensure!(sql::number(&scenario.info.target, "shop", tables).await? == 0, "the target isn't empty");
    scenario.stop_worker().await
}
