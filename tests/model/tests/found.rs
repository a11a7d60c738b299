//! What the model found in the switch as it was when it was first modelled, kept so that it isn't forgotten.

use changeover_model::{
    config::{BASE, Config, NEWER},
    guard::{ASKED_FOR, Guards},
    property::{FREE, ONE_SIDE},
    search::search,
};

fn as_it_was() -> Config {
    let guards = ASKED_FOR.into_iter().fold(Guards::ALL, Guards::without);
    Config { runs: NEWER, guards, ..BASE }
}

#[test]
fn two_attempts_without_any_fault_could_open_both_sides() {
    assert!(search(as_it_was(), &[ONE_SIDE]).counterexample(ONE_SIDE).is_some());
}

#[test]
fn an_overtaken_attempt_could_stand_still_with_the_one_at_work() {
    assert!(search(as_it_was(), &[FREE]).counterexample(FREE).is_some());
}
