//! Writers that wait at the fence don't get through it.

use std::{pin::pin, time::Duration};

use futures::{SinkExt, future::join_all};
use rstest::rstest;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_postgres::Client;

use super::{
    ground::{DEADLINE, Ground},
    kinds::{KINDS, Kind},
    shop::{self, SOURCES, Source},
};

/// A session that is about to write, or waits to: its name, and its error's SQLSTATE in the end.
pub(super) struct Writer {
    name: String,
    client: Client,
    kind: &'static Kind,
    number: usize,
}

impl Writer {
    /// Logs in and does what comes before the statement.
    pub(super) async fn prepare(
        ground: &Ground,
        role: &str,
        source: &Source,
        kind: &'static Kind,
        number: usize,
    ) -> Self {
        let name = format!("{role}: {}", kind.name);
        let client = ground.login(role).await;
        let setting = format!("{}; set search_path = {}", source.login, source.name);
        // Apart: what comes before may end with a rollback.
        for sql in [&*setting, kind.before] {
            client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        }
        Self { name, client, kind, number }
    }

    /// One for each way to write and each source of a right.
    async fn all(ground: &Ground) -> Vec<Self> {
        let mut writers = Vec::new();
        for source in &SOURCES {
            for kind in KINDS.iter().filter(|kind| !(source.columns_only && kind.whole_table)) {
                let (role, number) = (format!("w_{}", source.name), 100 + writers.len());
                writers.push(Self::prepare(ground, &role, source, kind, number).await);
            }
        }
        writers
    }

    /// One for each way to write, by a role that may write all data, and one for each source of a right.
    async fn some(ground: &Ground) -> Vec<Self> {
        let mut writers = Vec::new();
        for kind in KINDS.iter().filter(|kind| kind.name != "truncate") {
            let direct = Source { name: "direct", login: "", columns_only: false };
            writers.push(Self::prepare(ground, "w_all", &direct, kind, 100 + writers.len()).await);
        }
        for source in &SOURCES {
            let (role, number) = (format!("w_{}", source.name), 100 + writers.len());
            writers.push(Self::prepare(ground, &role, source, &KINDS[0], number).await);
        }
        writers
    }

    async fn act(&self) -> Result<(), tokio_postgres::Error> {
        let act = self.kind.act.replace("{n}", &self.number.to_string());
        if !act.starts_with("copy") {
            return self.client.batch_execute(&act).await;
        }
        let mut sink = pin!(self.client.copy_in::<_, &'static [u8]>(&act).await?);
        sink.send(b"99\t0\n").await?;
        sink.finish().await.map(drop)
    }

    /// Begins; what comes of it is `written`, an SQLSTATE, or `cut off`.
    pub(super) fn go(self) -> JoinHandle<(String, String)> {
        tokio::spawn(async move {
            let outcome = match timeout(DEADLINE, self.act()).await {
                Err(_) => "still waiting".to_owned(),
                Ok(Ok(())) => {
                    let ended = self.client.batch_execute("commit").await;
                    format!("written, commit {ended:?}")
                }
                Ok(Err(error)) => error.code().map_or("cut off".to_owned(), |code| code.code().to_owned()),
            };
            (self.name, outcome)
        })
    }
}

/// Those that ended otherwise than they should.
pub(super) async fn unexpected(writers: Vec<JoinHandle<(String, String)>>, wanted: &[&str]) -> Vec<(String, String)> {
    let outcomes = join_all(writers).await;
    outcomes.into_iter().map(Result::unwrap).filter(|(_, outcome)| !wanted.contains(&outcome.as_str())).collect()
}

pub(super) async fn until_all_wait(ground: &Ground, writers: &[JoinHandle<(String, String)>]) {
    let ended = async {
        loop {
            sleep(Duration::from_millis(20)).await;
            if writers.iter().any(JoinHandle::is_finished) {
                break;
            }
        }
    };
    tokio::select! {
        () = ground.until_waiting(writers.len()) => {}
        () = ended => {}
    }
}

/// The spec keeps everybody's login, so the rights alone refuse everyone.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn queued_writers_have_no_right_left(#[values(15, 16, 17, 18)] major: u32) {
    let mut ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.keep_logins(SOURCES.iter().map(|source| format!("w_{}", source.name)));
    let (rows, rights) = (ground.rows().await, ground.rights().await);
    let writers = Writer::all(&ground).await;
    let fence = ground.lock().await;
    let writers: Vec<_> = writers.into_iter().map(Writer::go).collect();
    until_all_wait(&ground, &writers).await;

    fence.check().await.unwrap();
    fence.commit().await.unwrap();
    assert_eq!(unexpected(writers, &["42501"]).await, []);
    assert_eq!(ground.rows().await, rows);

    drop(fence);
    assert_ne!(ground.rights().await, rights);
    ground.undo().await.unwrap();
    assert_eq!(ground.rights().await, rights);
}

/// The other half: whoever has the right is thrown out under the lock, and doesn't come back.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn queued_writers_are_ended(#[values(15, 16, 17, 18)] major: u32) {
    let all = "create role w_all login; grant pg_read_all_data, pg_write_all_data to w_all;";
    let ground = Ground::prepare(major, shop::ROLES, &(shop::schema() + all)).await;
    // as its creator it could be administered
    ground.sql("grant w_all to changeover with admin option").await;
    let rows = ground.rows().await;
    let writers = Writer::some(&ground).await;
    let fence = ground.lock().await;
    let writers: Vec<_> = writers.into_iter().map(Writer::go).collect();
    until_all_wait(&ground, &writers).await;

    let closed = fence.finish().await.unwrap();
    assert_eq!(closed.len(), SOURCES.len() + 1);
    assert_eq!(unexpected(writers, &["57P01", "cut off"]).await, []);
    assert_eq!(ground.rows().await, rows);
    for role in &closed {
        let refused = ground.try_login(role, "").await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "28000", "{role}");
    }

    drop(fence);
    ground.undo().await.unwrap();
    for role in ["w_all", "w_direct"] {
        ground.login(role).await.batch_execute("update direct.t set v = v + 1").await.unwrap();
    }
}
