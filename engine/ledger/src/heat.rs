//! Decides when a bucket is hot: when workers get in each other's way on it.
//!
//! Collisions are what slots cure, so collisions are what is counted: a bucket asked
//! often by one worker stays cold, and costs nothing but its one counter. A bucket
//! stays hot until the ledger forgets it.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::amounts::UnixMillis;

/// Collisions within one second that make a bucket hot.
///
/// Two workers with 100,000 requests a second each collide a few hundred times;
/// at a tenth of that rate they hardly ever do, and nothing is gained by slots.
const COLLISIONS_HOT: u32 = 32;

/// How often threads met on a bucket's shared counter in this second.
///
/// Statistics: a race between two counters loses a collision or two, which only
/// delays the slots.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    second: AtomicI64,
    collisions: AtomicU32,
}

impl Heat {
    /// Counts a collision; whether it is the one that makes the bucket hot.
    pub(crate) fn rises(&self, now: UnixMillis) -> bool {
        let second = now.0.div_euclid(1_000);
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.collisions.store(0, Ordering::Relaxed);
        }
        self.collisions.fetch_add(1, Ordering::Relaxed) + 1 >= COLLISIONS_HOT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn collisions_make_a_bucket_hot_only_within_one_second() {
        let heat = Heat::default();
        for n in 0..10 * i64::from(COLLISIONS_HOT) {
            assert!(!heat.rises(UnixMillis(n * 100)), "ten a second are few");
        }
        let within = (0..COLLISIONS_HOT)
            .filter(|_| heat.rises(UnixMillis(9_999_000)))
            .count();
        assert_eq!(within, 1);
    }
}
