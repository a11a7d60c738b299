//! A worker that dies while the target is being created; a source with the family's default group, whose master gets another password; the
//! old instance deleted.

use anyhow::{Context, Result, ensure};
use changeover_tests::{
    aws::{
        AwsSpec, AwsStack, AwsStackOptions, Found, MASTER_SECRET, OldOne, SOURCE, TARGET, call_counts, end_the_old_one,
        finalize_but_for_the_end, keep_secrets, leftovers, prepare,
    },
    scenario::{LONG, NAME, SHORT},
    stack::{SAMPLE_LOGINS, Side, connect, process, rds},
};
use serde_json::json;

use crate::common::{self, judge, lines, meet_target, on_aws, once_each};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_the_target_is_created_is_followed_by_another() -> Result<()> {
    // A creation that lasts long enough to be in its midst.
    let options = AwsStackOptions { pace: 2.0, ..AwsStackOptions::default() };
    on_aws("kill", options, async |stack, directory| {
        let secrets = Some(keep_secrets(stack).await?);
        let spec =
            AwsSpec { final_snapshot: true, delete: true, join: true, part: true, secrets, ..AwsSpec::default() };
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
            ],
        )
        .await?;
        let first = info.source_passwords.master.clone();
        rotate_the_master(stack, &first, "another-password-0815").await?;
        scenario.cut_over("after a worker was killed").await?;
        let secrets = call_counts(&stack.stand_in).await?.remove("target: secretsmanager CreateSecret");
        let secrets = secrets.unwrap_or_default().done;
        ensure!(
            secrets == 1 + SAMPLE_LOGINS.len() as u64,
            "{secrets} secrets were made, not one for the master and for each role"
        );
        let rows = scenario.compare().await?;
        ensure!(rows.diverged_rows == 0, "rows differ between the sides: {:#?}", rows.faults);
        rotate_the_master(stack, "another-password-0815", &first).await?;
        finalize_but_for_the_end(&scenario).await?;
        judge(&mut scenario, Side::Target).await?;
        let mut left = leftovers(&scenario).await?;
        // The same password has another salt.
        left.retain(|it| !(it.place == "cluster: passwords" && it.fact == rds::MASTER));
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

/// The owner gives the source's master another password: first in RDS, and once the worker has looked for it in vain, where it finds it.
async fn rotate_the_master(stack: &AwsStack, old: &str, new: &str) -> Result<()> {
    let modified = json!({ "DBInstanceIdentifier": SOURCE, "MasterUserPassword": new, "ApplyImmediately": true });
    stack.stand_in.ask_one(Side::Source, "rds", "modify_db_instance", modified).await?;
    let info = stack.info();
    let tls = connect::tls(&stack.stand_in.ca_bundle)?;
    let login = |password| connect::Login {
        port: info.source.port,
        database: "postgres",
        user: rds::MASTER,
        password,
        application_name: connect::HARNESS,
    };
    process::wait_until("the source takes the new password and no other", SHORT, async || {
        connect::as_login(login(old), &tls).await.is_err() && connect::as_login(login(new), &tls).await.is_ok()
    })
    .await?;
    let before = reads_of_the_master(stack).await?;
    process::wait_until("the worker has looked for another password in vain", SHORT, async || {
        reads_of_the_master(stack).await.is_ok_and(|now| now >= before + 2)
    })
    .await?;
    let login = json!({ "username": rds::MASTER, "password": new }).to_string();
    let fields = json!({ "SecretId": MASTER_SECRET, "SecretString": login });
    stack.stand_in.ask_one(Side::Source, "secretsmanager", "put_secret_value", fields).await.map(drop)
}

/// How often the secret of the source's master was read.
async fn reads_of_the_master(stack: &AwsStack) -> Result<usize> {
    let calls = stack.stand_in.control("calls?since=0", None).await?;
    let of_master = |call: &&serde_json::Value| {
        call["action"] == "GetSecretValue" && call["parameters"].to_string().contains(MASTER_SECRET)
    };
    Ok(calls.as_array().into_iter().flatten().filter(of_master).count())
}
