//! How a person writes a time or a share on the command line, and how one is shown.
//!
//! Decides which spellings are taken; what the times are for is decided by those who ask.

use std::fmt;
use std::time::Duration;

/// The longest time anyone may ask for: the end of the histograms' scale.
const DURATION_MAX: Duration = Duration::from_secs(3600);

/// Parts in a million: a share without a float to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share {
    ppm: u32,
}

impl Share {
    /// Nothing at all.
    pub const NONE: Self = Self { ppm: 0 };
    /// Everything.
    pub const ALL: Self = Self { ppm: 1_000_000 };

    /// The share in parts per million, at most 1,000,000.
    pub const fn ppm(self) -> u32 {
        self.ppm
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.ppm) / 10_000.0)
    }
}

/// Reads `5%`, `0.1%` or `100%`.
///
/// # Errors
/// A sentence for the user when there is no `%`, no number, or a number outside 0 to 100.
pub(crate) fn parse_share(text: &str) -> Result<Share, String> {
    let number = text
        .strip_suffix('%')
        .ok_or_else(|| format!("{text:?} has no percent sign; write 5% or 0.1%"))?;
    let percent: f64 = number
        .trim()
        .parse()
        .map_err(|_| format!("{number:?} is not a number; write 5% or 0.1%"))?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("{text} is not between 0% and 100%"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ..= 1_000_000
    let ppm = (percent * 10_000.0).round() as u32;
    Ok(Share { ppm })
}

/// Reads `250us`, `10ms`, `1.5s`, `2m` or `1h`; a bare `0` needs no unit.
///
/// # Errors
/// A sentence for the user when the unit is missing or unknown, or the time is over an hour.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let unit_ns = match &text[digits.len()..] {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "" => return Err(format!("{text:?} has no unit; write {text}ms or {text}s")),
        other => {
            return Err(format!(
                "{other:?} is not a unit of time; use us, ms, s, m or h"
            ));
        }
    };
    let count: f64 = digits
        .parse()
        .map_err(|_| format!("{digits:?} is not a number; write 10ms or 1.5s"))?;
    if !(0.0..=DURATION_MAX.as_nanos() as f64).contains(&(count * unit_ns)) {
        return Err(format!("{text} is not between 0 and 1h"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked just above
    let nanos = (count * unit_ns).round() as u64;
    Ok(Duration::from_nanos(nanos))
}

/// Microseconds in the unit a reader wants: `87 µs`, `1.24 ms`, `3.10 s`.
pub(crate) fn show_micros(micros: u64) -> String {
    let micros_f = micros as f64;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.2} ms", micros_f / 1e3),
        _ => format!("{:.2} s", micros_f / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, micros: u128) {
        assert_eq!(
            parse_duration(text).map(|d| d.as_micros()),
            Ok(micros),
            "{text}"
        );
    }

    #[test]
    fn times_are_read_with_their_unit() {
        check_duration("0", 0);
        check_duration("0ms", 0);
        check_duration("250us", 250);
        check_duration("250µs", 250);
        check_duration("10ms", 10_000);
        check_duration("1.5s", 1_500_000);
        check_duration("2m", 120_000_000);
        check_duration("1h", 3_600_000_000);
    }

    #[test]
    fn a_time_without_a_known_unit_is_refused_with_the_remedy() {
        assert!(parse_duration("10").is_err_and(|e| e.contains("10ms")));
        assert!(parse_duration("10 parsecs").is_err());
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("NaNs").is_err());
        assert!(parse_duration("2h").is_err());
        assert!(parse_duration("").is_err());
    }

    #[test]
    fn shares_are_read_to_a_part_in_a_million() {
        assert_eq!(parse_share("0%").map(Share::ppm), Ok(0));
        assert_eq!(parse_share("0.1%").map(Share::ppm), Ok(1_000));
        assert_eq!(parse_share("100%"), Ok(Share::ALL));
        assert!(parse_share("5").is_err_and(|e| e.contains("percent")));
        assert!(parse_share("101%").is_err());
        assert!(parse_share("-1%").is_err());
        assert!(parse_share("NaN%").is_err());
    }

    #[test]
    fn micros_are_shown_in_the_unit_a_reader_wants() {
        assert_eq!(show_micros(87), "87 µs");
        assert_eq!(show_micros(1_240), "1.24 ms");
        assert_eq!(show_micros(3_100_000), "3.10 s");
    }
}
