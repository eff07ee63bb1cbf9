//! When an epoch ends: calendar windows in UTC, weeks from Monday as ISO 8601 has them.
//!
//! A pure function of time. That an epoch, once left, is never entered again is
//! the counters' rule, not this file's.

use jiff::Span;
use jiff::civil::{Date, date};
use tollring_config::Window;

use crate::amounts::UnixMillis;

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * SECOND_MS;
/// 1970-01-01 was a Thursday: the week it lies in began three days earlier.
const DAYS_FROM_MONDAY_TO_1970: i64 = 3;
/// An end that is never reached.
pub(crate) const NEVER_MS: i64 = i64::MAX;

/// When an epoch ends, in whole seconds since 1970: its name in what is written down.
///
/// Every window ends on a whole second. Good until the year 2106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochEnd(pub u32);

impl EpochEnd {
    /// Of a window without end.
    pub const NEVER: Self = Self(u32::MAX);

    pub(crate) fn from_ms(ends_ms: i64) -> Self {
        u32::try_from(ends_ms.div_euclid(SECOND_MS)).map_or(Self::NEVER, Self)
    }
}

/// The first millisecond after the epoch of `window` that `now` lies in.
///
/// [`NEVER_MS`] for a window without end, and for a calendar window whose end no
/// calendar can name (past the year 9999).
pub(crate) fn ends_ms(window: Window, now: UnixMillis) -> i64 {
    let days = now.0.div_euclid(DAY_MS);
    match window {
        Window::Second => next_multiple(now.0, SECOND_MS),
        Window::Minute => next_multiple(now.0, 60 * SECOND_MS),
        Window::Hour => next_multiple(now.0, 60 * 60 * SECOND_MS),
        Window::Day => next_multiple(now.0, DAY_MS),
        Window::Week => {
            let monday = next_multiple(days + DAYS_FROM_MONDAY_TO_1970, 7);
            (monday - DAYS_FROM_MONDAY_TO_1970).saturating_mul(DAY_MS)
        }
        Window::Month => first_of_month_after(days, 1).unwrap_or(NEVER_MS),
        Window::Quarter => first_of_month_after(days, 3).unwrap_or(NEVER_MS),
        Window::Year => first_of_month_after(days, 12).unwrap_or(NEVER_MS),
        Window::Total => NEVER_MS,
    }
}

const fn next_multiple(value: i64, step: i64) -> i64 {
    (value.div_euclid(step) + 1).saturating_mul(step)
}

/// The start of the first month after `days` (since 1970) whose place in the year,
/// counted from 0, is a multiple of `step`; none where the calendar ends.
fn first_of_month_after(days: i64, step: i64) -> Option<i64> {
    let epoch = date(1970, 1, 1);
    let today = epoch.checked_add(Span::new().try_days(days).ok()?).ok()?;
    let months = i64::from(today.year()) * 12 + i64::from(today.month()) - 1;
    let next = next_multiple(months, step);
    let year = i16::try_from(next.div_euclid(12)).ok()?;
    let month = i8::try_from(next.rem_euclid(12) + 1).ok()?;
    let first = Date::new(year, month, 1).ok()?;
    let days = epoch.until(first).ok()?.get_days();
    Some(i64::from(days) * DAY_MS)
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[track_caller]
    fn check(window: Window, now: &str, end: &str) {
        let ends = ends_ms(window, UnixMillis(at(now)));
        assert_eq!(ends, at(end), "{window:?} at {now}");
        // The last millisecond belongs to the epoch, the end itself to the next.
        assert_eq!(
            ends_ms(window, UnixMillis(ends - 1)),
            ends,
            "{window:?} before {end}"
        );
        assert!(
            ends_ms(window, UnixMillis(ends)) > ends,
            "{window:?} at {end}"
        );
    }

    #[test]
    fn epochs_end_where_the_calendar_says() {
        check(
            Window::Second,
            "2024-02-29T23:59:59.999Z",
            "2024-03-01T00:00:00Z",
        );
        check(
            Window::Minute,
            "2024-02-29T23:58:00Z",
            "2024-02-29T23:59:00Z",
        );
        check(Window::Hour, "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z");
        check(Window::Day, "2024-02-28T12:00:00Z", "2024-02-29T00:00:00Z");
        check(Window::Week, "2024-12-31T12:00:00Z", "2025-01-06T00:00:00Z");
        check(Window::Week, "2025-01-06T00:00:00Z", "2025-01-13T00:00:00Z");
        check(
            Window::Week,
            "2025-01-05T23:59:59.999Z",
            "2025-01-06T00:00:00Z",
        );
        check(
            Window::Month,
            "2024-02-29T00:00:00Z",
            "2024-03-01T00:00:00Z",
        );
        check(
            Window::Month,
            "2024-12-31T23:59:59Z",
            "2025-01-01T00:00:00Z",
        );
        check(
            Window::Quarter,
            "2024-03-31T23:59:59Z",
            "2024-04-01T00:00:00Z",
        );
        check(
            Window::Quarter,
            "2024-10-01T00:00:00Z",
            "2025-01-01T00:00:00Z",
        );
        check(Window::Year, "2023-07-01T00:00:00Z", "2024-01-01T00:00:00Z");
    }

    #[test]
    fn epochs_before_1970_end_where_the_calendar_says() {
        check(
            Window::Second,
            "1969-12-31T23:59:59.5Z",
            "1970-01-01T00:00:00Z",
        );
        check(Window::Week, "1969-12-28T23:59:59Z", "1969-12-29T00:00:00Z");
        check(
            Window::Month,
            "1969-11-15T00:00:00Z",
            "1969-12-01T00:00:00Z",
        );
        check(Window::Year, "1968-02-29T00:00:00Z", "1969-01-01T00:00:00Z");
    }

    #[test]
    fn a_window_without_end_and_a_time_without_calendar_never_end() {
        assert_eq!(ends_ms(Window::Total, UnixMillis(0)), NEVER_MS);
        for window in [
            Window::Second,
            Window::Day,
            Window::Week,
            Window::Month,
            Window::Year,
        ] {
            assert_eq!(
                ends_ms(window, UnixMillis(i64::MAX)),
                NEVER_MS,
                "{window:?}"
            );
            let _ = ends_ms(window, UnixMillis(i64::MIN));
        }
    }
}
