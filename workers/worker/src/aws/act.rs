//! One step of the AWS half, a call nearer to its end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use changeover_aws::{
    Session, claim, groups, key, metrics, options, publish, reboot, retire, secret, source_parameters, target,
    target_parameters,
};
use changeover_domain::{
    Failure, Side,
    aws::{
        key::check_keeper,
        metrics::unusual,
        parameter_plan::ParameterPlan,
        parameters::Sizing,
        provision::{AwsFacts, AwsStep},
        status::Progress,
        stored,
        target::{Given, InstanceSeen, modelled},
    },
    from_rfc3339,
};
use changeover_postgres::{Site, provision, secret::resolve};
use changeover_workflows::contract::{AwsDone, AwsInput};

use super::{
    ca::with_ca_files,
    deploy,
    ground::{Ground, some},
    network,
    plan::source_options,
    secrets,
};

/// Between two looks at a reboot: what is measured is over in a minute or two.
const REBOOT_LOOK: Duration = Duration::from_secs(1);
/// So many looks RDS is given to show what was asked for a moment ago.
const SHOWN_WITHIN: u32 = 20;
/// What a reboot waits for that couldn't be asked for just then.
const BUSY: &str = "the source is busy with something else";
/// What is compared of the target: CloudWatch has a value a minute.
const RECENT: Duration = Duration::from_secs(600);

/// Does a step, or sees how far it is. `attempt` is Temporal's, `run` this run's id.
pub(crate) async fn act(input: AwsInput, attempt: u32, run: &str) -> Result<AwsDone, Failure> {
    let run = if input.facts.run.is_empty() { run } else { &input.facts.run };
    let ground = Ground::new(&input.spec, &input.facts, run)?;
    let facts = input.facts.clone();
    let approved = Approved { attempt, until: from_rfc3339(&input.approved_until) };
    // Each on the heap: the SDK's futures are large, and a poll would hold all of them on its stack.
    match input.step {
        AwsStep::Look => Box::pin(look(&ground, facts)).await,
        AwsStep::Claim => Box::pin(claim(&ground, facts)).await,
        AwsStep::Key => Box::pin(key(&ground, facts)).await,
        AwsStep::SourceParameters => Box::pin(source_parameters(&ground, facts)).await,
        AwsStep::Reboot => Box::pin(reboot(&ground, facts, approved)).await,
        AwsStep::RebootBack => Box::pin(reboot_back(&ground, facts, approved)).await,
        AwsStep::TargetParameters => Box::pin(target_parameters(&ground, facts)).await,
        AwsStep::Options => Box::pin(options(&ground, facts)).await,
        AwsStep::Peering => Box::pin(network::peering(&ground, facts)).await,
        AwsStep::Ways => Box::pin(network::ways(&ground, facts)).await,
        AwsStep::Secret => Box::pin(secret(&ground, facts)).await,
        AwsStep::RoleSecrets => Box::pin(role_secrets(&ground, facts)).await,
        AwsStep::Instance => Box::pin(make_target(&ground, facts)).await,
        AwsStep::Databases => Box::pin(databases(&ground, facts)).await,
        AwsStep::Served => Box::pin(served(&ground, facts)).await,
        AwsStep::Publish if input.deploys => Box::pin(publish_and_deploy(&ground, facts, input.serving)).await,
        AwsStep::Publish => Box::pin(publish(&ground, facts, input.serving)).await,
        AwsStep::Deploy => deploy(&ground, facts, input.serving).await,
        AwsStep::Watch => Box::pin(watch(&ground, facts, input.switched_at)).await,
        AwsStep::FinalSnapshot => Box::pin(final_snapshot(&ground, facts, input.switched_at)).await,
        AwsStep::Stop => Box::pin(stop(&ground, facts, approved)).await,
        AwsStep::Delete => Box::pin(delete(&ground, facts, &input, approved)).await,
    }
}

pub(super) fn done(facts: AwsFacts, detail: impl Into<String>) -> Result<AwsDone, Failure> {
    Ok(AwsDone { detail: detail.into(), facts, ..AwsDone::default() })
}

pub(super) fn goes_on(facts: AwsFacts, status: impl Into<String>) -> Result<AwsDone, Failure> {
    Ok(AwsDone { facts, goes_on: Some(status.into()), ..AwsDone::default() })
}

