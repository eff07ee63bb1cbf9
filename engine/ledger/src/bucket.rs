//! A limit as one snapshot states it, with the live counters it shares with others.
//!
//! The wording and the class may change from snapshot to snapshot; the counters
//! last. A request sees the bucket of its own snapshot, and the limit in force now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollring_config::BucketSpec;

use crate::amounts::UnixMillis;
use crate::counters::Counters;
use crate::denial::Reading;
use crate::window::EpochEnd;

/// One limit and its live counters.
#[derive(Debug)]
pub struct Bucket {
    spec: BucketSpec,
    /// Its name in what is written down; 0 where nothing is.
    number: u32,
    counters: Arc<Counters>,
    /// The ledger's count of dropped holds.
    drops: Arc<AtomicU64>,
}

impl Bucket {
    pub(crate) fn new(
        spec: BucketSpec,
        number: u32,
        counters: Arc<Counters>,
        drops: Arc<AtomicU64>,
    ) -> Self {
        Self {
            spec,
            number,
            counters,
            drops,
        }
    }

    /// What the snapshot says of it. The limit in force is in [`Bucket::reading`].
    pub const fn spec(&self) -> &BucketSpec {
        &self.spec
    }

    /// Its lasting name in what is written down; 0 where nothing is.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// What it reads in the epoch that `now` lies in.
    ///
    /// Takes a lock for as long as summing the workers' slots takes; not for every
    /// request.
    pub fn reading(&self, now: UnixMillis) -> Reading {
        self.counters.reading(now)
    }

    /// What the epoch before that reads; none if the bucket is not that old.
    ///
    /// Requests admitted before the window turned still settle there.
    pub fn reading_before(&self, now: UnixMillis) -> Option<Reading> {
        self.counters.reading_before(now)
    }

    /// Counts what another process spent of it in the epoch that ends then; less than nothing
    /// takes back what was counted too much.
    pub fn charge_elsewhere(&self, end: EpochEnd, amount: i64, now: UnixMillis) {
        self.counters.charge_elsewhere(end, amount, now);
    }

    /// Grows a slot for each worker without waiting for workers to collide.
    ///
    /// For buckets known to be busy, such as a tenant's that was hot before a restart.
    pub fn heat(&self, now: UnixMillis) {
        self.counters.heat(now);
    }

    /// Whether each worker has a slot of its own.
    pub fn is_hot(&self) -> bool {
        self.counters.is_hot()
    }

    #[inline]
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn count_drop(&self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}
