//! How many requests are under way at one provider or service, over all workers, and which
//! worker's queue is next.
//!
//! The count is one atomic that all workers share, so that the bound is exact; only what has
//! a bound pays for it. Who waits, waits with its own worker, first come first served; a
//! place that becomes free goes to the workers that have somebody waiting in turn, and whoever
//! gives it rings there. A grant is never lost: a worker whose waiter has left passes it on.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// The places at one provider or service.
#[derive(Debug)]
pub(crate) struct Places {
    /// Taken, those granted and not yet used included.
    held: CachePadded<AtomicU32>,
    /// Requests that wait, over all workers.
    queued: CachePadded<AtomicU32>,
    lines: Box<[CachePadded<Line>]>,
    /// The worker that was granted a place last.
    turn: AtomicUsize,
}

/// One worker's part.
#[derive(Debug, Default)]
struct Line {
    /// Requests that wait with it.
    waiting: AtomicU32,
    /// Places it was granted and has not looked at.
    granted: AtomicU32,
}

impl Places {
    /// All free, for a number of workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            held: CachePadded::default(),
            queued: CachePadded::default(),
            lines: (0..workers).map(|_| CachePadded::default()).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Requests that have a place.
    pub(crate) fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Requests that wait for one.
    pub(crate) fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Takes a place if one is free and nobody waits.
    pub(crate) fn enter(&self, limit: u32) -> bool {
        self.queued() == 0 && self.take(limit)
    }

    /// Takes a place if one is free.
    pub(crate) fn take(&self, limit: u32) -> bool {
        raise(&self.held, limit)
    }

    /// Joins a worker's queue, if there is room among all of them.
    pub(crate) fn join(&self, worker: usize, length: u32) -> bool {
        let joined = raise(&self.queued, length);
        if joined {
            self.lines[worker].waiting.fetch_add(1, Ordering::SeqCst);
        }
        joined
    }

    /// Leaves it, with a place or without.
    pub(crate) fn leave(&self, worker: usize) {
        self.lines[worker].waiting.fetch_sub(1, Ordering::SeqCst);
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives a place back. Where somebody waits it is granted, not freed: to the worker that
    /// is returned, whose attention must be called.
    pub(crate) fn release(&self, limit: u32) -> Option<usize> {
        let (workers, last) = (self.lines.len(), self.turn.load(Ordering::Relaxed));
        // A bound that a reload has lowered is reached before anyone is let in.
        if self.queued() > 0 && self.held() <= limit {
            let next = (1..=workers).map(|step| (last + step) % workers);
            for worker in next {
                if self.lines[worker].grant() {
                    self.turn.store(worker, Ordering::Relaxed);
                    return Some(worker);
                }
            }
        }
        self.held.fetch_sub(1, Ordering::AcqRel);
        None
    }

    /// Places that were granted to a worker since it last asked; they are its own now. Whoever
    /// has nobody waiting any more must have been told of none since the last one left.
    pub(crate) fn granted(&self, worker: usize) -> u32 {
        self.lines[worker].granted.swap(0, Ordering::SeqCst)
    }
}

impl Line {
    /// Grants a place to this worker, if it has somebody for it.
    ///
    /// The last who waits here may leave between the look and the grant, and the worker would
    /// never ask again. So the giver looks once more: of "it left, then asked" and "granted, then
    /// looked" at least one sees the other, since all four are in one order.
    fn grant(&self) -> bool {
        if self.waiting.load(Ordering::SeqCst) <= self.granted.load(Ordering::SeqCst) {
            return false;
        }
        self.granted.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return true;
        }
        let one_less = |granted: u32| granted.checked_sub(1);
        let taken_back = self
            .granted
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        // Else the worker has asked after all, and passes it on.
        taken_back.is_err()
    }
}

/// Adds one unless the bound is reached.
fn raise(counter: &AtomicU32, bound: u32) -> bool {
    let more = |count| (count < bound).then_some(count + 1);
    counter
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_the_bound_says() {
        let places = Places::new(1);
        assert!(places.enter(2) && places.enter(2));
        assert!(!places.enter(2));
        assert_eq!(places.release(2), None);
        assert!(places.enter(2));
    }

    #[test]
    fn whoever_comes_does_not_overtake_whoever_waits() {
        let places = Places::new(1);
        assert!(places.enter(1));
        assert!(places.join(0, 1));
        assert!(!places.join(0, 1), "the queue has its bound too");
        assert_eq!(places.release(1), Some(0));
        assert!(!places.enter(1), "the place is granted");
        assert_eq!((places.granted(0), places.granted(0)), (1, 0));
        places.leave(0);
        assert_eq!((places.held(), places.queued()), (1, 0));
    }

    #[test]
    fn places_go_round_the_workers_that_wait() {
        let places = Places::new(3);
        for _ in 0..4 {
            assert!(places.take(4));
        }
        for worker in [0, 0, 2, 2] {
            assert!(places.join(worker, 10));
        }
        let granted: Vec<_> = (0..4).filter_map(|_| places.release(4)).collect();
        assert_eq!(granted, [2, 0, 2, 0]);
    }

    #[test]
    fn a_lower_bound_is_reached_before_anyone_is_let_in() {
        let places = Places::new(1);
        for _ in 0..3 {
            assert!(places.take(3));
        }
        assert!(places.join(0, 1));
        assert_eq!(places.release(1), None);
        assert_eq!(places.release(1), None);
        assert_eq!(places.release(1), Some(0));
    }

    #[test]
    fn no_thread_ever_sees_more_held_than_there_are_and_none_is_lost() {
        let (places, limit) = (Places::new(4), 3);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let places = &places;
                scope.spawn(move || {
                    for _ in 0..5_000 {
                        if places.enter(limit) || (places.join(worker, 100) && wait(places, worker))
                        {
                            assert!(places.held() <= limit);
                            places.release(limit);
                        }
                    }
                    // Grants to a line that nobody waits in are passed on.
                    for _ in 0..places.granted(worker) {
                        places.release(limit);
                    }
                });
            }
        });
        for worker in 0..4 {
            for _ in 0..places.granted(worker) {
                places.release(limit);
            }
        }
        assert_eq!((places.held(), places.queued()), (0, 0));

        fn wait(places: &Places, worker: usize) -> bool {
            loop {
                let granted = places.granted(worker);
                if granted > 0 || places.take(3) {
                    places.leave(worker);
                    for _ in 1..granted {
                        places.release(3);
                    }
                    return true;
                }
                std::thread::yield_now();
            }
        }
    }
}
