//! Every interleaving of a few threads on one bucket, as the memory model allows them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p tollring-ledger --release --test loom`

#![cfg(loom)]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use loom::thread;
use support::{NOW, after_ms, heat, of_tokens, spec, sums, tokens};
use tollring_config::{BucketSpec, LimitClass, Unit, Window};
use tollring_ledger::journal::Posting;
use tollring_ledger::{Bucket, Ledger, PATH_MAX, UnixMillis, WorkerSlot, hold};

type Path = Vec<Arc<Bucket>>;

const NEXT: UnixMillis = UnixMillis(NOW.0 + 1_000);

fn per_second(limit: i64) -> BucketSpec {
    spec(Unit::Tokens, Window::Second, LimitClass::Velocity, limit)
}

fn path_of(workers: u16, spec: BucketSpec, hot: bool) -> Path {
    let path = Ledger::new(workers).bind(&[spec], NOW);
    if hot {
        heat(&path);
    }
    path
}

/// Holds and posts `units`; what was posted.
fn spend(path: &Path, units: i64, worker: u16, now: UnixMillis) -> i64 {
    let Ok(held) = hold(path, of_tokens(units), WorkerSlot(worker), now) else {
        return 0;
    };
    held.post(of_tokens(units), now).cost.tokens
}

/// Takes the units out and puts them back, so that some lie in the worker's slot.
fn warm(path: &Path, worker: u16) {
    hold(path, of_tokens(1), WorkerSlot(worker), NOW)
        .unwrap()
        .void(NOW);
}

/// Explores every interleaving of `test`, which must be of two threads to be quick.
fn model(test: impl Fn() + Sync + Send + 'static) {
    loom::model(test);
}

