//! What holds, extensions, posts, voids and drops do to buckets: the rules, one by one.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use support::{NOW, after_ms, heat, of_tokens, request_of, requests, spec, sums, tokens};
use tollring_config::{LimitClass, NanoUsd, Unit, UnixSeconds, Window};
use tollring_ledger::{
    AMOUNT_MAX, Amounts, Bucket, DenialReason, Ledger, PATH_MAX, UnixMillis, WorkerSlot, hold,
};

const SLOT: WorkerSlot = WorkerSlot(0);

/// One of each kind: velocity of requests, in flight, quota of tokens, balance.
fn path_of_four() -> Vec<Arc<Bucket>> {
    let specs = [
        spec(Unit::Requests, Window::Minute, LimitClass::Velocity, 10),
        spec(Unit::Concurrent, Window::Total, LimitClass::Concurrency, 2),
        spec(Unit::Tokens, Window::Month, LimitClass::Quota, 1_000),
        spec(Unit::Usd, Window::Total, LimitClass::Balance, 5_000),
    ];
    Ledger::new(2).bind(&specs, NOW)
}

fn all_sums(path: &[Arc<Bucket>]) -> Vec<[i64; 4]> {
    path.iter()
        .map(|bucket| sums(bucket.reading(NOW)))
        .collect()
}

#[test]
fn a_hold_reserves_in_every_bucket_and_a_post_spends_what_it_cost() {
    for hot in [false, true] {
        let path = path_of_four();
        if hot {
            heat(&path);
        }
        let held = hold(&path, request_of(300, 900), SLOT, NOW).unwrap();
        let reserved = [
            [10, 0, 1, 9],
            [2, 0, 1, 1],
            [1_000, 0, 300, 700],
            [5_000, 0, 900, 4_100],
        ];
        assert_eq!(all_sums(&path), reserved);
        assert_eq!(held.held(), request_of(300, 900));
        let receipt = held.post(request_of(120, 400), NOW);
        assert_eq!((receipt.overdraft, receipt.late), (Amounts::default(), 0));
        let spent = [
            [10, 1, 0, 9],
            [2, 0, 0, 2],
            [1_000, 120, 0, 880],
            [5_000, 400, 0, 4_600],
        ];
        assert_eq!(all_sums(&path), spent);
    }
}

#[test]
fn a_void_gives_everything_back() {
    let path = path_of_four();
    let before = all_sums(&path);
    hold(&path, request_of(300, 900), SLOT, NOW)
        .unwrap()
        .void(NOW);
    assert_eq!(all_sums(&path), before);
}

#[test]
fn a_denial_gives_back_what_earlier_buckets_gave() {
    let path = path_of_four();
    let before = all_sums(&path);
    let denial = hold(&path, request_of(300, 5_001), SLOT, NOW).unwrap_err();
    assert_eq!((denial.bucket, denial.wanted), (3, 5_001));
    assert_eq!(denial.reason, DenialReason::Insufficient);
    assert_eq!(denial.reading.free, 5_000);
    assert_eq!(all_sums(&path), before);
}

#[test]
fn a_third_request_in_flight_waits_for_the_first_to_end() {
    let path = path_of_four();
    let first = hold(&path, request_of(1, 1), SLOT, NOW).unwrap();
    let second = hold(&path, request_of(1, 1), SLOT, NOW).unwrap();
    let denial = hold(&path, request_of(1, 1), SLOT, NOW).unwrap_err();
    assert_eq!(
        (denial.bucket, denial.reason),
        (1, DenialReason::Concurrency)
    );
    let _ = first.post(request_of(1, 1), NOW);
    let third = hold(&path, request_of(1, 1), SLOT, NOW).unwrap();
    second.void(NOW);
    third.void(NOW);
    assert_eq!(sums(path[1].reading(NOW)), [2, 0, 0, 2]);
}

