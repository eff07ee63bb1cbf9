//! How an upstream stands: what requests met there, what its checks say, and its circuit.
//!
//! Three records that know nothing of each other, put together. What comes out is a
//! [`Standing`] for whoever chooses, and a [`Change`] for the log, once for each. No lock and
//! no clock: those are the lane's.

use tollring_config::{Care, HealthCheck, Signal};

use super::breaker::{Breaker, Passage, Switch, Tally, Trial};
use super::ejection::{Ejection, Turn};

/// How an upstream stands towards the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may be asked, for so many percent of its weight.
    In {
        /// From 1 to 100.
        share: u32,
    },
    /// It should not be asked while another can be.
    Aside,
    /// It must not be asked.
    Shut,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// By what requests met.
    Turn(Turn),
    /// By its circuit.
    Switch(Switch),
    /// Its checks pass again.
    Up,
    /// Its checks fail.
    Down,
}

/// What checks have said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Checked {
    down: bool,
    /// Checks in a row that said otherwise than `down` does.
    otherwise: u32,
}

impl Checked {
    /// One more check: after enough in a row that say otherwise, they are believed.
    fn told(&mut self, check: &HealthCheck, passed: bool) -> Option<Change> {
        if passed != self.down {
            self.otherwise = 0;
            return None;
        }
        self.otherwise += 1;
        let enough = if self.down {
            check.healthy
        } else {
            check.unhealthy
        };
        if self.otherwise < enough {
            return None;
        }
        *self = Self {
            down: !self.down,
            otherwise: 0,
        };
        Some(if self.down { Change::Down } else { Change::Up })
    }
}

/// One upstream's condition.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    ejection: Ejection,
    breaker: Breaker,
    checked: Checked,
}

/// How an attempt went, as far as it says anything of its upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// What is held against it; `None`: it answered.
    pub(crate) signal: Option<Signal>,
    /// Whether it was a trial.
    pub(crate) trial: bool,
    /// Whether enough others could have answered.
    pub(crate) replaceable: bool,
    /// What its window holds, this attempt included.
    pub(crate) tally: Tally,
}

/// At most one change of each record.
pub(crate) type Changes = [Option<Change>; 2];

impl Condition {
    /// Whether nothing is the matter, so that nobody need look.
    pub(crate) fn is_calm(&self) -> bool {
        self.ejection.is_calm() && self.breaker == Breaker::Closed && !self.checked.down
    }

    /// How it stands now.
    pub(crate) fn standing(&self, care: &Care, now_ms: u64) -> Standing {
        if self.passage(care, now_ms) == Passage::None {
            Standing::Shut
        } else if self.ejection.is_out() || (self.checked.down && care.health.is_some()) {
            Standing::Aside
        } else {
            let share = self.ejection.share(&care.eject, now_ms);
            Standing::In { share }
        }
    }

    fn passage(&self, care: &Care, now_ms: u64) -> Passage {
        let breaker = care.breaker.as_ref();
        breaker.map_or(Passage::Free, |policy| self.breaker.passage(policy, now_ms))
    }

    /// Lets a request through, if its circuit does.
    pub(crate) fn admit(&mut self, care: &Care, now_ms: u64) -> Passage {
        match &care.breaker {
            Some(policy) => self.breaker.admit(policy, now_ms),
            None => Passage::Free,
        }
    }

    /// Notices what time alone has changed.
    pub(crate) fn look(&mut self, care: &Care, now_ms: u64) -> Option<Change> {
        if care.breaker.is_none() {
            // Taken out of the file while it was open.
            self.breaker = Breaker::Closed;
        }
        if care.health.is_none() {
            self.checked = Checked::default();
        }
        self.ejection.look(&care.eject, now_ms).map(Change::Turn)
    }

