//! What the locks of many tables cost, and that the budget is scaled by it.

use std::time::{Duration, Instant};

use changeover_domain::fence::Fence as Means;
use rstest::rstest;

use super::ground::{DATABASE, Ground, HOLD, Held};

const ROLES: &str = "create role shop_owner; create role app login; create role readers";
const ROUNDS: usize = 5;

async fn ground(tables: u32, identity: &str) -> Ground {
    let make = format!(
        "do $$ begin for i in 1..{tables} loop \
           execute format('create table public.t%s (id bigint%s primary key, v text)', i, '{identity}'); \
           execute format('alter table public.t%s owner to shop_owner', i); \
           execute format('grant select, insert, update, delete on public.t%s to app; grant select on public.t%s to readers', i, i); \
           if i % 200 = 0 then commit; end if; end loop; end $$"
    );
    Ground::prepare(15, ROLES, &make).await
}

/// Time and, of the server's process that holds the fence, time on a processor, from the lock to the commit without the drain.
#[derive(Clone, Copy, Debug)]
struct Cost {
    lock: Duration,
    rights: Duration,
    commit: Duration,
    work: Duration,
}

impl Cost {
    fn all(&self) -> Duration {
        self.lock + self.rights + self.commit
    }
}

async fn cost(fence: &Held<'_>) -> Cost {
    let session = fence.fence.session();
    let pid: i32 = session.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let begun = worked(pid);
    let since = |at: Instant| at.elapsed();
    // Before anybody waits.
    fence.hold().await.unwrap();
    fence.fence.aim(Duration::from_secs(1)).await.unwrap();
    let at = Instant::now();
    fence.lock_for(HOLD).await.unwrap();
    let (lock, at) = (since(at), Instant::now());
    fence.check().await.unwrap();
    let rights = since(at);
    // Another session's work, and the same for any number of tables.
    fence.close_logins().await.unwrap();
    let at = Instant::now();
    fence.commit().await.unwrap();
    let commit = since(at);
    Cost { lock, rights, commit, work: worked(pid) - begun }
}

/// For how long a process has been on a processor: other work on the machine doesn't lengthen that.
fn worked(pid: i32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// The bound that `changeover plan` states. `CHANGEOVER_LOCK_TABLES` says for how many tables.
#[rstest]
#[case::tables("", 1)]
#[case::tables_with_sequences(" generated always as identity", 2)]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_costs_no_more_than_the_plan_says(#[case] identity: &str, #[case] relations: u64) {
    let many: u32 = std::env::var("CHANGEOVER_LOCK_TABLES").map_or(1_000, |text| text.parse().unwrap());
    let mut least = Vec::new();
    for tables in [10, many] {
        let ground = ground(tables, identity).await;
        let mut costs = Vec::new();
        for _ in 0..ROUNDS {
            let fence = ground.prepare_fence().await.unwrap();
            costs.push(cost(&fence).await);
            drop(fence);
            ground.undo().await.unwrap();
        }
        costs.sort_by_key(Cost::all);
        println!(
            "{tables} tables{identity} in {DATABASE}: shortest {:?}, all {:?}",
            costs[0],
            costs.iter().map(Cost::all).collect::<Vec<_>>()
        );
        least.push(costs.iter().map(|cost| cost.work).min().unwrap());
    }
    let added = (least[1].saturating_sub(least[0]) / (many - 10)).as_nanos();
    let stated = Means::Lock.pause_us(relations) * 1_000;
    println!("work per table: {added} ns, stated: {stated} ns");
    assert!(added <= u128::from(stated), "{added} ns");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_scaled_by_the_tables() {
    let ground = ground(100, "").await;
    for (means, milliseconds) in [(Means::Lock, "308ms"), (Means::Gate, "300ms")] {
        if means == Means::Gate {
            ground.make_gate().await;
        }
        let fence = ground.prepare_fence_by(means).await.unwrap();
        fence.fence.aim(Duration::from_millis(300)).await.unwrap();
        for (setting, value) in [("lock_timeout", "300ms"), ("statement_timeout", milliseconds)] {
            let row = fence.fence.session().query_one("select current_setting($1)", &[&setting]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), value, "{setting} of {means}");
        }
    }
}
