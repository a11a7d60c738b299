//! The report of the demo with AWS: that of the demo, and what is in both accounts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    Account, CallCount, Found, PUBLISHED, ROLE_SECRETS, SOURCE, TARGET, Version,
    found::{Instance, Key, ParameterGroup},
    found_network::{Network, Peering},
};
use crate::{demo::Report, stack::SAMPLE_LOGINS, workload::WindowStats};

/// The parameter as it was after a switch.
#[derive(Clone, Debug, Serialize)]
pub struct PublishedAfter {
    /// `forward` or `rollback`.
    pub direction: String,
    /// All its versions, the oldest first.
    pub versions: Vec<Version>,
}

/// What was found in AWS, by calls of the harness's own.
#[derive(Clone, Debug, Serialize)]
pub struct AwsFacts {
    /// Both accounts before the migration.
    pub before: Found,
    /// And after it.
    pub after: Found,
    /// What clients saw from the reboot's approval until the target was there.
    pub reboot: WindowStats,
    /// How often the source was rebooted.
    pub reboots: usize,
    /// The published endpoint after each switch.
    pub published: Vec<PublishedAfter>,
    /// Of which roles the target's account has a secret with their login.
    pub logins: Vec<String>,
    /// What deployments were told: which side serves, where, and the key of it.
    pub deployed: Vec<String>,
    /// Changeover's calls.
    pub calls: BTreeMap<String, CallCount>,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct AwsReport {
    /// As that of the demo without AWS.
    #[serde(flatten)]
    pub demo: Report,
    /// What was found in AWS.
    pub aws: AwsFacts,
}

impl AwsReport {
    /// All was well, and AWS is as it should be.
    pub fn is_good(&self) -> bool {
        self.demo.is_good() && self.aws.faults().is_empty()
    }

    /// Writes `report.json` and `report.md`.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(directory.join("report.json"), json).context("writing report.json")?;
        std::fs::write(directory.join("report.md"), self.markdown()).context("writing report.md")
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = self.demo.markdown();
        self.aws.write(&mut text, &self.reboot_words());
        text
    }

    /// What Changeover itself measured.
    fn reboot_words(&self) -> String {
        let stages = self.demo.stages.as_array().into_iter().flatten();
        let provision =
            stages.filter(|stage| stage["stage"] == "provision").find_map(|stage| stage["evidence"].as_str());
        provision
            .and_then(|words| words.split("; ").find(|part| part.contains("reboot")))
            .unwrap_or_default()
            .to_owned()
    }
}

