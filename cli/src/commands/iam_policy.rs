//! `changeover iam-policy`

use std::path::PathBuf;

use changeover_domain::{
    MigrationId, Side,
    aws::{AwsNames, Place, key::partition, names::is_account, plan::Route, policy},
    proto::{AwsAccount, Spec},
};

use crate::{exit::Exit, problem::Problem, spec_file, ui::Ui};

/// What is known narrows the policy; an asterisk stands for the rest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The side whose account the policy is for
    #[arg(value_enum)]
    side: Account,
    /// Take from this spec what it says; what is given beside it wins
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,
    /// The migration's name: only what carries its tag may be changed
    #[arg(long, value_name = "NAME")]
    migration: Option<String>,
    /// Such as eu-central-1
    #[arg(long)]
    region: Option<String>,
    /// The account's twelve digits
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    account: Option<String>,
    /// Those of the other side's account
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    other_account: Option<String>,
    /// The identifier of the instance that is moved
    #[arg(long, value_name = "IDENTIFIER")]
    source_instance: Option<String>,
    /// The target's identifier, where the spec names it
    #[arg(long, value_name = "IDENTIFIER")]
    target_instance: Option<String>,
    /// The source's own parameter group
    #[arg(long, value_name = "GROUP")]
    source_group: Option<String>,
    /// The target's subnet group
    #[arg(long, value_name = "GROUP")]
    subnet_group: Option<String>,
    /// The parameter that the new endpoint is published under
    #[arg(long, value_name = "PARAMETER")]
    published: Option<String>,
    /// The other side's region, if it isn't the same
    #[arg(long, value_name = "REGION")]
    other_region: Option<String>,
    /// The role of the target's enhanced monitoring, by ARN
    #[arg(long, value_name = "ARN")]
    monitoring_role: Option<String>,
    /// The key that the spec gives, by ARN, id or alias: none is made, and no right goes beyond it
    #[arg(long, value_name = "ARN")]
    key: Option<String>,
    #[command(flatten)]
    route: Way,
    /// aws, aws-cn or aws-us-gov, where the region doesn't tell
    #[arg(long)]
    partition: Option<String>,
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

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Account {
    Source,
    Target,
}

impl Account {
    fn side(self) -> Side {
        match self {
            Account::Source => Side::Source,
            Account::Target => Side::Target,
        }
    }
}

fn account(text: &str) -> Result<String, String> {
    if is_account(text) || text == "*" { Ok(text.to_owned()) } else { Err("an account has twelve digits".to_owned()) }
}

pub(super) fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let known = match &args.spec {
        None => Known::default(),
        Some(path) => Known::of(&spec_file::read(path)?, args.side.side())?,
    };
    let place = place(args, &known)?;
    let route = route(args, &known, &place);
    for wide in wide(&place, &route, known.spec.aws.is_some()) {
        ui.warn(&wide);
    }
    let printed = policy::policy(&place, &route);
    let length = printed.to_string().len();
    if length > policy::LONGEST {
        ui.warn(&format!(
            "the policy has {length} characters without blanks, and the policies in a role may have {}: \
             put its statements into several managed policies, of 6,144 each",
            policy::LONGEST
        ));
    }
    ui.print_json(&printed).map(|()| Exit::Done)
}

/// What a spec says.
#[derive(Default)]
struct Known {
    here: AwsAccount,
    there: AwsAccount,
    /// An empty one where none is given.
    spec: Spec,
}

impl Known {
    fn of(spec: &Spec, side: Side) -> Result<Self, Problem> {
        let Some(aws) = &spec.aws else {
            let message = "the spec has no AWS half, and Changeover makes no call to AWS for it";
            return Err(Problem::new("CO0104", message, "add [aws.source] and [aws.target]").exit(Exit::Refused));
        };
        let (source, target) = (aws.source.clone().unwrap_or_default(), aws.target.clone().unwrap_or_default());
        let (here, there) = if side == Side::Source { (source, target) } else { (target, source) };
        Ok(Self { here, there, spec: spec.clone() })
    }
}

/// A text that isn't empty.
fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into()).filter(|text| !text.is_empty())
}

