//! The activities of the AWS half: plans, acts, undos, and the password of a target that was made.

mod act;
mod ca;
mod deploy;
mod ground;
mod made;
#[cfg_attr(not(feature = "aws-network"), path = "no_network.rs")]
mod network;
mod outlook;
mod plan;
mod undo;
mod webhook;

pub(crate) use act::act;
pub use ca::with_ca_files;
pub(crate) use made::resolve;
pub use outlook::{Outlook, outlook};
pub(crate) use plan::plan;
pub(crate) use undo::undo;
