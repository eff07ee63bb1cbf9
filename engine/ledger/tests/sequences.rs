//! Random sequences of everything that can happen to a path, against a plain model of it.
//!
//! One thread, several workers' slots: whatever moves between slots, an answer is
//! the one that a single counter per epoch would give.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{NOW, after_ms, heat, request_of, spec, sums};
use tollring_config::{BucketSpec, LimitClass, Unit, Window};
use tollring_ledger::{Amounts, Bucket, Hold, Ledger, WorkerSlot, hold};

const WORKERS: u16 = 3;
/// Sequences tried in the ordinary suite: about half a second, unoptimised.
const CASES: u32 = 600;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Hold {
        want: Amounts,
        worker: u16,
    },
    /// The first field chooses among the holds in flight.
    Extend(usize, Amounts),
    Count(usize, Amounts),
    Post(usize, Amounts),
    Void(usize),
    Drop(usize),
    Limit {
        bucket: usize,
        limit: i64,
    },
    Clock {
        ms: i64,
    },
    Heat {
        bucket: usize,
    },
}

fn amounts() -> impl Strategy<Value = Amounts> {
    (0..3_i64, 0..60_i64, 0..60_i64).prop_map(|(requests, tokens, usd)| Amounts {
        requests,
        ..request_of(tokens, usd)
    })
}

fn event() -> impl Strategy<Value = Event> {
    let holds = 0..16_usize;
    prop_oneof![
        6 => (amounts(), 0..WORKERS + 1).prop_map(|(want, worker)| Event::Hold { want, worker }),
        2 => (holds.clone(), amounts()).prop_map(|(n, more)| Event::Extend(n, more)),
        1 => (holds.clone(), amounts()).prop_map(|(n, so_far)| Event::Count(n, so_far)),
        4 => (holds.clone(), amounts()).prop_map(|(n, cost)| Event::Post(n, cost)),
        2 => holds.clone().prop_map(Event::Void),
        1 => holds.prop_map(Event::Drop),
        1 => (0..4_usize, 0..150_i64).prop_map(|(bucket, limit)| Event::Limit { bucket, limit }),
        1 => (-90_000..90_000_i64).prop_map(|ms| Event::Clock { ms }),
        1 => (0..4_usize).prop_map(|bucket| Event::Heat { bucket }),
    ]
}

fn specs() -> Vec<BucketSpec> {
    vec![
        spec(Unit::Requests, Window::Minute, LimitClass::Velocity, 20),
        spec(Unit::Concurrent, Window::Total, LimitClass::Concurrency, 5),
        spec(Unit::Tokens, Window::Hour, LimitClass::Quota, 120),
        spec(Unit::Usd, Window::Total, LimitClass::Balance, 150),
    ]
}

/// One bucket as a person would count it.
struct Counted {
    spec: BucketSpec,
    window_ms: Option<i64>,
    /// Which epoch of the calendar is the latest that was begun.
    calendar: i64,
    epochs: Vec<Epoch>,
}

#[derive(Clone, Copy, Default)]
struct Epoch {
    limit: i64,
    posted: i64,
    held: i64,
}

impl Counted {
    fn new(spec: &BucketSpec) -> Self {
        let window_ms = match spec.window {
            Window::Minute => Some(60_000),
            Window::Hour => Some(3_600_000),
            _ => None,
        };
        let first = Epoch {
            limit: spec.limit,
            ..Epoch::default()
        };
        let calendar = window_ms.map_or(0, |ms| NOW.0 / ms);
        Self {
            spec: spec.clone(),
            window_ms,
            calendar,
            epochs: vec![first],
        }
    }

    fn turn_to(&mut self, now_ms: i64) -> usize {
        let calendar = self.window_ms.map_or(0, |ms| now_ms / ms);
        if calendar > self.calendar {
            self.calendar = calendar;
            let limit = self.epochs.last().unwrap().limit;
            self.epochs.push(Epoch {
                limit,
                ..Epoch::default()
            });
        }
        self.epochs.len() - 1
    }

    fn is_live(&self, epoch: usize) -> bool {
        epoch + 2 >= self.epochs.len()
    }

    fn fits(&self, epoch: usize, want: i64) -> bool {
        let Epoch {
            limit,
            posted,
            held,
        } = self.epochs[epoch];
        want == 0 || !self.is_live(epoch) || posted + held + want <= limit
    }

    fn sums(&self, epoch: usize) -> [i64; 4] {
        let Epoch {
            limit,
            posted,
            held,
        } = self.epochs[epoch];
        [limit, posted, held, limit - posted - held]
    }
}

/// A hold in flight and what the model knows of it.
struct Flight<'a> {
    real: Hold<'a>,
    epochs: Vec<usize>,
    held: Amounts,
    counted: Amounts,
}

struct World<'a> {
    ledger: &'a Ledger,
    path: &'a [Arc<Bucket>],
    counted: Vec<Counted>,
    flights: Vec<Flight<'a>>,
    specs: Vec<BucketSpec>,
    now_ms: i64,
    drops: u64,
}

impl<'a> World<'a> {
    fn now(&self) -> tollring_ledger::UnixMillis {
        after_ms(self.now_ms)
    }

