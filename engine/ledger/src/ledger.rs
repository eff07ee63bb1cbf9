//! The registry of live counters by the lasting identity of their bucket.
//!
//! Asked when a snapshot is put in force, never by a request: those carry their
//! buckets with them. What was spent before this process began is not known here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tollring_config::BucketSpec;

use crate::amounts::UnixMillis;
use crate::bucket::Bucket;
use crate::counters::Counters;

/// The live counters of every bucket that a snapshot refers to.
#[derive(Debug)]
pub struct Ledger {
    workers: u16,
    live: Mutex<HashMap<Box<str>, Arc<Counters>>>,
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

    /// Live buckets for the limits of a snapshot, in their order.
    ///
    /// A bucket whose identity was bound before keeps its counters and takes over the
    /// limit at once. One that is in neither `specs` nor any snapshot still alive is
    /// forgotten, with what was counted. Not for a worker: it locks and allocates.
    pub fn bind(&self, specs: &[BucketSpec], now: UnixMillis) -> Vec<Arc<Bucket>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = specs
            .iter()
            .map(|spec| {
                let counters = match live.get(&spec.identity) {
                    // A window is part of the identity; were it not, its epochs would be
                    // of no use to another window.
                    Some(known) if known.window() == spec.window => {
                        known.set_limit(spec.limit, now);
                        Arc::clone(known)
                    }
                    _ => {
                        let new = Counters::new(spec.window, spec.limit, self.workers, now);
                        let new = Arc::new(new);
                        live.insert(spec.identity.clone(), Arc::clone(&new));
                        new
                    }
                };
                Arc::new(Bucket::new(spec.clone(), counters, Arc::clone(&self.drops)))
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
