//! What a call is done to, as patterns of ARNs, and what IAM is to ask for as well.

use super::{
    names::AwsNames,
    stored::{self, Store},
};
use crate::{MigrationId, Side, proto::Spec};

/// What a call is done to. The names stand for patterns that [`Place`] fills in
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.Constructing.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Calls for which IAM knows no resource, and descriptions, which hold no secret.
    Any,
    /// The instance that is moved.
    SourceInstance,
    /// The new one.
    TargetInstance,
    /// The group that the source has, where it is its own.
    SourceGroup,
    /// Parameter groups that we make.
    OurParameterGroup,
    /// Any parameter group: an instance is given one by a call that names it.
    AnyParameterGroup,
    /// Option groups that we make.
    OurOptionGroup,
    /// Any option group, as above.
    AnyOptionGroup,
    /// The target's subnet group.
    SubnetGroup,
    /// The snapshot that the target begins with: the source's on its side, the copy on the target's.
    OurSnapshot,
    /// The source's last snapshot, which no undo deletes.
    LastSnapshot,
    /// Our snapshot in the source's account, seen from the target's.
    SharedSnapshot,
    /// The key that the spec gives by its ARN or id; else keys of this account: those under the given alias ([`Place::key_alias`]), or where
    /// none is given all of them, of which nothing is allowed but to look.
    Key,
    /// The alias that we give.
    OurAlias,
    /// Who has taken the source.
    ClaimParameter,
    /// The parameter that the spec names; ours where it names none.
    PublishedParameter,
    /// The secret of the target's master.
    OurSecret,
    /// The secrets that applications get.
    RoleSecret,
    /// Secrets of Secrets Manager that the spec names.
    StoredSecret,
    /// Parameters of Parameter Store that the spec names as secrets.
    StoredParameter,
    /// Keys of this region, where a secret that the spec names may be under one.
    KeyOfStoredSecret,
    /// The same of a parameter.
    KeyOfStoredParameter,
    /// VPCs.
    Vpc,
    /// Peerings.
    Peering,
    /// Route tables.
    RouteTable,
    /// Security groups.
    SecurityGroup,
    /// Their rules.
    SecurityRule,
    /// Keys of the source's account, seen from the target's: under one of them is the snapshot of an encrypted source.
    SourceKey,
    /// The role of enhanced monitoring.
    MonitoringRole,
}

/// What IAM is to ask for as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing.
    None,
    /// The request carries the migration's tag.
    TagIsGiven,
    /// The same, with no tags but ours, on a key that isn't another migration's. Making a key with tags takes the right to tag every key of
    /// the account (<https://docs.aws.amazon.com/kms/latest/developerguide/tag-permissions.html>), and KMS has no condition for tags that are
    /// given as a key is made: the resource can't be narrowed, only what is given and to whom. No right goes by a key's tag, so that it
    /// gives power over none.
    TagOfNewKey,
    /// The request carries the migration's tag, and only as part of another action, which makes the resource
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>).
    TagAsMade(&'static str),
    /// The role is for RDS' monitoring and nothing else.
    PassedToMonitoring,
    /// The resource carries the migration's tag.
    TagIsThere,
    /// Nothing in the role: the policy that our key is made with gives the right to the role by name
    /// ([`policy`](super::key::policy)). A right on keys that carry a tag would be one on whatever key the role has given the tag.
    ByKeyPolicy,
    /// The grant is for a service of AWS, not for somebody else
    /// (<https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html>).
    GrantForAws,
    /// The key is used by RDS, Parameter Store or Secrets Manager in our name, not by us.
    ViaServices,
    /// The key is used by Secrets Manager in our name, for a secret that the spec names
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html>).
    OfStoredSecret,
    /// The key is used by Parameter Store in our name, for a parameter that the spec names
    /// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html>).
    OfStoredParameter,
}

/// Where a migration takes place on one side: what fills the patterns in. An asterisk stands for what isn't known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which side.
    pub side: Side,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// The twelve digits of this side's account.
    pub account: String,
    /// Those of the other one.
    pub other_account: String,
    /// The other one's region.
    pub other_region: String,
    /// Names of what is made; `None` gives the pattern for all migrations.
    pub names: Option<AwsNames>,
    /// The source's identifier.
    pub source_instance: String,
    /// The target's, where the spec names it.
    pub target_instance: Option<String>,
    /// The source's own parameter group.
    pub source_group: String,
    /// The target's subnet group.
    pub subnet_group: String,
    /// The parameter that the spec names.
    pub published: Option<String>,
    /// The role of enhanced monitoring, by ARN, where the spec names one.
    pub monitoring_role: Option<String>,
    /// The target's key as the spec gives it: an ARN, an id or an alias.
    pub key: Option<String>,
    /// The names of the secrets that applications get.
    pub role_secrets: Vec<String>,
    /// The secrets of this account that the spec names, by ARN.
    pub stored_secrets: Vec<String>,
    /// The parameters of this account that the spec names as secrets, by ARN.
    pub stored_parameters: Vec<String>,
}

