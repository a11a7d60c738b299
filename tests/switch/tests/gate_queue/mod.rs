//! Writers of every kind that come to the gate while a fence holds it.

use changeover_domain::Side;
use changeover_postgres::traffic::{Answer, Traffic};
use changeover_switch_tests::Lab;
use changeover_tests::{
    sample,
    stack::{
        StackInfo,
        connect::{self, Login},
    },
};
use changeover_traffic::PgBouncer;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

/// What a superuser says before the fence, and behind it: name, before, behind.
const WRITERS: &[(&str, &str, &str)] = &[
    ("plain", "", "insert into more.t00000 values (101, 'x')"),
    ("prepared", "prepare w as insert into more.t00000 values (102, 'x')", "execute w"),
    (
        "old snapshot",
        "begin isolation level repeatable read; select count(*) from more.t00000",
        "insert into more.t00000 values (103, 'x'); commit",
    ),
    ("reader that writes", "begin; select count(*) from more.t00000", "update more.t00000 set text = 'x'; commit"),
    ("copy", "", "copy more.t00004 from program 'echo 104,x' (format csv)"),
    ("truncate", "", "truncate more.t00001"),
    (
        "merge",
        "",
        "merge into more.t00000 t using (values (105)) v (id) on t.id = v.id when not matched then insert values (105, 'x')",
    ),
    ("upsert", "", "insert into more.t00000 values (106, 'x') on conflict (id) do update set text = 'y'"),
    ("delete", "", "delete from more.t00000"),
    ("with", "", "with gone as (delete from more.t00000 returning 1) select count(*) from gone"),
    ("cascade", "", "delete from sales.orders where id in (select order_id from sales.order_line)"),
    ("partitioned parent", "", "update stock.movement set delta = delta"),
    ("partition", "", "update stock.movement_b_new set delta = delta"),
    ("partition of the middle", "", "delete from stock.movement_b"),
    ("view", "", "update sales.price_now set price = price + 1"),
    ("definer", "", "select audit_trail.write_access('x', '/', 1)"),
    ("plpgsql", "", "do $$ begin insert into more.t00000 values (107, 'x'); end $$"),
    ("savepoint", "begin; savepoint a", "insert into more.t00000 values (108, 'x'); release a; commit"),
    (
        "row lock first",
        "",
        "begin; select from bank.account for update; update bank.account set balance = balance; commit",
    ),
    (
        "table lock first",
        "begin; lock table more.t00006 in row exclusive mode",
        "insert into more.t00006 values (109, 'x'); commit",
    ),
    ("replica", "set session_replication_role = replica", "insert into more.t00000 values (110, 'x')"),
    ("replica truncate", "set session_replication_role = replica", "truncate more.t00007"),
    ("cursor", "begin; declare c cursor for select * from more.t00000", "update more.t00000 set text = 'z'; commit"),
];

/// Logins of applications, which write plainly.
const APPLICATIONS: &[(&str, &str)] = &[
    ("shop_owner", "insert into more.t00008 values (1, 'x')"),
    ("shop_bot", "update bank.account set balance = balance"),
    ("shop_app", "delete from workload.handed_out where false"),
];

type Outcome = Result<(), String>;

struct Writer {
    name: String,
    client: Client,
    behind: &'static str,
}

/// Traffic that, when the fence is up, sends the writers to it, and lets the switch go on when all of them wait.
pub struct Queue {
    inner: PgBouncer,
    info: StackInfo,
    writers: Mutex<Vec<Writer>>,
    number: usize,
    running: Mutex<Vec<(String, JoinHandle<Outcome>)>>,
    /// Holds the marker's table, so that the fence waits.
    brake: Arc<tokio::sync::Mutex<Option<Client>>>,
}

impl Queue {
    pub async fn open(lab: &Lab) -> Self {
        let info = lab.info().clone();
        let mut writers = Vec::new();
        for (name, before, behind) in WRITERS {
            let client = connect::as_superuser(&info.source, "shop").await.unwrap();
            client.batch_execute(before).await.unwrap();
            writers.push(Writer { name: (*name).to_owned(), client, behind });
        }
        let tls = connect::tls(&info.ca).unwrap();
        for (user, behind) in APPLICATIONS {
            let password = sample::password(user);
            let login = Login {
                port: info.source.port,
                database: "shop",
                user,
                password: &password,
                application_name: "gate-test",
            };
            let client = connect::as_login(login, &tls).await.unwrap();
            writers.push(Writer { name: format!("app {user}"), client, behind });
        }
        Self {
            inner: PgBouncer::new(lab.migration()).unwrap(),
            info,
            number: writers.len(),
            writers: Mutex::new(writers),
            running: Mutex::default(),
            brake: Arc::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.number
    }

    /// What became of each: nothing, or the SQLSTATE of its refusal.
    pub async fn answers(&self) -> Vec<(String, Outcome)> {
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        let mut answers = Vec::new();
        for (name, task) in running {
            let outcome = tokio::time::timeout(Duration::from_secs(20), task).await;
            answers.push((name.clone(), outcome.unwrap_or_else(|_| panic!("{name} got no answer")).unwrap()));
        }
        answers
    }

    fn ended_applications(&self) -> usize {
        let running = self.running.lock().unwrap();
        running.iter().filter(|(name, task)| name.starts_with("app ") && task.is_finished()).count()
    }

    async fn send(&self) {
        for writer in std::mem::take(&mut *self.writers.lock().unwrap()) {
            let Writer { name, client, behind } = writer;
            let task = tokio::spawn(async move {
                let code = |e: tokio_postgres::Error| e.code().map_or_else(|| e.to_string(), |c| c.code().to_owned());
                client.batch_execute(behind).await.map_err(code)
            });
            self.running.lock().unwrap().push((name, task));
        }
        let root = connect::as_superuser(&self.info.source, "shop").await.unwrap();
        let begun = Instant::now();
        loop {
            let sql = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
            let waiting: i64 = root.query_one(sql, &[]).await.unwrap().get(0);
            // Applications' sessions are ended meanwhile: whether they were waiting already is chance.
            if usize::try_from(waiting).unwrap() + self.ended_applications() == self.number {
                return;
            }
            if begun.elapsed() > Duration::from_secs(4) {
                let missing = self.running.lock().unwrap();
                let ended: Vec<&str> =
                    missing.iter().filter(|(_, t)| t.is_finished()).map(|(n, _)| n.as_str()).collect();
                panic!("only {waiting} of {} wait at the gate; at their end: {ended:?}", self.number);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Traffic for Queue {
    fn stage(&self, to: Side) -> Answer<'_, ()> {
        self.inner.stage(to)
    }
    fn logins(&self) -> Answer<'_, u64> {
        self.inner.logins()
    }
    fn pause(&self, budget: Duration) -> Answer<'_, ()> {
        Box::pin(async move {
            let client = connect::as_superuser(&self.info.source, "shop").await.unwrap();
            client.batch_execute("begin; lock table changeover.marker in exclusive mode").await.unwrap();
            *self.brake.lock().await = Some(client);
            self.inner.pause(budget).await
        })
    }
    fn keep(&self) -> Answer<'_, ()> {
        self.inner.keep()
    }
    fn move_to(&self, to: Side) -> Answer<'_, ()> {
        Box::pin(async move {
            self.send().await;
            // Its session goes, and its lock with it.
            *self.brake.lock().await = None;
            self.inner.move_to(to).await
        })
    }
    fn resume(&self) -> Answer<'_, ()> {
        self.inner.resume()
    }
    fn settle(&self, budget: Duration) -> Answer<'_, ()> {
        self.inner.settle(budget)
    }
}
