//! The network between source and target: a peering of their VPCs across accounts and regions, routes over it, rules that let each side
//! in, names that resolve to inner addresses. A crate of its own, since the SDK's for EC2 takes minutes to build.
//!
//! A migration comes here in two steps. Each is planned by looking, its undos are kept, and it is called until it is done:
//!
//! 1. [`look::ends`] once, kept; [`plan::plan`] for people; then [`peering::ensure_peering`], undone by `Ends::undo_of_peering`;
//! 2. with the peering's id, [`ways::ensure_ways`], undone by `Ends::undo_of_ways`.
//!
//! Where both are in one VPC, or a peering of somebody else's joins them already, the first step says so, and nothing is made.
//!
//! The rest is as in `changeover_aws`: each `ensure_*` looks, acts, and looks again; none waits; what we made carries our tag, except for
//! routes, which are known by leading over our peering; no call is sent that isn't in the table of calls.

pub mod look;
pub mod peering;
pub mod plan;
pub mod undo;
pub mod ways;

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use changeover_aws::Session;
use changeover_domain::Side;

/// EC2 in one side's account.
#[derive(Clone, Debug)]
pub struct Network {
    session: Session,
    ec2: aws_sdk_ec2::Client,
}

impl Network {
    /// By the session's credentials, and behind its guard.
    pub fn new(session: &Session) -> Self {
        let config = aws_sdk_ec2::config::Builder::from(session.config()).interceptor(session.guard()).build();
        Self { session: session.clone(), ec2: aws_sdk_ec2::Client::from_conf(config) }
    }
    /// Which side's account it is in.
    pub fn side(&self) -> Side {
        self.session.side()
    }
    /// Our tags, for something that is made in one request with them.
    fn tags(&self, kind: ResourceType) -> TagSpecification {
        let tags = self.session.names().tags(self.side());
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags.into())).build()
    }
}
