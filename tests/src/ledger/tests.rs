//! The pure part of the check, on made-up ledgers.

use super::check::{Booked, CheckReport, Found, compare};
use super::read::{ClientLedger, Fate, Tried};

fn acknowledged(version: i64) -> Fate {
    Fate::Acknowledged { version, numbers: Vec::new() }
}

fn ledger(client: i32, fates: &[Fate]) -> ClientLedger {
    let tried = (1..).zip(fates).map(|(seq, fate)| (seq, Tried { slot: 0, op: "x".to_owned(), fate: fate.clone() }));
    ClientLedger { client, database: "shop".to_owned(), tried: tried.collect() }
}

/// Client 1's slot 0, raised by these transactions (seq, version) in this order.
fn database(rows: &[(i64, i64)]) -> Found {
    let mut found = Found::default();
    for (seq, version) in rows {
        let booked = Booked { version: *version, slot: 0, op: "x".to_owned() };
        found.ledger.insert((1, *seq), booked);
        found.journal.entry((1, *seq)).or_default().push(*version);
        found.slots.insert((1, 0), (*version, *seq));
    }
    found
}

fn judge(ledgers: &[ClientLedger], found: &Found) -> CheckReport {
    let mut report = CheckReport::default();
    compare(&mut report, "shop", ledgers, found);
    report
}

#[test]
fn a_commit_in_doubt_may_be_there_once_or_not_at_all() {
    let fates = [acknowledged(1), Fate::InDoubt, acknowledged(2)];
    let absent = judge(&[ledger(1, &fates)], &database(&[(1, 1), (3, 2)]));
    assert!(absent.is_clean() && absent.in_doubt == 1 && absent.in_doubt_present == 0, "{absent:?}");

    let fates = [acknowledged(1), Fate::InDoubt, acknowledged(3)];
    let present = judge(&[ledger(1, &fates)], &database(&[(1, 1), (2, 2), (3, 3)]));
    assert!(present.is_clean() && present.in_doubt_present == 1, "{present:?}");

    let mut found = database(&[(1, 1), (2, 2), (3, 3)]);
    found.journal.insert((1, 2), vec![2, 2]);
    assert_eq!(judge(&[ledger(1, &fates)], &found).doubled, 1);
    found.journal.remove(&(1, 2));
    assert_eq!(judge(&[ledger(1, &fates)], &found).lost, 1);
}

#[test]
fn a_commit_in_doubt_may_come_after_later_ones() {
    let fates = [acknowledged(1), Fate::InDoubt, acknowledged(2)];
    let report = judge(&[ledger(1, &fates)], &database(&[(1, 1), (3, 2), (2, 3)]));
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_commit_that_the_next_one_did_not_see_is_lost() {
    // The second transaction is missing, and the third one made its version again.
    let fates = [acknowledged(1), acknowledged(2), acknowledged(2)];
    let report = judge(&[ledger(1, &fates)], &database(&[(1, 1), (3, 2)]));
    assert_eq!(report.lost, 1, "{report:?}");
    assert!(report.reordered > 0, "{report:?}");
}

#[test]
fn later_commits_have_later_versions() {
    let fates = [acknowledged(2), acknowledged(1)];
    let report = judge(&[ledger(1, &fates)], &database(&[(2, 1), (1, 2)]));
    assert_eq!((report.lost, report.doubled, report.reordered), (0, 0, 1), "{report:?}");
}

#[test]
fn a_refused_transaction_that_is_there_is_a_finding() {
    let report = judge(&[ledger(1, &[Fate::Refused])], &database(&[(1, 1)]));
    assert_eq!(report.invariant_violations, 1, "{report:?}");
}

#[test]
fn a_version_that_nobody_made_is_a_finding() {
    let report = judge(&[ledger(1, &[acknowledged(1), acknowledged(3)])], &database(&[(1, 1), (2, 3)]));
    assert_eq!(report.invariant_violations, 1, "{report:?}");
}

#[test]
fn a_number_that_two_clients_were_given_is_a_finding_even_if_the_database_has_one() {
    let given = Fate::Acknowledged { version: 1, numbers: vec![("s".to_owned(), 7)] };
    let mut found = database(&[(1, 1)]);
    found.ledger.insert((2, 1), Booked { version: 1, slot: 0, op: "x".to_owned() });
    found.journal.insert((2, 1), vec![1]);
    found.slots.insert((2, 0), (1, 1));
    found.numbers.insert(("s".to_owned(), 7), vec![(1, 1)]);
    let report = judge(&[ledger(1, std::slice::from_ref(&given)), ledger(2, std::slice::from_ref(&given))], &found);
    assert_eq!(report.invariant_violations, 1, "{report:?}");
    assert_eq!(report.numbers, 2);
}
