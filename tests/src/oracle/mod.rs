//! The oracle: the judge of the demo and of the tests, by plain SQL and pg_dump, run by the clusters' superuser.
//!
//! It shares no code with the product, so that one mistake can't both damage data and hide the damage.
//! - [`rows`]: with writers stopped, every row of every table on both sides, byte for byte.
//! - [`snapshot`]: catalogs and cluster state as named facts; [`verdict`] compares them and knows what a finished, an aborted
//!   and a retired side may look like.
//! - [`sequences`]: no sequence may hand out a number twice.

mod dump;
pub mod rows;
pub mod sequences;
mod session;
pub mod snapshot;
pub mod verdict;

pub use rows::{RowsReport, compare_rows};
pub use sequences::{SequenceFault, compare_sequences, sequences_behind_notes};
pub use snapshot::{Facts, Snapshot};
pub use verdict::{Difference, arrived, retired, unchanged};
