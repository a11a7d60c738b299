//! How a side's account is reached: what the spec says about it.

use std::{fmt, path::PathBuf};

use changeover_domain::Side;

/// How one side's account is reached. Holds no secret key: those come by the SDK's chain (environment, profile, web identity, container,
/// instance; <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>).
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Which side.
    pub side: Side,
    /// Such as `eu-central-1`.
    pub region: String,
    /// The account that it has to be, twelve digits.
    pub account: String,
    /// A profile of the shared files. With one, credentials come from there, whatever the environment says: the two sides have
    /// different ones.
    pub profile: Option<String>,
    /// A file of credentials that the profile is looked for in, instead of the shared files.
    pub credentials_file: Option<PathBuf>,
    /// The role to assume from there.
    pub role_arn: Option<String>,
    /// The external id that the role asks for
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html>).
    pub external_id: Option<String>,
    /// Another endpoint for all services, for test stacks.
    pub endpoint: Option<String>,
}

/// AWS doesn't call an external id a secret; it is left out all the same, since somebody may have taken it for one.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("side", &self.side)
            .field("region", &self.region)
            .field("account", &self.account)
            .field("profile", &self.profile)
            .field("credentials_file", &self.credentials_file)
            .field("role_arn", &self.role_arn)
            .field("external_id", &self.external_id.as_ref().map(|_| "…"))
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_stays_out_of_logs() {
        let access = Access {
            side: Side::Source,
            region: "eu-central-1".into(),
            account: "111111111111".into(),
            profile: None,
            credentials_file: None,
            role_arn: Some("arn:aws:iam::111111111111:role/changeover".into()),
            external_id: Some("confidential".into()),
            endpoint: None,
        };
        let text = format!("{access:?}");
        assert!(text.contains("role/changeover") && !text.contains("confidential"), "{text}");
    }
}
