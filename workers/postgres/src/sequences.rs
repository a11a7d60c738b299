//! Sequences: replication doesn't carry them, so we set them, every one, before each switch and in either direction.
//!
//! The side that opens is moved ahead by a margin before the fence, so that under the fence nothing is left to do but to see
//! that it is still ahead. A number is never given twice: `last_value` covers what sessions hold in their caches, and on the
//! closed side nobody is left to draw one.

use std::collections::BTreeMap;

use changeover_domain::{Direction, Failure, QualifiedName};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;

use crate::{Migration, Session, switch::relations};

mod watch;

pub(crate) use watch::Watch;

/// What was done to sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequencesOutcome {
    /// Sequences looked at.
    pub sequences: u64,
    /// Sequences moved.
    pub moved: u64,
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    oid: u32,
    last: i64,
    called: bool,
    increment: i64,
    min: i64,
    max: i64,
    cycle: bool,
}

/// All sequences of a database, by name.
pub(crate) type States = BTreeMap<QualifiedName, State>;

/// Makes sure that every sequence of the side that opens is ahead of the closing side by a margin (in increments).
pub async fn raise(migration: &Migration, direction: Direction, margin: u64) -> Result<SequencesOutcome, Failure> {
    let mut outcome = SequencesOutcome::default();
    for database in migration.databases() {
        let closing = migration.provider(direction).open(&database.name, "sequences").await?;
        let opening = migration.subscriber(direction).open(&database.name, "sequences").await?;
        let closing_states = Reader::prepare(migration, &closing).await?.read(&closing).await?;
        let opening_states = Reader::prepare(migration, &opening).await?.read(&opening).await?;
        let moves = moves_ahead(&opening, &closing_states, &opening_states, margin)?;
        apply(&opening, &moves).await?;
        outcome.sequences += opening_states.len() as u64;
        outcome.moved += moves.len() as u64;
    }
    Ok(outcome)
}

/// Proves that no sequence of the side that opens is behind the closing side. Cycling ones have no "ahead" and are left out.
///
/// # Errors
/// CO0716 with the names of the first ones that are behind.
pub async fn assert_ahead(migration: &Migration, direction: Direction) -> Result<u64, Failure> {
    let mut seen = 0;
    for database in migration.databases() {
        let closing = migration.provider(direction).open(&database.name, "sequences").await?;
        let opening = migration.subscriber(direction).open(&database.name, "sequences").await?;
        let closing_states = Reader::prepare(migration, &closing).await?.read(&closing).await?;
        let opening_states = Reader::prepare(migration, &opening).await?.read(&opening).await?;
        let behind: Vec<String> = pairs(&opening, &closing_states, &opening_states)?
            .filter(|(_, from, to)| !from.cycle && to.is_behind(from))
            .map(|(name, _, _)| name.raw())
            .collect();
        if !behind.is_empty() {
            let first = behind.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            let message = format!(
                "{} sequences of {} on the {} are behind: {first}",
                behind.len(),
                opening.database,
                opening.side
            );
            return Err(Failure::invariant("CO0716", message));
        }
        seen += opening_states.len() as u64;
    }
    Ok(seen)
}

/// A prepared look at all sequences of a database.
pub(crate) struct Reader {
    names: Names,
    statements: Vec<tokio_postgres::Statement>,
}

/// The sequences of a database by oid, with what is fixed about them.
type Names = BTreeMap<u32, (QualifiedName, State)>;

/// Sequences that one statement reads or sets: each takes a place in the server's table of locks until the statement's end.
pub(crate) const AT_ONCE: usize = 500;

impl Reader {
    pub(crate) async fn prepare(migration: &Migration, session: &Session) -> Result<Self, Failure> {
        let sequences = relations::list(migration, session).await?.into_iter().filter(relations::Relation::is_sequence);
        let mut all: BTreeMap<u32, QualifiedName> = sequences.map(|s| (s.oid, s.name)).collect();
        let oids: Vec<u32> = all.keys().copied().collect();
        let sql = "select seqrelid, seqincrement, seqmin, seqmax, seqcycle from pg_catalog.pg_sequence where seqrelid = any ($1::oid[])";
        let rows = session.query(sql, &[&oids]).await.map_err(session.failed("reading sequences"))?;
        let mut names = BTreeMap::new();
        for row in rows {
            let oid: u32 = row.get(0);
            let state = State {
                oid,
                last: 0,
                called: false,
                increment: row.get(1),
                min: row.get(2),
                max: row.get(3),
                cycle: row.get(4),
            };
            if let Some(name) = all.remove(&oid) {
                names.insert(oid, (name, state));
            }
        }
        let statements = statements(session, names.iter().map(|(oid, (name, _))| (*oid, name))).await?;
        Ok(Self { names, statements })
    }

