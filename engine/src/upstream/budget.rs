//! How much retries may add to the load: a share of the requests, never a storm.
//!
//! Every request of a model or service puts a part of a retry into its worker's jar, and a
//! retry takes a whole one out. Jars begin with a few and are given one a second when
//! empty, so that a quiet service can retry at all. Each worker has its own: together they
//! keep to the share as each does.

use crossbeam_utils::CachePadded;

use crate::counters::Counter;

/// One retry, in the parts that requests put in: a percent of a request is ten of them.
const RETRY: u64 = 1_000;

/// Retries a jar begins with, so that a pool of dead connections is no failure.
pub(crate) const RETRIES_AT_START: u64 = 10;

/// Retries a jar holds at most: what was saved up in quiet times is no storm later.
pub(crate) const RETRIES_SAVED_MAX: u64 = 100;

/// Between two retries that an empty jar is given.
pub(crate) const FLOOR_EVERY_MS: u64 = 1_000;

/// One worker's jar.
#[derive(Debug)]
struct Jar {
    parts: Counter,
    /// When the floor gave its last, plus one; 0: never.
    given_ms: Counter,
}

impl Default for Jar {
    fn default() -> Self {
        let parts = Counter::default();
        parts.set(RETRIES_AT_START * RETRY);
        Self {
            parts,
            given_ms: Counter::default(),
        }
    }
}

/// The jars of one model or service.
#[derive(Debug)]
pub(crate) struct Budget(Box<[CachePadded<Jar>]>);

impl Budget {
    /// A jar for each worker.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CachePadded::default()).collect())
    }

    /// A request came: it pays for a part of a retry, by the share in percent.
    #[inline]
    pub(crate) fn requested(&self, worker: usize, percent: u32) {
        let parts = &self.0[worker].parts;
        let more = parts.read() + u64::from(percent) * (RETRY / 100);
        parts.set(more.min(RETRIES_SAVED_MAX * RETRY));
    }

    /// Whether a retry may be made; if so, it is taken out. With a share of nothing there is
    /// no floor either.
    pub(crate) fn take(&self, worker: usize, percent: u32, now_ms: u64) -> bool {
        let Jar { parts, given_ms } = &*self.0[worker];
        if percent == 0 {
            return false;
        }
        if parts.read() >= RETRY {
            parts.sub(RETRY);
            return true;
        }
        let due = given_ms.read() == 0 || now_ms >= given_ms.read() - 1 + FLOOR_EVERY_MS;
        if due {
            given_ms.set(now_ms + 1);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_jar_is_given_one_a_second() {
        let budget = Budget::new(1);
        for _ in 0..RETRIES_AT_START {
            assert!(budget.take(0, 20, 0));
        }
        let granted = [0, 1, 999, 1_000, 1_500, 2_100].map(|now| budget.take(0, 20, now));
        assert_eq!(granted, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_share_of_nothing_is_no_retry() {
        assert!(!Budget::new(1).take(0, 0, 5_000));
    }

    proptest! {
        #[test]
        fn retries_never_exceed_their_share_and_the_floor(
            wanted in prop::collection::vec(any::<bool>(), 1..2_000),
            percent in 1..100_u32,
        ) {
            let budget = Budget::new(1);
            let (mut requests, mut retries) = (0_u64, 0_u64);
            for (now_ms, wants) in (0_u64..).zip(wanted) {
                budget.requested(0, percent);
                requests += 1;
                retries += u64::from(wants && budget.take(0, percent, now_ms));
                let floor = RETRIES_AT_START + now_ms / FLOOR_EVERY_MS + 1;
                prop_assert!(retries <= requests * u64::from(percent) / 100 + floor);
            }
        }
    }
}
