//! A migration that makes its target in AWS, from end to end: the built `changeover` between two accounts of the local AWS, whose RDS is
//! real PostgreSQL, under load, judged by the oracle and by calls of the harness's own.
//!
//! Logs and transcripts of a test are in `target/tmp/aws/<test>`.

mod abort;
mod common;
mod kill;
mod whole;