impl AwsFacts {
    /// What isn't as it should be at the end.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        let (source, target) = (self.after.source.instance(SOURCE), self.after.target.instance(TARGET));
        let key = self.key();
        expect(source.is_some_and(|it| it.key.is_none()), "the source isn't there unencrypted any more");
        expect(source.is_some_and(|it| it.status == "stopped"), "the source isn't stopped");
        expect(self.reboots == 1, "the source wasn't rebooted exactly once");
        expect(key.is_some_and(|key| key.state == "Enabled" && key.rotated), "the key isn't enabled and rotated");
        expect(target.is_some_and(|it| it.status == "available"), "the target isn't available");
        let encrypted = target.zip(key).is_some_and(|(it, key)| it.key.as_ref() == Some(&key.arn));
        expect(self.is_joined(), "the two networks aren't joined, or not by all that it takes");
        expect(encrypted, "the target isn't encrypted with the key");
        expect(self.final_snapshots() == 1, "there isn't exactly one last snapshot of the source");
        expect(self.unclaimed(), "the source is still taken");
        expect(!self.is_denied(), "the policies that Changeover prints lack something");
        let values: Vec<usize> = self.published.iter().map(|after| after.versions.len()).collect();
        expect(values == [1, 2, 3], "the endpoint wasn't published exactly once for each switch");
        expect(self.has_logins(), "applications don't find their logins in the target's account");
        expect(self.is_deployed(), "deployments weren't told once of each publication, with a key of its own");
        let all = self.published.iter().flat_map(|after| &after.versions);
        expect(all.clone().all(|it| it.kind == "SecureString"), "the endpoint was published in plain text");
        faults
    }

    fn key(&self) -> Option<&Key> {
        self.after.target.keys.first()
    }

    /// By one peering that both see, over which each side is routed to the other and resolves its names, with a rule that lets it in.
    fn is_joined(&self) -> bool {
        let (here, there) = (&self.after.source.network, &self.after.target.network);
        let [peering] = there.peerings.as_slice() else { return false };
        let has = |network: &Network| {
            let seen = network.peerings.iter().filter(|seen| seen.id == peering.id);
            let over = format!(" over {}", peering.id);
            seen.filter(|seen| seen.status == "active" && seen.resolves).count() == 1
                && network.routes.iter().any(|route| route.ends_with(&over))
        };
        has(here) && has(there) && self.new_rules().iter().all(|rules| !rules.is_empty())
    }

    /// Rules of both sides that weren't there before.
    fn new_rules(&self) -> [Vec<&String>; 2] {
        [(&self.before.source, &self.after.source), (&self.before.target, &self.after.target)]
            .map(|(before, after)| after.network.rules.difference(&before.network.rules).collect())
    }

    fn has_logins(&self) -> bool {
        self.logins.iter().map(String::as_str).collect::<BTreeSet<_>>() == BTreeSet::from(SAMPLE_LOGINS)
    }

    fn is_deployed(&self) -> bool {
        let told: Vec<Vec<&str>> = self.deployed.iter().map(|line| line.split(' ').collect()).collect();
        let word = |at: usize| told.iter().filter_map(move |words| words.get(at).copied());
        let published = self.published.iter().filter_map(|after| after.versions.last());
        word(0).eq(["target", "source", "target"])
            && word(1).eq(published.map(|version| version.value.as_str()))
            && word(2).collect::<BTreeSet<_>>().len() == 3
    }

    fn write_network(&self, text: &mut String) {
        for Peering { id, status, joins: [requester, accepter], .. } in &self.after.target.network.peerings {
            let _ =
                writeln!(text, "Peering `{id}`: {requester} of the target with {accepter} of the source, {status}.\n");
        }
        for (side, account, rules) in [("source", &self.after.source, 0), ("target", &self.after.target, 1)] {
            for route in &account.network.routes {
                let _ = writeln!(text, "- route of the {side}: {route}");
            }
            for rule in &self.new_rules()[rules] {
                let _ = writeln!(text, "- let in by the {side}: {rule}");
            }
        }
        text.push('\n');
    }

    /// A call was refused for want of a right, and not because what it asks for isn't there.
    fn is_denied(&self) -> bool {
        self.calls.values().flat_map(|count| count.refused.keys()).any(|code| code.contains("AccessDenied"))
    }

    fn final_snapshots(&self) -> usize {
        self.after.source.snapshots.iter().filter(|it| it.kind == "manual" && it.status == "available").count()
    }

    /// No claim is left in the source's account.
    fn unclaimed(&self) -> bool {
        self.after.source.parameters == self.before.source.parameters
            && self.after.source.instance(SOURCE).map(|it| &it.tags)
                == self.before.source.instance(SOURCE).map(|it| &it.tags)
    }

    fn write(&self, text: &mut String, measured: &str) {
        let _ = writeln!(text, "\n## AWS, as found by boto3 at the end\n");
        self.write_instances(text);
        if let Some(key) = self.key() {
            let rotated = if key.rotated { "rotated each year" } else { "not rotated" };
            let _ = writeln!(text, "Key: `{}` ({}), {}, {rotated}.\n", key.arn, key.aliases.join(", "), key.state);
        }
        let _ = writeln!(
            text,
            "Reboots of the source: {}. {measured}; clients: longest gap between acknowledged writes {:.1} ms, errors {:?}.\n",
            self.reboots, self.reboot.longest_gap_ms, self.reboot.errors
        );
        write_groups(text, "source", &self.before.source, &self.after.source);
        write_groups(text, "target", &self.before.target, &self.after.target);
        self.write_network(text);
        self.write_published(text);
        self.write_calls(text);
        write_more(text, "source", &self.before.source, &self.after.source);
        write_more(text, "target", &self.before.target, &self.after.target);
        for fault in self.faults() {
            let _ = writeln!(text, "- **{fault}**");
        }
    }

    fn write_instances(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| instance | account of the | status | encrypted with | parameter group |\n|---|---|---|---|---|"
        );
        for (side, account) in [("source", &self.after.source), ("target", &self.after.target)] {
            for Instance { identifier, status, key, group, applied, .. } in &account.instances {
                let key = key.as_deref().unwrap_or("nothing");
                let _ = writeln!(text, "| {identifier} | {side} | {status} | {key} | {group} ({applied}) |");
            }
        }
        text.push('\n');
    }

    fn write_published(&self, text: &mut String) {
        let _ = writeln!(text, "| `{PUBLISHED}` after | version | type | value | labels |\n|---|---|---|---|---|");
        for after in &self.published {
            if let Some(Version { version, kind, value, labels, .. }) = after.versions.last() {
                let labels = labels.join(", ");
                let _ = writeln!(text, "| {} | {version} | {kind} | {value} | {labels} |", after.direction);
            }
        }
        let _ = writeln!(
            text,
            "\nApplications find their logins in `{ROLE_SECRETS}/ROLE` of the target's account: {}.",
            self.logins.join(", ")
        );
        let _ = writeln!(text, "\nDeployments were told:\n");
        for line in &self.deployed {
            let _ = writeln!(text, "- {line}");
        }
        text.push('\n');
    }

    fn write_calls(&self, text: &mut String) {
        let (done, refused): (u64, u64) = self
            .calls
            .values()
            .fold((0, 0), |(done, refused), count| (done + count.done, refused + count.refused.values().sum::<u64>()));
        let _ =
            writeln!(text, "Calls to AWS: {done}, refused: {refused}.\n\n| call | times | refused |\n|---|---|---|");
        for (call, CallCount { done, refused }) in &self.calls {
            let refused: Vec<String> = refused.iter().map(|(code, times)| format!("{times} x {code}")).collect();
            let _ = writeln!(text, "| {call} | {done} | {} |", refused.join(", "));
        }
        text.push('\n');
    }
}

