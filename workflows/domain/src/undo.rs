//! The undo stack: data, pushed before the act, never swallowed. And the two regimes around the switch, as types.

use serde::{Deserialize, Serialize};

use crate::{Direction, Side};

/// One thing to undo. Each means "make sure that it isn't there", because the act that it undoes may have happened, half
/// happened or not happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo")]
pub enum Undo {
    /// The home schema of a side; last of all, since it knows what the others have to undo.
    RemoveHome {
        /// Which side.
        side: Side,
    },
    /// Memberships that the login gave itself.
    TakeBackMemberships {
        /// Which side.
        side: Side,
    },
    /// Roles and settings on the target.
    DropRoles,
    /// Everything restored into the target's databases.
    EmptyTarget,
    /// Nodes, sets, extension and grants of the replication engine, on both sides.
    RemoveEngine,
    /// A subscription with its slot and origin.
    RemoveReplication {
        /// Which one.
        direction: Direction,
    },
    /// Triggers that were quieted because they fire on apply.
    RestoreTriggers {
        /// Which side.
        side: Side,
    },
    /// The event trigger that refuses DDL.
    RemoveDdlGuard {
        /// Which side.
        side: Side,
    },
}

const SIDES: [Side; 2] = [Side::Source, Side::Target];
const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Reverse];

impl Undo {
    /// All that there are.
    pub fn all() -> Vec<Undo> {
        let mut all = vec![Undo::DropRoles, Undo::EmptyTarget, Undo::RemoveEngine];
        all.extend(DIRECTIONS.map(|direction| Undo::RemoveReplication { direction }));
        for side in SIDES {
            all.extend([
                Undo::RemoveHome { side },
                Undo::TakeBackMemberships { side },
                Undo::RestoreTriggers { side },
                Undo::RemoveDdlGuard { side },
            ]);
        }
        all
    }
    /// Its name, with the side or the direction. A new one has to be in [`Undo::all`] as well.
    pub fn word(&self) -> String {
        match self {
            Undo::RemoveHome { side } => format!("remove_home.{side}"),
            Undo::TakeBackMemberships { side } => format!("take_back_memberships.{side}"),
            Undo::DropRoles => "drop_roles".to_owned(),
            Undo::EmptyTarget => "empty_target".to_owned(),
            Undo::RemoveEngine => "remove_engine".to_owned(),
            Undo::RemoveReplication { direction } => format!("remove_replication.{direction}"),
            Undo::RestoreTriggers { side } => format!("restore_triggers.{side}"),
            Undo::RemoveDdlGuard { side } => format!("remove_ddl_guard.{side}"),
        }
    }
    /// What it does, for status.
    pub fn describe(&self) -> String {
        match self {
            Undo::RemoveHome { side } => format!("remove the schema changeover from the {side}"),
            Undo::TakeBackMemberships { side } => format!("take back the login's memberships on the {side}"),
            Undo::DropRoles => "drop roles and settings made on the target".to_owned(),
            Undo::EmptyTarget => "empty the target's databases".to_owned(),
            Undo::RemoveEngine => "remove nodes, sets and rights of replication on both sides".to_owned(),
            Undo::RemoveReplication { direction } => format!("remove {direction} replication with its slot"),
            Undo::RestoreTriggers { side } => format!("restore quieted triggers on the {side}"),
            Undo::RemoveDdlGuard { side } => format!("remove the DDL guard from the {side}"),
        }
    }
}

/// The stack while the source serves: this type alone can unwind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeSwitch {
    stack: Vec<Undo>,
}

impl BeforeSwitch {
    /// Pushes an undo, before its act. The same undo isn't pushed twice: a stage that is tried again finds its own.
    pub fn push(&mut self, undo: Undo) {
        if !self.stack.contains(&undo) {
            self.stack.push(undo);
        }
    }
    /// What is to be undone next.
    pub fn peek(&self) -> Option<Undo> {
        self.stack.last().copied()
    }
    /// Marks the last one as done.
    pub fn pop(&mut self) -> Option<Undo> {
        self.stack.pop()
    }
    /// Last first.
    pub fn iter(&self) -> impl Iterator<Item = &Undo> {
        self.stack.iter().rev()
    }
    /// Whether something may have to be undone.
    pub fn holds(&self, undo: Undo) -> bool {
        self.stack.contains(&undo)
    }
    /// The target has been opened.
    pub fn switched(self) -> AfterSwitch {
        AfterSwitch { stack: self.stack }
    }
}

