//! Exit codes: documented in docs/cli.md, and never changed.

/// What a command ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; for a watch: finished, or what was waited for has come.
    Done = 0,
    /// It could not be done: Temporal out of reach, a file unreadable, and the like.
    Failed = 1,
    /// Wrong usage; clap uses the same.
    Usage = 2,
    /// Refused: by the spec's check, by preflight, or by the migration itself.
    Refused = 3,
    /// Parked: a person has to look.
    Parked = 4,
    /// The migration was aborted.
    Aborted = 5,
    /// The time given to a watch has run out.
    TimedOut = 6,
    /// Ctrl-C.
    Interrupted = 130,
}