/// Done only when `wanted` is reached.
fn as_far(facts: AwsFacts, progress: &Progress, wanted: &Progress, detail: String) -> Result<AwsDone, Failure> {
    match progress {
        progress if progress == wanted => done(facts, detail),
        Progress::Failed { status } => Err(Failure::needs_human(
            "CO1015",
            format!("AWS says {status} where something else was to come: {detail}"),
            "see the instance's events in the console of RDS for the cause, mend it, then `changeover retry`",
        )),
        Progress::Working { status, percent: Some(percent) } => goes_on(facts, format!("{status}, {percent} %")),
        Progress::Working { status, .. } => goes_on(facts, status.clone()),
        Progress::Ready => goes_on(facts, "still available"),
        Progress::Stopped => goes_on(facts, "stopped"),
        Progress::Absent => goes_on(facts, "not there yet"),
    }
}

async fn look(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let (source, target) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
    if !ground.aws.publish.is_empty() {
        // Now, and not when the target serves.
        let name = ground.aws.publish.clone();
        let expected = publish::latest_version(&target, &name).await?;
        let endpoint = publish::Endpoint { name, value: String::new(), expected };
        publish::check_publishable(&target, &endpoint).await?;
        facts.version_before.get_or_insert(expected);
    }
    secrets::check(&ground.spec).await?;
    ground.check_place(&target).await?;
    let seen = ground.source(&source).await?;
    with_ca_files(&mut ground.spec.clone())?;
    if ground.made().kms_key.is_empty() {
        check_keeper(target.keeper())?;
    }
    if ground.aws.join_networks {
        // What can't be joined is refused before anything is made.
        Box::pin(network::outlook(ground, (&source, &target), &seen)).await?;
    }
    facts.source = seen.address();
    facts.master_user.clone_from(&seen.master_user);
    let Some((host, port)) = &facts.source else { return goes_on(facts, format!("the source is {}", seen.status)) };
    let detail = format!(
        "{} of account {} ({} {}, {}) at {host}:{port}; the target goes to account {}",
        ground.aws.instance,
        ground.account(Side::Source),
        seen.shape.engine,
        seen.shape.engine_version,
        seen.shape.class,
        ground.account(Side::Target)
    );
    done(facts, detail)
}

async fn claim(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    claim::ensure_claim(&ground.session(Side::Source).await?, &ground.aws.instance).await?;
    done(facts, format!("{} is taken for this migration", ground.aws.instance))
}

async fn key(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Target).await?;
    let made = ground.made();
    let given = made.kms_key;
    let key = if given.is_empty() {
        let mut users = made.key_users;
        users.push(ground.account(Side::Source));
        key::ensure_key(&session, &users).await?
    } else {
        key::check_given_key(&session, &given).await?
    };
    facts.key.clone_from(&key.arn);
    let whose = if key.ours { "made" } else { "given" };
    let rotated = match key.rotated {
        Some(true) => "rotated each year",
        Some(false) => "not rotated",
        None => "rotation can't be seen",
    };
    done(facts, format!("{} ({whose}, {rotated})", key.arn))
}

/// What was planned for the source's parameters.
fn planned(facts: &AwsFacts) -> Result<ParameterPlan, Failure> {
    let missing = || Failure::invariant("CO1082", "the source's parameters are to be set without a plan");
    facts.parameters.clone().ok_or_else(missing)
}

async fn source_parameters(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    let plan = planned(&facts)?;
    let evidence = source_parameters::ensure_source_parameters(&ground.session(Side::Source).await?, &plan).await?;
    let why = plan.made_because.map_or_else(String::new, |because| format!(", made because {because}"));
    let changed: Vec<String> = plan.changes.iter().map(|change| format!("{} = {}", change.name, change.to)).collect();
    let changed = if changed.is_empty() { "as they are needed".to_owned() } else { changed.join(", ") };
    done(facts, format!("group {}{why}: {changed}", evidence.group))
}

/// What a person has approved, and how often Temporal has had it tried.
#[derive(Clone, Copy)]
struct Approved {
    attempt: u32,
    /// Until when it counts; nothing where there is none.
    until: Option<SystemTime>,
}

/// What stands between the source and its reboot.
struct Reboot {
    session: Session,
    site: Site,
    /// What it lacks of what replication needs.
    lacking: Vec<String>,
}

impl Reboot {
    async fn of(ground: &Ground, session: Session, sizing: Option<&Sizing>) -> Result<Self, Failure> {
        let site = ground.site(Side::Source).await?;
        let lacking = match sizing {
            Some(sizing) => ground.lacking(&site, sizing).await?,
            None => Vec::new(),
        };
        Ok(Self { session, site, lacking })
    }