#[test]
fn an_extension_is_granted_by_all_buckets_or_by_none() {
    let path = path_of_four();
    let mut held = hold(&path, request_of(300, 900), SLOT, NOW).unwrap();
    held.extend(
        Amounts {
            requests: 0,
            ..request_of(700, 100)
        },
        NOW,
    )
    .unwrap();
    assert_eq!(held.held(), request_of(1_000, 1_000));
    let before = all_sums(&path);
    let denial = held
        .extend(
            Amounts {
                requests: 0,
                ..request_of(0, 4_001)
            },
            NOW,
        )
        .unwrap_err();
    assert_eq!((denial.bucket, denial.wanted), (3, 4_001));
    assert_eq!(all_sums(&path), before);
    assert_eq!(held.held(), request_of(1_000, 1_000));
    let denial = held
        .extend(
            Amounts {
                requests: 0,
                ..request_of(1, 100)
            },
            NOW,
        )
        .unwrap_err();
    assert_eq!((denial.bucket, denial.reason), (2, DenialReason::NeverFits));
    assert_eq!(all_sums(&path), before);
    held.void(NOW);
    assert_eq!(sums(path[3].reading(NOW)), [5_000, 0, 0, 5_000]);
}

#[test]
fn a_cost_beyond_the_hold_is_recorded_as_an_overdraft() {
    for hot in [false, true] {
        let path = Ledger::new(2).bind(&[tokens(100)], NOW);
        if hot {
            heat(&path);
            // Leaves units in another worker's slot.
            hold(&path, of_tokens(1), WorkerSlot(1), NOW)
                .unwrap()
                .void(NOW);
        }
        let held = hold(&path, of_tokens(60), SLOT, NOW).unwrap();
        let receipt = held.post(of_tokens(130), NOW);
        assert_eq!(receipt.overdraft, of_tokens(70));
        assert_eq!(sums(path[0].reading(NOW)), [100, 130, 0, -30]);
        for slot in [SLOT, WorkerSlot(1)] {
            let denial = hold(&path, of_tokens(1), slot, NOW).unwrap_err();
            assert_eq!(denial.reason, DenialReason::Spent, "hot: {hot}, {slot:?}");
        }
    }
}

#[test]
fn what_is_given_back_to_an_indebted_bucket_pays_its_debt_first() {
    let path = Ledger::new(2).bind(&[tokens(100)], NOW);
    heat(&path);
    let one = hold(&path, of_tokens(50), SLOT, NOW).unwrap();
    let other = hold(&path, of_tokens(50), WorkerSlot(1), NOW).unwrap();
    let _ = one.post(of_tokens(90), NOW);
    assert_eq!(sums(path[0].reading(NOW)), [100, 90, 50, -40]);
    let _ = other.post(of_tokens(5), NOW);
    assert_eq!(sums(path[0].reading(NOW)), [100, 95, 0, 5]);
    let denial = hold(&path, of_tokens(6), WorkerSlot(1), NOW).unwrap_err();
    assert_eq!(denial.reason, DenialReason::Insufficient);
    hold(&path, of_tokens(5), SLOT, NOW).unwrap().void(NOW);
}

#[test]
fn nobody_is_refused_while_units_lie_in_another_slot() {
    let path = Ledger::new(4).bind(&[tokens(1_000)], NOW);
    heat(&path);
    for worker in 0..4 {
        hold(&path, of_tokens(3), WorkerSlot(worker), NOW)
            .unwrap()
            .void(NOW);
    }
    for worker in [3, 0, 2] {
        hold(&path, of_tokens(1_000), WorkerSlot(worker), NOW)
            .unwrap()
            .void(NOW);
    }
    let denial = hold(&path, of_tokens(1_001), SLOT, NOW).unwrap_err();
    assert_eq!(denial.reason, DenialReason::NeverFits);
    assert_eq!(sums(path[0].reading(NOW)), [1_000, 0, 0, 1_000]);
}

