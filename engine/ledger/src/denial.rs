//! Why a bucket said no, and what it read at that moment.
//!
//! One variant per answer a caller can be given. Status codes, wording and
//! headers belong to whoever refuses the request.

use tollring_config::{LimitClass, UnixSeconds};

use crate::amounts::UnixMillis;

/// What a bucket holds, all in its own unit.
///
/// `posted + held + free == limit` but for an overdraft, which makes `free` negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The limit in force, at most [`AMOUNT_MAX`](crate::AMOUNT_MAX).
    pub limit: i64,
    /// Spent in this epoch.
    pub posted: i64,
    /// Reserved by requests that have not settled.
    pub held: i64,
    /// Neither spent nor reserved; negative after an overdraft or a lowered limit.
    pub free: i64,
    /// When the next epoch begins; none for a window without end. Of a rolling window, when
    /// enough comes back for what was asked of it, and of a plain reading when anything does.
    pub resets_at: Option<UnixSeconds>,
}

/// Why a bucket said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// Nothing is left: `posted >= limit`.
    Spent,
    /// Something is left, or would be once every hold were given back, but less than
    /// this needs.
    Insufficient,
    /// It would fit but for holds in flight: `posted < limit <= posted + held`.
    HeldInFlight,
    /// It needs more than the whole limit.
    NeverFits,
    /// Too much in too short a time.
    Velocity {
        /// Whole seconds until the window ends, at least 1.
        retry_after_s: u32,
    },
    /// Too many requests in flight.
    Concurrency,
}

/// A bucket's no. Nothing is held after it that was not held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The place of the bucket in the path.
    pub bucket: usize,
    /// Why.
    pub reason: DenialReason,
    /// What the bucket read when it refused.
    pub reading: Reading,
    /// What was asked of it in this step.
    pub wanted: i64,
}

impl DenialReason {
    /// The reason a bucket of `class` that reads `reading` refuses a request that
    /// needs `need` units in all, `own` of which it already holds.
    ///
    /// What is spent comes before what can never fit: waiting or paying is the first
    /// thing to be done about it. A hold in flight is to blame only if the request
    /// would fit without it; otherwise a retry would be in vain.
    pub(crate) fn new(class: LimitClass, reading: &Reading, need: Need, now: UnixMillis) -> Self {
        let Need { more, own } = need;
        let whole = own.saturating_add(more);
        let after = reading.posted.saturating_add(whole);
        match class {
            LimitClass::Concurrency => Self::Concurrency,
            LimitClass::Velocity if whole > reading.limit => Self::NeverFits,
            LimitClass::Velocity => Self::Velocity {
                retry_after_s: seconds_left(reading, now),
            },
            LimitClass::Quota | LimitClass::Balance if reading.posted >= reading.limit => {
                Self::Spent
            }
            LimitClass::Quota if whole > reading.limit => Self::NeverFits,
            LimitClass::Quota | LimitClass::Balance => {
                // Enough is free if units came back while the bucket was being searched.
                let held = reading.free <= 0 || reading.free >= more;
                if held && after <= reading.limit {
                    Self::HeldInFlight
                } else {
                    Self::Insufficient
                }
            }
        }
    }
}

/// What a request needs of one bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// What it asks for now.
    pub(crate) more: i64,
    /// What it holds already.
    pub(crate) own: i64,
}

/// Whole seconds until the epoch ends, rounded up, at least 1.
fn seconds_left(reading: &Reading, now: UnixMillis) -> u32 {
    let Some(UnixSeconds(ends_s)) = reading.resets_at else {
        return 1;
    };
    let left_s = ends_s.saturating_sub(now.0.div_euclid(1_000));
    u32::try_from(left_s.max(1)).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_500);

    /// A reading of `[limit, posted, held]`, ending 30 seconds after `NOW`'s second.
    fn reading([limit, posted, held]: [i64; 3]) -> Reading {
        let resets_at = Some(UnixSeconds(1_700_000_030));
        Reading {
            limit,
            posted,
            held,
            free: limit - posted - held,
            resets_at,
        }
    }

    #[track_caller]
    fn check(class: LimitClass, amounts: [i64; 3], wanted: i64, expected: DenialReason) {
        let need = Need {
            more: wanted,
            own: 0,
        };
        let reason = DenialReason::new(class, &reading(amounts), need, NOW);
        assert_eq!(reason, expected, "{class:?} {amounts:?} {wanted}");
    }

    #[test]
    fn a_quota_says_which_kind_of_empty_it_is() {
        use DenialReason::{HeldInFlight, Insufficient, NeverFits, Spent};
        let quota = LimitClass::Quota;
        check(quota, [10, 10, 0], 1, Spent);
        check(quota, [10, 12, 0], 1, Spent);
        check(quota, [10, 10, 0], 11, Spent);
        check(quota, [10, 0, 0], 11, NeverFits);
        check(quota, [10, 8, 0], 3, Insufficient);
        check(quota, [10, 0, 7], 5, Insufficient);
        check(quota, [10, 0, 10], 1, HeldInFlight);
        check(quota, [10, 4, 6], 6, HeldInFlight);
        check(quota, [10, 4, 6], 7, Insufficient);
        check(quota, [10, 4, 1], 5, HeldInFlight);
        check(quota, [0, 0, 0], 1, Spent);
    }

    #[test]
    fn a_balance_has_no_size_that_never_fits() {
        use DenialReason::{HeldInFlight, Insufficient, Spent};
        let balance = LimitClass::Balance;
        check(balance, [10, 0, 0], 11, Insufficient);
        check(balance, [10, 10, 0], 11, Spent);
        check(balance, [0, 0, 0], 1, Spent);
        check(balance, [10, 0, 10], 1, HeldInFlight);
    }

    #[test]
    fn velocity_says_when_and_concurrency_only_that() {
        let retry_after_s = 30;
        check(
            LimitClass::Velocity,
            [10, 10, 0],
            1,
            DenialReason::Velocity { retry_after_s },
        );
        check(
            LimitClass::Velocity,
            [10, 0, 10],
            1,
            DenialReason::Velocity { retry_after_s },
        );
        check(
            LimitClass::Velocity,
            [10, 10, 0],
            11,
            DenialReason::NeverFits,
        );
        check(
            LimitClass::Concurrency,
            [1, 0, 1],
            1,
            DenialReason::Concurrency,
        );
        check(
            LimitClass::Concurrency,
            [0, 0, 0],
            1,
            DenialReason::Concurrency,
        );
    }

    #[test]
    fn an_extension_is_not_blocked_by_its_own_hold() {
        let need = Need { more: 5, own: 10 };
        let reason =
            |limit| DenialReason::new(LimitClass::Quota, &reading([limit, 0, 10]), need, NOW);
        assert_eq!(reason(10), DenialReason::NeverFits);
        let lone = reading([20, 6, 14]);
        let spoken_for = DenialReason::new(LimitClass::Quota, &lone, need, NOW);
        assert_eq!(spoken_for, DenialReason::Insufficient);
    }

    #[test]
    fn a_wait_is_never_shorter_than_a_second() {
        let passed = Reading {
            resets_at: Some(UnixSeconds(0)),
            ..Reading::default()
        };
        assert_eq!(seconds_left(&passed, NOW), 1);
        assert_eq!(seconds_left(&Reading::default(), NOW), 1);
    }
}
