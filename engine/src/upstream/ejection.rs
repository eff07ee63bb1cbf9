//! Whether an upstream is put aside by what requests met there, and for how long.
//!
//! ```text
//!            failures in a row                 the time is over
//!     In ───────────────────────▶ Out ───────────────────────▶ Back
//!      ▲                           ▲                            │ │
//!      │                           └──────── one failure ───────┘ │
//!      └──────────────── answers, until the share is whole ───────┘
//! ```
//!
//! Time comes in as milliseconds of the engine's own clock. It knows neither requests nor
//! addresses, and not who else could answer: whether somebody could, it is told.

use std::time::Duration;

use tollring_config::EjectPolicy;

/// The share of an upstream in the first moment after its return, in percent. Enough to learn
/// from, and little to lose.
const SHARE_MIN: u64 = 10;

/// Doublings after which a back-off grows no more; any maximum is reached before.
const LEVEL_MAX: u32 = 30;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is put aside for so long.
    Left {
        /// The back-off.
        for_ms: u64,
    },
    /// It is back.
    Returned,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    In,
    Out {
        until_ms: u64,
    },
    Back {
        since_ms: u64,
        answered: bool,
    },
}

/// One upstream's record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ejection {
    place: Place,
    /// Failures in a row.
    streak: u32,
    /// How often it was put aside without being good for long between.
    level: u32,
    /// How long the last time was, and when it ended.
    last_ms: u64,
    returned_ms: u64,
}

impl Ejection {
    /// A request failed here. `replaceable` says whether enough others could have answered it.
    pub(crate) fn failed(
        &mut self,
        policy: &EjectPolicy,
        replaceable: bool,
        now_ms: u64,
    ) -> Option<Turn> {
        if matches!(self.place, Place::Out { .. }) {
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        let on_trial = matches!(
            self.place,
            Place::Back {
                answered: false,
                ..
            }
        );
        if !replaceable || (self.streak < policy.failures && !on_trial) {
            return None;
        }
        let for_ms = self.back_off(policy, now_ms);
        let until_ms = now_ms.saturating_add(for_ms);
        self.place = Place::Out { until_ms };
        self.streak = 0;
        Some(Turn::Left { for_ms })
    }

    /// A request did not fail here.
    pub(crate) fn answered(&mut self) {
        self.streak = 0;
        if let Place::Back { answered, .. } = &mut self.place {
            *answered = true;
        }
    }

    /// Notices that a time is over.
    pub(crate) fn look(&mut self, policy: &EjectPolicy, now_ms: u64) -> Option<Turn> {
        match self.place {
            Place::Out { until_ms } if until_ms <= now_ms => {
                self.place = Place::Back {
                    since_ms: now_ms,
                    answered: false,
                };
                self.returned_ms = now_ms;
                Some(Turn::Returned)
            }
            Place::Back { answered: true, .. } if self.share(policy, now_ms) == 100 => {
                self.place = Place::In;
                None
            }
            _ => None,
        }
    }

    /// Whether it is put aside.
    pub(crate) const fn is_out(&self) -> bool {
        matches!(self.place, Place::Out { .. })
    }

    /// Whether there is nothing to remember of it but how long its next time would be.
    pub(crate) fn is_calm(&self) -> bool {
        self.place == Place::In && self.streak == 0
    }

    /// Percent of its weight: it grows from a tenth to the whole after a return.
    pub(crate) fn share(&self, policy: &EjectPolicy, now_ms: u64) -> u32 {
        let Place::Back { since_ms, .. } = self.place else {
            return 100;
        };
        let whole_ms = millis(policy.slow_start).max(1);
        let back_ms = now_ms.saturating_sub(since_ms);
        let share = (back_ms.saturating_mul(100) / whole_ms).clamp(SHARE_MIN, 100);
        u32::try_from(share).unwrap_or(100)
    }

    /// Twice the last time, less one doubling for each such span that it was good since.
    fn back_off(&mut self, policy: &EjectPolicy, now_ms: u64) -> u64 {
        let good_ms = now_ms.saturating_sub(self.returned_ms);
        if let Some(forgiven) = good_ms.checked_div(self.last_ms) {
            let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
            self.level = (self.level + 1).saturating_sub(forgiven).min(LEVEL_MAX);
        }
        let (base_ms, max_ms) = (millis(policy.base), millis(policy.max));
        self.last_ms = base_ms.saturating_mul(1 << self.level).min(max_ms);
        self.last_ms
    }
}

/// Whole milliseconds; the file's bounds keep them far below what a `u64` holds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use tollring_config::Care;

