//! The `Date` field (RFC 9110 §6.6.1), written once a second.
//!
//! A recipient adds one to an answer that has none; ours always have one.

use std::cell::RefCell;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tollring_ledger::UnixMillis;

/// What a worker wrote last.
#[derive(Default)]
pub(crate) struct DateLine(RefCell<Written>);

#[derive(Default)]
struct Written {
    second: Option<i64>,
    line: String,
}

impl DateLine {
    /// Appends the field for the time of day.
    pub(super) fn append(&self, out: &mut Vec<u8>, UnixMillis(now_ms): UnixMillis) {
        let mut written = self.0.borrow_mut();
        let second = now_ms.div_euclid(1000);
        if written.second != Some(second) {
            written.second = Some(second);
            written.line.clear();
            // A clock beyond the calendar leaves the field out, as RFC 9110 allows without one.
            if let Ok(now) = Timestamp::from_second(second)
                && let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now)
            {
                written.line = format!("Date: {date}\r\n");
            }
        }
        out.extend_from_slice(written.line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_the_one_of_the_standards_example() {
        let line = DateLine::default();
        let mut out = Vec::new();
        line.append(&mut out, UnixMillis(784_111_777_999));
        assert_eq!(out, b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        out.clear();
        line.append(&mut out, UnixMillis(784_111_778_000));
        assert_eq!(out, b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }
}
