//! The local AWS (`dev/aws`) around a stack: two accounts, of which the first has the source, and calls of the harness's own by which
//! it sees what Changeover has done in either. See docs/aws-stand-in.md.

mod accounts;
mod ask;
mod demo;
mod facts;
mod found;
mod found_network;
mod policies;
mod report;
mod run;
mod secrets;
mod spec;
mod stack;
mod stand_in;

pub use accounts::{Accounts, SOURCE};
pub use ask::Ask;
pub use demo::{default_directory, migrate, run as run_demo};
pub use facts::{CallCount, Version, call_counts, master_password, versions};
pub use found::{Account, Found};
pub use report::AwsReport;
pub use run::{
    OldOne, PUBLISHED, TARGET, end_the_old_one, finalize_but_for_the_end, leftovers, past_provision, prepare,
    published_as,
};
pub use secrets::{Kept, MASTER_SECRET, ROLE_SECRETS, keep_secrets, kept_logins};
pub use spec::{AwsSpec, spec_text};
pub use stack::{AwsStack, AwsStackOptions};
pub use stand_in::StandIn;

/// Where everything is.
pub const REGION: &str = "eu-central-1";
