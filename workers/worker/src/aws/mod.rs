//! The activities of the AWS half: plans, acts, undos, and the secrets that are kept in AWS.

mod act;
mod ca;
mod deploy;
mod ground;
#[cfg_attr(not(feature = "aws-network"), path = "no_network.rs")]
mod network;
mod outlook;
mod plan;
mod secrets;
mod undo;
mod webhook;

pub(crate) use act::act;
pub use ca::with_ca_files;
pub use outlook::{Outlook, outlook};
pub(crate) use plan::plan;
pub use secrets::known;
pub(crate) use secrets::{resolve, resolve_with_roles};
pub(crate) use undo::undo;
