//! A flaw: what makes it, what unmakes it, and what preflight has to say.

use changeover_domain::{
    Side,
    proto::{
        Severity::{self, Blocker, Info, Warning},
        Spec,
    },
};

use super::ground::Ground;

/// One thing that is wrong.
pub struct Flaw {
    /// In words.
    pub name: &'static str,
    /// What makes it.
    pub make: &'static [Step],
    /// What unmakes it.
    pub unmake: &'static [Step],
    /// A setting that not every release of a major version has; without it there is no such flaw.
    pub needs: Option<&'static str>,
    /// What is wrong with the spec.
    pub spec: Option<fn(&mut Spec, &Ground)>,
    /// All that is to be found; most have one finding, some bring others along.
    pub found: &'static [Found],
}

/// Something done to the pair.
#[derive(Clone, Copy)]
pub enum Step {
    /// As a superuser, in the database that moves.
    In(Side, &'static str),
    /// As the owner of the source's tables.
    Owner(&'static str),
    /// As a superuser, in the maintenance database; nobody is connected to the one that moves.
    On(Side, &'static str),
    /// Settings, then a reload.
    Set(Side, &'static [(&'static str, &'static str)]),
    /// The instance's settings as they were, then a reload.
    Reset(Side),
    /// The settings with which the server is started.
    Restart(Side, &'static [(&'static str, &'static str)]),
    /// The server is started as a standby.
    Standby(Side),
    /// And as a primary again.
    Primary(Side),
    /// Commands to the pooler's console.
    Pooler(&'static str),
    /// The pooler's databases: entries with `{source}` and `{target}` for host and port, then RELOAD.
    Routes(&'static str),
    /// Somebody connects to the database that moves, and stays.
    Connect(Side, Who),
    /// And goes.
    Disconnect,
}

/// Somebody who connects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The bootstrap superuser.
    Superuser,
    /// A role of the application.
    Application,
}

/// A finding by everything but its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub code: &'static str,
    pub severity: Severity,
    pub side: &'static str,
    pub database: &'static str,
    pub object: &'static str,
}

pub const S: Side = Side::Source;
pub const T: Side = Side::Target;

const fn at(
    code: &'static str,
    severity: Severity,
    side: &'static str,
    database: &'static str,
    object: &'static str,
) -> Found {
    Found { code, severity, side, database, object }
}

/// On an object of the database on the source.
pub const fn blocker(code: &'static str, object: &'static str) -> Found {
    at(code, Blocker, "source", "shop", object)
}
pub const fn warning(code: &'static str, object: &'static str) -> Found {
    at(code, Warning, "source", "shop", object)
}
pub const fn info(code: &'static str, object: &'static str) -> Found {
    at(code, Info, "source", "shop", object)
}
/// On the source as a whole.
pub const fn source(code: &'static str, severity: Severity, object: &'static str) -> Found {
    at(code, severity, "source", "", object)
}
/// On the target as a whole.
pub const fn target(code: &'static str, severity: Severity, object: &'static str) -> Found {
    at(code, severity, "target", "", object)
}
/// On the target's database.
pub const fn in_target(code: &'static str, severity: Severity, object: &'static str) -> Found {
    at(code, severity, "target", "shop", object)
}
/// On the pooler; its name is another one each time and left out.
pub const fn pooler(code: &'static str, severity: Severity, database: &'static str) -> Found {
    at(code, severity, "pooler", database, "")
}
/// In the spec.
pub const fn spec(code: &'static str, severity: Severity, object: &'static str) -> Found {
    at(code, severity, "", "", object)
}

/// A flaw of the servers.
pub const fn flaw(name: &'static str, make: &'static [Step], unmake: &'static [Step], found: &'static [Found]) -> Flaw {
    Flaw { name, make, unmake, needs: None, spec: None, found }
}

/// What keeps a side from trying its way to the other one is a finding of its own; that it wasn't tried is said besides.
pub const TARGET_UNTRIED: Found = target("CO0370", Info, "");
pub const SOURCE_UNTRIED: Found = source("CO0370", Info, "");

/// A database of the target that isn't there, or isn't looked into, hasn't got this extension, and it isn't for everybody to make.
pub const NOT_THERE: Found = in_target("CO0350", Blocker, "postgres_fdw");