    /// By the server's own word it is told whether it was rebooted since that was planned: asked last, right before a reboot.
    async fn order(&self, ground: &Ground, facts: &AwsFacts, approved: Approved) -> Result<reboot::Order, Failure> {
        let since = provision::running_since(&self.site).await?;
        let started = facts.running_since.as_ref().map_or(approved.attempt > 1, |before| *before != since);
        Ok(reboot::Order { failover: ground.aws.failover, started, until: approved.until })
    }

    async fn observe(&self, instance: &str) -> Result<reboot::Reboot, Failure> {
        reboot::observe_reboot(&self.session, instance, &self.lacking).await
    }

    /// RDS may show a moment later what an attempt before this one has asked for: nothing is asked for before it has had its time.
    async fn observe_calmly(&self, instance: &str, attempt: u32) -> Result<reboot::Reboot, Failure> {
        let mut now = self.observe(instance).await?;
        for _ in 0..if attempt > 1 { SHOWN_WITHIN } else { 0 } {
            let reboot::Reboot::Needed { .. } = now else { break };
            tokio::time::sleep(REBOOT_LOOK).await;
            now = self.observe(instance).await?;
        }
        Ok(now)
    }
}

/// Measured, so that it stays within one activity.
async fn reboot(ground: &Ground, mut facts: AwsFacts, approved: Approved) -> Result<AwsDone, Failure> {
    let instance = &ground.aws.instance;
    let session = ground.session(Side::Source).await?;
    let sizing = ground.sizing(&ground.source(&session).await?).await?;
    let it = Reboot::of(ground, session, Some(&sizing)).await?;
    let now = it.observe_calmly(instance, approved.attempt).await?;
    if let reboot::Reboot::Working { status } = now {
        return goes_on(facts, status);
    }
    let order = it.order(ground, &facts, approved).await?;
    if now == reboot::Reboot::Done && it.lacking.is_empty() {
        return done(facts, not_needed(instance, order.started));
    }
    let evidence = measured(&it.session, instance, order, &it.lacking).await?;
    let Some(away_ms) = evidence.away_ms else { return goes_on(facts, BUSY) };
    facts.away_ms = Some(away_ms);
    let left = ground.lacking(&it.site, &sizing).await?;
    if !left.is_empty() {
        let message = format!("{} isn't in force after the reboot of {instance}", left.join(", "));
        let remedy = "see the instance's events and its parameter group for why, then `changeover retry`";
        return Err(Failure::needs_human("CO1083", message, remedy));
    }
    done(facts, rebooted(instance, evidence.failover, away_ms))
}

fn not_needed(instance: &str, was_rebooted: bool) -> String {
    if was_rebooted {
        return format!("{instance} was rebooted; for how long nobody could log in wasn't measured to its end");
    }
    format!("{instance} needs no reboot")
}

/// After an abort has set parameters back: what they were is nothing that replication needs.
async fn reboot_back(ground: &Ground, facts: AwsFacts, approved: Approved) -> Result<AwsDone, Failure> {
    let instance = &ground.aws.instance;
    let it = Reboot::of(ground, ground.session(Side::Source).await?, None).await?;
    let now = it.observe_calmly(instance, approved.attempt).await?;
    if let reboot::Reboot::Working { status } = now {
        // Parameters that are being set back wait for a reboot only when that is over.
        return goes_on(facts, status);
    }
    let order = it.order(ground, &facts, approved).await?;
    if now == reboot::Reboot::Done {
        return done(facts, not_needed(instance, order.started));
    }
    let evidence = measured(&it.session, instance, order, &[]).await?;
    match evidence.away_ms {
        None => goes_on(facts, BUSY),
        Some(away_ms) => done(facts, rebooted(instance, evidence.failover, away_ms)),
    }
}

async fn measured(
    session: &Session,
    instance: &str,
    order: reboot::Order,
    lacking: &[String],
) -> Result<reboot::RebootEvidence, Failure> {
    let over = async {
        loop {
            tokio::time::sleep(REBOOT_LOOK).await;
            if reboot::observe_reboot(session, instance, &[]).await? == reboot::Reboot::Done {
                return Ok(());
            }
        }
    };
    Box::pin(reboot::reboot_measured(session, instance, order, lacking, Box::pin(over))).await
}

fn rebooted(instance: &str, failover: bool, away_ms: u64) -> String {
    let how = if failover { " with a failover" } else { "" };
    format!("{instance} was rebooted{how}: nobody could log in for {away_ms} ms")
}

