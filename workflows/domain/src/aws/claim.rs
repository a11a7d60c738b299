//! Who has taken the source: the migration, which run of it, and which instance, beyond its name.

use serde::{Deserialize, Serialize};

use crate::Failure;

/// A claim, as Parameter Store holds it. Neither a name of a migration nor one of an instance is used only once: another control plane may
/// have a migration of the same name, and another instance may have been given the name of one that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The migration.
    pub migration: String,
    /// The run's own id.
    pub run: String,
    /// What RDS calls the instance for as long as it lives (`DbiResourceId`).
    pub resource: String,
}

impl Claim {
    /// As it is written.
    pub fn text(&self) -> String {
        // Three strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
    /// As it was written; `None` for what nobody of ours has written.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
    /// Whether it is this run's, whichever instance it is for.
    pub fn is_by(&self, migration: &str, run: &str) -> bool {
        self.migration == migration && self.run == run
    }
}

/// Checks what the claim on an instance says against what it is to say. CO1013.
pub fn check(instance: &str, ours: &Claim, found: Option<&str>) -> Result<(), Failure> {
    let Some(found) = found else {
        return Err(Failure::needs_human(
            "CO1013",
            format!("{instance} isn't taken by this migration any more: the parameter that says so is gone"),
            "see who deleted it and whether another migration runs, then `changeover retry`",
        ));
    };
    match Claim::parse(found) {
        Some(claim) if claim == *ours => Ok(()),
        Some(claim) if claim.is_by(&ours.migration, &ours.run) => Err(other_instance(instance, &claim, ours)),
        claim => Err(taken(instance, claim.as_ref(), ours)),
    }
}

fn taken(instance: &str, by: Option<&Claim>, ours: &Claim) -> Failure {
    let by = match by {
        Some(claim) if claim.migration == ours.migration => format!("another run of migration {}", claim.migration),
        Some(claim) => format!("migration {}", claim.migration),
        None => "somebody".to_owned(),
    };
    let name = super::AwsNames::claim_parameter(instance);
    Failure::refused(
        "CO1013",
        format!("{instance} has been taken by {by}"),
        format!("finish or abort {by}; if it is long gone, delete the parameter {name}"),
    )
}

fn other_instance(instance: &str, claim: &Claim, ours: &Claim) -> Failure {
    Failure::needs_human(
        "CO1013",
        format!(
            "{instance} isn't the instance that was taken: that one was {}, and what has its name now is {}",
            claim.resource, ours.resource
        ),
        "see who deleted or renamed the source; nothing is done to the other instance",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use rstest::rstest;

    fn claim(migration: &str, run: &str, resource: &str) -> Claim {
        Claim { migration: migration.into(), run: run.into(), resource: resource.into() }
    }

    #[rstest]
    #[case::ours(Some(claim("shop", "1", "db-A").text()), None)]
    #[case::gone(None, Some(Class::NeedsHuman))]
    #[case::another_migration(Some(claim("other", "1", "db-A").text()), Some(Class::Refused))]
    #[case::another_run(Some(claim("shop", "2", "db-A").text()), Some(Class::Refused))]
    #[case::another_instance(Some(claim("shop", "1", "db-B").text()), Some(Class::NeedsHuman))]
    #[case::not_a_claim(Some("shop".to_owned()), Some(Class::Refused))]
    fn a_claim_is_of_one_run_on_one_instance(#[case] found: Option<String>, #[case] class: Option<Class>) {
        let failure = check("orders", &claim("shop", "1", "db-A"), found.as_deref()).err();
        assert_eq!(failure.as_ref().map(|failure| failure.class), class, "{failure:?}");
        assert!(failure.is_none_or(|failure| failure.code == "CO1013"));
    }
}
