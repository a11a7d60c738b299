use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn seen(version: u32, content: i64) -> Option<Seen> {
    Some(Seen { version: version.to_string(), hash: RowHash(content, content) })
}

fn round(suspect: &mut Suspect, before: &Option<Seen>, subscriber: &Option<Seen>, after: &Option<Seen>) -> Verdict {
    suspect.round(before.as_ref(), subscriber.as_ref(), after.as_ref())
}

#[rstest]
#[case(seen(1, 1), seen(9, 2), Kind::Differs)]
#[case(seen(1, 1), None, Kind::Missing)]
#[case(None, seen(9, 2), Kind::Extra)]
fn what_stands_different_is_found_within_three_rounds(
    #[case] provider: Option<Seen>,
    #[case] subscriber: Option<Seen>,
    #[case] kind: Kind,
) {
    let mut suspect = Suspect::default();
    let verdicts: Vec<_> = (0..3).map(|_| round(&mut suspect, &provider, &subscriber, &provider)).collect();
    assert_eq!(verdicts[0], Verdict::Unsettled, "once is not enough");
    assert_eq!(verdicts[2], Verdict::Different(kind));
}

#[test]
fn a_row_that_keeps_changing_is_never_condemned() {
    let mut suspect = Suspect::default();
    for n in 0..50 {
        let verdict = round(&mut suspect, &seen(3 * n, 1), &seen(3 * n + 1, 2), &seen(3 * n + 2, 3));
        assert_eq!(verdict, Verdict::Unsettled);
    }
}

#[test]
fn a_key_deleted_and_inserted_again_is_never_condemned() {
    let mut suspect = Suspect::default();
    for n in 0..50 {
        assert_eq!(round(&mut suspect, &None, &seen(n, 2), &None), Verdict::Unsettled);
    }
}

#[test]
fn a_row_deleted_and_inserted_again_as_it_was_is_never_condemned() {
    let mut suspect = Suspect::default();
    for n in 0..50 {
        assert_eq!(round(&mut suspect, &seen(2 * n, 1), &None, &seen(2 * n + 1, 1)), Verdict::Unsettled);
    }
}

#[test]
fn only_a_locked_row_decides_at_once() {
    assert_eq!(judge_locked(None, None), Verdict::Same);
    assert_eq!(judge_locked(seen(1, 1).as_ref(), seen(2, 1).as_ref()), Verdict::Same);
    assert_eq!(judge_locked(seen(1, 1).as_ref(), seen(2, 2).as_ref()), Verdict::Different(Kind::Differs));
    assert_eq!(judge_locked(seen(1, 1).as_ref(), None), Verdict::Different(Kind::Missing));
    assert_eq!(judge_locked(None, seen(1, 1).as_ref()), Verdict::Unsettled);
}

/// The states of a row over time: absent, or present with a content out of few, so that equal contents come back often.
fn history() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(prop::option::weighted(0.6, 0i64..3), 2..60)
}

