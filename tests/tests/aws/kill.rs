//! A worker that dies while the target is being created; a source with the family's default group; the old instance deleted.

use anyhow::{Context, Result, ensure};
use changeover_tests::{
    aws::{
        AwsSpec, AwsStackOptions, Found, OldOne, SOURCE, TARGET, end_the_old_one, finalize_but_for_the_end, leftovers,
        prepare,
    },
    scenario::{LONG, NAME},
    stack::{Side, process},
};

use crate::common::{self, judge, lines, meet_target, on_aws, once_each};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_the_target_is_created_is_followed_by_another() -> Result<()> {
    // A creation that lasts long enough to be in its midst.
    let options = AwsStackOptions { pace: 2.0, ..AwsStackOptions::default() };
    on_aws("kill", options, async |stack, directory| {
        let spec = AwsSpec { final_snapshot: true, delete: true, join: true, part: true, ..AwsSpec::default() };
        let at_first = stack.info().clone();
        let mut scenario = prepare(stack, &at_first, &common::options(&directory), &spec, false).await?;
        // The creation has been asked for by then, and nobody has written that down.
        scenario.stop_worker().await?;
        let doomed = scenario.product.with_variable("CHANGEOVER_FAILPOINTS", "activity.aws_act.instance.after=kill");
        scenario.worker = Some(doomed.worker("worker-doomed").await?);
        scenario.say(&["start", &scenario.spec]).await?;
        scenario.until_waiting("provision", LONG).await?;
        scenario.approve("reboot", "in the quiet hour").await?;
        let worker = scenario.worker.as_mut().context("there is no worker")?;
        process::wait_until("the worker has died", LONG, async || worker.has_ended()).await?;
        let seen = stack.instance(Side::Target, TARGET).await?.context("no target was asked for")?;
        ensure!(seen["status"] == "creating", "the worker didn't die in the midst of the creation: {seen}");
        scenario.replace_worker("worker-2").await?;
        scenario.product.wait_for(NAME, "the target to be made", LONG, |status| status.stage() != "provision").await?;
        stack.see_target(TARGET).await?;
        let info = stack.info().clone();
        meet_target(&mut scenario, &info).await?;
        once_each(
            stack,
            &[
                "source: rds RebootDBInstance",
                "target: ec2 CreateVpcPeeringConnection",
                "target: kms CreateKey",
                "target: rds CreateDBInstance",
                "target: secretsmanager CreateSecret",
            ],
        )
        .await?;

        scenario.cut_over("after a worker was killed").await?;
        let rows = scenario.compare().await?;
        ensure!(rows.diverged_rows == 0, "rows differ between the sides: {:#?}", rows.faults);
        finalize_but_for_the_end(&scenario).await?;
        judge(&mut scenario, Side::Target).await?;
        let left = leftovers(&scenario).await?;
        ensure!(left.is_empty(), "left over:\n{}", lines(&left));
        end_the_old_one(&scenario, OldOne::Deleted).await?;
        let found = Found::look(&stack.stand_in).await?;
        ensure!(found.source.instance(SOURCE).is_none(), "the old instance is still there");
        for account in [&found.source, &found.target] {
            let network = &account.network;
            ensure!(
                network.peerings.is_empty() && network.routes.is_empty(),
                "the networks aren't parted: {network:#?}"
            );
        }
        let kept: Vec<_> = found.source.snapshots.iter().filter(|it| it.kind == "manual").collect();
        ensure!(kept.len() == 1 && kept[0].status == "available", "its last snapshot: {kept:#?}");
        scenario.stop_worker().await
    })
    .await
}
