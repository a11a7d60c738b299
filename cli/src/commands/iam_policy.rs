//! `changeover iam-policy`

use changeover_domain::{
    MigrationId, Side,
    aws::{AwsNames, Place, plan::Route, policy},
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
    /// The target's identifier, where the spec names it
    #[arg(long, value_name = "IDENTIFIER")]
    target_instance: Option<String>,
    /// The source's own parameter group
    #[arg(long, value_name = "GROUP", default_value = "*")]
    source_group: String,
    /// The target's subnet group
    #[arg(long, value_name = "GROUP", default_value = "*")]
    subnet_group: String,
    /// The parameter that the new endpoint is published under
    #[arg(long, value_name = "PARAMETER")]
    published: Option<String>,
    /// The other side's region, if it isn't the same
    #[arg(long, value_name = "REGION")]
    other_region: Option<String>,
    /// The role of the target's enhanced monitoring, by ARN
    #[arg(long, value_name = "ARN")]
    monitoring_role: Option<String>,
    #[command(flatten)]
    route: Way,
    /// aws, aws-cn or aws-us-gov
    #[arg(long, default_value = "aws")]
    partition: String,
}

/// What the migration does, as far as it narrows the policy. Nothing that ends the source is allowed without being asked for.
#[allow(clippy::struct_excessive_bools)] // Flags.
#[derive(Debug, clap::Args)]
struct Way {
    /// The spec gives the target's key: none is made, and none deleted
    #[arg(long)]
    key_is_given: bool,
    /// The networks are joined already
    #[arg(long)]
    network_is_joined: bool,
    /// The engine copies the rows: no snapshot is taken, shared or copied
    #[arg(long)]
    without_snapshot: bool,
    /// The source is encrypted under a key of its own
    #[arg(long)]
    source_is_encrypted: bool,
    /// The source's last snapshot is taken
    #[arg(long)]
    final_snapshot: bool,
    /// The old instance may be stopped
    #[arg(long)]
    stop_source: bool,
    /// The old instance may be deleted
    #[arg(long)]
    delete_source: bool,
}

impl Way {
    /// What isn't known before the source is looked at is taken to come.
    fn route(&self, monitored: bool) -> Route {
        Route {
            key_is_made: !self.key_is_given,
            source_group_is_default: true,
            parameters_differ: true,
            reboot_needed: true,
            has_options: true,
            network_is_joined: !self.network_is_joined,
            by_snapshot: !self.without_snapshot,
            source_is_encrypted: self.source_is_encrypted,
            monitored,
            published: true,
            final_snapshot: self.final_snapshot || self.delete_source,
            stopped: self.stop_source,
            deleted: self.delete_source,
        }
    }
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
        target_instance: args.target_instance.clone(),
        source_group: args.source_group.clone(),
        subnet_group: args.subnet_group.clone(),
        published: args.published.clone(),
        other_region: args.other_region.clone().unwrap_or_else(|| args.region.clone()),
        monitoring_role: args.monitoring_role.clone(),
    };
    let route = args.route.route(args.monitoring_role.is_some());
    ui.print_json(&policy::policy(&place, &route)).map(|()| Exit::Done)
}

fn named(name: &str) -> Result<AwsNames, Problem> {
    let id = MigrationId::parse(name).map_err(|error| {
        Problem::new("CO0918", error.to_string(), "give the name that the spec gives the migration").exit(Exit::Usage)
    })?;
    Ok(AwsNames::new(&id))
}
