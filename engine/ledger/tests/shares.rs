//! What a request takes of a bucket: tokens by their weights, nothing where it does not count.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{NOW, of_tokens, request_of, requests, sums, tokens};
use tollring_config::{BucketSpec, Weights};
use tollring_ledger::journal::Posting;
use tollring_ledger::{AMOUNT_MAX, Amounts, Counting, Ledger, PATH_MAX, Path, WorkerSlot, hold};

const SLOT: WorkerSlot = WorkerSlot(0);

/// A quota of tokens of which cached input counts a tenth and output four.
fn weighted(limit: i64) -> BucketSpec {
    let weights = Weights {
        input: Weights::ONE,
        cached_input: Weights::ONE / 10,
        output: 4 * Weights::ONE,
    };
    BucketSpec {
        weights: Some(weights),
        ..tokens(limit)
    }
}

#[test]
fn tokens_count_by_their_weights_and_are_rounded_once() {
    let used = |input: i64, cached_input: i64, output: i64| Amounts {
        tokens: input + output,
        output,
        cached_input,
        ..Amounts::default()
    };
    let spec = weighted(1);
    for (amounts, counted) in [
        (used(7, 0, 0), 7),
        (used(0, 0, 7), 28),
        (used(10, 10, 1), 5),
        (used(5, 5, 0), 0), // a half, to even
        (used(15, 15, 0), 2),
        (used(25, 25, 0), 2),
        (used(16, 16, 0), 2),
        (used(i64::MAX >> 4, 0, i64::MAX >> 4), AMOUNT_MAX),
    ] {
        assert_eq!(amounts.spent(&spec), counted, "{amounts:?}");
    }
}

#[test]
fn what_is_held_by_weight_is_given_back_by_weight_however_often_it_was_extended() {
    let path = Ledger::new(2).bind(&[weighted(1_000)], NOW);
    let cached = |tokens| Amounts {
        tokens,
        cached_input: tokens,
        ..Amounts::default()
    };
    let mut held = hold(&path, cached(3), SLOT, NOW).unwrap();
    for _ in 0..99 {
        held.extend(cached(3), NOW).unwrap();
    }
    assert_eq!(path[0].reading(NOW).held, 30);
    let output = Amounts {
        tokens: 300,
        output: 300,
        ..Amounts::default()
    };
    assert!(held.extend(output, NOW).is_err(), "1,200 do not fit");
    assert_eq!(path[0].reading(NOW).held, 30);
    let _ = held.post(
        Amounts {
            tokens: 60,
            output: 50,
            ..Amounts::default()
        },
        NOW,
    );
    assert_eq!(sums(path[0].reading(NOW)), [1_000, 210, 0, 790]);
}

#[test]
fn a_bucket_that_does_not_count_a_request_neither_refuses_nor_is_charged() {
    let path = Ledger::new(1).bind(&[tokens(100), requests(1)], NOW);
    let others = Path {
        buckets: &path,
        counting: Counting::NONE.with(1),
    };
    hold(&path, request_of(60, 0), SLOT, NOW).unwrap().void(NOW);
    let mut held = hold(others, request_of(1_000, 0), SLOT, NOW).unwrap();
    assert!(held.extend(of_tokens(1_000), NOW).is_ok());
    assert_eq!(path[0].reading(NOW).held, 0);
    let mut room = [Posting::default(); PATH_MAX];
    assert_eq!(held.reservations(request_of(1, 0), &mut room).len(), 1);
    let _ = held.post(request_of(2_000, 0), NOW);
    assert_eq!(path[0].reading(NOW).posted, 0);
    assert_eq!(path[1].reading(NOW).posted, 1);
    assert_eq!(
        hold(others, request_of(0, 0), SLOT, NOW)
            .unwrap_err()
            .bucket,
        1
    );
}
