//! Preflight on real servers: a pair with which nothing is wrong has no finding, and each flaw by itself is found as what it is,
//! where it is, and nothing else with it. A flaw is made, looked for and unmade, one after the other on one pair.
//!
//! What can't be had on one pair of clusters has unit tests alone, in `workflows/domain/src/preflight/tests.rs`: see [`ELSEWHERE`].
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "flaws/around.rs"]
mod around;
#[path = "flaws/database.rs"]
mod database;
#[path = "flaws/flaw.rs"]
mod flaw;
mod ground;
#[path = "flaws/instance.rs"]
mod instance;
#[path = "flaws/restart.rs"]
mod restart;
#[path = "flaws/trial.rs"]
mod trial;

use std::collections::BTreeSet;

use changeover_domain::preflight::CODES;
use flaw::Flaw;
use trial::Trial;

/// The codes that nothing on one pair of clusters can bring about, with the reason.
const ELSEWHERE: [(&str, &str); 2] =
    [("CO0303", "needs a server of another major version"), ("CO0319", "needs a clock of its own")];

fn all() -> Vec<&'static Flaw> {
    [restart::FLAWS, instance::ALONE, instance::FLAWS, around::FLAWS, database::FLAWS].into_iter().flatten().collect()
}

#[test]
fn every_code_of_preflight_has_its_flaw() {
    let tried: BTreeSet<&str> = all().iter().flat_map(|flaw| flaw.found).map(|found| found.code).collect();
    let usual = trial::USUAL.iter().map(|found| found.code);
    let tried: BTreeSet<&str> = tried.into_iter().chain(usual).chain(trial::GROWING_OLD).collect();
    let missing: Vec<&str> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !tried.contains(code) && ELSEWHERE.iter().all(|(known, _)| known != code))
        .collect();
    assert!(missing.is_empty(), "codes that no flaw brings about: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flaw_is_found_as_what_it_is_and_a_flawless_pair_has_none() {
    let mut trial = Trial::start().await;
    trial.expect_flawless().await;
    for flaw in restart::FLAWS {
        trial.with(flaw).await;
    }
    trial.restart_without_flaw().await;
    for flaw in instance::ALONE {
        trial.with(flaw).await;
    }
    trial.leave_open_what_grows_old().await;
    for flaw in [instance::FLAWS, around::FLAWS, database::FLAWS].into_iter().flatten() {
        trial.with(flaw).await;
    }
    trial.expect_what_grew_old().await;
    trial.expect_flawless().await;
    trial.end().stop().await.unwrap();
}
