//! What may go wrong: chosen by seed and index alone, so that each can be tried again.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Steps that a switch tells, after which a fault may strike.
const STEPS: [&str; 7] = ["paused", "locked", "drained", "closed", "fenced", "turned", "decided"];
/// Within this time of its start a switch is over, when nothing happens to it.
const SPAN: Duration = Duration::from_millis(1_500);
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
    /// The one at the place named does what is said: `kill`, `stop`, `error`, `lost`.
    Failpoint(String, String),
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
            Self::Failpoint(_, action) => format!("failpoint: {action}"),
            Self::Twin(_) => "two of one epoch".to_owned(),
            Self::Rival(_) => "two of two epochs".to_owned(),
            Self::Pooler(..) => "pooler killed while paused".to_owned(),
            Self::Source(_) => "source restarted (immediate)".to_owned(),
            Self::Target(_) => "target restarted (immediate)".to_owned(),
        }
    }

    /// A kill or a stop at a random time, wherever the switch was then.
    pub(crate) fn is_random_strike(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Stop(_))
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
    let lot = rng.random_range(0..if restarts { 100 } else { 88 });
    match lot {
        0..8 => Fault::None,
        8..30 => Fault::Kill(at_random(rng)),
        30..46 => Fault::Kill(within(rng)),
        46..56 => Fault::Stop(at_random(rng)),
        56..66 => Fault::Stop(within(rng)),
        66..73 => Fault::Twin(up_to(rng, Duration::from_millis(400))),
        73..79 => Fault::Rival(up_to(rng, Duration::from_millis(400))),
        79..88 => Fault::Pooler(up_to(rng, BETWEEN * 4), up_to(rng, Duration::from_millis(300))),
        88..94 => Fault::Source(anywhere(rng)),
        _ => Fault::Target(anywhere(rng)),
    }
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
