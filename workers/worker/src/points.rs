//! What failpoints there are, for the tests that go through all of them. Only in builds with debug assertions.

use changeover_domain::undo::Undo;
use changeover_postgres::failpoint::Step;
use changeover_workflows::contract::{ACTIVITIES, FINALIZE_STEPS};
use serde::Serialize;

/// All failpoints outside the switch, which has its own list.
#[derive(Clone, Debug, Serialize)]
pub struct Points {
    /// The contract's activities: `activity.NAME.before` and `activity.NAME.after` are failpoints.
    pub activities: Vec<&'static str>,
    /// The undos: `activity.undo.NAME.before` and so on.
    pub undos: Vec<String>,
    /// The steps of finalize: `activity.finalize.NAME.before` and so on.
    pub finalize: Vec<&'static str>,
    /// The places within activities.
    pub steps: Vec<Place>,
}

/// A place within activities: `NAME.after` is a failpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// The activities that come there.
    pub activities: &'static [&'static str],
}

/// The list.
pub fn points() -> Points {
    let place = |step: &Step| Place { name: step.name(), activities: step.activities() };
    Points {
        activities: ACTIVITIES.to_vec(),
        undos: Undo::all().iter().map(Undo::word).collect(),
        finalize: FINALIZE_STEPS.iter().map(|step| step.word()).collect(),
        steps: Step::ALL.iter().map(place).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_of_activities_of_the_contract() {
        for place in points().steps {
            assert!(!place.activities.is_empty(), "{}", place.name);
            for activity in place.activities {
                assert!(ACTIVITIES.contains(activity), "{}: there is no activity {activity}", place.name);
            }
        }
    }

    /// Each activity runs by one of the functions of `beat`, which have the failpoints.
    #[test]
    fn every_activity_has_its_failpoints() {
        let source = include_str!("activities.rs");
        let bodies: Vec<&str> = source.split("#[activity(definition = contract::").skip(1).collect();
        assert_eq!(bodies.len(), ACTIVITIES.len(), "an activity of the contract isn't implemented");
        for body in bodies {
            let body = body.split("\n    }\n").next().unwrap_or(body);
            assert!(body.contains("beating"), "it doesn't run by `beat`, so it has no failpoint: {body}");
        }
    }
}
