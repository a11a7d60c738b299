//! Whether a snapshot can go from one account to the other
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html>).

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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
