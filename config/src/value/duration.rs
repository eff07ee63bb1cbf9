//! Deadlines: a whole number and a unit. No sum of units and no fraction: one way to write each.

use std::time::Duration;

use crate::fault::Problem;
use crate::limits::{TIMEOUT_MAX, TIMEOUT_MIN};

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

    proptest! {
        #[test]
        fn a_duration_that_is_shown_reads_back_as_itself(ms in 1u64..=86_400_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }
}