    /// Three failures, 1 s to 4 s, 10 s of slow start.
    fn policy() -> EjectPolicy {
        EjectPolicy {
            failures: 3,
            base: Duration::from_secs(1),
            max: Duration::from_secs(4),
            ..Care::EJECT
        }
    }

    fn left(for_ms: u64) -> Option<Turn> {
        Some(Turn::Left { for_ms })
    }

    fn ejected(policy: &EjectPolicy) -> Ejection {
        let mut ejection = Ejection::default();
        let turns: Vec<_> = (0..3).map(|_| ejection.failed(policy, true, 0)).collect();
        assert_eq!(turns, [None, None, left(1_000)]);
        ejection
    }

    #[test]
    fn only_failures_in_a_row_put_it_aside() {
        let policy = policy();
        let mut ejection = Ejection::default();
        for _ in 0..10 {
            assert_eq!(ejection.failed(&policy, true, 0), None);
            assert_eq!(ejection.failed(&policy, true, 0), None);
            ejection.answered();
        }
        assert!(ejection.is_calm());
    }

    #[test]
    fn whoever_nobody_can_replace_stays() {
        let policy = policy();
        let mut ejection = Ejection::default();
        for _ in 0..10 {
            assert_eq!(ejection.failed(&policy, false, 0), None);
        }
        // As soon as somebody can, the failures that were counted hold.
        assert_eq!(ejection.failed(&policy, true, 0), left(1_000));
    }

    #[test]
    fn it_returns_by_itself_and_one_failure_puts_it_aside_for_twice_as_long() {
        let policy = policy();
        let mut ejection = ejected(&policy);
        assert_eq!(ejection.look(&policy, 999), None);
        assert!(ejection.is_out());
        let mut now_ms = 1_000;
        for expected in [2_000, 4_000, 4_000] {
            assert_eq!(ejection.look(&policy, now_ms), Some(Turn::Returned));
            assert_eq!(ejection.failed(&policy, true, now_ms), left(expected));
            now_ms += expected;
        }
    }

    #[test]
    fn after_an_answer_it_takes_as_many_failures_as_before() {
        let policy = policy();
        let mut ejection = ejected(&policy);
        ejection.look(&policy, 1_000);
        ejection.answered();
        assert_eq!(ejection.failed(&policy, true, 1_001), None);
        assert_eq!(ejection.failed(&policy, true, 1_001), None);
        assert_eq!(ejection.failed(&policy, true, 1_001), left(2_000));
    }

    #[test]
    fn time_without_failures_is_held_in_its_favour() {
        let policy = policy();
        let mut ejection = ejected(&policy);
        ejection.look(&policy, 1_000);
        ejection.answered();
        let calm_ms = 60_000;
        let again: Vec<_> = (0..3)
            .map(|_| ejection.failed(&policy, true, calm_ms))
            .collect();
        assert_eq!(again[2], left(1_000));
    }

    #[test]
    fn its_share_grows_after_its_return_and_is_whole_in_the_end() {
        let policy = policy();
        let mut ejection = ejected(&policy);
        ejection.look(&policy, 1_000);
        let shares = [1_000, 1_500, 6_000, 11_000].map(|now_ms| ejection.share(&policy, now_ms));
        assert_eq!(shares, [10, 10, 50, 100]);
        ejection.answered();
        ejection.look(&policy, 11_000);
        assert!(ejection.is_calm());
    }

    proptest! {
        #[test]
        fn it_is_never_out_for_longer_than_the_maximum(
            steps in prop::collection::vec((0..3_u8, 0..3_000_u64), 1..200),
        ) {
            let policy = policy();
            let (mut ejection, mut now_ms, mut out_since) = (Ejection::default(), 0, None);
            for (step, wait_ms) in steps {
                now_ms += wait_ms;
                ejection.look(&policy, now_ms);
                out_since = out_since.filter(|_| ejection.is_out());
                match step {
                    0 => ejection.answered(),
                    _ => drop(ejection.failed(&policy, true, now_ms)),
                }
                out_since = ejection.is_out().then(|| out_since.unwrap_or(now_ms));
                if let Some(since) = out_since {
                    prop_assert!(now_ms - since <= 4_000, "out since {since}, now {now_ms}");
                }
                prop_assert!((10..=100).contains(&ejection.share(&policy, now_ms)));
            }
        }
    }
}
