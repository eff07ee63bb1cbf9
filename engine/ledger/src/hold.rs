//! A request's reservation in every bucket on its path, and its settlement.
//!
//! ```text
//!   hold ──▶ Hold ──extend──▶ Hold ──▶ post   it cost this much
//!     │                          ├──▶ void   it cost nothing
//!     ▼                          └──▶ (drop) it was left behind: what was counted
//!   Denial
//! ```
//!
//! All buckets admit a request or none does, and a hold ends exactly once. How much
//! to hold, and what a request cost, is the caller's to say.

use std::sync::Arc;

use tollring_config::{BucketSpec, Unit};

use crate::amounts::{Amounts, UnixMillis, WorkerSlot};
use crate::bucket::Bucket;
use crate::counters::{Admitted, At, Lack};
use crate::denial::{Denial, DenialReason, Need, Reading};
use crate::journal::Posting;

/// Buckets on one path, at most: more than a plan, a tenant and a key may have together in
/// one file.
pub const PATH_MAX: usize = 32;

/// Which buckets of a path a request counts against, by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting(u32);

const _: () = assert!(PATH_MAX <= u32::BITS as usize, "each place has its bit");

impl Counting {
    /// Against all of them.
    pub const ALL: Self = Self(u32::MAX);
    /// Against none.
    pub const NONE: Self = Self(0);

    /// The same, and the bucket at `place`.
    #[must_use]
    pub const fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    /// Whether the bucket at `place` is among them.
    #[inline]
    pub const fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// Whether any bucket is among both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The buckets that a request passes.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// All that its caller has, in the order they are asked.
    pub buckets: &'a [Arc<Bucket>],
    /// Those that this request counts against; the others are passed over.
    pub counting: Counting,
}

impl<'a> From<&'a [Arc<Bucket>]> for Path<'a> {
    fn from(buckets: &'a [Arc<Bucket>]) -> Self {
        let counting = Counting::ALL;
        Self { buckets, counting }
    }
}

impl<'a> From<&'a Vec<Arc<Bucket>>> for Path<'a> {
    fn from(buckets: &'a Vec<Arc<Bucket>>) -> Self {
        Self::from(&buckets[..])
    }
}

impl<'a> Path<'a> {
    /// The buckets that are counted, with their places.
    #[inline]
    fn counted(self) -> impl Iterator<Item = (usize, &'a Arc<Bucket>)> {
        let placed = self.buckets.iter().enumerate();
        placed.filter(move |(place, _)| self.counting.has(*place))
    }

    /// The part of it that lies before `place`.
    fn before(self, place: usize) -> Self {
        Self {
            buckets: &self.buckets[..place],
            ..self
        }
    }
}

/// A reservation in every bucket of a path. Settle it with [`Hold::post`] or [`Hold::void`].
///
/// Dropping it posts what [`Hold::count`] was last told, and at least the requests that
/// were held: a request that got lost is still a request.
#[derive(Debug)]
#[must_use = "a hold that is not settled is charged for what was counted"]
pub struct Hold<'a> {
    path: Path<'a>,
    held: Amounts,
    counted: Amounts,
    /// The epoch of each bucket that admitted this, by place in `path`.
    epochs: [Admitted; PATH_MAX],
    at: At,
    settled: bool,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a receipt says what was charged beyond the hold"]
pub struct Receipt {
    /// What was posted.
    pub cost: Amounts,
    /// What had been held for it.
    pub held: Amounts,
    /// How far `cost` went beyond `held`.
    pub overdraft: Amounts,
    /// Buckets whose epoch was left two turns ago or more: their counters live no
    /// longer, and this receipt is all there is.
    pub late: u16,
    /// When it was settled.
    pub at: UnixMillis,
}

/// Reserves `want` in every bucket of `path`, asked in that order, or in none.
///
/// A bucket of which nothing is wanted admits the request even if it is spent.
///
/// # Errors
///
/// The first bucket that refuses; what earlier ones gave has gone back to them.
///
/// # Panics
///
/// If `path` is longer than [`PATH_MAX`].
#[inline]
pub fn hold<'a>(
    path: impl Into<Path<'a>>,
    want: Amounts,
    slot: WorkerSlot,
    now: UnixMillis,
) -> Result<Hold<'a>, Denial> {
    let path = path.into();
    assert!(
        path.buckets.len() <= PATH_MAX,
        "a path has more buckets than a hold has room for"
    );
    let (held, at) = (want.bounded(), At { slot, now });
    let mut epochs = [Admitted::default(); PATH_MAX];
    for (index, bucket) in path.counted() {
        let want = held.of(bucket.spec());
        match bucket.counters().enter(want, at) {
            Ok(epoch) => epochs[index] = epoch,
            Err(reading) => {
                give_back(path.before(index), &epochs, |spec| held.of(spec), at);
                let need = Need { more: want, own: 0 };
                return Err(denial(path, index, need, reading, now));
            }
        }
    }
    Ok(Hold {
        path,
        held,
        counted: Amounts::default(),
        epochs,
        at,
        settled: false,
    })
}

