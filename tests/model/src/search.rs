//! Searching a configuration, and telling what came of it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::{
    config::Config,
    model::{Action, Switch},
    state::State,
};

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Transitions that were looked at.
    pub states: usize,
    /// Different states.
    pub unique: usize,
    /// Steps of the longest shortest way to a state.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// Broken properties, each with the steps of its shortest counterexample.
    pub broken: Vec<(&'static str, Vec<String>)>,
}

impl Found {
    /// The counterexample of a property.
    pub fn counterexample(&self, property: &str) -> Option<&[String]> {
        self.broken.iter().find(|(name, _)| *name == property).map(|(_, steps)| &**steps)
    }
}

/// Goes through every state of a configuration, or until a property in `until` is broken.
pub fn search(config: Config, until: &[&'static str]) -> Found {
    let begun = Instant::now();
    let until: BTreeSet<_> = until.iter().copied().collect();
    let when = if until.is_empty() { HasDiscoveries::AnyFailures } else { HasDiscoveries::AnyOf(until) };
    let checker = Switch(config).checker().threads(1).finish_when(when).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().map(|(name, path)| (name, steps(path))).collect();
    Found {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: begun.elapsed(),
        broken,
    }
}

fn steps(path: Path<State, Action>) -> Vec<String> {
    let word = |state: &State, action: Action| match action {
        Action::Step(run, _) => format!("{}.{:?}", run + 1, state.run[run].pc),
        Action::AnswerLost(run, _) => format!("{}.{:?} (done, answer lost)", run + 1, state.run[run].pc),
        Action::NotDone(run) => format!("{}.{:?} (failed)", run + 1, state.run[run].pc),
        other => format!("{other:?}"),
    };
    path.into_vec().into_iter().filter_map(|(state, action)| action.map(|action| word(&state, action))).collect()
}