async fn target_parameters(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let (source, target) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
    let seen = ground.source(&source).await?;
    let sizing = ground.sizing(&seen).await?;
    let running = provision::settings(&ground.site(Side::Source).await?).await?;
    let plan = planned(&facts)?;
    let (family, of_source) = (plan.family, groups::parameters(&source, &plan.group).await?);
    let class = ground.made().class;
    let group = if class.is_empty() || class == seen.shape.class {
        target_parameters::ensure_target_group(&target, &family, &of_source, &sizing, &running).await?
    } else {
        target_parameters::ensure_group_of_other_class(&target, &family, &of_source, &sizing, &running).await?
    };
    facts.target_group.clone_from(&group.group);
    let detail = format!("group {} of {family} with {} parameters set", group.group, group.set);
    let left = group.left.iter().map(|name| format!("CO1014 the source has set {name}, which the target can't have"));
    Ok(AwsDone { detail, facts, goes_on: None, warnings: left.collect() })
}

async fn options(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let Some(seen) = source_options(ground).await? else { return done(facts, "the source has no options") };
    let target = ground.session(Side::Target).await?;
    let (name, left) = options::ensure_option_group(&target, &seen.major, &seen.options).await?;
    facts.option_group.clone_from(&name);
    let number = seen.options.len();
    if left.is_empty() {
        done(facts, format!("group {name} with {number} options"))
    } else {
        goes_on(facts, "options are being added")
    }
}

async fn secret(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Target).await?;
    let evidence = secret::ensure_master_secret(&session, &facts.master_user, &facts.key).await?;
    // An earlier run's has the same ARN.
    secrets::forget_made();
    facts.secret = Some((evidence.arn.clone(), evidence.version));
    done(facts, format!("the master's password is in {}", evidence.arn))
}

/// For applications of the target's account.
async fn role_secrets(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Target).await?;
    let known = secrets::anew(&ground.spec, stored::of_roles(&ground.spec)).await;
    let mut kept = Vec::new();
    for it in stored::role_secrets(&ground.spec) {
        let password = resolve(it.password, &format!("role {}", it.role), &known)?;
        let password = secret::Password::new(password.expose().to_owned());
        secret::ensure_role_secret(&session, &it.name, it.role, &password, &facts.key).await?;
        kept.push(it.name);
    }
    done(facts, format!("applications find their logins in {}", kept.join(", ")))
}

async fn make_target(ground: &Ground, mut facts: AwsFacts) -> Result<AwsDone, Failure> {
    let (source, session) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
    let seen = ground.source(&source).await?;
    let wanted = modelled(&seen, &given(ground, &facts))?;
    let version = facts.secret.as_ref().map(|(_, version)| version.clone()).unwrap_or_default();
    let lacking = lacking_on_target(ground, &facts, &seen).await;
    let begin = target::Begin::Empty;
    let now = target::ensure_target(&session, &wanted, &begin, &version, lacking.as_deref(), facts.modified).await?;
    facts.modified += u32::from(!now.differences.is_empty());
    if now.endpoint.is_some() {
        facts.target = now.endpoint;
    }
    let detail = format!("{} ({}) is available, encrypted with {}", wanted.identifier, wanted.shape.class, facts.key);
    let notes = wanted.notes.iter().map(|note| format!("CO1087 {note}")).collect();
    Ok(AwsDone { warnings: notes, ..as_far(facts, &now.progress, &Progress::Ready, detail)? })
}

/// Unknown while it can't be asked: then the target isn't ready.
async fn lacking_on_target(ground: &Ground, facts: &AwsFacts, source: &InstanceSeen) -> Option<Vec<String>> {
    facts.target.as_ref()?;
    let asked = async {
        let sizing = ground.sizing(source).await?;
        ground.lacking(&ground.site(Side::Target).await?, &sizing).await
    };
    asked.await.ok()
}

fn given(ground: &Ground, facts: &AwsFacts) -> Given {
    let made = ground.made();
    Given {
        identifier: ground.target(),
        subnet_group: made.subnet_group,
        security_groups: made.security_groups,
        parameter_group: facts.target_group.clone(),
        option_group: some(facts.option_group.clone()),
        kms_key: facts.key.clone(),
        monitoring_role: some(made.monitoring_role),
        class: some(made.class),
        engine_version: None,
    }
}

async fn databases(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    let migration = secrets::resolve(&ground.spec).await?;
    let made = provision::ensure_databases(&migration).await?;
    let login = if provision::ensure_replication_login(&migration).await? { "made" } else { "there already" };
    let names = if made.is_empty() { "none: all were there".to_owned() } else { made.join(", ") };
    done(facts, format!("databases made: {names}; the login for replication was {login}"))
}