#[test]
fn a_dropped_hold_is_charged_for_what_was_counted_and_noticed() {
    let ledger = Ledger::new(1);
    let path = ledger.bind(&[requests(10), tokens(100)], NOW);
    let mut held = hold(&path, request_of(80, 0), SLOT, NOW).unwrap();
    held.count(of_tokens(12));
    held.count(of_tokens(30));
    drop(held);
    assert_eq!(ledger.drops(), 1);
    assert_eq!(sums(path[0].reading(NOW)), [10, 1, 0, 9]);
    assert_eq!(sums(path[1].reading(NOW)), [100, 30, 0, 70]);
    hold(&path, request_of(1, 0), SLOT, NOW).unwrap().void(NOW);
    assert_eq!(ledger.drops(), 1, "a settled hold is no accident");
}

#[test]
fn a_hold_lost_to_a_panic_is_charged_too() {
    let ledger = Ledger::new(1);
    let path = ledger.bind(&[tokens(100)], NOW);
    let carried = std::panic::catch_unwind(|| {
        let mut held = hold(&path, of_tokens(80), SLOT, NOW).unwrap();
        held.count(of_tokens(7));
        std::panic::panic_any("an exchange went wrong");
    });
    assert!(carried.is_err());
    assert_eq!(sums(path[0].reading(NOW)), [100, 7, 0, 93]);
    assert_eq!(ledger.drops(), 1);
}

#[test]
fn a_bucket_of_which_nothing_is_wanted_does_not_refuse() {
    let path = Ledger::new(1).bind(&[tokens(0), requests(1)], NOW);
    let held = hold(&path, request_of(0, 0), SLOT, NOW).unwrap();
    let _ = held.post(request_of(0, 0), NOW);
    let denial = hold(&path, request_of(1, 0), SLOT, NOW).unwrap_err();
    assert_eq!((denial.bucket, denial.reason), (0, DenialReason::Spent));
}

#[test]
fn a_spent_window_says_when_it_starts_again() {
    let minute = spec(Unit::Requests, Window::Minute, LimitClass::Velocity, 1);
    let path = Ledger::new(1).bind(&[minute], NOW);
    let _ = hold(&path, request_of(0, 0), SLOT, NOW)
        .unwrap()
        .post(request_of(0, 0), NOW);
    let denial = hold(&path, request_of(0, 0), SLOT, NOW).unwrap_err();
    assert_eq!(denial.reason, DenialReason::Velocity { retry_after_s: 40 });
    assert_eq!(denial.reading.resets_at, Some(UnixSeconds(1_700_000_040)));
    assert!(hold(&path, request_of(0, 0), SLOT, after_ms(39_999)).is_err());
    hold(&path, request_of(0, 0), SLOT, after_ms(40_000))
        .unwrap()
        .void(NOW);
}

#[test]
fn a_hold_settles_in_the_epoch_that_admitted_it() {
    for hot in [false, true] {
        let minute = spec(Unit::Tokens, Window::Minute, LimitClass::Velocity, 100);
        let path = Ledger::new(2).bind(&[minute], NOW);
        if hot {
            heat(&path);
        }
        let mut held = hold(&path, of_tokens(60), SLOT, NOW).unwrap();
        let next = after_ms(60_000);
        assert_eq!(
            sums(path[0].reading(next)),
            [100, 0, 0, 100],
            "a new epoch is whole"
        );
        assert_eq!(
            path[0].reading_before(next).map(sums),
            Some([100, 0, 60, 40])
        );
        held.extend(of_tokens(40), next).unwrap();
        let denial = held.extend(of_tokens(1), next).unwrap_err();
        assert_eq!(denial.reason, DenialReason::NeverFits);
        let receipt = held.post(of_tokens(70), next);
        assert_eq!(receipt.late, 0);
        assert_eq!(
            path[0].reading_before(next).map(sums),
            Some([100, 70, 0, 30])
        );
        assert_eq!(sums(path[0].reading(next)), [100, 0, 0, 100]);
    }
}

