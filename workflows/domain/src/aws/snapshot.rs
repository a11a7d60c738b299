//! Whether a snapshot can go from one account to the other
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html>).

use super::names::Owner;
use crate::Failure;

/// What decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed<'a> {
    /// Whether the source is encrypted.
    pub encrypted: bool,
    /// Whether its key is the one that AWS keeps for RDS.
    pub default_key: bool,
    /// `manual`, `automated` and so on; of a snapshot to come, `manual`.
    pub kind: &'a str,
    /// Where the source is.
    pub source_region: &'a str,
    /// Where the target is.
    pub target_region: &'a str,
    /// The parameters, options and storage that only this account's may restore, such as a permanent option.
    pub permanent_option: bool,
}

/// Refuses a snapshot that can't be shared, with every reason.
pub fn check(seed: &Seed<'_>) -> Result<(), Failure> {
    let mut reasons = Vec::new();
    if seed.kind != "manual" {
        reasons.push("only manual snapshots can be shared".to_owned());
    }
    if seed.encrypted && seed.default_key {
        reasons.push("it is encrypted with the key that AWS manages, which no other account can use".to_owned());
    }
    if seed.encrypted && seed.source_region != seed.target_region {
        let (from, to) = (seed.source_region, seed.target_region);
        reasons.push(format!("an encrypted shared snapshot can't be copied from {from} to {to} in one step"));
    }
    if seed.permanent_option {
        reasons.push("its option group has an option that can't be taken away".to_owned());
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let message = format!("a snapshot of the source can't be brought to the target's account: {}", reasons.join("; "));
    Err(Failure::refused("CO1017", message, "let the engine copy the rows instead: copy = \"engine\" in the spec"))
}

/// The source's last snapshot, as far as it decides whether the source may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whose it is.
    pub owner: Owner,
    /// Of which instance it is, by RDS' own id.
    pub resource: &'a str,
    /// When it was taken, seconds since 1970; `None` while it isn't ready.
    pub created: Option<i64>,
}

/// Checks the last snapshot of an instance: ours, of that very instance, taken after the switch. CO1019 otherwise.
pub fn check_last(last: Option<&Last<'_>>, resource: &str, switched_at: i64) -> Result<(), Failure> {
    let problem = match last {
        None => "it isn't there".to_owned(),
        Some(last) if last.owner != Owner::Us => format!("{} is {}", last.name, last.owner.describe()),
        Some(last) if last.resource != resource => {
            format!("{} is of {}, and the old instance is {resource}", last.name, last.resource)
        }
        Some(last) => match last.created {
            None => format!("{} isn't ready", last.name),
            Some(created) if created < switched_at => format!("{} was taken before the switch", last.name),
            Some(_) => return Ok(()),
        },
    };
    let message = format!("the old instance has no last snapshot: {problem}");
    Err(Failure::refused("CO1019", message, "take the last snapshot first and wait for it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn last() -> Last<'static> {
        Last { name: "changeover-shop-final", owner: Owner::Us, resource: "db-A", created: Some(100) }
    }

    #[rstest]
    #[case(Some(last()), true)]
    #[case(None, false)]
    #[case(Some(Last { owner: Owner::Somebody, ..last() }), false)]
    #[case(Some(Last { resource: "db-B", ..last() }), false)]
    #[case(Some(Last { created: None, ..last() }), false)]
    #[case(Some(Last { created: Some(99), ..last() }), false)]
    fn only_a_snapshot_of_that_instance_after_the_switch_is_its_last(
        #[case] last: Option<Last<'_>>,
        #[case] fits: bool,
    ) {
        let checked = check_last(last.as_ref(), "db-A", 100);
        assert_eq!(checked.is_ok(), fits, "{checked:?}");
    }

    fn seed() -> Seed<'static> {
        Seed {
            encrypted: false,
            default_key: false,
            kind: "manual",
            source_region: "eu-central-1",
            target_region: "eu-central-1",
            permanent_option: false,
        }
    }

    #[rstest]
    #[case(seed(), true)]
    #[case(Seed { target_region: "eu-west-1", ..seed() }, true)]
    #[case(Seed { encrypted: true, ..seed() }, true)]
    #[case(Seed { encrypted: true, default_key: true, ..seed() }, false)]
    #[case(Seed { encrypted: true, target_region: "eu-west-1", ..seed() }, false)]
    #[case(Seed { kind: "automated", ..seed() }, false)]
    #[case(Seed { permanent_option: true, ..seed() }, false)]
    fn what_can_be_shared_is_known(#[case] seed: Seed<'static>, #[case] fits: bool) {
        assert_eq!(check(&seed).is_ok(), fits);
    }
}
