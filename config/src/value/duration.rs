//! Deadlines: a whole number and a unit. No sum of units and no fraction: one way to write each.

use std::time::Duration;

use crate::fault::LimitFault;
use crate::fault::Problem;
use crate::limits::{ROLLING_SPAN_MAX_S, ROLLING_SPAN_MIN_S, TIMEOUT_MAX, TIMEOUT_MIN};

/// The units, by their milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// `"500ms"`, `"10s"`, `"2m"`, `"1h"`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, word) = text.split_at(digits);
    let scale = UNITS
        .iter()
        .find(|(unit, _)| *unit == word)
        .map(|(_, scale)| *scale);
    let Some(scale) = scale.filter(|_| digits > 0) else {
        return Err(Problem::DurationMalformed);
    };
    // A number too large for its type is far beyond the bound.
    let milliseconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale));
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| (TIMEOUT_MIN..=TIMEOUT_MAX).contains(duration))
        .ok_or(Problem::DurationOutside {
            min: TIMEOUT_MIN,
            max: TIMEOUT_MAX,
        })
}

/// The units of spans, by their seconds.
const SPAN_UNITS: [(&str, u32); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// The span of a rolling window in seconds: `"90s"`, `"30m"`, `"5h"`, `"7d"`.
pub(crate) fn parse_span(text: &str) -> Result<u32, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, word) = text.split_at(digits);
    let scale = SPAN_UNITS.iter().find(|(unit, _)| *unit == word);
    let Some((_, scale)) = scale.filter(|_| digits > 0) else {
        return Err(Problem::Limit(LimitFault::SpanMalformed));
    };
    let seconds = number.parse::<u32>().ok();
    seconds
        .and_then(|number| number.checked_mul(*scale))
        .filter(|span_s| (ROLLING_SPAN_MIN_S..=ROLLING_SPAN_MAX_S).contains(span_s))
        .ok_or(Problem::Limit(LimitFault::SpanOutside))
}

/// The shortest text that [`parse_span`] reads as this.
pub(crate) fn show_span(span_s: u32) -> String {
    let units = SPAN_UNITS.into_iter().rev();
    let (unit, scale) = units
        .into_iter()
        .find(|(_, scale)| span_s.is_multiple_of(*scale))
        .unwrap_or(("s", 1));
    format!("{}{unit}", span_s / scale)
}

/// The shortest text that [`parse_duration`] reads as this.
pub(crate) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let (unit, scale) = UNITS
        .into_iter()
        .rev()
        .find(|(_, scale)| milliseconds.is_multiple_of(u128::from(*scale)))
        .unwrap_or(("ms", 1));
    format!("{}{unit}", milliseconds / u128::from(scale))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_is_read() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "", "10", "s", "1.5s", "-1s", "10 s", "10sec", "1m30s", "1S", "1h ", "٣s",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(Problem::DurationMalformed),
                "{text}"
            );
        }
    }

    #[test]
    fn a_duration_has_bounds() {
        let outside = Err(Problem::DurationOutside {
            min: TIMEOUT_MIN,
            max: TIMEOUT_MAX,
        });
        for text in [
            "0s",
            "0ms",
            "25h",
            "99999999999999999999h",
            "9999999999999999h",
        ] {
            assert_eq!(parse_duration(text), outside, "{text}");
        }
    }

    #[test]
    fn a_span_is_shown_as_it_is_written() {
        for (text, span_s) in [("10s", 10), ("90s", 90), ("30m", 1800), ("5h", 18_000)] {
            assert_eq!(parse_span(text), Ok(span_s));
            assert_eq!(show_span(span_s), text);
        }
        assert_eq!(show_span(parse_span("48h").unwrap()), "2d");
        for text in ["", "5", "h", "1.5h", "5w", "100ms", " 5h"] {
            let malformed = Err(Problem::Limit(LimitFault::SpanMalformed));
            assert_eq!(parse_span(text), malformed, "{text}");
        }
        for text in ["9s", "367d", "99999999999h"] {
            let outside = Err(Problem::Limit(LimitFault::SpanOutside));
            assert_eq!(parse_span(text), outside, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_that_is_shown_reads_back_as_itself(ms in 1u64..=86_400_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }
}
