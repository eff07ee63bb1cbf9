//! Real threads on shared buckets: at the end every sum is exact.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use support::{NOW, after_ms, heat, of_tokens, request_of, requests, spec, sums, tokens};
use tollring_config::{LimitClass, Unit, Window};
use tollring_ledger::{Amounts, Bucket, Ledger, WorkerSlot, hold};

const WORKERS: u16 = 8;
const HOLDS_EACH: u64 = 100_000;

/// A small generator of our own, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % sides).unwrap()
    }
}

/// Runs `work` on every worker at once and adds up what each returns.
fn on_all_workers(work: impl Fn(WorkerSlot, Dice) -> Amounts + Sync) -> Amounts {
    let ready = Barrier::new(usize::from(WORKERS));
    let mut total = Amounts::default();
    thread::scope(|scope| {
        let run = |worker: u16| {
            let (work, ready) = (&work, &ready);
            scope.spawn(move || {
                ready.wait();
                work(WorkerSlot(worker), Dice(0x9E37_79B9 + u64::from(worker)))
            })
        };
        let threads: Vec<_> = (0..WORKERS).map(run).collect();
        for thread in threads {
            let part = thread.join().unwrap();
            total.requests += part.requests;
            total.tokens += part.tokens;
            total.usd += part.usd;
        }
    });
    total
}

/// Holds, extends, and posts more, less or nothing; returns what was posted.
fn spend(path: &[Arc<Bucket>], slot: WorkerSlot, dice: &mut Dice) -> Amounts {
    let want = request_of(1 + dice.roll(50), 1 + dice.roll(1_000));
    let Ok(mut held) = hold(path, want, slot, NOW) else {
        return Amounts::default();
    };
    if dice.roll(4) == 0 {
        let more = request_of(dice.roll(50), dice.roll(1_000));
        let _ = held.extend(
            Amounts {
                requests: 0,
                ..more
            },
            NOW,
        );
    }
    match dice.roll(8) {
        0 => {
            held.void(NOW);
            Amounts::default()
        }
        1 => {
            held.count(want);
            drop(held);
            want
        }
        2 => {
            held.post(request_of(60 + dice.roll(60), dice.roll(3_000)), NOW)
                .cost
        }
        _ => {
            held.post(request_of(dice.roll(30), dice.roll(800)), NOW)
                .cost
        }
    }
}

#[track_caller]
fn check_spent(path: &[Arc<Bucket>], spent: Amounts) {
    for bucket in path {
        let [limit, posted, held, free] = sums(bucket.reading(NOW));
        assert_eq!(posted, spent.spent(bucket.spec()), "{}", bucket.spec().name);
        assert_eq!((held, free), (0, limit - posted), "{}", bucket.spec().name);
    }
}

#[test]
fn eight_workers_on_hot_buckets_end_with_exact_sums() {
    let specs = [
        requests(1 << 40),
        spec(Unit::Concurrent, Window::Total, LimitClass::Concurrency, 6),
        tokens(1 << 40),
        spec(Unit::Usd, Window::Day, LimitClass::Balance, 1 << 40),
    ];
    let path = Ledger::new(WORKERS).bind(&specs, NOW);
    heat(&path);
    let spent = on_all_workers(|slot, mut dice| {
        let mut sum = Amounts::default();
        for _ in 0..HOLDS_EACH {
            let part = spend(&path, slot, &mut dice);
            sum.requests += part.requests;
            sum.tokens += part.tokens;
            sum.usd += part.usd;
        }
        sum
    });
    assert!(spent.requests > 0);
    check_spent(&path, spent);
}

#[test]
fn eight_workers_spend_a_scarce_budget_to_the_last_unit_and_no_further() {
    const BUDGET: i64 = 200_003;
    for hot in [false, true] {
        let path = Ledger::new(WORKERS).bind(&[requests(BUDGET)], NOW);
        if hot {
            heat(&path);
        }
        let spent = on_all_workers(|slot, _| {
            let mut admitted = Amounts::default();
            for _ in 0..HOLDS_EACH / 2 {
                if let Ok(held) = hold(&path, request_of(0, 0), slot, NOW) {
                    admitted.requests += held.post(request_of(0, 0), NOW).cost.requests;
                }
            }
            admitted
        });
        assert_eq!(spent.requests, BUDGET);
        assert_eq!(sums(path[0].reading(NOW)), [BUDGET, BUDGET, 0, 0]);
    }
}