#[test]
fn a_hold_of_a_bygone_epoch_settles_late_and_changes_no_live_counter() {
    let second = spec(Unit::Tokens, Window::Second, LimitClass::Velocity, 100);
    let path = Ledger::new(2).bind(&[second, tokens(100)], NOW);
    let mut held = hold(&path, of_tokens(60), SLOT, NOW).unwrap();
    for s in 1..=40 {
        assert_eq!(sums(path[0].reading(after_ms(s * 1_000))), [100, 0, 0, 100]);
    }
    held.extend(of_tokens(30), after_ms(40_000)).unwrap();
    let receipt = held.post(of_tokens(95), after_ms(40_000));
    assert_eq!(receipt.late, 1);
    assert_eq!(sums(path[0].reading(after_ms(40_000))), [100, 0, 0, 100]);
    assert_eq!(
        path[0].reading_before(after_ms(40_000)).map(sums),
        Some([100, 0, 0, 100])
    );
    assert_eq!(sums(path[1].reading(NOW)), [100, 95, 0, 5]);
}

#[test]
fn a_clock_that_steps_back_opens_no_epoch_twice() {
    let minute = spec(Unit::Tokens, Window::Minute, LimitClass::Velocity, 100);
    let path = Ledger::new(2).bind(&[minute], NOW);
    let spend = |now: UnixMillis| {
        hold(&path, of_tokens(100), SLOT, now).map(|held| held.post(of_tokens(100), now).late)
    };
    assert_eq!(spend(NOW), Ok(0));
    assert_eq!(spend(after_ms(60_000)), Ok(0));
    for back_ms in [59_999, 0, -60_000, -86_400_000] {
        let denial = spend(after_ms(back_ms)).unwrap_err();
        assert_eq!(denial.reading.posted, 100, "{back_ms} ms");
    }
    assert_eq!(spend(after_ms(120_000)), Ok(0));
}

#[test]
fn a_limit_changes_under_holds_and_refunds_nothing() {
    for hot in [false, true] {
        let ledger = Ledger::new(2);
        let path = ledger.bind(&[tokens(100)], NOW);
        if hot {
            heat(&path);
            hold(&path, of_tokens(1), WorkerSlot(1), NOW)
                .unwrap()
                .void(NOW);
        }
        let held = hold(&path, of_tokens(60), SLOT, NOW).unwrap();
        let lower = ledger.bind(&[tokens(50)], NOW);
        assert_eq!(sums(path[0].reading(NOW)), [50, 0, 60, -10]);
        assert_eq!(path[0].spec().limit, 100, "a snapshot keeps its own words");
        for slot in [SLOT, WorkerSlot(1)] {
            let denial = hold(&path, of_tokens(1), slot, NOW).unwrap_err();
            assert_eq!(denial.reason, DenialReason::HeldInFlight);
        }
        let _ = held.post(of_tokens(55), NOW);
        assert_eq!(sums(lower[0].reading(NOW)), [50, 55, 0, -5]);
        let higher = ledger.bind(&[tokens(70)], NOW);
        assert_eq!(sums(path[0].reading(NOW)), [70, 55, 0, 15]);
        let held = hold(&lower, of_tokens(15), WorkerSlot(1), NOW).unwrap();
        let _ = held.post(of_tokens(15), NOW);
        assert_eq!(sums(higher[0].reading(NOW)), [70, 70, 0, 0]);
    }
}

