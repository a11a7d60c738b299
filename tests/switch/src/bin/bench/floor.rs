//! The physical floor of a switch: commit a marker where it serves, see it on the other side, commit synchronously there. In every
//! database at once, as a switch has to, on sessions that are open already, and asked without a pause in between.

use super::sample::FloorSample;
use anyhow::{Context, Result, ensure};
use changeover_domain::Side;
use changeover_switch_tests::Client;
use changeover_tests::stack::{
    StackInfo,
    connect::{self, Login},
    rds,
};
use futures::future::try_join_all;
use std::time::{Duration, Instant};

const WRITE: &str = "insert into changeover.marker (side, epoch, token) values ($1, 0, $2)";
const SEE: &str = "select from changeover.marker where side = $1 and epoch = 0 and token = $2";
const SETTLE: &str = "insert into changeover.note (key, value) values ('floor', '0') on conflict (key) do update set at = clock_timestamp()";
const FORGET: &str = "delete from changeover.marker where epoch = 0";
const DEADLINE: Duration = Duration::from_secs(10);

/// Open sessions to every database of both sides.
pub(crate) struct Floor {
    lanes: Vec<[Client; 2]>,
}

impl Floor {
    /// `name` is one that the gate knows as the migration's own.
    pub(crate) async fn open(info: &StackInfo, name: &str) -> Result<Self> {
        let tls = connect::tls(&info.ca)?;
        let mut lanes = Vec::new();
        for database in &info.databases {
            let open = async |side| {
                let login = Login {
                    port: info.cluster(side).port,
                    database,
                    user: rds::MASTER,
                    password: &info.passwords(side).master,
                    application_name: name,
                };
                let client = connect::as_login(login, &tls).await?;
                client.batch_execute("set synchronous_commit = on").await?;
                anyhow::Ok(client)
            };
            lanes.push([
                open(changeover_tests::stack::Side::Source).await?,
                open(changeover_tests::stack::Side::Target).await?,
            ]);
        }
        Ok(Self { lanes })
    }

    /// One sample, from the side that serves.
    pub(crate) async fn sample(&self, serving: Side) -> Result<FloorSample> {
        let (from, to) = if serving == Side::Source { (0, 1) } else { (1, 0) };
        let (word, token) = (serving.word(), format!("{:016x}", rand::random::<u64>()));
        let mut prepared = Vec::new();
        for lane in &self.lanes {
            prepared.push((lane[from].prepare(WRITE).await?, lane[to].prepare(SEE).await?));
        }
        let last = self.lanes.first().context("no database")?;
        let settle = last[to].prepare(SETTLE).await?;
        let begun = Instant::now();
        try_join_all(
            self.lanes
                .iter()
                .zip(&prepared)
                .map(async |(lane, (write, _))| lane[from].execute(write, &[&word, &token]).await),
        )
        .await?;
        let committed = begun.elapsed();
        try_join_all(self.lanes.iter().zip(&prepared).map(async |(lane, (_, see))| {
            while lane[to].query(see, &[&word, &token]).await?.is_empty() {
                ensure!(begun.elapsed() < DEADLINE, "the floor's marker didn't arrive within {DEADLINE:?}");
            }
            Ok(())
        }))
        .await?;
        let visible = begun.elapsed();
        last[to].execute(&settle, &[]).await?;
        let durable = begun.elapsed();
        for lane in &self.lanes {
            lane[from].execute(FORGET, &[]).await?;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Ok(FloorSample {
            held: false,
            committed_us: micros(committed),
            visible_us: micros(visible),
            durable_us: micros(durable),
        })
    }
}
