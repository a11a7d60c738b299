//! The look at the sequences of the closing side under the fence, when nobody draws from them any more: only those are told that
//! the opening side isn't ahead of. The server compares, so that of the many that the margin covers nothing is sent.

use std::collections::BTreeSet;

use changeover_domain::Failure;
use futures::future::try_join_all;
use tokio_postgres::{Statement, types::Type};

use super::{AT_ONCE, Names, Reader, State, States, put, statements};
use crate::Session;

/// The sequences that have passed the number that the opening side stands at. `pg_sequence_last_value` reads one in a third of
/// the time of a SELECT. It says null for a sequence that was never called (`setval(…, false)` may have moved it, nevertheless),
/// and from PostgreSQL 17 on also for one that may not be read: neither is covered.
const PASSED: &str = "select s.o from unnest($1, $2, $3) as s(o, bound, up), \
                      lateral (select pg_catalog.pg_sequence_last_value(s.o::pg_catalog.regclass)) as l(last) \
                      where l.last is null or case when s.up then l.last > s.bound else l.last < s.bound end";

/// Prepared before the fence, for the session that will look.
pub(crate) struct Watch {
    names: Names,
    passed: Statement,
    covered: Vec<Covered>,
    /// Those that are read whatever they are at: cycling ones, which are copied, and those that were never called.
    whole: Vec<Statement>,
}

/// Sequences that the opening side is ahead of: where it stands, and whether that is above.
#[derive(Default)]
struct Covered {
    oids: Vec<u32>,
    bounds: Vec<i64>,
    up: Vec<bool>,
}

impl Watch {
    /// `closing` and `opening`: where the sequences of both sides stand, the opening side's for good.
    pub(crate) async fn prepare(
        reader: &Reader,
        session: &Session,
        closing: &States,
        opening: &States,
    ) -> Result<Self, Failure> {
        let (mut covered, mut whole) = (Vec::new(), BTreeSet::new());
        for (name, from) in closing {
            match opening.get(name).and_then(|to| Some((bound(from, to)?, to.increment > 0))) {
                Some((bound, up)) => covered.push((from.oid, bound, up)),
                None => drop(whole.insert(from.oid)),
            }
        }
        let chunk = |part: &[(u32, i64, bool)]| Covered {
            oids: part.iter().map(|(oid, ..)| *oid).collect(),
            bounds: part.iter().map(|(_, bound, _)| *bound).collect(),
            up: part.iter().map(|(.., up)| *up).collect(),
        };
        let types = [Type::OID_ARRAY, Type::INT8_ARRAY, Type::BOOL_ARRAY];
        let passed = session.prepare_typed(PASSED, &types).await.map_err(session.failed("reading sequences"))?;
        let named = reader.names.iter().filter(|(oid, _)| whole.contains(oid)).map(|(oid, (name, _))| (*oid, name));
        let whole = statements(session, named).await?;
        let covered = covered.chunks(AT_ONCE).map(chunk).collect();
        let watch = Self { names: reader.names.clone(), passed, covered, whole };
        // The server's process opens each of them for the first time: that takes longer than the look itself.
        watch.look(session).await.map(|_| watch)
    }

    /// Where those stand that the opening side isn't ahead of, and those of which it can't be told beforehand. All is sent at once.
    pub(crate) async fn look(&self, session: &Session) -> Result<States, Failure> {
        let failed = session.failed("reading sequences");
        let whole = try_join_all(self.whole.iter().map(|statement| session.query(statement, &[])));
        let passed = try_join_all(
            self.covered
                .iter()
                .map(|part| async move { session.query(&self.passed, &[&part.oids, &part.bounds, &part.up]).await }),
        );
        let (whole, passed) = futures::try_join!(whole, passed).map_err(&failed)?;
        let mut states = States::new();
        whole.iter().for_each(|rows| put(&mut states, &self.names, rows));
        let passed: Vec<u32> = passed.iter().flatten().map(|row| row.get(0)).collect();
        let named = passed.iter().filter_map(|oid| Some((*oid, &self.names.get(oid)?.0)));
        for statement in statements(session, named).await? {
            put(&mut states, &self.names, &session.query(&statement, &[]).await.map_err(&failed)?);
        }
        Ok(states)
    }
}

/// The number up to which the opening side covers a sequence; none when there is no such number.
fn bound(from: &State, to: &State) -> Option<i64> {
    (!from.cycle && from.called).then(|| i64::try_from(to.given()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequences::at_rest;
    use proptest::prelude::*;

    proptest! {
        /// What the server passes over needs no move.
        #[test]
        fn what_is_covered_needs_no_move(last in -50i64..50, to_last in -50i64..50, to_called: bool, up: bool, step in 1i64..7,
                                         drawn in 0i64..60) {
            let increment = if up { step } else { -step };
            let (min, max) = (-5000, 5000);
            let from = State { oid: 1, last, called: true, increment, min, max, cycle: false };
            let to = State { last: to_last, called: to_called, ..from };
            let bound = bound(&from, &to).unwrap();
            let rest = State { last: last + drawn * increment, ..from };
            let passed = if up { rest.last > bound } else { rest.last < bound };
            prop_assert_eq!(passed, at_rest(&rest, &to).is_some());
        }
    }

    #[test]
    fn what_has_no_bound_is_read_whole() {
        let from = State { oid: 1, last: 5, called: true, increment: 1, min: i64::MIN, max: i64::MAX, cycle: false };
        assert_eq!(bound(&from, &from), Some(5));
        assert_eq!(bound(&State { cycle: true, ..from }, &from), None);
        assert_eq!(bound(&State { called: false, ..from }, &from), None);
        assert_eq!(bound(&from, &State { last: i64::MIN, called: false, ..from }), None);
    }
}
