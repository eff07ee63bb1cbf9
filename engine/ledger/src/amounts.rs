//! The quantities a caller passes in: what a request asks or costs, where it runs, and when.
//!
//! Nothing here reads a clock or knows a bucket; prices are in `price`.

use tollring_config::{BucketSpec, NanoUsd, Unit, Weights};

use crate::price::half_even;
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
    /// Those of `tokens` that are output.
    pub output: i64,
    /// Those of `tokens` that are input read from a cache.
    pub cached_input: i64,
    /// Money.
    pub usd: NanoUsd,
}

impl Amounts {
    /// What a hold of this takes from a bucket: of requests in flight, one.
    #[inline]
    pub fn of(&self, spec: &BucketSpec) -> i64 {
        match spec.unit {
            Unit::Concurrent => 1,
            Unit::Requests | Unit::Tokens | Unit::Usd => self.spent(spec),
        }
    }

    /// What of this is gone for good once posted: of requests in flight, nothing.
    #[inline]
    pub fn spent(&self, spec: &BucketSpec) -> i64 {
        match spec.unit {
            Unit::Requests => self.requests,
            Unit::Tokens => match &spec.weights {
                None => self.tokens,
                Some(weights) => self.weighed(weights),
            },
            Unit::Usd => self.usd.0,
            Unit::Concurrent => 0,
        }
    }

    /// The tokens by their weights, rounded half to even once.
    fn weighed(&self, weights: &Weights) -> i64 {
        let input = (self.tokens - self.output - self.cached_input).max(0);
        let parts = [
            (input, weights.input),
            (self.cached_input, weights.cached_input),
            (self.output, weights.output),
        ];
        let billionths = parts.map(|(count, weight)| i128::from(count) * i128::from(weight));
        half_even(billionths.into_iter().sum(), i128::from(Weights::ONE)).min(AMOUNT_MAX)
    }

    /// Applies `f` to each amount and its twin in `other`.
    pub(crate) fn with(self, other: Self, f: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            requests: f(self.requests, other.requests),
            tokens: f(self.tokens, other.tokens),
            output: f(self.output, other.output),
            cached_input: f(self.cached_input, other.cached_input),
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
