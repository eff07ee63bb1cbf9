//! Numbers of bytes with a unit: `KiB` counts in 1024, `kB` in 1000.

use crate::fault::Problem;

/// The units, by their bytes.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// `"65536"`, `"64KiB"`, `"10MB"`.
pub(crate) fn parse_size(text: &str) -> Result<u64, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, word) = text.split_at(digits);
    let scale = UNITS
        .iter()
        .find(|(unit, _)| *unit == word)
        .map(|(_, scale)| *scale);
    number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(number, scale)| number.checked_mul(scale))
        .ok_or(Problem::SizeMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_size("64KiB"), Ok(65536));
        assert_eq!(parse_size("64MiB"), Ok(67_108_864));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        for text in [
            "",
            "MB",
            "1.5MB",
            "64 MiB",
            "64mib",
            "-1",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert_eq!(parse_size(text), Err(Problem::SizeMalformed), "{text}");
        }
    }
}
