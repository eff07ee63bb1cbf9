//! How quick an upstream has been of late: a moving average that believes the worst at once.
//!
//! A slower answer is taken over whole, a quicker one fades in over [`FADE_MS`], so that an
//! upstream that begins to stall is left before the average knows why (the peak-EWMA of
//! Finagle). Pure: time comes in, and the state is a number.

/// How long the past counts: after this long, about a third of it is left.
const FADE_MS: f64 = 10_000.0;

/// What a failure counts as, in microseconds: as slow as nobody would wait for, so that failing
/// fast is not mistaken for being quick.
pub(crate) const FAILURE_US: u64 = 5_000_000;

/// The average after one more answer, in microseconds. `before` is the average so far, as of
/// `since_ms` milliseconds ago; 0: there was none.
#[allow(clippy::cast_precision_loss)] // an average is no count
pub(crate) fn observe(before: f64, since_ms: u64, took_us: u64) -> f64 {
    let took = took_us as f64;
    if before <= 0.0 || took >= before {
        return took;
    }
    let kept = (-(since_ms as f64) / FADE_MS).exp();
    before * kept + took * (1.0 - kept)
}

/// What it costs to ask an upstream: how long it takes, for everyone it has to see first and
/// for its weight. Only to be compared with another's.
pub(crate) fn cost(average_us: f64, in_flight: u64, weight: u32) -> f64 {
    // One that nobody has asked yet is asked.
    #[allow(clippy::cast_precision_loss)] // as above
    let ahead = (in_flight + 1) as f64;
    average_us * ahead / f64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slower_answer_counts_at_once_and_a_quicker_one_by_and_by() {
        let slow = observe(1_000.0, 1, 50_000);
        assert!((slow - 50_000.0).abs() < f64::EPSILON);
        let little = observe(slow, 10, 1_000);
        assert!(little > 49_000.0, "{little}");
        let much = observe(slow, 60_000, 1_000);
        assert!(much < 1_200.0, "{much}");
    }

    #[test]
    fn what_is_in_flight_and_a_small_weight_cost_more() {
        let idle = cost(1_000.0, 0, 1);
        assert!(cost(1_000.0, 3, 1) > idle);
        assert!(cost(1_000.0, 0, 2) < idle);
        assert!(cost(0.0, 9, 1) < idle, "one that is not known is tried");
    }
}
