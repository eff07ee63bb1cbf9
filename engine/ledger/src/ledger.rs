//! The registry of live counters by the lasting identity of their bucket.
//!
//! Asked when a snapshot is put in force, never by a request: those carry their
//! buckets with them. What was spent before this process began is told by [`Opening`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tollring_config::BucketSpec;

use crate::amounts::UnixMillis;
use crate::bucket::Bucket;
use crate::counters::Counters;
use crate::window::EpochEnd;

/// What was written down of buckets before they are bound.
#[derive(Debug, Default)]
pub struct Opening {
    /// The lasting number of each bucket, in the order of the specs; empty where nothing is
    /// written down.
    pub numbers: Vec<u32>,
    /// What was spent of a bucket, by its number and the end of the epoch; of a rolling window, by
    /// when it comes back.
    pub posted: HashMap<(u32, EpochEnd), i64>,
}

impl Opening {
    fn number(&self, place: usize) -> u32 {
        self.numbers.get(place).copied().unwrap_or(0)
    }

    fn posted(&self, number: u32, end: EpochEnd) -> i64 {
        self.posted.get(&(number, end)).copied().unwrap_or(0)
    }
}

/// The live counters of every bucket that a snapshot refers to.
#[derive(Debug)]
pub struct Ledger {
    workers: u16,
    live: Mutex<HashMap<Arc<str>, Arc<Counters>>>,
    drops: Arc<AtomicU64>,
}

impl Ledger {
    /// A ledger without buckets, for workers with the slots `0..workers`.
    pub fn new(workers: u16) -> Self {
        let (live, drops) = (Mutex::default(), Arc::default());
        Self {
            workers,
            live,
            drops,
        }
    }

    /// Live buckets for the limits of a snapshot, in their order, of which nothing was
    /// written down.
    pub fn bind(&self, specs: &[BucketSpec], now: UnixMillis) -> Vec<Arc<Bucket>> {
        self.reopen(specs, &Opening::default(), now)
    }

    /// Live buckets for the limits of a snapshot, in their order.
    ///
    /// A bucket that is new here begins with what was written down of it. One whose identity
    /// was bound before keeps its counters and takes over the limit at once. One that is in
    /// neither `specs` nor any snapshot still alive is forgotten, with what was counted. Not
    /// for a worker: it locks and allocates.
    pub fn reopen(
        &self,
        specs: &[BucketSpec],
        opening: &Opening,
        now: UnixMillis,
    ) -> Vec<Arc<Bucket>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = specs
            .iter()
            .enumerate()
            .map(|(place, spec)| {
                let number = opening.number(place);
                let counters = match live.get(&spec.identity) {
                    // Window and calendar are part of the identity; were they not, its epochs
                    // would be of no use to another window.
                    Some(known) if known.fits(spec) => {
                        known.set_limit(spec.limit, now);
                        Arc::clone(known)
                    }
                    _ => {
                        let posted = |end| opening.posted(number, end);
                        let new = Arc::new(Counters::new(spec, self.workers, now, posted));
                        live.insert(Arc::clone(&spec.identity), Arc::clone(&new));
                        new
                    }
                };
                let drops = Arc::clone(&self.drops);
                Arc::new(Bucket::new(spec.clone(), number, counters, drops))
            })
            .collect();
        // One reference is the registry's own.
        live.retain(|_, counters| Arc::strong_count(counters) > 1);
        buckets
    }

    /// Holds that were dropped without being settled since the ledger was made. Each is
    /// an accident: it was charged for what was counted, and somebody should look.
    pub fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// Buckets that are counted now.
    pub fn len(&self) -> usize {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no bucket is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
