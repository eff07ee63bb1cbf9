//! To which worker a client goes.
//!
//! The kernel spreads clients over the listeners by a hash of their addresses, which is
//! even for many and not for few: of 64 connections over 8 workers the busiest has about
//! 14. So a worker that has accepted a client looks at how many each has, and passes it on
//! when another has clearly fewer. That is asked once for each connection and never on the
//! path of a request; there is no queue that workers share, for each has a letter box of
//! its own.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;

use crate::worker::Worker;

/// By how many connections a worker must be ahead of another to pass one on: less would pass on
/// every second client of a gateway whose connections are short.
const AHEAD_MIN: u64 = 2;

/// And by which part of its own, so that thousands need not be equal to the last one.
const AHEAD_SHARE: u64 = 16;

/// Clients that were passed on to each worker and have not arrived.
pub(crate) struct OnTheWay(Box<[CachePadded<AtomicU32>]>);

impl OnTheWay {
    /// Nobody, to none of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CachePadded::default()).collect())
    }

    /// One more for a worker.
    pub(crate) fn leaves_for(&self, place: usize) {
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }

    /// One of them has arrived, or has come back.
    pub(crate) fn arrived(&self, place: usize) {
        self.0[place].fetch_sub(1, Ordering::Relaxed);
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        (0..self.0.len()).map(|place| self.count(place)).sum()
    }

    fn count(&self, place: usize) -> u64 {
        u64::from(self.0[place].load(Ordering::Relaxed))
    }
}

/// The place of the worker that should rather have the client that `worker` just accepted.
pub(crate) fn elsewhere(worker: &Rc<Worker>) -> Option<usize> {
    let shared = worker.shared();
    let loads = shared.counters.iter().enumerate().map(|(place, counters)| {
        let on_the_way = shared.on_the_way.count(place);
        counters.connections.read() + on_the_way
    });
    less_loaded(loads, worker.index())
}

/// The least loaded place, where `own` is clearly ahead of it.
fn less_loaded(loads: impl Iterator<Item = u64> + Clone, own: usize) -> Option<usize> {
    let mine = loads.clone().nth(own)?;
    let (place, least) = loads.enumerate().min_by_key(|&(_, load)| load)?;
    (mine >= least + AHEAD_MIN.max(mine / AHEAD_SHARE)).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_elsewhere_only_when_that_makes_a_difference() {
        let told = |loads: &[u64], own| less_loaded(loads.iter().copied(), own);
        assert_eq!(told(&[0], 0), None);
        assert_eq!(told(&[1, 0], 0), None);
        assert_eq!(told(&[2, 0], 0), Some(1));
        assert_eq!(told(&[2, 0], 1), None);
        assert_eq!(told(&[9, 8, 7, 8], 0), Some(2));
        assert_eq!(told(&[1000, 950], 0), None);
        assert_eq!(told(&[1000, 900], 0), Some(1));
    }

    #[test]
    fn whoever_accepts_the_busiest_has_at_most_a_quarter_more_than_the_mean() {
        // The worst the kernel can do: one worker accepts everybody.
        for (clients, workers) in [(64_u64, 8_usize), (64, 2), (640, 8), (10_000, 16)] {
            let mut loads = vec![0_u64; workers];
            for _ in 0..clients {
                let place = less_loaded(loads.iter().copied(), 0).unwrap_or(0);
                loads[place] += 1;
            }
            let busiest = loads.iter().max().copied().unwrap_or(0);
            let mean = clients / workers as u64;
            assert!(busiest * 4 <= mean * 5, "{busiest} of {mean}: {loads:?}");
        }
    }
}
