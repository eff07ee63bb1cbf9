//! Money and counts written as decimals, read digit by digit and never through a float.

use crate::fault::Problem;
use crate::limits::COUNT_MAX;
use crate::units::{NANO_PER_USD, NanoUsd};

/// Digits after the point that a nano-USD can tell apart.
const USD_DIGITS: usize = 9;

/// `"25"`, `"0.15"`: an amount in USD from 0 to `max_nano` nano-USD.
pub(crate) fn parse_usd(text: &str, max_nano: i64) -> Result<NanoUsd, Problem> {
    let outside = Problem::DecimalOutside {
        max: NanoUsd(max_nano),
    };
    let (whole, part) = split(text)?;
    if text.starts_with('-') {
        return Err(outside);
    }
    if part.len() > USD_DIGITS {
        return Err(Problem::DecimalTooFine);
    }
    // Both are digits alone, so that a failure can only be one of size.
    let Ok(whole) = whole.parse::<i64>() else {
        return Err(outside);
    };
    let part: i64 = format!("{part:0<USD_DIGITS$}").parse().unwrap_or(0);
    whole
        .checked_mul(NANO_PER_USD)
        .and_then(|nano| nano.checked_add(part))
        .filter(|nano| *nano <= max_nano)
        .map(NanoUsd)
        .ok_or(outside)
}

/// `"1000000"`: a whole number from 0 to [`COUNT_MAX`].
pub(crate) fn parse_count(text: &str) -> Result<i64, Problem> {
    let outside = Problem::NumberOutside {
        min: 1,
        max: COUNT_MAX.unsigned_abs(),
    };
    let (whole, part) = split(text)?;
    if text.starts_with('-') {
        return Err(outside);
    }
    if !part.is_empty() {
        return Err(Problem::CountFraction);
    }
    whole
        .parse()
        .ok()
        .filter(|count| *count <= COUNT_MAX)
        .ok_or(outside)
}

/// The digits before and after the point, without the sign.
fn split(text: &str) -> Result<(&str, &str), Problem> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = match unsigned.split_once('.') {
        Some((_, "")) => return Err(Problem::DecimalMalformed),
        Some(both) => both,
        None => (unsigned, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return Err(Problem::DecimalMalformed);
    }
    Ok((whole, part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::USD_NANO_MAX;

    #[track_caller]
    fn check(text: &str, expected: Result<i64, Problem>) {
        assert_eq!(
            parse_usd(text, USD_NANO_MAX),
            expected.map(NanoUsd),
            "{text}"
        );
    }

    #[test]
    fn a_decimal_is_read_to_the_last_digit() {
        check("0", Ok(0));
        check("25.00", Ok(25_000_000_000));
        check("0.15", Ok(150_000_000));
        check("0.000000001", Ok(1));
        check("007", Ok(7_000_000_000));
        check("1000000000", Ok(USD_NANO_MAX));
    }

    #[test]
    fn what_is_no_decimal_is_refused_for_its_own_reason() {
        for text in [
            "", ".", "1.", ".5", "1e3", "1,5", "1_000", "+1", "0x10", " 1", "--1", "١",
        ] {
            check(text, Err(Problem::DecimalMalformed));
        }
        check("0.0000000001", Err(Problem::DecimalTooFine));
        let outside = || {
            Err(Problem::DecimalOutside {
                max: NanoUsd(USD_NANO_MAX),
            })
        };
        check("1000000000.000000001", outside());
        check("99999999999999999999", outside());
        check("-0.5", outside());
    }

    #[test]
    fn a_count_is_whole() {
        assert_eq!(parse_count("1000000"), Ok(1_000_000));
        assert_eq!(parse_count("1.5"), Err(Problem::CountFraction));
        assert_eq!(parse_count("1e6"), Err(Problem::DecimalMalformed));
        assert!(parse_count("1000000000000001").is_err());
        assert!(parse_count("-1").is_err());
    }

    proptest! {
        #[test]
        fn an_amount_that_is_shown_reads_back_as_itself(nano in 0..=USD_NANO_MAX) {
            prop_assert_eq!(parse_usd(&NanoUsd(nano).to_string(), USD_NANO_MAX), Ok(NanoUsd(nano)));
        }

        #[test]
        fn no_text_makes_a_decimal_panic(text in any::<String>()) {
            let _ = parse_usd(&text, USD_NANO_MAX);
            let _ = parse_count(&text);
        }
    }
}
