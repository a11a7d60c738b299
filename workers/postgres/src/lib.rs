//! Everything that Changeover says to PostgreSQL.
//!
//! *Architecture Invariant:* this is the only product crate that names `tokio_postgres`. Every change is an `ensure_*`: it
//! observes, acts if need be, observes again and returns evidence; its undo means "make sure it isn't there".

pub mod connect;
pub mod console;
pub mod ddl_guard;
pub mod drained;
pub mod drift;
pub mod error;
pub mod escalate;
pub mod failpoint;
pub mod gate;
pub mod home;
pub mod leftovers;
pub mod membership;
pub mod migration;
pub mod note;
pub mod patience;
pub mod pglogical;
pub mod predecessor;
pub mod preflight;
pub mod provision;
pub mod roles;
pub mod schema;
pub mod secret;
pub mod sequences;
pub mod switch;
pub mod traffic;
pub mod triggers;
pub mod unlogged;
pub mod verify;

pub use connect::Session;
pub use migration::{Migration, Site};
