//! Nothing is broken in any state of any configuration.

use changeover_model::{cases::sound, search::search};

/// A part of the configurations: the parts are searched beside each other.
fn nothing_breaks(part: usize, parts: usize) {
    for config in sound().into_iter().skip(part).step_by(parts) {
        let found = search(config, &[]);
        assert!(found.broken.is_empty(), "{}: {:#?}", config.name, found.broken);
        assert!(
            found.depth > 20,
            "{}: the search ended after {} steps, before a switch does",
            config.name,
            found.depth
        );
    }
}

#[test]
fn no_state_breaks_anything_first_part() {
    nothing_breaks(0, 3);
}

#[test]
fn no_state_breaks_anything_second_part() {
    nothing_breaks(1, 3);
}

#[test]
fn no_state_breaks_anything_third_part() {
    nothing_breaks(2, 3);
}

#[test]
fn every_fault_is_in_a_configuration_with_two_databases_and_two_runs() {
    let two = |c: &changeover_model::config::Config| c.databases == 2 && c.runs.len() == 2;
    let whole =
        |c: &changeover_model::config::Config| c.faults.crashes > 0 && c.faults.stops > 0 && c.faults.errors > 0;
    assert!(sound().iter().any(|config| two(config) && whole(config)));
}
