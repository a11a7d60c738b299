//! What a migration would change in AWS, in order, and what of it waits for a person.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Call, Effect, Place, When,
    step::{Approval, Step},
    table::CALLS,
};
use crate::Side;

/// What is known of a migration when its plan is made. Each answers one [`When`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Route {
    /// The spec gives no key.
    pub key_is_made: bool,
    /// The source has a `default.*` group.
    pub source_group_is_default: bool,
    /// Its parameters aren't what replication needs.
    pub parameters_differ: bool,
    /// A static one isn't.
    pub reboot_needed: bool,
    /// The source has options.
    pub has_options: bool,
    /// The two networks have to be joined.
    pub network_is_joined: bool,
    /// The initial copy is a snapshot.
    pub by_snapshot: bool,
    /// The source is encrypted under a key of its own.
    pub source_is_encrypted: bool,
    /// The target has enhanced monitoring.
    pub monitored: bool,
    /// The spec names a parameter to publish.
    pub published: bool,
    /// The spec asks for a last snapshot.
    pub final_snapshot: bool,
    /// The spec asks to stop the old instance.
    pub stopped: bool,
    /// The spec asks to delete the old instance.
    pub deleted: bool,
}

impl Route {
    /// Whether it comes to calls of a kind.
    pub fn takes(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::KeyIsMade => self.key_is_made,
            When::KeyIsGiven => !self.key_is_made,
            When::GivenKeyBySnapshot => !self.key_is_made && self.by_snapshot,
            When::SourceGroupIsDefault => self.source_group_is_default,
            When::ParametersDiffer => self.parameters_differ,
            When::RebootNeeded => self.reboot_needed,
            When::HasOptions => self.has_options,
            When::NetworkIsJoined => self.network_is_joined,
            When::BySnapshot => self.by_snapshot,
            When::ByCopy => !self.by_snapshot,
            When::SourceIsEncrypted => self.source_is_encrypted && self.by_snapshot,
            When::Monitored => self.monitored,
            When::Published => self.published,
            When::FinalSnapshot => self.final_snapshot,
            When::Stopped => self.stopped,
            When::Deleted => self.deleted,
        }
    }
}

/// A call that would change something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// When.
    pub step: Step,
    /// Where.
    pub side: Side,
    /// Such as `rds:CreateDBSnapshot`.
    pub call: String,
    /// What it is done to: patterns of ARNs.
    pub on: Vec<String>,
    /// What it waits for.
    pub waits: Option<Approval>,
    /// Why.
    pub why: &'static str,
}

/// Every call that would change something on the way, in order. What an abort would do comes from [`undone`].
pub fn planned(route: &Route, source: &Place, target: &Place) -> Vec<Planned> {
    list(route, source, target, |call| call.step != Step::Undo)
}

/// Every call that an abort may make.
pub fn undone(route: &Route, source: &Place, target: &Place) -> Vec<Planned> {
    list(route, source, target, |call| call.step == Step::Undo)
}

fn list(route: &Route, source: &Place, target: &Place, which: impl Fn(&Call) -> bool) -> Vec<Planned> {
    CALLS
        .iter()
        .filter(|call| call.effect == Effect::Changes && route.takes(call.when) && which(call))
        .map(|call| {
            let place = if call.side == Side::Source { source } else { target };
            let on = place.arns_of(call.on);
            Planned { step: call.step, side: call.side, call: call.name(), on, waits: call.waits, why: call.why }
        })
        // What there is nothing of isn't done.
        .filter(|planned| !planned.on.is_empty())
        .collect()
}

/// The plan for people: a line for each call.
pub fn text(calls: &[Planned]) -> String {
    let mut text = String::new();
    for (at, call) in calls.iter().enumerate() {
        let waits = call.waits.map_or_else(String::new, |approval| format!("  [waits for approval: {approval}]"));
        // Writing to a string can't fail.
        let _ =
            writeln!(text, "{:>3}. {:<17} {:<6} {}{waits}\n     {}", at + 1, call.step, call.side, call.call, call.why);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(route: &Route) -> Vec<String> {
        let place = Place::anywhere(Side::Source);
        planned(route, &place, &Place::anywhere(Side::Target)).into_iter().map(|p| p.call).collect()
    }

    #[test]
    fn a_route_that_needs_little_changes_little() {
        let names = names(&Route::default());
        assert!(names.contains(&"rds:CreateDBInstance".to_owned()));
        for absent in ["rds:RebootDBInstance#source", "kms:CreateKey", "rds:CreateDBSnapshot", "rds:DeleteDBInstance"] {
            assert!(!names.contains(&absent.to_owned()), "{absent}");
        }
    }

    #[test]
    fn a_snapshot_is_taken_shared_copied_and_restored_in_that_order() {
        let names = names(&Route { by_snapshot: true, ..Route::default() });
        let at = |name: &str| names.iter().position(|n| n == name).unwrap();
        assert!(at("rds:CreateDBSnapshot") < at("rds:ModifyDBSnapshotAttribute"));
        assert!(at("rds:ModifyDBSnapshotAttribute") < at("rds:CopyDBSnapshot"));
        assert!(at("rds:CopyDBSnapshot") < at("rds:RestoreDBInstanceFromDBSnapshot"));
        assert!(!names.contains(&"rds:CreateDBInstance".to_owned()));
    }

    #[test]
    fn reboot_and_end_wait_for_a_person_and_show_it() {
        let route =
            Route { reboot_needed: true, stopped: true, deleted: true, final_snapshot: true, ..Route::default() };
        let place = Place::anywhere(Side::Source);
        let calls = planned(&route, &place, &Place::anywhere(Side::Target));
        let waits: Vec<_> = calls.iter().filter_map(|call| call.waits).collect();
        assert_eq!(waits, [Approval::Reboot, Approval::Finalize, Approval::Stop, Approval::Delete, Approval::Delete]);
        assert!(text(&calls).contains("RebootDBInstance  [waits for approval: reboot]"));
    }

    #[test]
    fn an_abort_deletes_only_what_the_route_makes() {
        let place = Place::anywhere(Side::Source);
        let calls = undone(&Route::default(), &place, &Place::anywhere(Side::Target));
        assert!(calls.iter().all(|call| call.call != "kms:ScheduleKeyDeletion"));
        assert!(calls.iter().any(|call| call.call == "rds:DeleteDBInstance" && call.side == Side::Target));
        assert!(calls.iter().all(|call| !(call.call == "rds:DeleteDBInstance" && call.side == Side::Source)));
    }
}
