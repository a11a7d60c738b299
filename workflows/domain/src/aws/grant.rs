//! What a grant on a key says about its use. RDS uses a key by grants, which it retires some time after the instance has gone; somebody
//! else's grant is a use that no description of RDS shows.

use std::collections::BTreeMap;

/// A grant as KMS lists it (<https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantListEntry.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Who may use the key by it. Of a service of AWS, its name, such as `rds.eu-central-1.amazonaws.com`.
    pub grantee: String,
    /// The account in which it was given, where KMS says so.
    pub issuer: Option<String>,
    /// The encryption context to which it is limited.
    pub context: BTreeMap<String, String>,
}

/// The entry of an encryption context that names the instance
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/services-rds.html#rds-encryption-context>).
const INSTANCE: &str = "aws:rds:db-id";

impl Grant {
    /// Whether it is what RDS hasn't retired yet of an instance that is gone. `living` are the ids (`DbiResourceId`) of those that are there.
    /// Whatever can't be told is taken for a use.
    pub fn is_left_over(&self, account: &str, living: &[String]) -> bool {
        let of_rds = self.grantee.starts_with("rds.") && self.grantee.contains(".amazonaws.com");
        let of_ours = self.issuer.as_ref().is_none_or(|issuer| issuer == account);
        let gone = self.context.get(INSTANCE).is_some_and(|instance| !living.contains(instance));
        of_rds && of_ours && gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn of_rds(instance: &str) -> Grant {
        Grant {
            id: "g".into(),
            grantee: "rds.eu-central-1.amazonaws.com".into(),
            issuer: Some("222222222222".into()),
            context: [(INSTANCE.to_owned(), instance.to_owned())].into(),
        }
    }

    #[rstest]
    #[case::of_an_instance_that_is_gone(of_rds("db-GONE"), true)]
    #[case::without_an_issuer(Grant { issuer: None, ..of_rds("db-GONE") }, true)]
    #[case::of_another_instance(of_rds("db-THERE"), false)]
    #[case::of_no_instance(Grant { context: BTreeMap::new(), ..of_rds("") }, false)]
    #[case::of_another_account(Grant { issuer: Some("333333333333".into()), ..of_rds("db-GONE") }, false)]
    #[case::of_a_role(Grant { grantee: "arn:aws:iam::222222222222:role/backup".into(), ..of_rds("db-GONE") }, false)]
    #[case::of_a_name_like_it(Grant { grantee: "rds.example.com".into(), ..of_rds("db-GONE") }, false)]
    fn only_what_rds_leaves_of_a_gone_instance_is_no_use(#[case] grant: Grant, #[case] left_over: bool) {
        assert_eq!(grant.is_left_over("222222222222", &["db-THERE".to_owned()]), left_over);
    }
}
