//! The quantities a caller passes in: what a request asks or costs, where it runs, and when.
//!
//! Nothing here reads a clock or knows a bucket; prices are in `price`.

use tollring_config::{NanoUsd, Unit};

use crate::tally::AMOUNT_MAX;

/// Milliseconds since 1970-01-01T00:00:00Z, as the caller's clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

/// Which worker is asking: 0 for the first.
///
/// Two threads that show the same number are counted rightly, only more slowly; a
/// number beyond the ledger's workers shares the common counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkerSlot(pub u16);

/// What one request asks of, or cost, each kind of bucket.
///
/// Requests in flight are implied: every hold takes one and gives it back. An
/// amount below zero counts as zero, one above [`AMOUNT_MAX`] as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Requests; 1, but for services that are counted against no request limit.
    pub requests: i64,
    /// Input and output tokens.
    pub tokens: i64,
    /// Money.
    pub usd: NanoUsd,
}

impl Amounts {
    /// What a hold of this takes from a bucket of `unit`: of requests in flight, one.
    pub const fn of(&self, unit: Unit) -> i64 {
        match unit {
            Unit::Concurrent => 1,
            Unit::Requests | Unit::Tokens | Unit::Usd => self.spent(unit),
        }
    }

    /// What of this is gone for good once posted: of requests in flight, nothing.
    pub const fn spent(&self, unit: Unit) -> i64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Tokens => self.tokens,
            Unit::Usd => self.usd.0,
            Unit::Concurrent => 0,
        }
    }

    /// Applies `f` to each amount and its twin in `other`.
    pub(crate) fn with(self, other: Self, f: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            requests: f(self.requests, other.requests),
            tokens: f(self.tokens, other.tokens),
            usd: NanoUsd(f(self.usd.0, other.usd.0)),
        }
    }

    /// Every amount within `0..=AMOUNT_MAX`.
    pub(crate) fn bounded(self) -> Self {
        self.with(Self::default(), |amount, _| amount.clamp(0, AMOUNT_MAX))
    }

    /// Both together, bounded.
    pub(crate) fn plus(self, more: Self) -> Self {
        self.with(more, |a, b| a.saturating_add(b).clamp(0, AMOUNT_MAX))
    }

    /// What of this exceeds `other`; zero where it does not.
    pub(crate) fn beyond(self, other: Self) -> Self {
        self.with(other, |a, b| a.saturating_sub(b).max(0))
    }
}
