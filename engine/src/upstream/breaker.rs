//! Whether an upstream is left alone altogether, because too much of what it is asked fails.
//!
//! ```text
//!              the window's share of failures
//!     Closed ──────────────────────────────────▶ Open ◀──┐
//!       ▲                                          │     │ one fails
//!       └── all trials passed ── Half ◀────────────┘     │
//!                                 └──────────────────────┘
//! ```
//!
//! Unlike an ejection it asks nobody whether there is another: an open circuit is for the
//! upstream's sake. Who counts the window is not decided here; a tally is handed in.

use tollring_config::BreakerPolicy;

use super::ejection::millis;

/// What one window holds, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Attempts that ended, one way or the other.
    pub(crate) attempts: u64,
    /// Those that failed.
    pub(crate) failures: u64,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// With an answer.
    Passed,
    /// With a failure.
    Failed,
    /// It said nothing: the client left, or it was never made.
    Unheld,
}

/// What became of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// It opened for so long.
    Opened {
        /// The time until trials.
        for_ms: u64,
    },
    /// It closed.
    Closed,
}

/// Whom the circuit lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Anyone.
    Free,
    /// A few, each of whom must tell how it went.
    Trials,
    /// Nobody.
    None,
}

/// One upstream's circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// As it should be.
    #[default]
    Closed,
    /// Nobody passes.
    Open {
        /// When trials begin.
        until_ms: u64,
    },
    /// Trials are under way.
    Half {
        /// Trials not come back yet.
        out: u32,
        /// Trials that passed.
        passed: u32,
    },
}

impl Breaker {
    /// An attempt failed; the tally is its window's.
    pub(crate) fn judge(
        &mut self,
        policy: &BreakerPolicy,
        tally: Tally,
        now_ms: u64,
    ) -> Option<Switch> {
        let enough = tally.attempts >= u64::from(policy.requests);
        let too_many = tally.failures * 100 >= tally.attempts * u64::from(policy.failures);
        if *self != Self::Closed || !enough || !too_many {
            return None;
        }
        Some(self.open(policy, now_ms))
    }

    /// Whom it lets through now.
    pub(crate) const fn passage(&self, policy: &BreakerPolicy, now_ms: u64) -> Passage {
        match *self {
            Self::Closed => Passage::Free,
            Self::Open { until_ms } if now_ms < until_ms => Passage::None,
            Self::Open { .. } => Passage::Trials,
            Self::Half { out, passed } if out + passed < policy.trials => Passage::Trials,
            Self::Half { .. } => Passage::None,
        }
    }

    /// Lets one through, as [`Breaker::passage`] said; a trial must be given back to
    /// [`Breaker::tried`].
    pub(crate) fn admit(&mut self, policy: &BreakerPolicy, now_ms: u64) -> Passage {
        let passage = self.passage(policy, now_ms);
        if passage == Passage::Trials {
            let (out, passed) = match *self {
                Self::Half { out, passed } => (out, passed),
                _ => (0, 0),
            };
            *self = Self::Half {
                out: out + 1,
                passed,
            };
        }
        passage
    }

    /// A trial came back.
    pub(crate) fn tried(
        &mut self,
        policy: &BreakerPolicy,
        trial: Trial,
        now_ms: u64,
    ) -> Option<Switch> {
        let Self::Half { out, passed } = *self else {
            // Another trial has decided already.
            return None;
        };
        match trial {
            Trial::Failed => return Some(self.open(policy, now_ms)),
            Trial::Passed if passed + 1 >= policy.trials => {
                *self = Self::Closed;
                return Some(Switch::Closed);
            }
            Trial::Passed | Trial::Unheld => {
                *self = Self::Half {
                    out: out.saturating_sub(1),
                    passed: passed + u32::from(trial == Trial::Passed),
                };
            }
        }
        None
    }

    fn open(&mut self, policy: &BreakerPolicy, now_ms: u64) -> Switch {
        let for_ms = millis(policy.open);
        *self = Self::Open {
            until_ms: now_ms.saturating_add(for_ms),
        };
        Switch::Opened { for_ms }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 50,
        requests: 10,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
        trials: 2,
    };

    fn opened() -> Breaker {
        let mut breaker = Breaker::Closed;
        let tally = Tally {
            attempts: 10,
            failures: 5,
        };
        let switch = breaker.judge(&POLICY, tally, 0);
        assert_eq!(switch, Some(Switch::Opened { for_ms: 5_000 }));
        breaker
    }

    #[test]
    fn it_opens_at_the_share_of_failures_once_there_are_enough_requests() {
        for (attempts, failures, opens) in [
            (9, 9, false),
            (10, 4, false),
            (10, 5, true),
            (1_000, 499, false),
            (1_000, 500, true),
        ] {
            let tally = Tally { attempts, failures };
            let switch = Breaker::Closed.judge(&POLICY, tally, 0);
            assert_eq!(switch.is_some(), opens, "{tally:?}");
        }
    }

    #[test]
    fn nobody_passes_until_its_time_is_over_and_then_a_few() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(&POLICY, 4_999), Passage::None);
        let admitted = [0, 0, 0].map(|_| breaker.admit(&POLICY, 5_000));
        assert_eq!(
            admitted,
            [Passage::Trials, Passage::Trials, Passage::None],
            "two trials are let through"
        );
    }

    #[test]
    fn it_closes_when_every_trial_passed_and_opens_when_one_fails() {
        let mut breaker = opened();
        breaker.admit(&POLICY, 5_000);
        breaker.admit(&POLICY, 5_000);
        let mut other = breaker;
        assert_eq!(breaker.tried(&POLICY, Trial::Passed, 5_001), None);
        let closed = breaker.tried(&POLICY, Trial::Passed, 5_002);
        assert_eq!(closed, Some(Switch::Closed));
        assert_eq!(breaker.admit(&POLICY, 5_002), Passage::Free);

        let again = other.tried(&POLICY, Trial::Failed, 5_001);
        assert_eq!(again, Some(Switch::Opened { for_ms: 5_000 }));
        assert_eq!(other.tried(&POLICY, Trial::Passed, 5_002), None, "too late");
        assert_eq!(other.admit(&POLICY, 10_000), Passage::None);
        assert_eq!(other.admit(&POLICY, 10_001), Passage::Trials);
    }

    #[test]
    fn a_trial_that_said_nothing_may_be_made_again() {
        let mut breaker = opened();
        breaker.admit(&POLICY, 5_000);
        breaker.admit(&POLICY, 5_000);
        assert_eq!(breaker.tried(&POLICY, Trial::Unheld, 5_001), None);
        assert_eq!(breaker.admit(&POLICY, 5_001), Passage::Trials);
        assert_eq!(breaker.admit(&POLICY, 5_001), Passage::None);
    }
}
