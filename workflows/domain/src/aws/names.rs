//! Names and tags of everything that a migration makes in AWS: from its id alone, so that a second run finds what the first one
//! made, and within the limits that each service sets.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{MigrationId, Side};

/// The tag by which what we made is known: its value is the migration's id.
pub const TAG: &str = "changeover:migration";

/// The tag that says for which side it was made.
pub const TAG_SIDE: &str = "changeover:side";

/// The tag of a target that has served: its value is when the first switch to it began. Nothing deletes an instance that carries it.
pub const TAG_SERVED: &str = "changeover:served";

/// Names for one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsNames {
    migration: MigrationId,
    base: String,
    path: String,
}

impl AwsNames {
    /// From the migration's id.
    pub fn new(migration: &MigrationId) -> Self {
        let base = format!("changeover-{}", hyphenated(migration.as_str()));
        Self { migration: migration.clone(), base, path: format!("changeover/{migration}") }
    }
    /// Whose names they are.
    pub fn migration(&self) -> &MigrationId {
        &self.migration
    }
    /// What the names in RDS begin with. RDS takes letters, digits and hyphens, never two together nor one at the end, at most 63 for
    /// instances and 255 for the rest (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html>).
    pub fn base(&self) -> &str {
        &self.base
    }
    /// What the names with slashes begin with.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// The parameter group of a side, made where the source's can't be changed, and for the target.
    pub fn parameter_group(&self, side: Side) -> String {
        format!("{}-{side}", self.base)
    }
    /// The option group of the target.
    pub fn option_group(&self) -> String {
        format!("{}-target", self.base)
    }
    /// The target, where the spec doesn't name it.
    pub fn instance(&self) -> String {
        self.base.clone()
    }
    /// The snapshot that the target begins with: taken of the source.
    pub fn seed_snapshot(&self) -> String {
        format!("{}-seed", self.base)
    }
    /// Its copy under the target's key.
    pub fn seed_copy(&self) -> String {
        format!("{}-seed-copy", self.base)
    }
    /// The source's last snapshot.
    pub fn final_snapshot(&self) -> String {
        format!("{}-final", self.base)
    }
    /// The key's alias: letters, digits, slashes, underscores, hyphens; `alias/aws/` is AWS's own
    /// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>).
    pub fn alias(&self) -> String {
        format!("alias/{}", self.path)
    }
    /// The secret with the master's password
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>).
    pub fn master_secret(&self) -> String {
        format!("{}/master-user", self.path)
    }
    /// The parameter of the endpoint, where the spec doesn't name one.
    pub fn endpoint_parameter(&self) -> String {
        format!("/{}/endpoint", self.path)
    }
    /// The label of the version with the new endpoint: at most 100 letters, digits, dots, hyphens and underscores, and neither `aws`
    /// nor `ssm` at its beginning (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_LabelParameterVersion.html>).
    pub fn endpoint_label(&self) -> String {
        self.base.clone()
    }
    /// Where it is written who has taken an instance. RDS takes an identifier in any case and keeps it in lower case; Parameter Store
    /// tells the cases apart.
    pub fn claim_parameter(source_instance: &str) -> String {
        format!("/changeover/claims/{}", source_instance.to_lowercase())
    }
    /// A request's token for a purpose: the same request twice is one for AWS. 64 hexadecimal digits, the most that Secrets Manager
    /// takes; EC2 takes 64 as well.
    pub fn token(&self, purpose: &str) -> String {
        hex(&Sha256::digest(format!("{}/{purpose}", self.path).as_bytes()))
    }
    /// The tags of what is made for a side
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html>).
    pub fn tags(&self, side: Side) -> [(String, String); 2] {
        [(TAG.to_owned(), self.migration.to_string()), (TAG_SIDE.to_owned(), side.to_string())]
    }
    /// Whose something is, by its tags.
    pub fn owner<'a>(&self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Owner {
        match tags.into_iter().find(|(key, _)| *key == TAG) {
            Some((_, id)) if id == self.migration.as_str() => Owner::Us,
            Some((_, id)) => Owner::Migration(id.to_owned()),
            None => Owner::Somebody,
        }
    }
}

/// Whether a text is an account: twelve digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whose something in AWS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This migration's.
    Us,
    /// Another migration's.
    Migration(String),
    /// Not Changeover's.
    Somebody,
}

impl Owner {
    /// For a message.
    pub fn describe(&self) -> String {
        match self {
            Owner::Us => "this migration's".to_owned(),
            Owner::Migration(id) => format!("migration {id}'s"),
            Owner::Somebody => "not made by Changeover".to_owned(),
        }
    }
}

/// The id with hyphens. One that would give two hyphens together, or one at the end, gets digits of its hash, since two ids must not
/// become one name.
fn hyphenated(id: &str) -> String {
    let words: Vec<&str> = id.split('_').filter(|word| !word.is_empty()).collect();
    let plain = words.join("-");
    if id.contains("__") || id.ends_with('_') {
        let hash = hex(&Sha256::digest(id.as_bytes()));
        return format!("{plain}-h{}", hash.get(..8).unwrap_or_default());
    }
    plain
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(id: &str) -> AwsNames {
        AwsNames::new(&MigrationId::parse(id).unwrap())
    }

    fn fits_rds(name: &str, most: usize) -> bool {
        name.len() <= most
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.contains("--")
            && !name.ends_with('-')
    }

    proptest! {
        #[test]
        fn every_id_gives_names_that_aws_takes(id in "[a-z][a-z0-9_]{0,23}") {
            let names = names(&id);
            prop_assert!(fits_rds(&names.instance(), 63));
            for name in [names.parameter_group(Side::Source), names.parameter_group(Side::Target), names.option_group(),
                names.seed_snapshot(), names.seed_copy(), names.final_snapshot()] {
                prop_assert!(fits_rds(&name, 255), "{}", name);
            }
            prop_assert!(names.endpoint_label().len() <= 100);
            prop_assert!((32..=64).contains(&names.token("secret").len()));
        }

        #[test]
        fn two_ids_never_share_a_name(a in "[a-c_]{1,5}", b in "[a-c_]{1,5}") {
            let (a, b) = (format!("m{a}"), format!("m{b}"));
            prop_assume!(a != b);
            prop_assert_ne!(names(&a).instance(), names(&b).instance());
        }
    }

    #[test]
    fn names_can_be_read() {
        let names = names("shop_eu");
        assert_eq!(names.parameter_group(Side::Source), "changeover-shop-eu-source");
        assert_eq!(names.alias(), "alias/changeover/shop_eu");
        assert_eq!(AwsNames::claim_parameter("Orders"), "/changeover/claims/orders");
        assert_ne!(names.token("a"), names.token("b"));
    }

    #[test]
    fn an_owner_is_told_by_the_tag_alone() {
        let names = names("shop");
        assert_eq!(names.owner([("Name", "x"), (TAG, "shop")]), Owner::Us);
        assert_eq!(names.owner([(TAG, "other")]), Owner::Migration("other".into()));
        assert_eq!(names.owner([("Name", "shop")]), Owner::Somebody);
    }
}
