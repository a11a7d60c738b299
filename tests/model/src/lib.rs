//! A model of the switch: section "The switch" of ARCHITECTURE.md, and `workers/postgres/src/switch/`, step by step. Stateright
//! searches every order of steps and faults within a configuration. See docs/model.md.

pub mod attempt;
pub mod cases;
pub mod client;
pub mod conclude;
pub mod config;
pub mod guard;
pub mod model;
pub mod property;
pub mod search;
pub mod state;
pub mod steps;
