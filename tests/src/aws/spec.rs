//! The spec of a migration that makes its target in AWS, as a person would write it.

use std::fmt::Write as _;

use super::{AwsStack, Kept, REGION, ROLE_SECRETS, SOURCE};
use crate::{
    product::{SpecOptions, rest_of_spec, variable},
    stack::Side,
};

/// What differs between the AWS halves of specs.
#[derive(Clone, Debug, Default)]
pub struct AwsSpec {
    /// Where the endpoint is published; empty for nowhere.
    pub publish: String,
    /// The program that is called after each publication; empty for none.
    pub deploy: String,
    /// Has the networks of both sides joined.
    pub join: bool,
    /// Has them parted at the end.
    pub part: bool,
    /// Takes a last snapshot of the old instance.
    pub final_snapshot: bool,
    /// Stops the old instance.
    pub stop: bool,
    /// Deletes the old instance.
    pub delete: bool,
    /// Secrets that the worker finds in AWS; without them, it has all in its environment.
    pub secrets: Option<Kept>,
}

/// The TOML text.
pub fn spec_text(stack: &AwsStack, aws: &AwsSpec, options: &SpecOptions) -> String {
    let bundle = &stack.stand_in.ca_bundle;
    let verified = format!("ca_file = \"{}\"\nescalation = \"rds_tools.escalate\"\n", bundle.display());
    let source_password =
        aws.secrets.as_ref().map_or_else(|| variable("CHANGEOVER_SOURCE_PASSWORD"), |kept| kept.source.clone());
    let mut text = format!("name = \"{}\"\nengine = \"pglogical\"\n", options.name);
    let _ = write!(
        text,
        "\n[source]\nuser = \"changeover\"\npassword = {source_password}\n{verified}\n[target]\n{verified}"
    );
    text += &rest_of_spec(stack.info(), bundle, options);
    let _ = write!(text, "\n[aws.source]\ninstance = \"{SOURCE}\"\n{}", account(stack, Side::Source));
    let _ = write!(
        text,
        "\n[aws.target]\nkey_users = [\"333333333333\"]\nsubnet_group = \"{}\"\nsecurity_groups = [\"{}\"]\n{}",
        stack.accounts.subnet_group,
        stack.accounts.security_group,
        account(stack, Side::Target)
    );
    if aws.secrets.is_some() {
        let _ = writeln!(text, "role_secrets = \"{ROLE_SECRETS}\"");
    }
    if !aws.publish.is_empty() {
        let _ = write!(text, "\n[aws.publish]\nparameter = \"{}\"\n", aws.publish);
        if !aws.deploy.is_empty() {
            let _ = writeln!(text, "deploy = \"{}\"", aws.deploy);
        }
    }
    let AwsSpec { final_snapshot, stop, delete, join, part, .. } = aws;
    let _ = write!(text, "\n[aws.network]\njoin = {join}\n");
    let _ = write!(
        text,
        "\n[aws.end]\nfinal_snapshot = {final_snapshot}\nstop = {stop}\ndelete = {delete}\npart_networks = {part}\n"
    );
    text
}

fn account(stack: &AwsStack, side: Side) -> String {
    let role = &stack.accounts.roles[super::stand_in::place(side)];
    format!(
        "region = \"{REGION}\"\naccount = \"{}\"\nprofile = \"{}\"\ncredentials_file = \"{}\"\nrole_arn = \"{role}\"\nexternal_id = \"{}\"\n\
         endpoint = \"{}\"\n",
        stack.stand_in.account(side).id,
        side.name(),
        stack.stand_in.credentials_file().display(),
        stack.accounts.external_id,
        stack.stand_in.endpoint
    )
}
