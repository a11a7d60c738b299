//! What stands for `network` in a program that was built without it.

use changeover_aws::{Session, undo::Undone};
use changeover_domain::{
    Failure,
    aws::{network::Ends, provision::AwsFacts, target::InstanceSeen, undo::AwsUndo},
};
use changeover_workflows::contract::AwsDone;

use super::ground::Ground;

/// Never made: the refusal comes first.
pub(super) enum NetworkPlan {}

impl NetworkPlan {
    pub(super) fn is_needless(&self) -> bool {
        match *self {}
    }
    pub(super) fn lines(&self, _ends: &Ends) -> Vec<String> {
        match *self {}
    }
}

fn refused() -> Failure {
    let message = "the spec has the networks joined, and this program was built without that";
    Failure::refused("CO1088", message, "run workers and CLI that are built with the feature `aws-network`")
}

pub(super) async fn outlook(
    _: &Ground,
    _: (&Session, &Session),
    _: &InstanceSeen,
) -> Result<(Ends, NetworkPlan), Failure> {
    Err(refused())
}

pub(super) async fn plan_peering(_: &Ground, _: &mut AwsFacts) -> Result<Vec<AwsUndo>, Failure> {
    Err(refused())
}

pub(super) fn plan_ways(_: &AwsFacts) -> Vec<AwsUndo> {
    Vec::new()
}

pub(super) async fn peering(_: &Ground, _: AwsFacts) -> Result<AwsDone, Failure> {
    Err(refused())
}

pub(super) async fn ways(_: &Ground, _: AwsFacts) -> Result<AwsDone, Failure> {
    Err(refused())
}

pub(super) async fn undo(_: &Session, _: &AwsUndo) -> Result<Undone, Failure> {
    Err(refused())
}
