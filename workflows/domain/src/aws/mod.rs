//! The AWS half of a migration, as decisions: which calls are made and why, what may be refused, what the target looks like, what
//! undoes what. Pure like the rest of this crate; `workers/aws` makes the calls.

pub mod calls;
pub mod claim;
pub mod errors;
pub mod grant;
pub mod key;
pub mod metrics;
pub mod names;
pub mod network;
pub mod options;
pub mod parameter_plan;
pub mod parameters;
pub mod pending;
pub mod plan;
pub mod policy;
pub mod provision;
pub mod publish;
pub mod resource;
pub mod sized;
pub mod snapshot;
pub mod status;
pub mod step;
pub mod stored;
pub mod table;
pub mod target;
pub mod undo;

pub use calls::{Call, Effect, Service, When};
pub use names::AwsNames;
pub use resource::{Condition, Place, Resource};
pub use step::{Approval, Step};