    /// Where they stand now; sequences aren't transactional, so it is the present whatever the snapshot.
    pub(crate) async fn read(&self, session: &Session) -> Result<States, Failure> {
        let mut states = States::new();
        for statement in &self.statements {
            let rows = session.query(statement, &[]).await.map_err(session.failed("reading sequences"))?;
            put(&mut states, &self.names, &rows);
        }
        Ok(states)
    }
}

/// Prepares statements that read these sequences as they are.
async fn statements<'a>(
    session: &Session,
    sequences: impl Iterator<Item = (u32, &'a QualifiedName)>,
) -> Result<Vec<tokio_postgres::Statement>, Failure> {
    let parts: Vec<String> =
        sequences.map(|(oid, name)| format!("select {oid}::oid, last_value, is_called from {name}")).collect();
    let mut statements = Vec::new();
    for chunk in parts.chunks(AT_ONCE) {
        let statement = session.prepare(&chunk.join(" union all ")).await;
        statements.push(statement.map_err(session.failed("reading sequences"))?);
    }
    Ok(statements)
}

/// Takes over what such a statement found.
fn put(states: &mut States, names: &Names, rows: &[tokio_postgres::Row]) {
    for row in rows {
        if let Some((name, state)) = names.get(&row.get::<_, u32>(0)) {
            states.insert(name.clone(), State { last: row.get(1), called: row.get(2), ..*state });
        }
    }
}

/// One `setval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    oid: u32,
    value: i64,
    called: bool,
}

/// What to set before the fence. Cycling sequences wait for the fence: "ahead" means nothing for them.
pub(crate) fn moves_ahead(opening: &Session, from: &States, to: &States, margin: u64) -> Result<Vec<Move>, Failure> {
    Ok(pairs(opening, from, to)?.filter_map(|(_, from, to)| ahead(from, to, margin)).collect())
}

/// What is left to set under the fence, when the closing side has come to rest: what the margin did not cover, and cycles.
pub(crate) fn moves_under_fence(opening: &Session, from: &States, to: &States) -> Result<Vec<Move>, Failure> {
    Ok(pairs(opening, from, to)?.filter_map(|(_, from, to)| at_rest(from, to)).collect())
}

/// Sets sequences; not transactional. One round trip for up to [`AT_ONCE`] of them.
pub(crate) async fn apply(session: &Session, moves: &[Move]) -> Result<(), Failure> {
    for moves in moves.chunks(AT_ONCE) {
        let oids: Vec<u32> = moves.iter().map(|m| m.oid).collect();
        let values: Vec<i64> = moves.iter().map(|m| m.value).collect();
        let called: Vec<bool> = moves.iter().map(|m| m.called).collect();
        let sql = "select count(pg_catalog.setval(o::pg_catalog.regclass, v, c)) from unnest($1, $2, $3) as t(o, v, c)";
        let parameters = [
            (&oids as &(dyn tokio_postgres::types::ToSql + Sync), Type::OID_ARRAY),
            (&values, Type::INT8_ARRAY),
            (&called, Type::BOOL_ARRAY),
        ];
        session.query_typed(sql, &parameters).await.map_err(session.failed("setting sequences"))?;
    }
    Ok(())
}

