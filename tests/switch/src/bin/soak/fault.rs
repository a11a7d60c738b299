//! What may go wrong: chosen by seed and index alone, so that each can be tried again.

use changeover_postgres::switch::{Effect, Path};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Steps that a switch tells, after which a fault may strike.
const STEPS: [&str; 7] = ["paused", "locked", "drained", "closed", "fenced", "turned", "decided"];
/// Within this time of its start a switch is over, about, when nothing happens to it.
const SPAN: Duration = Duration::from_millis(600);
/// Longest time between two steps, about.
const BETWEEN: Duration = Duration::from_millis(8);
/// A dead worker is noticed after two seconds at the latest: its heartbeat's timeout.
const NOTICED: Duration = Duration::from_secs(2);

/// When a fault strikes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum When {
    /// So long after the start.
    After(Duration),
    /// So long after a step was told.
    Step(String, Duration),
}

/// What happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// SIGKILL.
    Kill(When),
    /// SIGSTOP; it wakes up when another one has taken over.
    Stop(When),
    /// At a side effect what is said: `kill`, `stop`, `error`, `lost`.
    Failpoint(String, String),
    /// SIGKILL, and whoever takes over is killed at a side effect as well.
    Twice(When, String),
    /// A second one of the same epoch begins a little later.
    Twin(Duration),
    /// A second one of the next epoch begins a little later.
    Rival(Duration),
    /// The pooler is killed while it is paused, and started again after a while.
    Pooler(Duration, Duration),
    /// Immediate stop and start of the source.
    Source(When),
    /// The same of the target.
    Target(When),
}

impl Fault {
    /// The word in tables.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Kill(When::After(_)) => "killed at a random time".to_owned(),
            Self::Kill(When::Step(..)) => "killed within the pause".to_owned(),
            Self::Stop(When::After(_)) => "stopped at a random time".to_owned(),
            Self::Stop(When::Step(..)) => "stopped within the pause".to_owned(),
            Self::Failpoint(_, action) => format!("at a side effect: {action}"),
            Self::Twice(..) => "killed, and who took over, too".to_owned(),
            Self::Twin(_) => "two of one epoch".to_owned(),
            Self::Rival(_) => "two of two epochs".to_owned(),
            Self::Pooler(..) => "pooler killed while paused".to_owned(),
            Self::Source(_) => "source restarted (immediate)".to_owned(),
            Self::Target(_) => "target restarted (immediate)".to_owned(),
        }
    }

    /// A kill or a stop at a random time, wherever the switch was then.
    pub(crate) fn is_random_strike(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Stop(_) | Self::Twice(..))
    }
}

/// One switch of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) index: u64,
    pub(crate) fault: Fault,
    /// From the fault until another one takes over.
    pub(crate) noticed: Duration,
    /// From the takeover's end until a stopped one wakes up.
    pub(crate) woken: Duration,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "switch {}: {:?}, noticed after {:?}", self.index, self.fault, self.noticed)
    }
}

impl Plan {
    /// The plan of an index under a seed.
    pub(crate) fn of(seed: u64, index: u64, restarts: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index);
        let mut up_to = |most: Duration| most.mul_f64(rng.random::<f64>());
        let (noticed, woken) = (up_to(NOTICED), up_to(Duration::from_millis(500)));
        let fault = choose(&mut rng, restarts);
        Self { index, fault, noticed, woken }
    }
}

fn choose(rng: &mut StdRng, restarts: bool) -> Fault {
    match rng.random_range(0..if restarts { 100 } else { 92 }) {
        0..6 => Fault::None,
        6..26 => Fault::Kill(at_random(rng)),
        26..40 => Fault::Kill(within(rng)),
        40..49 => Fault::Stop(at_random(rng)),
        49..58 => Fault::Stop(within(rng)),
        58..70 => failpoint(rng),
        70..78 => Fault::Twice(within(rng), place(rng, &[Path::Undo, Path::Finish]).0),
        78..83 => Fault::Twin(up_to(rng, Duration::from_millis(400))),
        83..87 => Fault::Rival(up_to(rng, Duration::from_millis(400))),
        87..92 => Fault::Pooler(up_to(rng, BETWEEN * 4), up_to(rng, Duration::from_millis(300))),
        92..96 => Fault::Source(anywhere(rng)),
        _ => Fault::Target(anywhere(rng)),
    }
}

fn failpoint(rng: &mut StdRng) -> Fault {
    let (place, before) = place(rng, &[Path::Prepare, Path::Window]);
    let actions = ["kill", "stop", if before { "error" } else { "lost" }];
    Fault::Failpoint(place, actions[rng.random_range(0..actions.len())].to_owned())
}

/// Before or after a side effect; `true` for before.
fn place(rng: &mut StdRng, paths: &[Path]) -> (String, bool) {
    let effects: Vec<&Effect> = Effect::ALL.iter().filter(|effect| paths.contains(&effect.path())).collect();
    let (effect, before) = (effects[rng.random_range(0..effects.len())], rng.random());
    (format!("{}.{}", effect.name(), if before { "before" } else { "after" }), before)
}

fn up_to(rng: &mut StdRng, most: Duration) -> Duration {
    most.mul_f64(rng.random::<f64>())
}

fn at_random(rng: &mut StdRng) -> When {
    When::After(up_to(rng, SPAN))
}

fn within(rng: &mut StdRng) -> When {
    let step = STEPS[rng.random_range(0..STEPS.len())];
    When::Step(step.to_owned(), up_to(rng, BETWEEN))
}

fn anywhere(rng: &mut StdRng) -> When {
    if rng.random() { at_random(rng) } else { within(rng) }
}