    /// An attempt ended.
    pub(crate) fn note(&mut self, care: &Care, verdict: Verdict, now_ms: u64) -> Changes {
        let held = |signal: &Signal| care.eject.on.contains(*signal);
        let turn = if verdict.signal.as_ref().is_some_and(held) {
            let replaceable = verdict.replaceable;
            self.ejection.failed(&care.eject, replaceable, now_ms)
        } else {
            self.ejection.answered();
            None
        };
        let switch = care.breaker.as_ref().and_then(|policy| {
            let failed = verdict.signal.is_some();
            if verdict.trial {
                let trial = if failed { Trial::Failed } else { Trial::Passed };
                self.breaker.tried(policy, trial, now_ms)
            } else if failed {
                self.breaker.judge(policy, verdict.tally, now_ms)
            } else {
                None
            }
        });
        [turn.map(Change::Turn), switch.map(Change::Switch)]
    }

    /// A trial that said nothing.
    pub(crate) fn unheld(&mut self, care: &Care, now_ms: u64) {
        if let Some(policy) = &care.breaker {
            self.breaker.tried(policy, Trial::Unheld, now_ms);
        }
    }

    /// A check ended.
    pub(crate) fn checked(&mut self, check: &HealthCheck, passed: bool) -> Option<Change> {
        self.checked.told(check, passed)
    }

    /// One word for statistics.
    pub(crate) fn word(&self, care: &Care, now_ms: u64) -> &'static str {
        match (self.standing(care, now_ms), self.breaker) {
            (Standing::Shut, Breaker::Half { .. }) | (_, Breaker::Half { .. }) => "half_open",
            (_, Breaker::Open { .. }) => "open",
            (Standing::Aside, _) if self.ejection.is_out() => "ejected",
            (Standing::Aside, _) => "unhealthy",
            (Standing::In { share: 100 }, _) | (Standing::Shut, _) => "healthy",
            (Standing::In { .. }, _) => "slow_start",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check() -> HealthCheck {
        HealthCheck {
            path: "/".into(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
            status: vec![200],
        }
    }

    fn care() -> Care {
        Care {
            health: Some(check()),
            ..Care::default()
        }
    }

    fn failure(signal: Signal) -> Verdict {
        Verdict {
            signal: Some(signal),
            trial: false,
            replaceable: true,
            tally: Tally::default(),
        }
    }

    #[test]
    fn checks_are_believed_when_enough_agree_in_a_row() {
        let (care, check) = (care(), check());
        let mut condition = Condition::default();
        let told = [false, false, true, false, false, false]
            .map(|passed| condition.checked(&check, passed));
        assert_eq!(told, [None, None, None, None, None, Some(Change::Down)]);
        assert_eq!(condition.standing(&care, 0), Standing::Aside);
        assert_eq!(condition.word(&care, 0), "unhealthy");
        let told = [true, false, true, true].map(|passed| condition.checked(&check, passed));
        assert_eq!(told, [None, None, None, Some(Change::Up)]);
        assert!(condition.is_calm());
    }

    #[test]
    fn what_the_file_does_not_hold_against_it_is_an_answer() {
        let care = care();
        let mut condition = Condition::default();
        for _ in 0..100 {
            condition.note(&care, failure(Signal::Connect), 0);
            condition.note(&care, failure(Signal::Status), 0);
        }
        assert_eq!(condition.standing(&care, 0), Standing::In { share: 100 });
    }

    #[test]
    fn a_check_that_was_taken_out_of_the_file_keeps_nobody_out() {
        let mut condition = Condition::default();
        for _ in 0..3 {
            condition.checked(&check(), false);
        }
        assert_eq!(condition.standing(&care(), 0), Standing::Aside);
        condition.look(&Care::default(), 0);
        assert!(condition.is_calm());
    }

    #[test]
    fn it_is_put_aside_and_comes_back_and_says_both_once() {
        let care = care();
        let mut condition = Condition::default();
        let said: Vec<Change> = (0..10)
            .flat_map(|_| condition.note(&care, failure(Signal::Connect), 0))
            .flatten()
            .collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(condition.word(&care, 0), "ejected");
        let back = (0..10).filter_map(|_| condition.look(&care, 5_000)).count();
        assert_eq!((back, condition.word(&care, 5_000)), (1, "slow_start"));
    }
}