impl Place {
    /// Nothing known but the side: the pattern for any migration.
    pub fn anywhere(side: Side) -> Self {
        let any = || "*".to_owned();
        Self {
            side,
            partition: "aws".to_owned(),
            region: any(),
            account: any(),
            other_account: any(),
            other_region: any(),
            names: None,
            source_instance: any(),
            target_instance: None,
            source_group: any(),
            subnet_group: any(),
            published: None,
            monitoring_role: None,
            key: None,
            role_secrets: Vec::new(),
            stored_secrets: Vec::new(),
            stored_parameters: Vec::new(),
        }
    }
    /// With the secrets of a spec that are in AWS.
    #[must_use]
    pub fn with_secrets_of(self, spec: &Spec) -> Self {
        let named = |store| stored::named(spec, self.side, store);
        Self {
            role_secrets: stored::role_secrets(spec).into_iter().map(|it| it.name).collect(),
            stored_secrets: named(Store::SecretsManager),
            stored_parameters: named(Store::ParameterStore),
            ..self
        }
    }
    /// The migration's id, or an asterisk.
    pub fn migration(&self) -> &str {
        self.names.as_ref().map_or("*", |names| MigrationId::as_str(names.migration()))
    }
    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.region, self.account)
    }
    fn arn_there(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.other_region, self.other_account)
    }
    /// A name of ours, or the pattern for those of all migrations.
    fn named(&self, name: impl Fn(&AwsNames) -> String) -> String {
        self.names.as_ref().map_or_else(|| "changeover-*".to_owned(), name)
    }
    fn seed(&self) -> String {
        self.named(|names| if self.side == Side::Source { names.seed_snapshot() } else { names.seed_copy() })
    }
    fn base(&self) -> String {
        self.named(AwsNames::instance)
    }
    fn target(&self) -> String {
        self.target_instance.clone().unwrap_or_else(|| self.base())
    }
    /// The patterns of ARNs that several stand for together.
    pub fn arns_of(&self, resources: &[Resource]) -> Vec<String> {
        resources.iter().flat_map(|resource| self.arns(*resource)).collect()
    }
    /// The patterns of ARNs that a resource stands for; none where there is nothing of the kind.
    pub fn arns(&self, resource: Resource) -> Vec<String> {
        let path = self.names.as_ref().map_or_else(|| "changeover/*".to_owned(), |n| n.path().to_owned());
        let one = match resource {
            Resource::Any => "*".to_owned(),
            Resource::SourceInstance => self.arn("rds", &format!("db:{}", self.source_instance)),
            Resource::TargetInstance => self.arn("rds", &format!("db:{}", self.target())),
            Resource::SourceGroup => self.arn("rds", &format!("pg:{}", self.source_group)),
            Resource::OurParameterGroup => {
                self.arn("rds", &format!("pg:{}", self.named(|names| names.parameter_group(self.side))))
            }
            Resource::AnyParameterGroup => self.arn("rds", "pg:*"),
            Resource::OurOptionGroup => self.arn("rds", &format!("og:{}", self.named(AwsNames::option_group))),
            Resource::AnyOptionGroup => self.arn("rds", "og:*"),
            Resource::SubnetGroup => self.arn("rds", &format!("subgrp:{}", self.subnet_group)),
            Resource::OurSnapshot => self.arn("rds", &format!("snapshot:{}", self.seed())),
            Resource::LastSnapshot => self.arn("rds", &format!("snapshot:{}", self.named(AwsNames::final_snapshot))),
            Resource::SharedSnapshot => {
                self.arn_there("rds", &format!("snapshot:{}", self.named(AwsNames::seed_snapshot)))
            }
            Resource::Key => self.key_arn(),
            Resource::OurAlias => self.arn("kms", &format!("alias/{path}")),
            Resource::ClaimParameter => {
                self.arn("ssm", &format!("parameter/changeover/claims/{}", self.source_instance.to_lowercase()))
            }
            Resource::PublishedParameter => self.published_arn(&path),
            Resource::OurSecret => return self.secret_arns(&format!("{path}/master-user")),
            Resource::RoleSecret => return self.role_secrets.iter().flat_map(|name| self.secret_arns(name)).collect(),
            Resource::StoredSecret => return self.stored_secrets.clone(),
            Resource::StoredParameter => return self.stored_parameters.clone(),
            Resource::KeyOfStoredSecret if self.stored_secrets.is_empty() => return Vec::new(),
            Resource::KeyOfStoredParameter if self.stored_parameters.is_empty() => return Vec::new(),
            // A key may be another account's, such as one for all keys.
            Resource::KeyOfStoredSecret | Resource::KeyOfStoredParameter => {
                format!("arn:{}:kms:{}:*:key/*", self.partition, self.region)
            }
            Resource::Vpc => self.arn("ec2", "vpc/*"),
            Resource::Peering => self.arn("ec2", "vpc-peering-connection/*"),
            Resource::RouteTable => self.arn("ec2", "route-table/*"),
            Resource::SecurityGroup => self.arn("ec2", "security-group/*"),
            Resource::SecurityRule => self.arn("ec2", "security-group-rule/*"),
            Resource::SourceKey => self.arn_there("kms", "key/*"),
            Resource::MonitoringRole => self
                .monitoring_role
                .clone()
                .unwrap_or_else(|| format!("arn:{}:iam::{}:role/*", self.partition, self.account)),
        };
        vec![one]
    }
    /// Secrets Manager puts a hyphen and six characters behind a name
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html>), and has none yet where a secret is
    /// looked for that isn't there, or made.
    fn secret_arns(&self, name: &str) -> Vec<String> {
        ["", "-??????"].map(|end| self.arn("secretsmanager", &format!("secret:{name}{end}"))).into()
    }
    /// An alias can't stand in the ARN of a key: it is left to a condition, and the ARN says where.
    fn key_arn(&self) -> String {
        match self.key.as_deref() {
            Some(arn) if arn.starts_with("arn:") && arn.contains(":key/") => arn.to_owned(),
            Some(arn) if arn.starts_with("arn:") => arn
                .split_once(":alias/")
                .map_or_else(|| self.arn("kms", "key/*"), |(place, _)| format!("{place}:key/*")),
            Some(id) if !id.contains(':') && !id.starts_with("alias/") => self.arn("kms", &format!("key/{id}")),
            _ => self.arn("kms", "key/*"),
        }
    }
    /// The alias by which the spec gives the key, as conditions have it, such as `alias/orders`.
    pub fn key_alias(&self) -> Option<&str> {
        let key = self.key.as_deref()?;
        key.find("alias/").filter(|at| *at == 0 || key[..*at].ends_with(':')).map(|at| &key[at..])
    }
    /// The parameter that the spec names, else ours.
    fn published_arn(&self, path: &str) -> String {
        let name = self.published.clone().unwrap_or_else(|| format!("{path}/endpoint"));
        // A name with a path begins with a slash, and the ARN has it once.
        self.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_filled_in() {
        let id = MigrationId::parse("shop_1").unwrap();
        let mut place = Place::anywhere(Side::Target);
        assert_eq!(place.arns(Resource::OurSnapshot), ["arn:aws:rds:*:*:snapshot:changeover-*"]);
        place.names = Some(AwsNames::new(&id));
        place.account = "222222222222".into();
        place.other_account = "111111111111".into();
        place.region = "eu-central-1".into();
        place.other_region = "eu-west-1".into();
        place.published = Some("/shop/db/endpoint".into());
        let all = |resource| place.arns(resource);
        assert_eq!(
            all(Resource::SharedSnapshot),
            ["arn:aws:rds:eu-west-1:111111111111:snapshot:changeover-shop-1-seed"]
        );
        // Not those of a migration whose name begins so.
        assert_eq!(
            all(Resource::OurSnapshot),
            ["arn:aws:rds:eu-central-1:222222222222:snapshot:changeover-shop-1-seed-copy"]
        );
        assert_eq!(
            all(Resource::OurParameterGroup),
            ["arn:aws:rds:eu-central-1:222222222222:pg:changeover-shop-1-target"]
        );
        assert_eq!(all(Resource::OurAlias), ["arn:aws:kms:eu-central-1:222222222222:alias/changeover/shop_1"]);
        assert_eq!(
            all(Resource::PublishedParameter),
            ["arn:aws:ssm:eu-central-1:222222222222:parameter/shop/db/endpoint"]
        );
    }
}
