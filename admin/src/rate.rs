//! Requests per second, from two readings of a counter that only rises.
//!
//! Kept here and not on the workers: they count, and whoever wants a rate has a
//! clock. Time is passed in.

use std::time::Duration;

/// The last reading, and the rate between it and the one before.
#[derive(Debug)]
pub(crate) struct Rate {
    read_at: Duration,
    total: u64,
    per_s: f64,
}

impl Rate {
    /// Starts from a first reading; the rate is 0 until there is a second.
    pub(crate) fn start(read_at: Duration, total: u64) -> Self {
        Self {
            read_at,
            total,
            per_s: 0.0,
        }
    }

    /// Takes the next reading and says the rate since the last, to a tenth.
    ///
    /// Two readings at one instant leave the rate as it was: dividing by what a
    /// coarse clock calls no time would make a number out of nothing.
    pub(crate) fn read(&mut self, read_at: Duration, total: u64) -> f64 {
        let span_s = read_at.saturating_sub(self.read_at).as_secs_f64();
        if span_s > 0.0 {
            #[allow(clippy::cast_precision_loss)] // a rate is looked at, not added up
            let counted = total.saturating_sub(self.total) as f64;
            self.per_s = (counted / span_s * 10.0).round() / 10.0;
            (self.read_at, self.total) = (read_at, total);
        }
        self.per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_rate_is_what_was_counted_over_the_time_it_took() {
        let mut rate = Rate::start(ms(0), 1_000);
        assert_eq!(rate.read(ms(1_000), 1_500), 500.0);
        assert_eq!(rate.read(ms(3_000), 1_501), 0.5);
        assert_eq!(rate.read(ms(4_000), 1_501), 0.0);
    }

    #[test]
    fn a_late_reading_is_divided_by_the_time_it_really_took() {
        let mut rate = Rate::start(ms(0), 0);
        assert_eq!(rate.read(ms(1_250), 1_000), 800.0);
    }

    #[test]
    fn two_readings_at_one_instant_leave_the_rate_and_the_span_alone() {
        let mut rate = Rate::start(ms(0), 0);
        rate.read(ms(1_000), 100);
        assert_eq!(rate.read(ms(1_000), 200), 100.0);
        assert_eq!(rate.read(ms(2_000), 300), 200.0);
    }

    #[test]
    fn a_counter_that_went_back_reads_as_no_requests() {
        let mut rate = Rate::start(ms(0), 100);
        assert_eq!(rate.read(ms(1_000), 0), 0.0);
    }
}
