//! Everything Changeover says to AWS, the network excepted: keys, parameter groups, instances, snapshots, parameters, secrets, metrics.
//!
//! Each `ensure_*` looks, acts if there is something to be done, and looks again; it may be called twice, or again after an answer that
//! was lost. What it makes has a name from the migration's id and carries its tag; what stands under such a name without the tag is refused.
//! None waits for what it asked for: it returns how far it is, and the workflow looks again by a durable timer.
//!
//! *Architecture Invariant:* no call is sent that isn't in `changeover_domain::aws::table` ([`guard`]).

pub mod access;
pub mod ca;
pub mod claim;
pub mod error;
pub mod groups;
mod guard;
pub mod instance;
pub mod key;
mod key_end;
pub mod metrics;
pub mod options;
pub mod pending;
pub mod probe;
pub mod publish;
pub mod reboot;
pub mod retire;
pub mod secret;
pub mod seed_end;
pub mod session;
pub mod snapshot;
pub mod source_parameters;
pub mod stored;
pub mod subnets;
mod tags;
pub mod target;
pub mod target_parameters;
pub mod undo;
mod unpublish;

pub use access::Access;
pub use session::Session;
