//! `changeover iam-policy`

use changeover_domain::{
    MigrationId, Side,
    aws::{AwsNames, Place, policy},
};

use crate::{exit::Exit, problem::Problem, ui::Ui};

/// What is known narrows the policy; an asterisk stands for the rest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The side whose account the policy is for
    #[arg(value_enum)]
    side: Account,
    /// The migration's name: only what carries its tag may be changed
    #[arg(long, value_name = "NAME")]
    migration: Option<String>,
    /// Such as eu-central-1
    #[arg(long, default_value = "*")]
    region: String,
    /// The account's twelve digits
    #[arg(long, value_name = "ACCOUNT", default_value = "*", value_parser = account)]
    account: String,
    /// Those of the other side's account
    #[arg(long, value_name = "ACCOUNT", default_value = "*", value_parser = account)]
    other_account: String,
    /// The identifier of the instance that is moved
    #[arg(long, value_name = "IDENTIFIER", default_value = "*")]
    source_instance: String,
    /// The source's own parameter group
    #[arg(long, value_name = "GROUP", default_value = "*")]
    source_group: String,
    /// The target's subnet group
    #[arg(long, value_name = "GROUP", default_value = "*")]
    subnet_group: String,
    /// The parameter that the new endpoint is published under
    #[arg(long, value_name = "PARAMETER")]
    published: Option<String>,
    /// aws, aws-cn or aws-us-gov
    #[arg(long, default_value = "aws")]
    partition: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Account {
    Source,
    Target,
}

fn account(text: &str) -> Result<String, String> {
    let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits || text == "*" { Ok(text.to_owned()) } else { Err("an account has twelve digits".to_owned()) }
}

pub(super) fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let names = args.migration.as_deref().map(named).transpose()?;
    let place = Place {
        side: match args.side {
            Account::Source => Side::Source,
            Account::Target => Side::Target,
        },
        partition: args.partition.clone(),
        region: args.region.clone(),
        account: args.account.clone(),
        other_account: args.other_account.clone(),
        names,
        source_instance: args.source_instance.clone(),
        target_instance: None,
        source_group: args.source_group.clone(),
        subnet_group: args.subnet_group.clone(),
        published: args.published.clone(),
    };
    ui.print_json(&policy::policy(&place)).map(|()| Exit::Done)
}

fn named(name: &str) -> Result<AwsNames, Problem> {
    let id = MigrationId::parse(name).map_err(|error| {
        Problem::new("CO0918", error.to_string(), "give the name that the spec gives the migration").exit(Exit::Usage)
    })?;
    Ok(AwsNames::new(&id))
}