fn pairs<'a>(
    opening: &Session,
    from: &'a States,
    to: &'a States,
) -> Result<impl Iterator<Item = (&'a QualifiedName, &'a State, &'a State)> + use<'a>, Failure> {
    if let Some(name) = from.keys().find(|name| !to.contains_key(name)) {
        let message = format!("the sequence {} isn't in {} on the {}", name.raw(), opening.database, opening.side);
        return Err(Failure::needs_human(
            "CO0715",
            message,
            "create it there with the same definition, then `changeover retry`",
        ));
    }
    Ok(from.iter().filter_map(move |(name, from)| Some((name, from, to.get(name)?))))
}

impl State {
    /// The last number that may have been given out; a sequence that was never called has given none.
    fn given(&self) -> i128 {
        let last = i128::from(self.last);
        if self.called { last } else { last - i128::from(self.increment) }
    }
    /// `self.given()` lies before `value` in the sequence's direction.
    fn is_before(&self, value: i128) -> bool {
        if self.increment > 0 { self.given() < value } else { self.given() > value }
    }
    fn is_behind(&self, closing: &State) -> bool {
        self.is_before(closing.given())
    }
    /// How many more numbers it can give.
    fn remaining(&self) -> i128 {
        let increment = i128::from(self.increment);
        if increment > 0 {
            (i128::from(self.max) - self.given()).max(0) / increment
        } else {
            (self.given() - i128::from(self.min)).max(0) / -increment
        }
    }
    fn set_to(&self, value: i128) -> Option<Move> {
        Some(Move { oid: self.oid, value: i64::try_from(value).ok()?, called: true })
    }
}

/// The margin takes at most a quarter of what a sequence has left, so that a short one isn't used up by switches.
fn ahead(from: &State, to: &State, margin: u64) -> Option<Move> {
    if from.cycle {
        return None;
    }
    let steps = i128::from(margin).min(from.remaining() / 4);
    let wanted = from.given() + steps * i128::from(from.increment);
    // never called there, nothing to leave out: it stays as it is
    let untouched = steps == 0 && !from.called && to.last == from.last && !to.called;
    if untouched || !to.is_before(wanted) { None } else { to.set_to(wanted) }
}

/// At rest the closing side's own position is safe; a cycling sequence is copied as it stands.
fn at_rest(from: &State, to: &State) -> Option<Move> {
    if from.cycle {
        let same = (from.last, from.called) == (to.last, to.called);
        return (!same).then_some(Move { oid: to.oid, value: from.last, called: from.called });
    }
    if !to.is_behind(from) {
        return None;
    }
    if from.called { to.set_to(from.given()) } else { Some(Move { oid: to.oid, value: from.last, called: false }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn state(last: i64, called: bool, increment: i64, min: i64, max: i64) -> State {
        State { oid: 1, last, called, increment, min, max, cycle: false }
    }

    #[rstest]
    // ascending: 1000 increments further
    #[case(state(50, true, 1, 1, i64::MAX), state(1, false, 1, 1, i64::MAX), Some(1050))]
    #[case(state(50, true, 10, 1, i64::MAX), state(1, false, 10, 1, i64::MAX), Some(10_050))]
    // descending goes down
    #[case(state(-5, true, -1, i64::MIN, -1), state(-1, false, -1, i64::MIN, -1), Some(-1005))]
    // never called: the first number is the margin's first
    #[case(state(1, false, 1, 1, i64::MAX), state(1, false, 1, 1, i64::MAX), Some(1000))]
    // ahead already
    #[case(state(50, true, 1, 1, i64::MAX), state(5000, true, 1, 1, i64::MAX), None)]
    // a short one keeps three quarters of what is left
    #[case(state(20, true, 1, 1, 100), state(1, false, 1, 1, 100), Some(40))]
    // used up: the same as there
    #[case(state(100, true, 1, 1, 100), state(1, false, 1, 1, 100), Some(100))]
    #[case(state(i64::MAX, true, 1, 1, i64::MAX), state(1, false, 1, 1, i64::MAX), Some(i64::MAX))]
    #[case(state(i64::MIN, true, -1, i64::MIN, -1), state(-1, false, -1, i64::MIN, -1), Some(i64::MIN))]
    fn the_margin(#[case] from: State, #[case] to: State, #[case] value: Option<i64>) {
        assert_eq!(ahead(&from, &to, 1000).map(|m| m.value), value);
    }

    #[test]
    fn cycles_wait_for_the_fence_and_are_copied() {
        let from = State { cycle: true, ..state(3, true, 1, 1, 5) };
        let to = State { cycle: true, ..state(5, true, 1, 1, 5) };
        assert_eq!(ahead(&from, &to, 1000), None);
        assert_eq!(at_rest(&from, &to), Some(Move { oid: 1, value: 3, called: true }));
        assert_eq!(at_rest(&from, &from), None);
    }

    proptest! {
        /// Whatever stood there: after both moves the opening side gives no number that the closing side has given.
        #[test]
        fn no_number_twice(start in -1000i64..1000, to_start in -1000i64..1000, called: bool, to_called: bool, up: bool, step in 1i64..7,
                           margin in 0u64..100, drawn in 0i64..200) {
            let increment = if up { step } else { -step };
            let from = state(start, called, increment, -5000, 5000);
            let mut to = state(to_start, to_called, increment, -5000, 5000);
            let set = |m: Option<Move>, to: &mut State| if let Some(m) = m { to.last = m.value; to.called = m.called; };
            set(ahead(&from, &to, margin), &mut to);
            // the closing side goes on until the fence
            let drawn = i128::from(drawn).min(from.remaining());
            let end = i64::try_from(from.given() + drawn * i128::from(increment)).unwrap();
            let rest = if drawn > 0 { State { last: end, called: true, ..from } } else { from };
            set(at_rest(&rest, &to), &mut to);
            prop_assert!(!to.is_behind(&rest), "{to:?} {rest:?}");
        }
    }
}
