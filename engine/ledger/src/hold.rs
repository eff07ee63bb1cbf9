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

use tollring_config::Unit;

use crate::amounts::{Amounts, UnixMillis, WorkerSlot};
use crate::bucket::Bucket;
use crate::counters::{Admitted, At, Lack};
use crate::denial::{Denial, DenialReason, Need, Reading};
use crate::journal::Posting;

/// Buckets on one path, at most: more than a plan, a tenant and a key may have together in
/// one file.
pub const PATH_MAX: usize = 32;

/// A reservation in every bucket of a path. Settle it with [`Hold::post`] or [`Hold::void`].
///
/// Dropping it posts what [`Hold::count`] was last told, and at least the requests that
/// were held: a request that got lost is still a request.
#[derive(Debug)]
#[must_use = "a hold that is not settled is charged for what was counted"]
pub struct Hold<'a> {
    path: &'a [Arc<Bucket>],
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
pub fn hold(
    path: &[Arc<Bucket>],
    want: Amounts,
    slot: WorkerSlot,
    now: UnixMillis,
) -> Result<Hold<'_>, Denial> {
    assert!(
        path.len() <= PATH_MAX,
        "a path has more buckets than a hold has room for"
    );
    let (held, at) = (want.bounded(), At { slot, now });
    let mut epochs = [Admitted::default(); PATH_MAX];
    for (index, bucket) in path.iter().enumerate() {
        let want = held.of(bucket.spec().unit);
        match bucket.counters().enter(want, at) {
            Ok(epoch) => epochs[index] = epoch,
            Err(reading) => {
                give_back(&path[..index], &epochs, |unit| held.of(unit), at);
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
        let more = self.held.plus(more.bounded()).beyond(self.held);
        let at = At { now, ..self.at };
        for (index, bucket) in self.path.iter().enumerate() {
            let unit = bucket.spec().unit;
            let taken = bucket
                .counters()
                .take_again(self.epochs[index].turn, more.spent(unit), at);
            match taken {
                Ok(()) | Err(Lack::Bygone) => {}
                Err(Lack::Short(reading)) => {
                    let asked = &self.path[..index];
                    give_back(asked, &self.epochs, |unit| more.spent(unit), at);
                    let need = Need {
                        more: more.spent(unit),
                        own: self.held.of(unit),
                    };
                    return Err(denial(self.path, index, need, reading, now));
                }
            }
        }
        self.held = self.held.plus(more);
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
        for (bucket, epoch) in self.path.iter().zip(&self.epochs) {
            let unit = bucket.spec().unit;
            let amount = amounts.spent(unit);
            if counts(unit, amount) {
                into[len] = Posting {
                    bucket: bucket.number(),
                    ends_s: epoch.end.0,
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
        for (bucket, epoch) in self.path.iter().zip(&self.epochs) {
            let unit = bucket.spec().unit;
            let live = bucket
                .counters()
                .settle(*epoch, held.of(unit), cost.spent(unit), at);
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
        if let Some(bucket) = self.path.first() {
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
    path: &[Arc<Bucket>],
    epochs: &[Admitted; PATH_MAX],
    taken: impl Fn(Unit) -> i64,
    at: At,
) {
    for (bucket, epoch) in path.iter().zip(epochs) {
        bucket
            .counters()
            .settle(*epoch, taken(bucket.spec().unit), 0, at);
    }
}

#[cold]
fn denial(
    path: &[Arc<Bucket>],
    index: usize,
    need: Need,
    reading: Reading,
    now: UnixMillis,
) -> Denial {
    let reason = DenialReason::new(path[index].spec().class, &reading, need, now);
    Denial {
        bucket: index,
        reason,
        reading,
        wanted: need.more,
    }
}