fn at(history: &[Option<i64>], index: usize, server: u32) -> Option<Seen> {
    let version = u32::try_from(index).unwrap() * 2 + server;
    history[index].and_then(|content| seen(version, content))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A faithful subscriber is never accused, however the provider's history runs and however far it is ahead.
    #[test]
    fn a_faithful_subscriber_is_never_accused(history in history(), steps in prop::collection::vec((0usize..3, 0usize..3), 1..20)) {
        let last = history.len() - 1;
        let mut suspect = Suspect::default();
        let mut provider = 0;
        let mut applied = 0;
        for (forward, ahead) in steps {
            let before = provider;
            provider = (provider + forward).min(last);
            // the marker has passed: at least `before` is applied, at most what the provider has
            applied = applied.max((before + ahead).min(provider));
            let subscriber = at(&history, applied, 1);
            let verdict = suspect.round(at(&history, before, 0).as_ref(), subscriber.as_ref(), at(&history, provider, 0).as_ref());
            prop_assert!(!matches!(verdict, Verdict::Different(_)), "{verdict:?}");
        }
    }

    /// A subscriber whose row has come loose (never applied to again) is found as soon as the provider's row stands still.
    #[test]
    fn a_loose_row_is_found_when_the_provider_stands(content in 0i64..3, loose in 3i64..5, present: bool, gone: bool) {
        prop_assume!(present || !gone);
        let provider = if present { seen(1, content) } else { None };
        let subscriber = if gone { None } else { seen(7, loose) };
        let mut suspect = Suspect::default();
        let found = (0..3).any(|_| matches!(round(&mut suspect, &provider, &subscriber, &provider), Verdict::Different(_)));
        prop_assert!(found);
    }

    #[test]
    fn a_chunk_never_grows_or_shrinks_out_of_bounds(first: u32, width: u64, times in prop::collection::vec(0u64..100_000, 0..50)) {
        let mut sizer = ChunkSizer::new(first, Duration::from_millis(150), width);
        for time in times {
            let rows = sizer.rows();
            prop_assert!((LEAST_ROWS..=MOST_ROWS).contains(&rows));
            sizer.took(rows, Duration::from_millis(time));
            prop_assert!(sizer.rows() <= rows.saturating_mul(2));
        }
    }

    #[test]
    fn a_chunk_settles_at_its_aim(rate in 1_000u64..1_000_000) {
        let aim = Duration::from_millis(150);
        let mut sizer = ChunkSizer::new(1_000, aim, 100);
        for _ in 0..20 {
            let rows = sizer.rows();
            sizer.took(rows, Duration::from_secs_f64(rows as f64 / rate as f64));
        }
        let seconds = sizer.rows() as f64 / rate as f64;
        prop_assert!(seconds < 0.2, "{seconds}");
        prop_assert!(seconds > 0.1 || sizer.rows() == MOST_ROWS, "{seconds}");
    }

    /// Whatever the order of arrival, what is left is exactly the symmetric difference.
    #[test]
    fn unmatched_is_the_symmetric_difference(
        provider in prop::collection::btree_map(0u8..40, 0i64..3, 0..40),
        subscriber in prop::collection::btree_map(0u8..40, 0i64..3, 0..40),
        order in prop::collection::vec(any::<bool>(), 80),
    ) {
        let mut unmatched = Unmatched::default();
        let (mut p, mut s) = (provider.iter(), subscriber.iter());
        let key = |k: &u8| vec![k.to_string()];
        for from_provider in order.into_iter().chain(std::iter::repeat_n(true, 40)).chain(std::iter::repeat_n(false, 40)) {
            if from_provider {
                if let Some((k, v)) = p.next() { unmatched.provider(key(k), RowHash(*v, 0)) }
            } else if let Some((k, v)) = s.next() {
                unmatched.subscriber(key(k), RowHash(*v, 0));
            }
        }
        let mut expected: Vec<Key> = (0..40u8).filter(|k| provider.get(k) != subscriber.get(k)).map(|k| key(&k)).collect();
        expected.sort_unstable();
        prop_assert_eq!(unmatched.suspects(), expected);
    }

    /// A faithful subscriber is never accused, whatever was added around the reading; and when nothing was, it is found the same.
    #[test]
    fn a_growing_table_is_no_difference(first in 0i64..100, till_reading in 0i64..5, till_second in 0i64..5) {
        let provider = first + till_reading;
        let second = provider + till_second;
        let count = sandwich(first, provider, second);
        prop_assert_eq!(count, if first == second { Count::Same } else { Count::Unsettled });
    }

    /// A lost or doubled row is never called the same, and named exactly when nothing was added around the reading.
    #[test]
    fn a_lost_or_doubled_row_never_passes(first in 10i64..100, grown in 0i64..3, off in -5i64..=5) {
        prop_assume!(off != 0);
        let count = sandwich(first - off, first, first + grown - off);
        prop_assert!(count != Count::Same || grown != 0);
        if grown == 0 {
            prop_assert_eq!(count, Count::Off(off));
        }
    }
}

#[test]
fn a_wide_row_makes_a_small_first_chunk() {
    assert_eq!(ChunkSizer::new(50_000, Duration::from_millis(150), 100).rows(), 50_000);
    assert_eq!(ChunkSizer::new(50_000, Duration::from_millis(150), 16 << 20).rows(), 1);
}

#[test]
fn a_timeout_shrinks_until_one_row() {
    let mut sizer = ChunkSizer::new(100, Duration::from_millis(150), 1);
    let mut steps = 0;
    while sizer.too_slow() {
        steps += 1;
    }
    assert_eq!(sizer.rows(), 1);
    assert!(steps < 10);
}

#[test]
fn a_key_twice_on_one_side_is_suspect() {
    let mut unmatched = Unmatched::default();
    unmatched.provider(vec!["1".into()], RowHash(1, 1));
    unmatched.subscriber(vec!["1".into()], RowHash(1, 1));
    unmatched.subscriber(vec!["1".into()], RowHash(1, 1));
    assert_eq!(unmatched.suspects(), vec![vec!["1".to_owned()]]);
}

#[test]
fn a_key_is_named_shortly_and_on_one_line() {
    let columns = ["id".to_owned(), "name".to_owned()];
    assert_eq!(name_key(&columns, &["7".into(), "a\nb".into()]), "(id, name) = (7, a b)");
    assert!(name_key(&columns, &["7".into(), "x".repeat(1000)]).len() < 120);
}
