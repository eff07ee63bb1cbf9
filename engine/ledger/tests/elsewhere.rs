//! What another process spends of the same buckets, and what was spent before this one.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

use support::{NOW, after_ms, heat, of_tokens, spec, sums, tokens};
use tollring_config::{LimitClass, Unit, Window};
use tollring_ledger::journal::Posting;
use tollring_ledger::{DenialReason, EpochEnd, Ledger, Opening, PATH_MAX, WorkerSlot, hold};

#[test]
fn a_bucket_that_was_written_down_begins_with_what_was_spent() {
    let minute = spec(Unit::Tokens, Window::Minute, LimitClass::Velocity, 100);
    let ended = EpochEnd(u32::try_from(NOW.0 / 60_000 * 60).unwrap());
    let ends = EpochEnd(ended.0 + 60);
    let opening = Opening {
        numbers: vec![7],
        posted: [((7, ends), 30), ((7, ended), 50), ((8, ends), 90)].into(),
    };
    let ledger = Ledger::new(2);
    let path = ledger.reopen(std::slice::from_ref(&minute), &opening, NOW);
    assert_eq!(sums(path[0].reading(NOW)), [100, 30, 0, 70]);
    let held = hold(&path, of_tokens(60), WorkerSlot(0), NOW).unwrap();
    let expected = Posting {
        bucket: 7,
        ends_s: ends.0,
        amount: 25,
    };
    let mut room = [Posting::default(); PATH_MAX];
    let postings = held.postings(of_tokens(25), &mut room);
    assert_eq!(
        postings,
        [expected],
        "nothing is posted of what is not counted"
    );
    let _ = held.post(of_tokens(25), NOW);
    let again = ledger.reopen(&[minute], &opening, NOW);
    let read = sums(again[0].reading(NOW));
    assert_eq!(read, [100, 55, 0, 45], "a live bucket is not opened again");
}

#[test]
fn a_bucket_that_was_overspent_before_admits_nobody() {
    let opening = Opening {
        numbers: vec![1],
        posted: [((1, EpochEnd::NEVER), 130)].into(),
    };
    let path = Ledger::new(2).reopen(&[tokens(100)], &opening, NOW);
    assert_eq!(sums(path[0].reading(NOW)), [100, 130, 0, -30]);
    heat(&path);
    let denial = hold(&path, of_tokens(1), WorkerSlot(1), NOW).unwrap_err();
    assert_eq!(denial.reason, DenialReason::Spent);
}

#[test]
fn a_request_is_written_down_in_the_epoch_that_admitted_it() {
    let second = spec(Unit::Tokens, Window::Second, LimitClass::Velocity, 100);
    let path = Ledger::new(1).bind(&[second], NOW);
    let held = hold(&path, of_tokens(10), WorkerSlot(0), NOW).unwrap();
    let _turned = path[0].reading(after_ms(3_000));
    let mut room = [Posting::default(); PATH_MAX];
    let postings = held.postings(of_tokens(1), &mut room);
    assert_eq!(
        postings[0].ends_s,
        u32::try_from(NOW.0 / 1_000 + 1).unwrap()
    );
    held.void(after_ms(3_000));
}

#[test]
fn what_is_spent_elsewhere_counts_here_and_may_be_taken_back() {
    for hot in [false, true] {
        let path = Ledger::new(2).bind(&[tokens(100)], NOW);
        if hot {
            heat(&path);
        }
        let held = hold(&path, of_tokens(30), WorkerSlot(0), NOW).unwrap();
        path[0].charge_elsewhere(EpochEnd::NEVER, 90, NOW);
        assert_eq!(sums(path[0].reading(NOW)), [100, 90, 30, -20]);
        assert!(hold(&path, of_tokens(1), WorkerSlot(1), NOW).is_err());
        path[0].charge_elsewhere(EpochEnd::NEVER, -50, NOW);
        let _ = held.post(of_tokens(10), NOW);
        assert_eq!(sums(path[0].reading(NOW)), [100, 50, 0, 50]);
        assert!(hold(&path, of_tokens(50), WorkerSlot(1), NOW).is_ok());
    }
}

#[test]
fn what_is_spent_elsewhere_counts_in_its_own_epoch_alone() {
    let second = spec(Unit::Tokens, Window::Second, LimitClass::Velocity, 100);
    let path = Ledger::new(1).bind(&[second], NOW);
    let end = EpochEnd(u32::try_from(NOW.0 / 1_000 + 1).unwrap());
    let next = after_ms(1_000);
    assert_eq!(sums(path[0].reading(next)), [100, 0, 0, 100]);
    path[0].charge_elsewhere(end, 10, next);
    path[0].charge_elsewhere(EpochEnd(end.0 + 1), 20, next);
    path[0].charge_elsewhere(EpochEnd(end.0 + 2), 30, next);
    path[0].charge_elsewhere(EpochEnd::NEVER, 40, next);
    assert_eq!(sums(path[0].reading(next)), [100, 20, 0, 80]);
    let before = path[0].reading_before(next).unwrap();
    assert_eq!(sums(before), [100, 10, 0, 90]);
}
