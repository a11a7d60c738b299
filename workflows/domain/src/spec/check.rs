//! What only shows when values are looked at together.

use super::{
    error::{CONFLICT, DUPLICATE, MISSING, SAME, SpecError, VALUE},
    read::Read,
    value::{Value, words},
};
use crate::{
    aws::{
        names::is_account,
        stored::{StoredAt, is_secret_name, role_secret},
    },
    proto::secret_ref::From,
};

/// PostgreSQL's default `deadlock_timeout`, ms (documentation, 20.12 "Lock Management").
const DEADLOCK_TIMEOUT_MS: u64 = 1000;

/// Databases that belong to the server or its provider.
const RESERVED: [&str; 3] = ["template0", "template1", "rdsadmin"];

/// Adds the mistakes that single values don't show.
pub(super) fn check(read: &mut Read) {
    databases(read);
    poolers(read);
    sides(read);
    fence_lock(read);
    soak(read);
    stored(read);
    aws(read);
}

/// Keys of `[target]` that AWS answers for.
const MADE: [&str; 5] = ["host", "user", "password", "peer_host", "peer_port"];

/// The AWS half is whole or absent, and what it makes isn't given by hand.
fn aws(read: &mut Read) {
    let written = |read: &Read, section: &str| read.count(section) > 0;
    let has = ["aws.source", "aws.target"].map(|section| written(read, section));
    for (section, other) in [("aws.source", has[1]), ("aws.target", has[0])] {
        let here = written(read, section);
        let for_nothing = ["aws.network", "aws.publish", "aws.end"].into_iter().any(|section| written(read, section));
        if !here && (other || for_nothing) {
            let message = format!("the section [{section}] is missing");
            push(read, MISSING, section, message, "a migration with an AWS half needs [aws.source] and [aws.target]");
        }
    }
    if has != [true, true] {
        return;
    }
    for key in MADE.map(|key| format!("target.{key}")) {
        if read.get(&key).is_some() {
            let message = format!("`{key}` is given, but [aws.target] has the target made");
            push(read, CONFLICT, &key, message, "remove it: RDS gives the address, and the login is made");
        }
    }
    if read.flag("aws.end.stop") && read.flag("aws.end.delete") {
        let message = "`aws.end.stop` and `aws.end.delete` are both true".to_owned();
        push(read, CONFLICT, "aws.end.delete", message, "choose one: what is deleted needn't be stopped");
    }
    webhook(read);
    key_users(read);
    role_secrets(read);
    if read.flag("aws.end.part_networks") && !read.flag("aws.network.join") {
        let message = "`aws.end.part_networks` needs `aws.network.join`".to_owned();
        push(read, CONFLICT, "aws.end.part_networks", message, "remove it: only what the migration joins is parted");
    }
    if read.flag("aws.end.delete") && !read.flag("aws.end.final_snapshot") {
        let message = "`aws.end.delete` needs `aws.end.final_snapshot`".to_owned();
        push(read, CONFLICT, "aws.end.delete", message, "add `final_snapshot = true`");
    }
}

/// A secret in AWS is read with what the AWS half gives, in one of its two accounts.
fn stored(read: &mut Read) {
    for (key, what, reference) in read.secrets() {
        let Some(From::Stored(stored)) = reference.from else { continue };
        let Some(at) = StoredAt::of(&stored.arn) else { continue };
        if read.count("aws.source") == 0 && read.count("aws.target") == 0 {
            let message = format!("{what} names a secret in AWS, and the spec has no AWS half");
            push(read, CONFLICT, &key, message, "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`");
            continue;
        }
        let is_of = |side: &&str| {
            let given = |name: &str| read.text(&format!("aws.{side}.{name}"));
            given("account") == at.account && given("region") == at.region
        };
        if !["source", "target"].iter().any(is_of) {
            let message = format!("{what} names a secret of account {} in {}", at.account, at.region);
            push(read, CONFLICT, &key, message, "keep it in the account and region of [aws.source] or [aws.target]");
        }
    }
}

/// Secrets for applications: of roles whose passwords are given, under names that Secrets Manager takes.
fn role_secrets(read: &mut Read) {
    const KEY: &str = "aws.target.role_secrets";
    let prefix = read.text(KEY);
    // What wasn't understood was said already.
    if prefix.is_empty() || read.errors.iter().any(|error| error.key == "roles.passwords") {
        return;
    }
    let Some(Value::Secrets(roles)) = read.get("roles.passwords").filter(|value| **value != Value::Secrets(Vec::new()))
    else {
        let message = format!("`{KEY}` is given, and no role's password is");
        return push(read, CONFLICT, KEY, message, "add [roles.passwords], or remove it");
    };
    let names: Vec<String> = roles.iter().map(|(role, _)| role_secret(&prefix, role)).collect();
    if prefix.trim_matches('/').is_empty() || prefix.trim_start_matches('/').split('/').next() == Some("changeover") {
        let message = format!("`{KEY}` can't be `{prefix}`");
        push(read, VALUE, KEY, message, "give a path of your own, such as `orders/roles`");
    }
    for name in names.iter().filter(|name| !is_secret_name(name)) {
        let message = format!("`{KEY}`: Secrets Manager takes no name `{name}`");
        push(
            read,
            VALUE,
            KEY,
            message,
            "they have letters, digits and /_+=.@- only: take the role's password out, and make its secret by hand",
        );
    }
}

