//! The moments at which an open loop wants to send, fixed by rate, spacing and seed before the
//! first answer can have a say.
//!
//! Each thread has a schedule of its own; together they are the plan's.

use std::time::Duration;

use super::plan::{Arrivals, Plan, Spacing, part};

/// The arrivals of one thread, in their order, as times since the start.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    spacing: Gaps,
    /// The next arrival, unless there is none.
    next: Option<Duration>,
    left: u64,
    end: Duration,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// The `index`th arrival of this thread is the `index * stride + offset`th of the plan;
    /// computed afresh each time, so that no error adds up.
    Constant {
        index: u64,
        stride: u64,
        offset: u64,
        period_ns: f64,
    },
    /// The sum so far, and the mean of the gaps.
    Poisson {
        at_ns: f64,
        mean_ns: f64,
        random: Random,
    },
}

impl Schedule {
    /// The schedule of the `thread`th thread; none in a closed loop.
    pub(super) fn new(plan: &Plan, thread: usize) -> Option<Self> {
        let Arrivals::Open { rate, spacing, .. } = plan.arrivals else {
            return None;
        };
        let (stride, offset) = (plan.threads as u64, thread as u64);
        let spacing = match spacing {
            Spacing::Constant => Gaps::Constant {
                index: 0,
                stride,
                offset,
                period_ns: 1e9 / rate,
            },
            Spacing::Poisson { seed } => Gaps::Poisson {
                at_ns: 0.0,
                mean_ns: 1e9 / rate * plan.threads as f64,
                random: Random::new(seed, offset),
            },
        };
        let left = plan
            .requests_max
            .map_or(u64::MAX, |max| part(max, thread, plan.threads));
        let end = plan.duration.unwrap_or(Duration::MAX);
        let mut schedule = Self {
            spacing,
            next: None,
            left,
            end,
        };
        schedule.advance();
        Some(schedule)
    }

    /// The next arrival; `None` when there are no more.
    pub(super) const fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Goes on to the arrival after the next.
    pub(super) fn advance(&mut self) {
        let at_ns = match &mut self.spacing {
            Gaps::Constant {
                index,
                stride,
                offset,
                period_ns,
            } => {
                let at_ns = (*index * *stride + *offset) as f64 * *period_ns;
                *index += 1;
                at_ns
            }
            Gaps::Poisson {
                at_ns,
                mean_ns,
                random,
            } => {
                *at_ns += random.exponential() * *mean_ns;
                *at_ns
            }
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates at the ends
        let at = Duration::from_nanos(at_ns as u64);
        self.next = (self.left > 0 && at < self.end).then_some(at);
        self.left = self.left.saturating_sub(1);
    }

    /// Counts the arrivals that are left.
    ///
    /// Endless without an end in time or number, which no plan is.
    pub(super) fn count_left(mut self) -> u64 {
        let mut count = 0;
        while self.next.is_some() {
            count += 1;
            self.advance();
        }
        count
    }
}

/// Random numbers by xorshift64*, seeded: a schedule is part of the plan, not of the weather.
#[derive(Clone, Debug)]
struct Random {
    state: u64,
}

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let mixed = (seed ^ stream.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = Self { state: mixed | 1 };
        // The first few numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            random.exponential();
        }
        random
    }

    /// From the exponential distribution with mean 1.
    fn exponential(&mut self) -> f64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        // 53 bits, shifted off zero, whose logarithm is no time.
        -((bits as f64 + 0.5) / (1_u64 << 53) as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    fn plan(rate: f64, spacing: Spacing, threads: usize) -> Plan {
        Plan {
            url: String::new(),
            address: "127.0.0.1:1".parse().unwrap(),
            request: Vec::new(),
            to_head: false,
            needs_done: false,
            arrivals: Arrivals::Open {
                rate,
                spacing,
                connections_first: 1,
                connections_max: 1,
            },
            requests_max: None,
            duration: Some(Duration::from_secs(1)),
            threads,
            timeout: Duration::from_secs(1),
        }
    }

    fn arrivals(plan: &Plan) -> Vec<Duration> {
        let mut all = Vec::new();
        for thread in 0..plan.threads {
            let mut schedule = Schedule::new(plan, thread).unwrap();
            while let Some(at) = schedule.next() {
                all.push(at);
                schedule.advance();
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn constant_arrivals_are_even_whatever_the_threads() {
        let one = arrivals(&plan(1_000.0, Spacing::Constant, 1));
        assert_eq!(one, arrivals(&plan(1_000.0, Spacing::Constant, 3)));
        assert_eq!(one.len(), 1_000);
        assert_eq!(one[0], Duration::ZERO);
        assert_eq!(one[999], Duration::from_millis(999));
    }

    #[test]
    fn a_limit_on_requests_is_shared_by_the_threads() {
        let mut plan = plan(1_000.0, Spacing::Constant, 3);
        plan.requests_max = Some(10);
        plan.duration = None;
        assert_eq!(arrivals(&plan).len(), 10);
    }

    #[test]
    fn poisson_arrivals_repeat_with_their_seed_and_keep_their_rate() {
        let one = arrivals(&plan(10_000.0, Spacing::Poisson { seed: 5 }, 2));
        assert_eq!(
            one,
            arrivals(&plan(10_000.0, Spacing::Poisson { seed: 5 }, 2))
        );
        assert_ne!(
            one,
            arrivals(&plan(10_000.0, Spacing::Poisson { seed: 6 }, 2))
        );
        // Five standard deviations of a Poisson count are 500.
        assert!((9_500..10_500).contains(&one.len()), "{}", one.len());
        // In an exponential distribution 63% of the gaps are below the mean.
        let below = one
            .windows(2)
            .filter(|two| (two[1] - two[0]).as_micros() < 100)
            .count();
        let share = below as f64 / one.len() as f64;
        assert!((0.60..0.67).contains(&share), "{share}");
    }

    #[test]
    fn what_is_left_is_counted_from_where_the_schedule_stands() {
        let mut schedule = Schedule::new(&plan(100.0, Spacing::Constant, 1), 0).unwrap();
        assert_eq!(schedule.clone().count_left(), 100);
        schedule.advance();
        assert_eq!(schedule.count_left(), 99);
    }
}