/// The stack while the target serves: it is kept for a rollback, and there is no way to unwind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterSwitch {
    stack: Vec<Undo>,
}

impl AfterSwitch {
    /// The source has been opened again, with every write of the target in it.
    pub fn rolled_back(self) -> BeforeSwitch {
        BeforeSwitch { stack: self.stack }
    }
}

/// Which regime holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// The source serves.
    Before(BeforeSwitch),
    /// The target serves.
    After(AfterSwitch),
}

impl Default for Regime {
    fn default() -> Self {
        Regime::Before(BeforeSwitch::default())
    }
}

impl Regime {
    /// The side that accepts writes.
    pub fn serving(&self) -> Side {
        match self {
            Regime::Before(_) => Side::Source,
            Regime::After(_) => Side::Target,
        }
    }
    /// What an abort would do, last first; nothing once the target serves.
    pub fn undo_descriptions(&self) -> Vec<String> {
        match self {
            Regime::Before(stack) => stack.iter().map(Undo::describe).collect(),
            Regime::After(_) => Vec::new(),
        }
    }
    /// Moves to the regime after a switch in `direction` has opened its side. A switch that was already recorded changes nothing.
    #[must_use]
    pub fn opened(self, direction: Direction) -> Regime {
        match (self, direction) {
            (Regime::Before(stack), Direction::Forward) => Regime::After(stack.switched()),
            (Regime::After(stack), Direction::Reverse) => Regime::Before(stack.rolled_back()),
            (regime, _) => regime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_undo_is_kept_once_and_the_last_comes_first() {
        let mut stack = BeforeSwitch::default();
        for undo in [Undo::DropRoles, Undo::EmptyTarget, Undo::DropRoles] {
            stack.push(undo);
        }
        assert_eq!(stack.iter().copied().collect::<Vec<_>>(), [Undo::EmptyTarget, Undo::DropRoles]);
        assert!(stack.holds(Undo::DropRoles) && !stack.holds(Undo::RemoveEngine));
        assert_eq!(stack.peek(), Some(Undo::EmptyTarget));
        assert_eq!(stack.pop(), Some(Undo::EmptyTarget));
        assert_eq!(stack.pop(), Some(Undo::DropRoles));
        assert_eq!(stack.pop(), None);
    }

    #[test]
    fn a_rollback_brings_the_stack_back() {
        let mut stack = BeforeSwitch::default();
        stack.push(Undo::DropRoles);
        let regime = Regime::Before(stack.clone()).opened(Direction::Forward);
        assert_eq!(regime.serving(), Side::Target);
        assert!(regime.undo_descriptions().is_empty());
        assert_eq!(regime.clone().opened(Direction::Forward), regime);
        assert_eq!(regime.opened(Direction::Reverse), Regime::Before(stack));
    }

    #[test]
    fn words_differ_and_are_those_of_the_json() {
        let words: std::collections::BTreeSet<_> = Undo::all().iter().map(Undo::word).collect();
        assert_eq!(words.len(), Undo::all().len());
        for undo in Undo::all() {
            let json = serde_json::to_value(undo).unwrap();
            assert_eq!(undo.word().split('.').next(), json["undo"].as_str());
        }
    }

    #[test]
    fn undo_survives_json() {
        let undo = Undo::RemoveReplication { direction: Direction::Reverse };
        let text = serde_json::to_string(&undo).unwrap();
        assert_eq!(text, r#"{"undo":"remove_replication","direction":"reverse"}"#);
        assert_eq!(serde_json::from_str::<Undo>(&text).unwrap(), undo);
    }
}
