//! The product from end to end: the built `changeover` against real PostgreSQL, PgBouncer and Temporal, under load, judged by
//! the oracle. Every test also proves that no secret got anywhere and that nothing ran as a superuser: see [`common::on_stack`].
//!
//! Logs and transcripts of a test are in `target/tmp/e2e/<test>`.

mod before_switch;
mod common;
mod controls;
mod kill;
mod preflight;
mod recovery;
mod secrets;
mod workers;