#[test]
fn of_a_thousand_requests_on_a_budget_of_ten_exactly_ten_are_admitted() {
    for (workers, hot) in [(1, false), (4, false), (4, true)] {
        let path = Ledger::new(workers).bind(&[requests(10)], NOW);
        if hot {
            heat(&path);
        }
        let admitted = AtomicI64::new(0);
        let ready = Barrier::new(1_000 / 20);
        thread::scope(|scope| {
            for n in 0..1_000_u16 / 20 {
                let (path, admitted, ready) = (&path, &admitted, &ready);
                scope.spawn(move || {
                    ready.wait();
                    // Held together, so that the sum of holds is tested, not of posts.
                    let holds: Vec<_> = (0..20)
                        .filter_map(|_| {
                            hold(path, request_of(0, 0), WorkerSlot(n % workers), NOW).ok()
                        })
                        .collect();
                    for held in holds {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        let _ = held.post(request_of(0, 0), NOW);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 10);
        assert_eq!(sums(path[0].reading(NOW)), [10, 10, 0, 0]);
    }
}

#[test]
fn limits_change_and_windows_turn_under_load_and_no_unit_is_lost() {
    const LIMIT: i64 = 5_000;
    let ledger = Ledger::new(WORKERS);
    let second = spec(Unit::Tokens, Window::Second, LimitClass::Velocity, LIMIT);
    let specs = |balance| [second.clone(), tokens(balance)];
    let path = ledger.bind(&specs(1 << 40), NOW);
    heat(&path);
    let (stop, clock) = (AtomicBool::new(false), AtomicI64::new(0));
    // Where each worker's clock stands. A tag tells 32 epochs apart, which no thread sleeps
    // through between two instructions; but these turn as quickly as a core can.
    let stands: Vec<_> = (0..WORKERS).map(|_| AtomicI64::new(0)).collect();
    let slowest = || stands.iter().map(|at| at.load(Ordering::SeqCst)).min();
    let spent = thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let mut turns = 0;
            while !stop.load(Ordering::Relaxed) {
                if slowest().is_some_and(|at| turns > at + 16) {
                    thread::yield_now();
                    continue;
                }
                turns += 1;
                clock.store(turns, Ordering::Relaxed);
                let now = after_ms(turns * 500);
                drop(ledger.bind(&specs((1 << 40) - turns % 7), now));
                let [limit, posted, held, _] = sums(path[0].reading(now));
                assert!(posted + held <= limit, "{posted} + {held} of {limit}");
            }
        });
        let spent = on_all_workers(|slot, mut dice| {
            let mut sum = Amounts::default();
            for _ in 0..HOLDS_EACH / 4 {
                let turn = clock.load(Ordering::Relaxed);
                stands[usize::from(slot.0)].store(turn, Ordering::SeqCst);
                let now = after_ms(turn * 500);
                let want = of_tokens(1 + dice.roll(40));
                if let Ok(held) = hold(&path, want, slot, now) {
                    let cost = of_tokens(dice.roll(1 + want.tokens.unsigned_abs()));
                    sum.tokens += held.post(cost, now).cost.tokens;
                }
            }
            stands[usize::from(slot.0)].store(i64::MAX - 16, Ordering::SeqCst);
            sum
        });
        stop.store(true, Ordering::Relaxed);
        changes.join().unwrap();
        spent
    });
    let _settled = ledger.bind(&specs(1 << 40), NOW);
    check_spent(&path[1..], spent);
    // Every hold has settled, so an epoch that turned under load owes nothing now.
    let last = after_ms(clock.load(Ordering::Relaxed) * 500);
    let before = path[0].reading_before(last).map(sums);
    assert!(
        before.is_some_and(|[_, _, held, _]| held == 0),
        "{before:?}"
    );
    assert_eq!(sums(path[0].reading(last))[2], 0);
}

#[test]
fn workers_that_collide_grow_slots_and_lose_nothing() {
    let path = Ledger::new(WORKERS).bind(&[requests(i64::MAX)], NOW);
    let mut sum = 0;
    // Whether threads collide is the scheduler's choice; it has many rounds to do so.
    for _ in 0..200 {
        sum += on_all_workers(|slot, _| {
            let mut admitted = Amounts::default();
            for _ in 0..HOLDS_EACH / 100 {
                let held = hold(&path, request_of(0, 0), slot, NOW).unwrap();
                admitted.requests += held.post(request_of(0, 0), NOW).cost.requests;
            }
            admitted
        })
        .requests;
        if path[0].is_hot() {
            break;
        }
    }
    let one_core = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    assert!(
        path[0].is_hot() || one_core,
        "threads met on one counter {sum} times"
    );
    assert_eq!(sums(path[0].reading(NOW))[1..3], [sum, 0]);
}
