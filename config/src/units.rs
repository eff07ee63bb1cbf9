//! The quantities of the product: money, tokens, and the words for limits.
//!
//! Money is integers everywhere: nano-USD, and prices in nano-USD per million
//! tokens. Decimals are read as decimals, never through a float. This room does
//! no arithmetic on buckets; `tollring-ledger` does.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Nano-USD in one USD.
pub const NANO_PER_USD: i64 = 1_000_000_000;

/// An amount of money in billionths of a US dollar; an `i64` holds nine billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub i64);

/// A number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tokens(pub u64);

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub i64);

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for NanoUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Writes USD as a plain decimal without trailing zeros: `0.0125`, `3`, `-0.5`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, mut part) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut digits = 9;
        while part % 10 == 0 {
            part /= 10;
            digits -= 1;
        }
        write!(f, "{sign}{whole}.{part:0digits$}")
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// One per request.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// Nano-USD.
    Usd,
    /// Requests in flight at one time; given back when the request ends.
    Concurrent,
}

impl Unit {
    /// The word of the configuration file and of every answer.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Usd => "usd",
            Self::Concurrent => "concurrent",
        }
    }
}

/// What one token of each kind counts in a limit, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weights {
    /// Of input that was not cached.
    pub input: i64,
    /// Of input read from the provider's cache.
    pub cached_input: i64,
    /// Of output, reasoning included.
    pub output: i64,
}

impl Weights {
    /// The weight that changes nothing.
    pub const ONE: i64 = 1_000_000_000;
}

/// Over what span of time a limit counts; whose days these are, and from which of them they are
/// counted, is the [`Calendar`](crate::Calendar)'s to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// A second of the clock.
    Second,
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// Three months.
    Quarter,
    /// A year.
    Year,
    /// Any span of so many seconds that ends now.
    Rolling {
        /// How long it is; from [`ROLLING_SPAN_MIN_S`](crate::limits::ROLLING_SPAN_MIN_S) to
        /// [`ROLLING_SPAN_MAX_S`](crate::limits::ROLLING_SPAN_MAX_S).
        span_s: u32,
    },
    /// For ever: a balance, or a limit that never resets.
    Total,
}

impl Window {
    /// The word of the configuration file and of every answer.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Rolling { .. } => "rolling",
            Self::Total => "total",
        }
    }

    /// Whether a calendar decides when it ends: seconds, minutes and hours are UTC's everywhere.
    pub const fn follows_calendar(self) -> bool {
        matches!(
            self,
            Self::Day | Self::Week | Self::Month | Self::Quarter | Self::Year
        )
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One key.
    Key,
    /// One team of a tenant, over those of its keys that name it.
    Team,
    /// One tenant, over all its keys.
    Tenant,
}

impl Scope {
    /// The word of every answer.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Tenant => "tenant",
        }
    }
}

/// What kind of no a full bucket is; buckets are asked in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitClass {
    /// Per second or minute, or an hour marked `rate`: 429 with `Retry-After`.
    Velocity,
    /// In flight at one time: 429.
    Concurrency,
    /// A window's quota: 402.
    Quota,
    /// Prepaid money: 402.
    Balance,
}
