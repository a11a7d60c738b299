//! The two sides and the two directions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the two instances. The names stay the same for the whole life of a migration, whichever serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where the database lived at first.
    Source,
    /// Where it is to live.
    Target,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Source => Side::Target,
            Side::Target => Side::Source,
        }
    }
    /// `source` or `target`.
    pub fn word(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which way rows flow, or traffic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Source to target.
    Forward,
    /// Target to source.
    Reverse,
}

impl Direction {
    /// Where rows come from: the provider of replication, the side that a switch fences.
    pub fn from_side(self) -> Side {
        match self {
            Direction::Forward => Side::Source,
            Direction::Reverse => Side::Target,
        }
    }
    /// Where rows go to: the subscriber, the side that a switch opens.
    pub fn to_side(self) -> Side {
        self.from_side().other()
    }
    /// `forward` or `reverse`.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Reverse => "reverse",
        }
    }
    /// The other way.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
