//! From counted durations to percentiles and to Prometheus histograms.
//!
//! Decides how a count of durations is read; it does not decide where the
//! buckets lie (whoever counts does) and it takes no time itself.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// Durations counted into buckets, all workers together.
///
/// In JSON it is its percentiles, `{"p50","p90","p99","p999","max"}`, in
/// microseconds; each is the upper bound of the bucket it fell into, so that a
/// percentile is never reported as faster than it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    /// Upper bound of a bucket in µs (inclusive, rising), and how many durations
    /// fell into it and no lower one. The last may be [`u64::MAX`]. Empty buckets may be left out.
    pub buckets: Vec<(u64, u64)>,
    /// All durations added up, in µs.
    pub sum_us: u64,
    /// How many there were.
    pub count: u64,
    /// The longest, in µs.
    pub max_us: u64,
}

impl LatencySnapshot {
    /// The duration in µs that `per_mille` of a thousand did not exceed; 0 when there were none.
    pub fn percentile_us(&self, per_mille: u16) -> u64 {
        // The counters of several workers are read one after the other, so `count` may
        // be ahead of the buckets by a few; what the buckets hold is what can be ranked.
        let counted: u128 = self
            .buckets
            .iter()
            .map(|&(_, count)| u128::from(count))
            .sum();
        let rank = (counted * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut below = 0;
        for &(upper_us, count) in &self.buckets {
            below += u128::from(count);
            if below >= rank {
                return upper_us.min(self.max_us);
            }
        }
        0
    }

    /// The same counts over other, usually fewer, upper bounds (rising, in µs),
    /// and last what lies above them all.
    ///
    /// A bucket that straddles a bound counts above it: a histogram may look a
    /// little slower than the truth, never faster.
    pub fn fold(&self, bounds_us: &[u64]) -> Vec<u64> {
        let mut folded = vec![0_u64; bounds_us.len() + 1];
        for &(upper_us, count) in &self.buckets {
            let place = bounds_us.partition_point(|&bound_us| bound_us < upper_us);
            folded[place] = folded[place].saturating_add(count);
        }
        folded
    }
}

impl Serialize for LatencySnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut percentiles = serializer.serialize_struct("LatencySnapshot", 5)?;
        percentiles.serialize_field("p50", &self.percentile_us(500))?;
        percentiles.serialize_field("p90", &self.percentile_us(900))?;
        percentiles.serialize_field("p99", &self.percentile_us(990))?;
        percentiles.serialize_field("p999", &self.percentile_us(999))?;
        percentiles.serialize_field("max", &self.max_us)?;
        percentiles.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    fn counted(buckets: &[(u64, u64)], max_us: u64) -> LatencySnapshot {
        let count = buckets
            .iter()
            .fold(0, |sum: u64, &(_, count)| sum.saturating_add(count));
        LatencySnapshot {
            buckets: buckets.to_vec(),
            sum_us: 0,
            count,
            max_us,
        }
    }

    #[track_caller]
    fn check(buckets: &[(u64, u64)], max_us: u64, per_mille: u16, expected_us: u64) {
        assert_eq!(
            counted(buckets, max_us).percentile_us(per_mille),
            expected_us
        );
    }

    #[test]
    fn a_percentile_is_the_upper_bound_of_the_bucket_its_rank_falls_into() {
        let buckets = [(10, 50), (20, 40), (40, 9), (80, 1)];
        check(&buckets, 80, 500, 10);
        check(&buckets, 80, 501, 20);
        check(&buckets, 80, 900, 20);
        check(&buckets, 80, 990, 40);
        check(&buckets, 80, 999, 80);
        check(&buckets, 80, 1000, 80);
    }

    #[test]
    fn no_percentile_exceeds_the_longest_duration_seen() {
        check(&[(1_000, 1), (u64::MAX, 1)], 1_500, 999, 1_500);
        check(&[(1_000, 3)], 700, 500, 700);
    }

    #[test]
    fn nothing_counted_reads_as_zero() {
        check(&[], 0, 500, 0);
        check(&[(10, 0), (20, 0)], 0, 999, 0);
    }

    #[test]
    fn a_single_duration_is_every_percentile() {
        for per_mille in [0, 1, 500, 999, 1000] {
            check(&[(10, 0), (64, 1), (128, 0)], 63, per_mille, 63);
        }
    }

    #[test]
    fn counts_as_large_as_they_come_do_not_overflow() {
        check(&[(10, u64::MAX), (20, u64::MAX)], 20, 999, 20);
    }

    #[test]
    fn folding_keeps_every_count_and_never_makes_a_duration_faster() {
        let fine = counted(
            &[
                (9, 1),
                (10, 2),
                (15, 4),
                (100, 8),
                (101, 16),
                (u64::MAX, 32),
            ],
            5_000,
        );
        assert_eq!(fine.fold(&[10, 100]), [3, 12, 48]);
        assert_eq!(fine.fold(&[]), [63]);
    }

    #[test]
    fn in_json_it_is_its_percentiles() {
        let latency = counted(&[(10, 50), (20, 40), (40, 9), (80, 1)], 77);
        assert_eq!(
            serde_json::to_string(&latency).unwrap(),
            r#"{"p50":10,"p90":20,"p99":40,"p999":77,"max":77}"#
        );
    }
}
