//! Drives switches by hand against a pair of clusters and a pooler: `switch SPEC.toml COMMAND…`, with
//! `setup` (home, replication in both directions), `forward EPOCH`, `reverse EPOCH`, `measure forward|reverse`,
//! `housekeep forward|reverse EPOCH`. Prints one JSON line per command. With `KILL_AT=STEP` (a step of the switch, or `begin`) it
//! signals itself (`KILL_WITH`, default KILL) `KILL_AFTER_US` microseconds after that step.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use changeover_domain::{
    Direction, Side,
    gate::{Limits, may_switch},
    spec,
};
use changeover_postgres::{
    Migration, home, pglogical, sequences,
    switch::{self, SwitchRequest},
    triggers,
};
use changeover_traffic::PgBouncer;

fn direction(word: &str) -> Direction {
    if word == "forward" { Direction::Forward } else { Direction::Reverse }
}

async fn setup(m: &Migration) {
    home::ensure(m, &m.source).await.unwrap();
    home::ensure(m, &m.target).await.unwrap();
    let target = m.target.open(m.control_database(), "trial").await.unwrap();
    let saved = "insert into changeover.saved_login select rolname from pg_roles where rolname ~ '^(app|shop_owner|billing_owner)' on conflict do nothing";
    target.execute(saved, &[]).await.unwrap();
    pglogical::ensure_provider(m, Direction::Forward).await.unwrap();
    pglogical::ensure_forward(m).await.unwrap();
    loop {
        let look = pglogical::sync_progress(m).await.unwrap();
        println!("{look:?}");
        if look.ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let session = m.target.open("shop", "trial").await.unwrap();
    let enable =
        "alter table app.audited enable always trigger t_always; alter table app.r enable replica trigger t_replica";
    session.batch_execute(enable).await.unwrap();
    triggers::quiet_target(m).await.unwrap();
    triggers::quiet_replica_triggers(m, Side::Source).await.unwrap();
    pglogical::ensure_provider(m, Direction::Reverse).await.unwrap();
    pglogical::ensure_reverse(m).await.unwrap();
}

/// Kills this process some time after a step.
struct Killer {
    step: String,
    after: Duration,
}

impl Killer {
    fn strike(&self) {
        let after = self.after;
        std::thread::spawn(move || {
            std::thread::sleep(after);
            let signal = std::env::var("KILL_WITH").unwrap_or_else(|_| "KILL".into());
            let _ =
                std::process::Command::new("kill").args(["-s", &signal]).arg(std::process::id().to_string()).status();
        });
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Killer {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Find<'a>(&'a str, bool);
        impl tracing::field::Visit for Find<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.1 |= field.name() == "step" && format!("{value:?}").trim_matches('"') == self.0;
            }
        }
        let mut find = Find(&self.step, false);
        event.record(&mut find);
        if find.1 {
            self.strike();
        }
    }
}

fn arm() {
    if let Ok(step) = std::env::var("KILL_AT") {
        let after = std::env::var("KILL_AFTER_US").map_or(0, |us| us.parse().unwrap());
        let killer = Killer { step, after: Duration::from_micros(after) };
        if killer.step == "begin" {
            killer.strike();
        }
        use tracing_subscriber::prelude::*;
        tracing_subscriber::registry().with(killer).init();
    }
}

#[tokio::main]
async fn main() {
    arm();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = std::fs::read_to_string(&arguments[0]).unwrap();
    let spec = spec::parse(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let m = Migration::resolve(&spec).unwrap();
    let traffic = PgBouncer::new(&m).unwrap();
    match arguments[1].as_str() {
        "setup" => setup(&m).await,
        "measure" => {
            let measured = switch::measure(&m, direction(&arguments[2]), &traffic).await.unwrap();
            let limits = Limits::of(direction(&arguments[2]), &spec.gates.unwrap(), &spec.budgets.unwrap());
            println!("{measured:?}\n{:?}", may_switch(&measured, &limits));
        }
        "housekeep" => {
            switch::housekeeping(&m, direction(&arguments[2]), arguments[3].parse().unwrap(), &traffic).await.unwrap()
        }
        "ahead" => println!("{}", sequences::assert_ahead(&m, direction(&arguments[2])).await.unwrap()),
        word => {
            let request = SwitchRequest {
                direction: direction(word),
                epoch: arguments[2].parse().unwrap(),
                verified_at: Some(std::time::SystemTime::now()),
            };
            match switch::run(&m, &request, &traffic).await {
                Ok(record) => println!("{}", serde_json::to_string(&record).unwrap()),
                Err(failure) => {
                    println!("{}", serde_json::to_string(&failure).unwrap());
                    std::process::exit(2);
                }
            }
        }
    }
}