impl Hold<'_> {
    /// Reserves `more` in every bucket, in the epochs that admitted the request, or in none.
    ///
    /// An epoch left two turns ago or more has no limit any longer, and agrees.
    ///
    /// # Errors
    ///
    /// The first bucket that refuses; the hold is as it was.
    pub fn extend(&mut self, more: Amounts, now: UnixMillis) -> Result<(), Denial> {
        // Bounded after the sum, so that what is held can always be given back.
        let (before, after) = (self.held, self.held.plus(more.bounded()));
        // As a difference of what is rounded: what is held of a bucket is what all of it weighs.
        let more = |spec: &BucketSpec| (after.spent(spec) - before.spent(spec)).max(0);
        let at = At { now, ..self.at };
        for (index, bucket) in self.path.counted() {
            let taken =
                bucket
                    .counters()
                    .take_again(self.epochs[index].turn, more(bucket.spec()), at);
            match taken {
                Ok(()) | Err(Lack::Bygone) => {}
                Err(Lack::Short(reading)) => {
                    let asked = self.path.before(index);
                    give_back(asked, &self.epochs, more, at);
                    let need = Need {
                        more: more(bucket.spec()),
                        own: before.of(bucket.spec()),
                    };
                    return Err(denial(self.path, index, need, reading, now));
                }
            }
        }
        self.held = after;
        Ok(())
    }

    /// What is reserved.
    pub const fn held(&self) -> Amounts {
        self.held
    }

    /// What `cost` posts to each bucket of the path, for writing it down; a bucket that it
    /// takes nothing of is left out.
    pub fn postings<'p>(&self, cost: Amounts, into: &'p mut [Posting; PATH_MAX]) -> &'p [Posting] {
        self.write_down(cost, |_, amount| amount != 0, into)
    }

    /// The same with every bucket that anything could be posted to, be it nothing.
    pub fn reservations<'p>(
        &self,
        amounts: Amounts,
        into: &'p mut [Posting; PATH_MAX],
    ) -> &'p [Posting] {
        self.write_down(amounts, |unit, _| unit != Unit::Concurrent, into)
    }

    fn write_down<'p>(
        &self,
        amounts: Amounts,
        counts: impl Fn(Unit, i64) -> bool,
        into: &'p mut [Posting; PATH_MAX],
    ) -> &'p [Posting] {
        let amounts = amounts.bounded();
        let mut len = 0;
        for (place, bucket) in self.path.counted() {
            let spec = bucket.spec();
            let amount = amounts.spent(spec);
            if counts(spec.unit, amount) {
                into[len] = Posting {
                    bucket: bucket.number(),
                    ends_s: self.epochs[place].end.0,
                    amount,
                };
                len += 1;
            }
        }
        &into[..len]
    }

    /// Notes what the request has cost until now, in case it is dropped.
    pub fn count(&mut self, so_far: Amounts) {
        self.counted = so_far.bounded();
    }

    /// Settles at `cost`, which may be less or more than was held.
    pub fn post(mut self, cost: Amounts, now: UnixMillis) -> Receipt {
        self.settle(cost, now)
    }

    /// Gives everything back.
    pub fn void(mut self, now: UnixMillis) {
        let _nothing_posted = self.settle(Amounts::default(), now);
    }

    #[inline]
    fn settle(&mut self, cost: Amounts, now: UnixMillis) -> Receipt {
        self.settled = true;
        let (cost, held, at) = (cost.bounded(), self.held, At { now, ..self.at });
        let mut late = 0;
        for (place, bucket) in self.path.counted() {
            let spec = bucket.spec();
            let live =
                bucket
                    .counters()
                    .settle(self.epochs[place], held.of(spec), cost.spent(spec), at);
            late += u16::from(!live);
        }
        Receipt {
            cost,
            held,
            overdraft: cost.beyond(held),
            late,
            at: now,
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if let Some(bucket) = self.path.buckets.first() {
            bucket.count_drop();
        }
        let requests = self.counted.requests.max(self.held.requests);
        let cost = Amounts {
            requests,
            ..self.counted
        };
        // Nobody is left to be told the receipt, nor the time.
        let _ = self.settle(cost, self.at.now);
    }
}

/// Returns to each bucket of `path` what this step took from it, since a later one refused.
#[cold]
fn give_back(
    path: Path<'_>,
    epochs: &[Admitted; PATH_MAX],
    taken: impl Fn(&BucketSpec) -> i64,
    at: At,
) {
    for (place, bucket) in path.counted() {
        bucket
            .counters()
            .settle(epochs[place], taken(bucket.spec()), 0, at);
    }
}

#[cold]
fn denial(path: Path<'_>, index: usize, need: Need, reading: Reading, now: UnixMillis) -> Denial {
    let reason = DenialReason::new(path.buckets[index].spec().class, &reading, need, now);
    Denial {
        bucket: index,
        reason,
        reading,
        wanted: need.more,
    }
}
