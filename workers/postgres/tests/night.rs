//! What happens to a replication at night, on real servers: each trouble is named with its cause and remedy by our own looks, not by
//! what pglogical says of itself, and when the remedy has been followed it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "night/apply.rs"]
mod apply;
#[allow(dead_code)] // what the flaws of preflight need besides
mod ground;
#[path = "night/link.rs"]
mod link;
#[path = "night/wal.rs"]
mod wal;