/// Before the first switch: from then on nothing but a person's hand lets the target be deleted.
async fn served(ground: &Ground, facts: AwsFacts) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Target).await?;
    let name = ground.target();
    let since = target::mark_served(&session, &name).await?;
    done(facts, format!("{name} is marked as one that serves, since {since}"))
}

/// The endpoint of the side that serves; or, where the source serves again, what stood there before this migration.
async fn publish(ground: &Ground, mut facts: AwsFacts, serving: Side) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Target).await?;
    let endpoint = if serving == Side::Target { &ground.spec.target } else { &ground.spec.source };
    let value = endpoint.as_ref().map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)).unwrap_or_default();
    let before = facts.version_before.unwrap_or_default();
    let expected = facts.published.as_ref().map_or(before, |(version, _)| *version);
    let name = ground.aws.publish.clone();
    let (published, says) = if serving == Side::Source && before > 0 {
        let version = publish::ensure_as_before(&session, &name, before, expected).await?;
        (version, format!("what version {before} said"))
    } else {
        let endpoint = publish::Endpoint { name: name.clone(), value: value.clone(), expected };
        (publish::ensure_published(&session, &endpoint, &facts.key).await?.version, value.clone())
    };
    facts.published = Some((published, value));
    done(facts, format!("{name} version {published} says {says}: the {serving} serves"))
}

async fn publish_and_deploy(ground: &Ground, facts: AwsFacts, serving: Side) -> Result<AwsDone, Failure> {
    let published = publish(ground, facts, serving).await?;
    let deployed = deploy(ground, published.facts.clone(), serving).await?;
    Ok(AwsDone { detail: format!("{}; {}", published.detail, deployed.detail), ..published })
}

/// What was published last is what deployments are told.
async fn deploy(ground: &Ground, facts: AwsFacts, serving: Side) -> Result<AwsDone, Failure> {
    let nothing = || Failure::invariant("CO1082", "deployments are to read an endpoint that wasn't published");
    let (version, endpoint) = facts.published.clone().ok_or_else(nothing)?;
    let said = deploy::run(ground, serving, &endpoint, version).await?;
    done(facts, said)
}

/// The target's last minutes beside the source's day before the switch.
async fn watch(ground: &Ground, facts: AwsFacts, switched_at: i64) -> Result<AwsDone, Failure> {
    let (source, target) = tokio::try_join!(ground.session(Side::Source), ground.session(Side::Target))?;
    let switched = UNIX_EPOCH + Duration::from_secs(u64::try_from(switched_at).unwrap_or_default());
    let now = SystemTime::now();
    let usual = metrics::measured(&source, &ground.aws.instance, metrics::usual_since(switched), switched).await?;
    let name = ground.target();
    let seen = metrics::measured(&target, &name, now - RECENT, now).await?;
    let unusual = unusual(&usual, &seen);
    let warning = format!("CO1085 metrics of {name} beside the day before the switch: {}", unusual.join("; "));
    let warnings = if unusual.is_empty() { Vec::new() } else { vec![warning] };
    Ok(AwsDone { detail: format!("{} metrics compared", seen.len()), facts, goes_on: None, warnings })
}

async fn final_snapshot(ground: &Ground, facts: AwsFacts, switched_at: i64) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Source).await?;
    let seen = retire::ensure_final_snapshot(&session, &ground.aws.instance, switched_at).await?;
    as_far(
        facts,
        &seen.progress,
        &Progress::Ready,
        format!("the last snapshot of {} is {}", ground.aws.instance, seen.name),
    )
}

async fn stop(ground: &Ground, facts: AwsFacts, approved: Approved) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Source).await?;
    let now = retire::ensure_stopped(&session, &ground.aws.instance, approved.until).await?;
    as_far(
        facts,
        &now,
        &Progress::Stopped,
        format!("{} is stopped; AWS starts it again after seven days", ground.aws.instance),
    )
}

async fn delete(ground: &Ground, facts: AwsFacts, input: &AwsInput, approved: Approved) -> Result<AwsDone, Failure> {
    let session = ground.session(Side::Source).await?;
    let instance = &ground.aws.instance;
    let now = retire::ensure_deleted(&session, instance, &input.named, input.switched_at, approved.until).await?;
    as_far(facts, &now, &Progress::Absent, format!("{} is deleted; its last snapshot stays", ground.aws.instance))
}