fn place(args: &Args, known: &Known) -> Result<Place, Problem> {
    let aws = known.spec.aws.clone().unwrap_or_default();
    let made = aws.made.unwrap_or_default();
    let either = |given: &Option<String>, said: String| given.clone().or_else(|| some(said));
    let wild = |given: &Option<String>, said: String| either(given, said).unwrap_or_else(|| "*".to_owned());
    let migration = either(&args.migration, known.spec.name.clone());
    let region = wild(&args.region, known.here.region.clone());
    Ok(Place {
        side: args.side.side(),
        partition: args.partition.clone().unwrap_or_else(|| partition(&region).to_owned()),
        account: wild(&args.account, known.here.account.clone()),
        other_account: wild(&args.other_account, known.there.account.clone()),
        names: migration.as_deref().map(named).transpose()?,
        source_instance: wild(&args.source_instance, aws.instance),
        target_instance: either(&args.target_instance, made.instance),
        source_group: wild(&args.source_group, String::new()),
        subnet_group: wild(&args.subnet_group, made.subnet_group),
        published: either(&args.published, aws.publish),
        other_region: either(&args.other_region, known.there.region.clone()).unwrap_or_else(|| region.clone()),
        monitoring_role: either(&args.monitoring_role, made.monitoring_role),
        key: either(&args.key, made.kms_key),
        region,
        ..Place::anywhere(args.side.side())
    }
    .with_secrets_of(&known.spec))
}

/// What isn't known before the source is looked at is taken to come. By a spec, the engine copies the rows.
fn route(args: &Args, known: &Known, place: &Place) -> Route {
    let way = &args.route;
    let end = known.spec.aws.as_ref().and_then(|aws| aws.end).unwrap_or_default();
    let joined_by_others = known.spec.aws.as_ref().is_some_and(|aws| !aws.join_networks);
    Route {
        key_is_made: !way.key_is_given && place.key.is_none(),
        source_group_is_default: true,
        parameters_differ: true,
        reboot_needed: true,
        has_options: true,
        network_is_joined: !way.network_is_joined && !joined_by_others,
        by_snapshot: !way.without_snapshot && known.spec.aws.is_none(),
        source_is_encrypted: way.source_is_encrypted,
        monitored: place.monitoring_role.is_some(),
        published: known.spec.aws.is_none() || place.published.is_some(),
        final_snapshot: way.final_snapshot || way.delete_source || end.final_snapshot || end.delete,
        stopped: way.stop_source || end.stop,
        deleted: way.delete_source || end.delete,
    }
}

/// What in the policy is for more than one migration needs, and what narrows it. What a spec says of the networks, no flag narrows.
fn wide(place: &Place, route: &Route, by_spec: bool) -> Vec<String> {
    let of_source = place.side == Side::Source;
    let others_snapshots = !of_source && route.by_snapshot && place.other_account == "*";
    let all = [
        (place.names.is_none(), "--migration", "whatever any migration makes"),
        (place.region == "*", "--region", "every region"),
        (place.account == "*", "--account", "the names below in every account that uses the policy"),
        (of_source && place.source_instance == "*", "--source-instance", "every instance of the account"),
        (of_source && place.source_group == "*", "--source-group", "every parameter group of the account"),
        (!of_source && place.subnet_group == "*", "--subnet-group", "every subnet group of the account"),
        (others_snapshots, "--other-account", "snapshots of every account"),
        (!of_source && !route.key_is_made && place.key.is_none(), "--key", "use of every key by RDS"),
        (route.by_snapshot, "--without-snapshot", "snapshots, of which a migration by a spec takes none to begin with"),
        (route.network_is_joined && !by_spec, "--network-is-joined", "every peering, route table and security group"),
    ];
    let wide = all.into_iter().filter(|(is_wide, _, _)| *is_wide);
    wide.map(|(_, flag, what)| format!("the policy is for {what}: {flag} narrows it")).collect()
}

fn named(name: &str) -> Result<AwsNames, Problem> {
    let id = MigrationId::parse(name).map_err(|error| {
        Problem::new("CO0918", error.to_string(), "give the name that the spec gives the migration").exit(Exit::Usage)
    })?;
    Ok(AwsNames::new(&id))
}
