//! No sequence may hand out a number twice: what the side that opens hands out next lies beyond all that the side that closed
//! ever did.

use super::session;
use crate::stack::cluster::Cluster;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sequence that would repeat itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceFault {
    /// The database's name.
    pub database: String,
    /// The sequence, qualified and quoted.
    pub sequence: String,
    /// What is wrong.
    pub what: String,
}

/// Compares every sequence of these databases: `open` is the side that serves, `closed` the one that served before. A sequence
/// that cycles may repeat and is only looked for.
pub async fn compare_sequences(closed: &Cluster, open: &Cluster, databases: &[String]) -> Result<Vec<SequenceFault>> {
    let mut faults = Vec::new();
    for database in databases {
        let before = states(closed, database).await?;
        let after = states(open, database).await?;
        for (sequence, before) in &before {
            let what = match after.get(sequence) {
                None => Some(format!("missing on the {}", open.side.name())),
                Some(after) => repeats(before, after),
            };
            if let Some(what) = what {
                faults.push(SequenceFault { database: database.clone(), sequence: sequence.clone(), what });
            }
        }
    }
    Ok(faults)
}

/// Whether a sequence of the side that serves would hand out again what the workload was given: its notes say what that was. Unlike
/// [`compare_sequences`], it holds at any time, also when a switch that was given up has moved the other side's sequences ahead.
pub async fn sequences_behind_notes(open: &Cluster, databases: &[String]) -> Result<Vec<SequenceFault>> {
    let sql = "select sequence, pg_catalog.min(value), pg_catalog.max(value) from workload.handed_out group by 1";
    let mut faults = Vec::new();
    for database in databases {
        let client = session::open(open, database).await?;
        let states = states(open, database).await?;
        for row in client.query(sql, &[]).await? {
            let (sequence, lowest, highest): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let what = match states.get(&sequence) {
                None => Some(format!("missing on the {}", open.side.name())),
                Some(state) => {
                    let last_value = if state.increment < 0 { lowest } else { highest };
                    repeats(&State { last_value, is_called: true, ..*state }, state)
                }
            };
            if let Some(what) = what {
                faults.push(SequenceFault { database: database.clone(), sequence, what });
            }
        }
    }
    Ok(faults)
}

#[derive(Debug, Clone, Copy)]
struct State {
    last_value: i64,
    /// Whether `last_value` has been handed out.
    is_called: bool,
    increment: i64,
    cycle: bool,
}

async fn states(cluster: &Cluster, database: &str) -> Result<BTreeMap<String, State>> {
    let client = session::open(cluster, database).await?;
    let list = "
        select pg_catalog.format('%I.%I', n.nspname, c.relname), s.seqincrement, s.seqcycle
          from pg_catalog.pg_sequence s
          join pg_catalog.pg_class c on c.oid = s.seqrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relpersistence <> 't' and n.nspname not in ('changeover', 'pglogical', 'rds_tools')";
    let mut found = BTreeMap::new();
    for row in client.query(list, &[]).await? {
        let name: String = row.get(0);
        let state = client
            .query_one(&format!("select last_value, is_called from {name}"), &[])
            .await
            .with_context(|| format!("reading the {}'s sequence {name}", cluster.side.name()))?;
        let state =
            State { last_value: state.get(0), is_called: state.get(1), increment: row.get(1), cycle: row.get(2) };
        found.insert(name, state);
    }
    Ok(found)
}

/// The reason why `after` would hand out a number that `before` did, if it would.
fn repeats(before: &State, after: &State) -> Option<String> {
    if before.increment != after.increment {
        return Some(format!("increment is {}, was {}", after.increment, before.increment));
    }
    if before.cycle {
        return None;
    }
    // In the direction of the increment; i128, because a sequence may stand at the end of its range.
    let ahead = |value: i64| i128::from(value) * i128::from(before.increment.signum());
    let step = i128::from(before.increment).abs();
    let next = ahead(after.last_value) + if after.is_called { step } else { 0 };
    let handed_out = ahead(before.last_value) - if before.is_called { 0 } else { step };
    (next <= handed_out).then(|| {
        format!(
            "hands out {} next, and {} was handed out before",
            next * i128::from(before.increment.signum()),
            handed_out * i128::from(before.increment.signum())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(last_value: i64, is_called: bool, increment: i64) -> State {
        State { last_value, is_called, increment, cycle: false }
    }

    #[test]
    fn a_sequence_repeats_when_its_next_number_is_not_beyond_the_last_one() {
        let cases = [
            // before, after, repeats
            (state(10, true, 1), state(10, true, 1), false),
            (state(10, true, 1), state(11, false, 1), false),
            (state(10, true, 1), state(10, false, 1), true),
            (state(10, true, 1), state(9, true, 1), true),
            (state(1, false, 1), state(1, false, 1), false),
            (state(-10, true, -1), state(-10, true, -1), false),
            (state(-10, true, -1), state(-9, true, -1), true),
            (state(-10, true, -1), state(-110, false, -1), false),
            (state(100, true, 10), state(105, false, 10), false),
            (state(i64::MAX, true, 1), state(i64::MAX, true, 1), false),
            (state(10, true, 1), state(10, true, 2), true),
        ];
        for (before, after, expected) in cases {
            assert_eq!(repeats(&before, &after).is_some(), expected, "{before:?} {after:?}");
        }
    }
}