/// What is set in an account's parameter groups, and wasn't before.
fn write_groups(text: &mut String, side: &str, before: &Account, after: &Account) {
    for ParameterGroup { name, set } in &after.parameter_groups {
        let old = before.parameter_groups.iter().find(|group| group.name == *name);
        let what = if old.is_some() { "changed" } else { "made" };
        let _ = writeln!(text, "Parameter group `{name}` of the {side}, {what}:\n");
        for (parameter, value) in set {
            match old.map(|group| group.set.get(parameter)) {
                Some(Some(was)) if was == value => {}
                Some(Some(was)) => _ = writeln!(text, "- {parameter} = {value}, was {was}"),
                _ => _ = writeln!(text, "- {parameter} = {value}"),
            }
        }
        text.push('\n');
    }
}

/// What an account has that it didn't have, and the other way round.
fn write_more(text: &mut String, side: &str, before: &Account, after: &Account) {
    let (before, after) = (before.names(), after.names());
    let _ = writeln!(text, "In the {side}'s account, beside what was there:\n");
    for name in after.difference(&before) {
        let _ = writeln!(text, "- {name}");
    }
    for name in before.difference(&after) {
        let _ = writeln!(text, "- no longer: {name}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::found::Snapshot;

    const KEY: &str = "arn:aws:kms:eu-central-1:222222222222:key/1";

    fn instance(identifier: &str, status: &str, key: Option<&str>) -> Instance {
        Instance {
            identifier: identifier.to_owned(),
            status: status.to_owned(),
            key: key.map(str::to_owned),
            group: "group".to_owned(),
            applied: "in-sync".to_owned(),
            tags: BTreeMap::new(),
        }
    }

    fn source(status: &str) -> Account {
        Account { instances: vec![instance(SOURCE, status, None)], ..Account::default() }
    }

    fn published(versions: u64) -> PublishedAfter {
        let version = |version| Version {
            version,
            kind: "SecureString".to_owned(),
            key: KEY.to_owned(),
            value: "127.0.0.1:5432".to_owned(),
            labels: Vec::new(),
        };
        PublishedAfter { direction: "forward".to_owned(), versions: (1..=versions).map(version).collect() }
    }

    /// As it should be.
    fn facts() -> AwsFacts {
        let snapshot =
            Snapshot { identifier: "last".to_owned(), status: "available".to_owned(), kind: "manual".to_owned() };
        let key = Key { arn: KEY.to_owned(), state: "Enabled".to_owned(), rotated: true, aliases: Vec::new() };
        let network = |rule: &str| Network {
            peerings: vec![Peering {
                id: "pcx-1".to_owned(),
                status: "active".to_owned(),
                joins: ["vpc-t".to_owned(), "vpc-s".to_owned()],
                resolves: true,
            }],
            routes: BTreeSet::from(["rtb-1: 10.20.0.0/16 over pcx-1".to_owned()]),
            rules: BTreeSet::from([rule.to_owned()]),
        };
        let target = Account {
            network: network("sg-t: 10.10.0.0/16 on 5432"),
            keys: vec![key],
            instances: vec![instance(TARGET, "available", Some(KEY))],
            ..Account::default()
        };
        AwsFacts {
            before: Found { source: source("available"), target: Account::default() },
            after: Found {
                source: Account {
                    snapshots: vec![snapshot],
                    network: network("sg-s: 10.20.0.0/16 on 5432"),
                    ..source("stopped")
                },
                target,
            },
            reboot: WindowStats {
                acknowledged: 0,
                longest_gap_ms: 0.0,
                longest_gap_ms_by_path: BTreeMap::new(),
                slowest_statement_ms: 0.0,
                slowest_ms: 0.0,
                errors: BTreeMap::new(),
                errors_by_path: BTreeMap::new(),
            },
            reboots: 1,
            published: vec![published(1), published(2), published(3)],
            deployed: ["target", "source", "target"]
                .iter()
                .enumerate()
                .map(|(at, side)| format!("{side} 127.0.0.1:5432 demo-run-{at}"))
                .collect(),
            logins: SAMPLE_LOGINS.map(str::to_owned).to_vec(),
            calls: BTreeMap::new(),
        }
    }

    fn faults_after(change: impl FnOnce(&mut AwsFacts)) -> Vec<String> {
        let mut facts = facts();
        change(&mut facts);
        facts.faults()
    }

    #[test]
    fn what_is_as_it_should_be_has_no_fault_and_anything_else_has_its_own() {
        assert_eq!(facts().faults(), Vec::<String>::new());
        let denied = CallCount { done: 0, refused: BTreeMap::from([("AccessDenied".to_owned(), 1)]) };
        let cases: Vec<Vec<String>> = vec![
            faults_after(|f| "available".clone_into(&mut f.after.source.instances[0].status)),
            faults_after(|f| f.reboots = 2),
            faults_after(|f| f.after.target.keys[0].rotated = false),
            faults_after(|f| "creating".clone_into(&mut f.after.target.instances[0].status)),
            faults_after(|f| f.after.target.instances[0].key = Some("another".to_owned())),
            faults_after(|f| f.after.source.snapshots.clear()),
            faults_after(|f| f.after.source.network.routes.clear()),
            faults_after(|f| f.after.source.parameters.push("/changeover/claims/orders".to_owned())),
            faults_after(|f| f.published[2] = published(4)),
            faults_after(|f| f.deployed[2] = f.deployed[0].clone()),
            faults_after(|f| _ = f.logins.pop()),
            faults_after(|f| "String".clone_into(&mut f.published[0].versions[0].kind)),
            faults_after(|f| _ = f.calls.insert("source: rds RebootDBInstance".to_owned(), denied)),
        ];
        for faults in &cases {
            assert_eq!(faults.len(), 1, "{faults:?}");
        }
        let joined: [fn(&mut AwsFacts); 4] = [
            |f| f.after.target.network.peerings.clear(),
            |f| "pcx-2".clone_into(&mut f.after.source.network.peerings[0].id),
            |f| f.after.target.network.peerings[0].resolves = false,
            |f| f.before.source.network.rules = f.after.source.network.rules.clone(),
        ];
        for change in joined {
            assert_eq!(faults_after(change), ["the two networks aren't joined, or not by all that it takes"]);
        }
        let distinct: std::collections::BTreeSet<&String> = cases.iter().flatten().collect();
        assert_eq!(distinct.len(), cases.len());
    }
}
