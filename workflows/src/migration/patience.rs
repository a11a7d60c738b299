//! How long trouble may last before a person is called.

use std::time::{Duration, SystemTime};

use changeover_domain::Failure;
use serde::{Deserialize, Serialize};
use temporalio_workflow::WorkflowContext;

use super::Migration;

/// Looks with a problem in a row: what passes by itself within these is not a person's business.
const LOOKS: u32 = 6;

/// And the least time, however quick the looks are: a replication worker that is down is started again at most every 15 s.
const TIME: Duration = Duration::from_secs(20);

/// Trouble seen in a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Patience {
    looks: u32,
    since: Option<SystemTime>,
    /// The problems with a code that a look within the trouble has last seen: at the last look itself, a worker that crash-loops
    /// may just have been up, and hide them.
    named: Vec<String>,
}

/// Takes a look's problems in.
///
/// # Errors
/// As [`Patience::bear`].
pub(super) fn bear(
    ctx: &WorkflowContext<Migration>,
    code: &str,
    what: &str,
    problems: &[String],
) -> Result<(), Failure> {
    ctx.state_mut(|m| m.state.looks.patience.bear(m.state.now, code, what, problems))
}

impl Patience {
    /// The last look saw a problem.
    pub(super) fn is_tried(&self) -> bool {
        self.since.is_some()
    }

    /// Takes a look's problems in; `now` is the workflow's time.
    ///
    /// # Errors
    /// `NeedsHuman` with `code` when the trouble has lasted both long and often enough.
    pub(super) fn bear(&mut self, now: SystemTime, code: &str, what: &str, problems: &[String]) -> Result<(), Failure> {
        if problems.is_empty() {
            *self = Self::default();
            return Ok(());
        }
        self.looks += 1;
        if problems.iter().any(|problem| names_a_code(problem)) {
            self.named = problems.iter().filter(|problem| names_a_code(problem)).cloned().collect();
        }
        let since = *self.since.get_or_insert(now);
        if self.looks < LOOKS || now.duration_since(since).unwrap_or_default() < TIME {
            return Ok(());
        }
        let before: Vec<&String> = self.named.iter().filter(|named| !problems.contains(named)).collect();
        let before: String = before.into_iter().map(|named| format!("; a look before: {named}")).collect();
        let message = format!("{what} is in trouble: {}{before}", problems.join("; "));
        Err(Failure::needs_human(code, message, "mend what it names, then `changeover retry`"))
    }
}

/// Whether a problem has a code with a page of its own, as in `shop: CO0521 the target can't apply …`.
fn names_a_code(problem: &str) -> bool {
    problem.split_whitespace().any(|word| {
        word.strip_prefix("CO").is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second_in_which_it_ends(every: u64, quiet_at: Option<u64>) -> Option<u64> {
        let (mut patience, problems) = (Patience::default(), ["down".to_owned()]);
        (0..=100).step_by(usize::try_from(every).ok()?).find(|second| {
            let seen: &[String] = if quiet_at == Some(*second) { &[] } else { &problems };
            patience.bear(SystemTime::UNIX_EPOCH + Duration::from_secs(*second), "CO0816", "it", seen).is_err()
        })
    }

    #[test]
    fn quick_looks_wait_for_the_time_and_slow_ones_for_their_number() {
        assert_eq!(second_in_which_it_ends(1, None), Some(20));
        assert_eq!(second_in_which_it_ends(10, None), Some(50));
    }

    #[test]
    fn a_look_without_a_problem_begins_anew() {
        assert_eq!(second_in_which_it_ends(1, Some(19)), Some(40));
    }

    #[test]
    fn what_an_earlier_look_has_named_is_told_once() {
        let (mut patience, down, named) =
            (Patience::default(), "shop: down".to_owned(), "shop: CO0521 a row".to_owned());
        let mut told = Vec::new();
        for second in 0..30 {
            let seen = if second == 10 { vec![down.clone(), named.clone()] } else { vec![down.clone()] };
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            told.extend(patience.bear(at, "CO0816", "it", &seen).err().map(|failure| failure.message));
        }
        assert_eq!(told[0], "it is in trouble: shop: down; a look before: shop: CO0521 a row");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(31);
        let again = patience.bear(at, "CO0816", "it", std::slice::from_ref(&named)).unwrap_err().message;
        assert_eq!(again, "it is in trouble: shop: CO0521 a row");
    }
}