#[test]
fn a_bucket_lives_as_long_as_a_snapshot_refers_to_it() {
    let ledger = Ledger::new(1);
    let old = ledger.bind(&[tokens(100), requests(5)], NOW);
    let _ = hold(&old, request_of(40, 0), SLOT, NOW)
        .unwrap()
        .post(request_of(40, 0), NOW);
    let new = ledger.bind(&[requests(5)], NOW);
    assert_eq!(ledger.len(), 2, "the old snapshot is still in use");
    assert_eq!(sums(new[0].reading(NOW)), [5, 1, 0, 4]);
    drop(old);
    let new = ledger.bind(&[requests(5)], NOW);
    assert_eq!(ledger.len(), 1);
    assert_eq!(sums(new[0].reading(NOW)), [5, 1, 0, 4]);
    let again = ledger.bind(&[tokens(100)], NOW);
    assert_eq!(sums(again[0].reading(NOW)), [100, 0, 0, 100]);
}

#[test]
fn amounts_out_of_range_are_bounded_and_never_wrap() {
    let usd = spec(Unit::Usd, Window::Total, LimitClass::Balance, i64::MAX);
    let path = Ledger::new(2).bind(&[usd], NOW);
    heat(&path);
    assert_eq!(path[0].reading(NOW).limit, AMOUNT_MAX);
    let all = Amounts {
        usd: NanoUsd(i64::MAX),
        ..Amounts::default()
    };
    let less = Amounts {
        usd: NanoUsd(-5),
        ..Amounts::default()
    };
    hold(&path, all, SLOT, NOW).unwrap().void(NOW);
    let _ = hold(&path, less, SLOT, NOW).unwrap().post(less, NOW);
    assert_eq!(path[0].reading(NOW).free, AMOUNT_MAX);
    let mut held = hold(&path, all, SLOT, NOW).unwrap();
    held.extend(all, NOW).unwrap();
    let _ = held.post(all, NOW);
    assert_eq!(sums(path[0].reading(NOW)), [AMOUNT_MAX, AMOUNT_MAX, 0, 0]);
}

#[test]
fn a_caller_without_a_slot_of_its_own_uses_the_shared_counter() {
    let path = Ledger::new(2).bind(&[tokens(10)], NOW);
    heat(&path);
    let stranger = WorkerSlot(u16::MAX);
    hold(&path, of_tokens(4), SLOT, NOW).unwrap().void(NOW);
    let held = hold(&path, of_tokens(10), stranger, NOW).unwrap();
    let _ = held.post(of_tokens(3), NOW);
    assert_eq!(sums(path[0].reading(NOW)), [10, 3, 0, 7]);
}

#[test]
fn a_path_may_be_empty_or_as_long_as_it_may_be() {
    hold(&Vec::new(), request_of(1, 1), SLOT, NOW)
        .unwrap()
        .void(NOW);
    let one = Ledger::new(1).bind(&[tokens(1_000)], NOW);
    let path = vec![Arc::clone(&one[0]); PATH_MAX];
    let _ = hold(&path, of_tokens(1), SLOT, NOW)
        .unwrap()
        .post(of_tokens(1), NOW);
    assert_eq!(sums(one[0].reading(NOW)), [1_000, 32, 0, 968]);
}

#[test]
fn a_ledger_with_one_worker_grows_no_slots() {
    let path = Ledger::new(1).bind(&[tokens(10)], NOW);
    heat(&path);
    assert!(!path[0].is_hot());
}

#[test]
fn a_hold_that_outlives_thirty_two_epochs_settles_in_none_of_them() {
    let second = spec(Unit::Tokens, Window::Second, LimitClass::Velocity, 100);
    for epochs in 2..70 {
        let path = Ledger::new(2).bind(std::slice::from_ref(&second), NOW);
        let mut held = hold(&path, of_tokens(40), SLOT, NOW).unwrap();
        for passed in 1..=epochs {
            let _turned = path[0].reading(after_ms(passed * 1_000));
        }
        let now = after_ms(epochs * 1_000);
        held.extend(of_tokens(10), now).unwrap();
        assert_eq!(held.post(of_tokens(60), now).late, 1, "{epochs} epochs");
        let read = sums(path[0].reading(now));
        assert_eq!(read, [100, 0, 0, 100], "{epochs} epochs");
    }
}