/// Explores those of three threads with at most so many preemptions: more than three
/// have never been needed to show a fault, and a full search takes minutes.
fn model_of_three(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

#[test]
fn of_two_workers_on_a_budget_of_one_exactly_one_is_admitted() {
    for hot in [false, true] {
        model(move || {
            let path = path_of(2, tokens(1), hot);
            let other = path.clone();
            let thread = thread::spawn(move || spend(&other, 1, 1, NOW));
            let spent = spend(&path, 1, 0, NOW) + thread.join().unwrap();
            assert_eq!(spent, 1);
            assert_eq!(sums(path[0].reading(NOW)), [1, 1, 0, 0]);
        });
    }
}

#[test]
fn a_worker_that_needs_what_lies_in_anothers_slot_is_never_refused() {
    model(|| {
        let path = path_of(2, tokens(16), true);
        let other = path.clone();
        // Takes a slice of two, of which it needs one.
        let thread = thread::spawn(move || spend(&other, 1, 1, NOW));
        assert_eq!(
            spend(&path, 15, 0, NOW),
            15,
            "fifteen are there, wherever they lie"
        );
        assert_eq!(thread.join().unwrap(), 1);
        assert_eq!(sums(path[0].reading(NOW)), [16, 16, 0, 0]);
    });
}

#[test]
fn a_slot_swept_while_its_worker_takes_from_it_gives_each_unit_once() {
    model(|| {
        let path = path_of(2, tokens(16), true);
        warm(&path, 1);
        let other = path.clone();
        let thread = thread::spawn(move || spend(&other, 1, 1, NOW) + spend(&other, 1, 1, NOW));
        let spent = spend(&path, 15, 0, NOW);
        let rest = thread.join().unwrap();
        assert!(
            spent + rest == 2 || spent + rest == 16,
            "{spent} and {rest}"
        );
        assert_eq!(
            sums(path[0].reading(NOW)),
            [16, spent + rest, 0, 16 - spent - rest]
        );
    });
}

#[test]
fn a_hold_while_the_window_turns_counts_in_one_epoch() {
    for hot in [false, true] {
        model(move || {
            let path = path_of(2, per_second(1), hot);
            let other = path.clone();
            let thread = thread::spawn(move || spend(&other, 1, 1, NEXT));
            let spent = spend(&path, 1, 0, NOW) + thread.join().unwrap();
            let [_, now, held, _] = sums(path[0].reading(NEXT));
            let [_, before, held_before, _] = sums(path[0].reading_before(NEXT).unwrap());
            assert_eq!((held, held_before), (0, 0));
            assert_eq!(now, 1, "the new epoch is spent, by whoever came first");
            assert_eq!(now + before, spent);
        });
    }
}

#[test]
fn two_workers_that_turn_the_window_together_open_one_epoch() {
    for spent_before in [0, 1] {
        model(move || {
            let path = path_of(2, per_second(1), false);
            assert_eq!(spend(&path, spent_before, 0, NOW), spent_before);
            let other = path.clone();
            let thread = thread::spawn(move || spend(&other, 1, 1, NEXT));
            let spent = spend(&path, 1, 0, NEXT) + thread.join().unwrap();
            assert_eq!(spent, 1, "what the last epoch left is not for this one");
            assert_eq!(sums(path[0].reading(NEXT)), [1, 1, 0, 0]);
            let before = path[0].reading_before(NEXT).map(|reading| reading.posted);
            assert_eq!(before, Some(spent_before));
        });
    }
}

#[test]
fn a_post_while_the_window_turns_leaves_the_new_epoch_whole() {
    for hot in [false, true] {
        model(move || {
            let path = path_of(2, per_second(4), hot);
            let held = hold(&path[..], of_tokens(4), WorkerSlot(0), NOW).unwrap();
            let other = path.clone();
            let thread = thread::spawn(move || spend(&other, 4, 1, NEXT));
            assert_eq!(held.post(of_tokens(3), NOW).late, 0);
            assert_eq!(thread.join().unwrap(), 4);
            assert_eq!(sums(path[0].reading(NEXT)), [4, 4, 0, 0]);
            assert_eq!(path[0].reading_before(NEXT).map(sums), Some([4, 3, 0, 1]));
        });
    }
}

#[test]
fn a_post_while_its_epoch_is_forgotten_changes_no_other() {
    for hot in [false, true] {
        model(move || {
            let path = path_of(2, per_second(4), hot);
            let held = hold(&path[..], of_tokens(4), WorkerSlot(0), NOW).unwrap();
            assert_eq!(spend(&path, 1, 0, NEXT), 1);
            let other = path.clone();
            let last = after_ms(2_000);
            // This turn counts in the words that counted the hold's epoch.
            let thread = thread::spawn(move || spend(&other, 4, 1, last));
            let _ = held.post(of_tokens(1), NEXT);
            assert_eq!(thread.join().unwrap(), 4);
            assert_eq!(sums(path[0].reading(last)), [4, 4, 0, 0]);
            assert_eq!(path[0].reading_before(last).map(sums), Some([4, 1, 0, 3]));
        });
    }
}

#[test]
fn a_limit_lowered_while_a_worker_holds_is_exceeded_by_nobody_after() {
    for hot in [false, true] {
        model(move || {
            let ledger = Arc::new(Ledger::new(2));
            let path = ledger.bind(&[tokens(16)], NOW);
            if hot {
                heat(&path);
                warm(&path, 1);
            }
            let other = path.clone();
            let thread = thread::spawn(move || spend(&other, 1, 1, NOW));
            drop(ledger.bind(&[tokens(1)], NOW));
            let spent = thread.join().unwrap();
            assert_eq!(spent, 1, "one unit fits either limit");
            assert_eq!(sums(path[0].reading(NOW)), [1, 1, 0, 0]);
            assert_eq!(spend(&path, 1, 1, NOW), 0, "a unit was left in a slot");
        });
    }
}

#[test]
fn a_limit_raised_while_two_workers_hold_admits_as_many_as_it_says() {
    model(|| {
        let ledger = Arc::new(Ledger::new(2));
        let path = ledger.bind(&[tokens(1)], NOW);
        let other = path.clone();
        let thread = thread::spawn(move || spend(&other, 1, 1, NOW));
        drop(ledger.bind(&[tokens(2)], NOW));
        let spent = spend(&path, 1, 0, NOW) + thread.join().unwrap();
        assert_eq!(spent, 2, "the caller that raised it finds it raised");
        assert_eq!(sums(path[0].reading(NOW)), [2, 2, 0, 0]);
    });
}

#[test]
fn units_given_back_while_another_runs_up_a_debt_are_not_spent_twice() {
    model(|| {
        let path = path_of(2, tokens(4), true);
        let debtor = hold(&path[..], of_tokens(2), WorkerSlot(0), NOW).unwrap();
        let giver = path.clone();
        let thread = thread::spawn(move || {
            // Refused if the debt was there first.
            if let Ok(held) = hold(&giver[..], of_tokens(2), WorkerSlot(1), NOW) {
                held.void(NOW);
            }
        });
        let _ = debtor.post(of_tokens(4), NOW);
        thread.join().unwrap();
        assert_eq!(sums(path[0].reading(NOW)), [4, 4, 0, 0]);
        assert_eq!(
            spend(&path, 1, 1, NOW),
            0,
            "the debt was paid with these units"
        );
    });
}

#[test]
fn a_bucket_that_grows_slots_under_a_hold_keeps_its_sums() {
    model(|| {
        let path = path_of(2, tokens(3), false);
        let other = path.clone();
        let thread = thread::spawn(move || {
            let held = hold(&other[..], of_tokens(1), WorkerSlot(1), NOW).unwrap();
            held.post(of_tokens(2), NOW).cost.tokens
        });
        heat(&path);
        let spent = spend(&path, 1, 0, NOW) + thread.join().unwrap();
        assert_eq!(spent, 3);
        assert_eq!(sums(path[0].reading(NOW)), [3, 3, 0, 0]);
        assert_eq!(spend(&path, 1, 0, NOW) + spend(&path, 1, 1, NOW), 0);
    });
}

#[test]
fn of_three_workers_on_a_budget_of_two_exactly_two_are_admitted() {
    for hot in [false, true] {
        model_of_three(move || {
            let path = path_of(3, tokens(2), hot);
            let threads = [1, 2].map(|worker| {
                let other = path.clone();
                thread::spawn(move || spend(&other, 1, worker, NOW))
            });
            let mut spent = spend(&path, 1, 0, NOW);
            for thread in threads {
                spent += thread.join().unwrap();
            }
            assert_eq!(spent, 2);
            assert_eq!(sums(path[0].reading(NOW)), [2, 2, 0, 0]);
        });
    }
}

#[test]
fn a_hold_a_sweep_and_a_turn_of_the_window_at_once_keep_both_sums() {
    model_of_three(|| {
        let path = path_of(3, per_second(24), true);
        warm(&path, 1);
        let (taker, turner) = (path.clone(), path.clone());
        let taker = thread::spawn(move || spend(&taker, 1, 1, NOW));
        let turner = thread::spawn(move || spend(&turner, 2, 2, NEXT));
        let mut spent = spend(&path, 24, 0, NOW);
        spent += taker.join().unwrap() + turner.join().unwrap();
        let [_, now, held, _] = sums(path[0].reading(NEXT));
        let [_, before, held_before, _] = sums(path[0].reading_before(NEXT).unwrap());
        assert_eq!((now + before, held, held_before), (spent, 0, 0));
        assert!(now <= 24 && before <= 24, "{now} and {before} of 24");
    });
}

#[test]
fn a_debt_a_gift_and_a_hold_at_once_spend_no_unit_twice() {
    model_of_three(|| {
        let path = path_of(3, tokens(4), true);
        let debtor = hold(&path[..], of_tokens(2), WorkerSlot(0), NOW).unwrap();
        let (giver, taker) = (path.clone(), path.clone());
        let giver = thread::spawn(move || {
            if let Ok(held) = hold(&giver[..], of_tokens(2), WorkerSlot(1), NOW) {
                held.void(NOW);
            }
        });
        let taker = thread::spawn(move || spend(&taker, 1, 1, NOW));
        let _ = debtor.post(of_tokens(4), NOW);
        giver.join().unwrap();
        let spent = 4 + taker.join().unwrap();
        assert_eq!(sums(path[0].reading(NOW)), [4, spent, 0, 4 - spent]);
        assert_eq!(spend(&path, 1, 1, NOW), 0, "nothing is left");
    });
}

#[test]
fn a_debt_run_up_while_the_slots_grow_is_seen() {
    model(|| {
        let path = path_of(2, tokens(4), false);
        let debtor = path.clone();
        let thread = thread::spawn(move || {
            let held = hold(&debtor[..], of_tokens(2), WorkerSlot(0), NOW).unwrap();
            held.post(of_tokens(4), NOW).cost.tokens
        });
        if let Ok(held) = hold(&path[..], of_tokens(2), WorkerSlot(1), NOW) {
            heat(&path);
            held.void(NOW);
        }
        assert_eq!(thread.join().unwrap(), 4);
        assert_eq!(sums(path[0].reading(NOW)), [4, 4, 0, 0]);
        assert_eq!(
            spend(&path, 1, 1, NOW),
            0,
            "the debt was paid with these units"
        );
    });
}

#[test]
fn what_is_written_down_names_the_epoch_that_counted_it() {
    const LATER: UnixMillis = UnixMillis(NOW.0 + 2_000);
    model(|| {
        let path = path_of(1, per_second(1), false);
        let other = path.clone();
        let thread = thread::spawn(move || {
            let _ = other[0].reading(NEXT);
            let _ = other[0].reading(LATER);
        });
        let held = hold(&path[..], of_tokens(1), WorkerSlot(0), NOW).unwrap();
        let mut room = [Posting::default(); PATH_MAX];
        let end = held.postings(of_tokens(1), &mut room)[0].ends_s;
        let _ = held.post(of_tokens(1), NOW);
        thread.join().unwrap();
        let [now, before] = [
            path[0].reading(LATER),
            path[0].reading_before(LATER).unwrap(),
        ];
        for reading in [now, before] {
            let counted = reading.resets_at.unwrap().0 == i64::from(end);
            assert_eq!(reading.posted, i64::from(counted), "{end}");
        }
    });
}

#[test]
fn what_comes_back_while_two_spend_it_is_spent_once() {
    const BACK: UnixMillis = UnixMillis(NOW.0 + 11_000);
    for hot in [false, true] {
        model(move || {
            let window = Window::Rolling { span_s: 10 };
            let spec = spec(Unit::Tokens, window, LimitClass::Quota, 2);
            let path = Arc::new(path_of(2, spec, hot));
            assert_eq!(spend(&path, 2, 0, NOW), 2);
            let other = Arc::clone(&path);
            let thread = thread::spawn(move || spend(&other, 1, 1, BACK));
            let spent = spend(&path, 2, 0, BACK) + thread.join().unwrap();
            assert!((1..=2).contains(&spent), "{spent} of two");
            let reading = path[0].reading(BACK);
            assert_eq!(sums(reading), [2, spent, 0, 2 - spent]);
        });
    }
}