/// The policy of a key that is given is its owner's.
fn key_users(read: &mut Read) {
    const KEY: &str = "aws.target.key_users";
    let users = read.texts(KEY);
    for user in users.iter().filter(|user| !is_account(user)) {
        push(read, VALUE, KEY, format!("`{KEY}`: {user} is no account"), "give its twelve digits");
    }
    if !users.is_empty() && !read.text("aws.target.kms_key").is_empty() {
        let message = format!("`{KEY}` is given beside `aws.target.kms_key`, whose policy isn't changed");
        push(read, CONFLICT, KEY, message, "remove it, and name the accounts in the key's own policy");
    }
}

/// One way to have deployments told, and none that shows a token to others.
fn webhook(read: &mut Read) {
    const KEY: &str = "aws.publish.webhook";
    let address = read.text(KEY);
    if address.is_empty() {
        if read.get("aws.publish.webhook_token").is_some() {
            let message = "`aws.publish.webhook_token` is given without `aws.publish.webhook`".to_owned();
            push(read, CONFLICT, "aws.publish.webhook_token", message, "add the webhook, or remove its token");
        }
        return;
    }
    if !read.text("aws.publish.deploy").is_empty() {
        let message = "`aws.publish.deploy` and `aws.publish.webhook` are both given".to_owned();
        push(read, CONFLICT, KEY, message, "choose one");
    }
    if !is_private(&address) {
        let message = format!("`{KEY}` has to be an https address without a login in it");
        push(read, VALUE, KEY, message, "write https://…; http is for 127.0.0.1, [::1] and localhost");
    }
}

/// Whether what is sent to an address can be read on the way by nobody.
fn is_private(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_here = ["127.0.0.1", "::1", "localhost"].contains(&host);
    !host.is_empty() && !authority.contains('@') && (scheme == "https" || (scheme == "http" && is_here))
}

fn databases(read: &mut Read) {
    let mut seen: Vec<String> = Vec::new();
    for index in 0..read.count("databases") {
        let key = format!("databases[{index}].name");
        let name = read.text(&key);
        if RESERVED.contains(&name.as_str()) {
            let message = format!("`{key}`: {name} belongs to the server and can't be moved");
            push(read, VALUE, &key, message, "remove it");
        }
        if !name.is_empty() && seen.contains(&name) {
            push(read, DUPLICATE, &key, format!("the database {name} is listed twice"), "remove one of the two");
        }
        seen.push(name);
    }
}

fn poolers(read: &mut Read) {
    let mut seen: Vec<(String, u64)> = Vec::new();
    for index in 0..read.count("traffic.pgbouncer") {
        let key = format!("traffic.pgbouncer[{index}].host");
        let console = (read.text(&key), read.number(&format!("traffic.pgbouncer[{index}].port")));
        if !console.0.is_empty() && seen.contains(&console) {
            let message = format!("the pooler {}:{} is listed twice", console.0, console.1);
            push(read, DUPLICATE, &key, message, "remove one of the two");
        }
        seen.push(console);
    }
}

fn sides(read: &mut Read) {
    let address =
        |side: &str| (read.text(&format!("{side}.host")).to_ascii_lowercase(), read.number(&format!("{side}.port")));
    let (source, target) = (address("source"), address("target"));
    if !source.0.is_empty() && source == target {
        let message = format!("source and target are the same: {}:{}", target.0, target.1);
        push(read, SAME, "target.host", message, "give the address of the new instance in [target]");
    }
}

fn fence_lock(read: &mut Read) {
    let ms = read.number("budgets.fence_lock");
    if ms >= DEADLOCK_TIMEOUT_MS {
        let message =
            format!("`budgets.fence_lock` is {}, but must stay below PostgreSQL's deadlock_timeout (1s)", words(ms));
        let remedy = "use at most 900ms: every attempt in vain makes writers wait this long, and above 1s the server would end one of them instead of the fence";
        push(read, CONFLICT, "budgets.fence_lock", message, remedy);
    }
}

fn soak(read: &mut Read) {
    let (duration, poll) = (read.number("soak.duration"), read.number("soak.poll"));
    if duration > 0 && poll > duration {
        let message = format!("`soak.poll` ({}) is longer than `soak.duration` ({})", words(poll), words(duration));
        push(read, CONFLICT, "soak.poll", message, "make it shorter, so that the soak is looked at more than once");
    }
}

fn push(read: &mut Read, code: &str, key: &str, message: String, remedy: &str) {
    let line = read.line(key);
    read.errors.push(SpecError::new(code, line, key, message, remedy));
}