    fn hold(&mut self, want: Amounts, worker: u16) {
        let (now, mut epochs, mut refused_by) = (self.now(), Vec::new(), None);
        for (index, bucket) in self.counted.iter_mut().enumerate() {
            let epoch = bucket.turn_to(now.0);
            epochs.push(epoch);
            if !bucket.fits(epoch, want.of(&bucket.spec)) {
                refused_by = Some(index);
                break;
            }
        }
        match hold(self.path, want, WorkerSlot(worker), now) {
            Ok(real) => {
                assert_eq!(refused_by, None, "admitted {want:?}");
                for (bucket, &epoch) in self.counted.iter_mut().zip(&epochs) {
                    bucket.epochs[epoch].held += want.of(&bucket.spec);
                }
                let counted = Amounts::default();
                self.flights.push(Flight {
                    real,
                    epochs,
                    held: want,
                    counted,
                });
            }
            Err(denial) => {
                assert_eq!(
                    refused_by,
                    Some(denial.bucket),
                    "refused {want:?}: {denial:?}"
                );
                let bucket = &self.counted[denial.bucket];
                assert_eq!(sums(denial.reading), bucket.sums(epochs[denial.bucket]));
            }
        }
    }

    fn extend(&mut self, n: usize, more: Amounts) {
        let now = self.now();
        let Some(flight) = self.flights.get_mut(n) else {
            return;
        };
        let refused_by = self
            .counted
            .iter()
            .zip(&flight.epochs)
            .position(|(bucket, &epoch)| !bucket.fits(epoch, more.spent(&bucket.spec)));
        let answer = flight.real.extend(more, now);
        assert_eq!(
            answer.map_err(|denial| denial.bucket).err(),
            refused_by,
            "{more:?}"
        );
        if refused_by.is_none() {
            for (bucket, &epoch) in self.counted.iter_mut().zip(&flight.epochs) {
                bucket.epochs[epoch].held += more.spent(&bucket.spec);
            }
            flight.held = sum(flight.held, more);
        }
        assert_eq!(flight.real.held(), flight.held);
    }

    fn settle(&mut self, n: usize, cost: impl FnOnce(&Flight<'_>) -> Amounts) -> Option<Hold<'a>> {
        if n >= self.flights.len() {
            return None;
        }
        let flight = self.flights.swap_remove(n);
        let cost = cost(&flight);
        for (bucket, &epoch) in self.counted.iter_mut().zip(&flight.epochs) {
            bucket.epochs[epoch].held -= flight.held.of(&bucket.spec);
            bucket.epochs[epoch].posted += cost.spent(&bucket.spec);
        }
        Some(flight.real)
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Hold { want, worker } => self.hold(want, worker),
            Event::Extend(n, more) => self.extend(n, more),
            Event::Count(n, so_far) => {
                if let Some(flight) = self.flights.get_mut(n) {
                    flight.counted = so_far;
                    flight.real.count(so_far);
                }
            }
            Event::Post(n, cost) => {
                if let Some(real) = self.settle(n, |_| cost) {
                    let receipt = real.post(cost, now);
                    assert_eq!(receipt.cost, cost);
                }
            }
            Event::Void(n) => {
                if let Some(real) = self.settle(n, |_| Amounts::default()) {
                    real.void(now);
                }
            }
            Event::Drop(n) => {
                let left = |flight: &Flight<'_>| {
                    let requests = flight.counted.requests.max(flight.held.requests);
                    Amounts {
                        requests,
                        ..flight.counted
                    }
                };
                if let Some(real) = self.settle(n, left) {
                    drop(real);
                    self.drops += 1;
                }
            }
            Event::Limit { bucket, limit } => {
                self.specs[bucket].limit = limit;
                drop(self.ledger.bind(&self.specs, now));
                for (index, counted) in self.counted.iter_mut().enumerate() {
                    let epoch = counted.turn_to(now.0);
                    if index == bucket {
                        counted.epochs[epoch].limit = limit;
                    }
                }
            }
            Event::Clock { ms } => self.now_ms += ms,
            Event::Heat { bucket } => {
                // A bucket that is hot already is left as it is, its window too.
                if !self.path[bucket].is_hot() {
                    self.counted[bucket].turn_to(now.0);
                }
                self.path[bucket].heat(now);
            }
        }
    }

    fn check(&mut self) {
        let now = self.now();
        for (bucket, counted) in self.path.iter().zip(&mut self.counted) {
            let epoch = counted.turn_to(now.0);
            assert_eq!(
                sums(bucket.reading(now)),
                counted.sums(epoch),
                "{}",
                bucket.spec().name
            );
            let before = epoch.checked_sub(1).map(|epoch| counted.sums(epoch));
            assert_eq!(
                bucket.reading_before(now).map(sums),
                before,
                "{}",
                bucket.spec().name
            );
        }
        assert_eq!(self.ledger.drops(), self.drops);
    }
}

fn sum(a: Amounts, b: Amounts) -> Amounts {
    let (requests, tokens) = (a.requests + b.requests, a.tokens + b.tokens);
    Amounts {
        requests,
        tokens,
        usd: a.usd + b.usd,
        ..Amounts::default()
    }
}

fn run(events: Vec<Event>, hot: bool, look: bool) {
    let ledger = Ledger::new(WORKERS);
    let specs = specs();
    let path = ledger.bind(&specs, NOW);
    if hot {
        heat(&path);
    }
    let counted = specs.iter().map(Counted::new).collect();
    let (ledger, path) = (&ledger, &path[..]);
    let flights = Vec::new();
    let mut world = World {
        ledger,
        path,
        counted,
        flights,
        specs,
        now_ms: 0,
        drops: 0,
    };
    for event in events {
        world.happen(event);
        // Looking turns the window; what nobody looks at must come out the same.
        if look {
            world.check();
        }
    }
    while let Some(real) = world.settle(0, |_| Amounts::default()) {
        real.void(world.now());
    }
    world.check();
    assert!(
        world
            .counted
            .iter()
            .all(|bucket| bucket.epochs.iter().all(|epoch| epoch.held == 0))
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    })]

    #[test]
    fn whatever_happens_a_path_answers_like_one_plain_counter_per_epoch(
        events in vec(event(), 1..120),
        hot in any::<bool>(),
        look in any::<bool>(),
    ) {
        run(events, hot, look);
    }
}
