//! How many round trips to the servers stand one after the other between the pause and the resume: by how much the window grows
//! with the time that a round trip takes.
#![allow(clippy::unwrap_used)]

use changeover_domain::Direction;
use changeover_switch_tests::{Lab, LabOptions};
use changeover_tests::stack::Side;
use std::time::Duration;

/// Added to each round trip.
const DELAYS_MS: [u64; 3] = [0, 20, 40];
/// Switches at each delay: there and back.
const SWITCHES: usize = 6;
const MOST: f64 = 8.0;

#[tokio::test(flavor = "multi_thread")]
async fn at_most_eight_round_trips_in_sequence() {
    let mut lab = Lab::start(LabOptions { proxied: true, ..LabOptions::default() }).await.unwrap();
    let mut medians = Vec::new();
    for delay in DELAYS_MS {
        for side in [Side::Source, Side::Target] {
            lab.proxy(side).unwrap().add_round_trip(Duration::from_millis(delay));
        }
        let mut windows = Vec::new();
        for index in 0..SWITCHES {
            lab.until_ready(Duration::from_secs(60)).await.unwrap();
            let direction = if index % 2 == 0 { Direction::Forward } else { Direction::Reverse };
            let record = lab.switch_over(direction, 8).await.unwrap();
            windows.push(record.pause_us);
            let steps: Vec<String> =
                record.steps.iter().map(|step| format!("{} {:.1}", step.name, step.at_us as f64 / 1e3)).collect();
            println!("{delay} ms per round trip, {direction}: {}", steps.join(", "));
        }
        windows.sort_unstable();
        medians.push(windows[windows.len() / 2] as f64 / 1e3);
    }
    let span = (DELAYS_MS[2] - DELAYS_MS[0]) as f64;
    let round_trips = (medians[2] - medians[0]) / span;
    println!(
        "window at {DELAYS_MS:?} ms added per round trip: {medians:.1?} ms; round trips in sequence: {round_trips:.1} (at most {MOST})"
    );
    // A whole number that is measured: one more would add a whole one.
    assert!(round_trips.round() <= MOST, "{round_trips:.1} round trips in sequence, more than {MOST}");
}
