//! NOLOGIN and its hole. The writers may write all data, so that no REVOKE refuses them and only their login does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use rstest::rstest;
use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

use super::ground::{DATABASE, Ground};
use crate::switch::measure;

const ROLES: &str = "create role shop_owner; create role app login";
const SCHEMA: &str = "
    create role w_all login;
    grant pg_read_all_data, pg_write_all_data to w_all;
    grant w_all to changeover with admin option;
    create table t (id bigint generated always as identity, v int);
    alter table t owner to shop_owner;
    grant insert on t to app;
";
const WRITERS: usize = 6;
const ROUNDS: usize = 5;

/// Clients that come back as soon as they are thrown out, and write.
struct Crowd {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    fn of(ground: &Ground) -> Self {
        let mut config = Config::new();
        config.host_path(ground.cluster().socket()).port(ground.cluster().port).dbname(DATABASE).user("w_all");
        let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..WRITERS)
            .map(|_| {
                let (config, stop, refused) = (config.clone(), Arc::clone(&stop), Arc::clone(&refused));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let Ok((client, connection)) = config.connect(NoTls).await else {
                            refused.fetch_add(1, Ordering::Relaxed);
                            continue;
                        };
                        tokio::spawn(connection);
                        while !stop.load(Ordering::Relaxed)
                            && client.batch_execute("insert into t (v) values (1)").await.is_ok()
                        {
                        }
                    }
                })
            })
            .collect();
        Self { stop, refused, tasks }
    }

    /// Each has been refused some more times by now.
    async fn until_refused(&self) {
        let wanted = self.refused.load(Ordering::Relaxed) + 10 * WRITERS as u64;
        while self.refused.load(Ordering::Relaxed) < wanted {
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.tasks).await;
    }
}

const COUNT: &str = "select count(*) from t";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_slips_in_by_logging_in_again(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    for round in 0..ROUNDS {
        let crowd = Crowd::of(&ground);
        ground
            .until("the crowd writes", &format!("select count(*) > {} from t", ground.number(COUNT).await + 20))
            .await;
        let fence = ground.lock().await;
        let at_lock = ground.number(COUNT).await;
        fence.finish().await.unwrap();
        drop(fence);
        crowd.until_refused().await;
        assert_eq!(ground.number(COUNT).await, at_lock, "round {round}");
        crowd.end().await;
        ground.undo().await.unwrap();
    }
}

/// Why it is done by a second session that commits under the lock: told within the fence's own transaction, NOLOGIN is seen by
/// nobody before its commit, and whoever logs in until then stays.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nologin_within_the_fence_would_leak(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.migration.source.open(DATABASE, "switch-fence").await.unwrap();
    fence.batch_execute("begin; lock table public.t in exclusive mode; alter role w_all nologin").await.unwrap();
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'w_all'";
    fence.execute(ended, &[]).await.unwrap();
    let late = ground.login("w_all").await;
    let write = tokio::spawn(async move { late.batch_execute("insert into t (v) values (1)").await });
    ground.until_waiting(1).await;
    fence.batch_execute("commit").await.unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(ground.number(COUNT).await, 1);
    assert_eq!(ground.try_login("w_all", "").await.unwrap_err().code().unwrap().code(), "28000");
}

/// A login that has been let in and isn't shown as a session yet.
const HALF_DONE: &str = "select exists (select from pg_locks l left join pg_stat_activity a on a.pid = l.pid \
                          where l.locktype = 'virtualxid' and (a.pid is null or a.usesysid is null and a.backend_type = 'client backend'))";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_half_done_gets_nowhere(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Arc::new(Ground::prepare(major, ROLES, SCHEMA).await);
    for role in ["w_all", "app"] {
        let fence = ground.lock().await;
        let (other, half) = (Arc::clone(&ground), role.to_owned());
        let late = tokio::spawn(async move {
            // the server waits between the check of the role and the entry into pg_stat_activity
            let client = other.try_login(&half, "-c post_auth_delay=2").await?;
            client.batch_execute("insert into t (v) values (1)").await
        });
        ground.until("a login is half done", HALF_DONE).await;
        fence.finish().await.unwrap();
        let refused = late.await.unwrap().unwrap_err();
        let code = refused.code().map_or("cut off", |code| code.code()).to_owned();
        // it has a right no more, or it isn't let through
        assert!(["42501", "57P01", "cut off"].contains(&&*code), "{role}: {refused:?}");
        assert_eq!(ground.number(COUNT).await, 0, "{role}");
        drop(fence);
        ground.undo().await.unwrap();
    }
}

/// From 16 on a login with CREATEROLE can close the roles alone that it has ADMIN OPTION on: the gate says so.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_closed_stops_the_gate(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    ground.sql("create role stranger login").await;
    let said = measure::closing_side(&ground.migration).await.unwrap().unfenceable.unwrap();
    if major == 15 {
        assert_eq!(said, Vec::<String>::new());
    } else {
        assert_eq!(said, ["role stranger can't be closed: the login has no ADMIN OPTION on it"]);
    }
    let fence = ground.lock().await;
    fence.check().await.unwrap();
    let closed = fence.close_logins().await;
    if major == 15 {
        assert_eq!(closed.unwrap().len(), 3);
    } else {
        assert_eq!(closed.unwrap_err().sqlstate.unwrap(), "42501");
    }
}
