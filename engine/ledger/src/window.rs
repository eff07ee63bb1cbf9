//! When an epoch ends: seconds, minutes and hours in UTC, longer ones by a calendar.
//!
//! A pure function of time and of the zones that the program brings along. That an epoch,
//! once left, is never entered again is the counters' rule, not this file's.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, Unit};
use tollring_config::{Calendar, Window};

use crate::amounts::UnixMillis;

const SECOND_MS: i64 = 1_000;
/// Beginnings that are looked at to find the next: the one before the stride of now, its own, the
/// one after, and two for days that a zone left out (Samoa had no 30 December 2011).
const STRIDES_LOOKED_AT: i64 = 5;
/// An end that is never reached.
pub(crate) const NEVER_MS: i64 = i64::MAX;

/// When an epoch ends, in whole seconds since 1970: its name in what is written down.
///
/// Every window ends on a whole second. Of a rolling window, when what was spent comes back.
/// Good until the year 2106.
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
pub(crate) fn ends_ms(window: Window, calendar: &Calendar, now: UnixMillis) -> i64 {
    match window {
        Window::Second => next_multiple(now.0, SECOND_MS),
        Window::Minute => next_multiple(now.0, 60 * SECOND_MS),
        Window::Hour => next_multiple(now.0, 60 * 60 * SECOND_MS),
        Window::Day => calendar_end(calendar, now, Stride::Days(1)),
        Window::Week => calendar_end(calendar, now, Stride::Days(7)),
        Window::Month => calendar_end(calendar, now, Stride::Months(1)),
        Window::Quarter => calendar_end(calendar, now, Stride::Months(3)),
        Window::Year => calendar_end(calendar, now, Stride::Months(12)),
        // One epoch for ever, in which what was spent comes back bit by bit.
        Window::Rolling { .. } | Window::Total => NEVER_MS,
    }
}

/// Steps that a rolling window is counted in: what is spent within one comes back together, so a
/// unit is away for up to a sixtieth of the span longer than the span, or for a second longer
/// where that is more.
pub(crate) const ROLLING_STEPS: u32 = 60;

/// When what is spent `now` of a rolling window comes back: never earlier than the span after it,
/// and at most a step later.
pub(crate) fn comes_back(span_s: u32, now: UnixMillis) -> EpochEnd {
    let now_s = now.0.div_euclid(SECOND_MS);
    let step_ends_s = next_multiple(now_s, step_s(span_s));
    let back_s = step_ends_s.saturating_add(i64::from(span_s));
    u32::try_from(back_s).map_or(EpochEnd::NEVER, EpochEnd)
}

/// The instants at which anything can come back that was spent up to `now`.
pub(crate) fn comings_back(span_s: u32, now: UnixMillis) -> impl Iterator<Item = EpochEnd> {
    let EpochEnd(last_s) = comes_back(span_s, now);
    let step_s = u32::try_from(step_s(span_s)).unwrap_or(span_s);
    let steps = 0..=span_s.div_ceil(step_s);
    steps.map(move |step| EpochEnd(last_s.saturating_sub(step * step_s)))
}

fn step_s(span_s: u32) -> i64 {
    i64::from(span_s.div_ceil(ROLLING_STEPS).max(1))
}

const fn next_multiple(value: i64, step: i64) -> i64 {
    (value.div_euclid(step) + 1).saturating_mul(step)
}

/// How far the beginnings of a calendar window lie apart.
#[derive(Clone, Copy, Debug)]
enum Stride {
    Days(i64),
    Months(i64),
}

impl Stride {
    /// How many strides after the anchor the day of `moment` lies, rounded down.
    fn count(self, anchor: DateTime, moment: DateTime) -> Option<i64> {
        Some(match self {
            Self::Days(days) => {
                let between = anchor.date().until((Unit::Day, moment.date())).ok()?;
                i64::from(between.get_days()).div_euclid(days)
            }
            Self::Months(months) => (months_of(moment) - months_of(anchor)).div_euclid(months),
        })
    }

    /// The beginning that lies `count` strides after the anchor. A month without the anchor's
    /// day has it on its last.
    fn beginning(self, anchor: DateTime, count: i64) -> Option<DateTime> {
        let span = match self {
            Self::Days(days) => Span::new().try_days(count.checked_mul(days)?).ok()?,
            Self::Months(months) => Span::new().try_months(count.checked_mul(months)?).ok()?,
        };
        // From the anchor itself, so that one short month does not shorten those after it.
        anchor.checked_add(span).ok()
    }
}

fn months_of(moment: DateTime) -> i64 {
    i64::from(moment.year()) * 12 + i64::from(moment.month())
}

/// The first beginning of a window after `now`.
///
/// Instants are compared, not what clocks show: where clocks are put back a time of day comes
/// twice, and the window begins at the first; where they are put forward over the beginning, it
/// begins as long after as they skip. So every instant lies in exactly one window.
fn calendar_end(calendar: &Calendar, now: UnixMillis, stride: Stride) -> i64 {
    next_beginning(calendar, now, stride).unwrap_or(NEVER_MS)
}

fn next_beginning(calendar: &Calendar, now: UnixMillis, stride: Stride) -> Option<i64> {
    let Calendar { zone, anchor } = calendar;
    let shown = zone.to_datetime(Timestamp::from_millisecond(now.0).ok()?);
    // One stride too early, for the clocks may show a later day than they will again.
    let first = stride.count(*anchor, shown)?.saturating_sub(1);
    (first..first.saturating_add(STRIDES_LOOKED_AT)).find_map(|count| {
        let beginning = stride.beginning(*anchor, count)?;
        let instant = zone.to_ambiguous_timestamp(beginning).compatible().ok()?;
        let begins_ms = instant.as_millisecond();
        (begins_ms > now.0).then_some(begins_ms)
    })
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
        check_in(&Calendar::default(), window, now, end);
    }

    #[track_caller]
    fn check_in(calendar: &Calendar, window: Window, now: &str, end: &str) {
        let ends_ms = |window, now| ends_ms(window, calendar, now);
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
        let ends_ms = |window, now| ends_ms(window, &Calendar::default(), now);
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

    #[test]
    fn what_is_spent_of_a_rolling_window_comes_back_after_the_span_and_at_most_a_step() {
        for (span_s, step_ms) in [(10, 1_000), (60, 1_000), (61, 2_000), (18_000, 300_000)] {
            for now_ms in [1_700_000_000_000, 1_700_000_000_001, 1_700_000_123_456] {
                let back_ms = i64::from(comes_back(span_s, UnixMillis(now_ms)).0) * SECOND_MS;
                let away_ms = back_ms - now_ms;
                let span_ms = i64::from(span_s) * SECOND_MS;
                assert!(away_ms > span_ms, "{span_s} s at {now_ms}: {away_ms} ms");
                assert!(away_ms <= span_ms + step_ms, "{span_s} s at {now_ms}");
            }
        }
    }

    #[test]
    fn every_instant_of_coming_back_that_lies_ahead_is_named() {
        let now = UnixMillis(1_700_000_123_456);
        for span_s in [10, 61, 3_600, 18_001] {
            let named: Vec<_> = comings_back(span_s, now).collect();
            for ago_ms in (0..=i64::from(span_s) * SECOND_MS).step_by(777) {
                let back = comes_back(span_s, UnixMillis(now.0 - ago_ms));
                let ahead = i64::from(back.0) * SECOND_MS > now.0;
                assert!(
                    !ahead || named.contains(&back),
                    "{span_s} s, {ago_ms} ms ago"
                );
            }
        }
    }

    fn calendar(zone: &str, anchor: &str) -> Calendar {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let anchor = match anchor {
            "" => Calendar::BEGINNING,
            anchor => anchor.parse().unwrap(),
        };
        Calendar { zone, anchor }
    }

    #[test]
    fn days_are_those_of_the_zone_however_long_they_are() {
        let berlin = calendar("Europe/Berlin", "");
        let check = |now, end| check_in(&berlin, Window::Day, now, end);
        check("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"); // 23 hours
        check("2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z");
        check("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"); // 25 hours
        check("2026-10-25T00:30:00Z", "2026-10-25T23:00:00Z");
        check("2026-10-25T01:30:00Z", "2026-10-25T23:00:00Z");
        let check = |window, now, end| check_in(&berlin, window, now, end);
        check(
            Window::Month,
            "2026-03-31T21:59:59Z",
            "2026-03-31T22:00:00Z",
        );
        check(Window::Year, "2026-12-31T22:30:00Z", "2026-12-31T23:00:00Z");
        check(Window::Week, "2026-03-29T21:00:00Z", "2026-03-29T22:00:00Z");
        check(Window::Hour, "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z");
        let kathmandu = calendar("Asia/Kathmandu", "");
        check_in(
            &kathmandu,
            Window::Day,
            "2026-01-01T00:00:00Z",
            "2026-01-01T18:15:00Z",
        );
    }

    #[test]
    fn a_beginning_that_clocks_skip_comes_later_and_one_that_comes_twice_counts_once() {
        let at_half_past_two = calendar("Europe/Berlin", "2026-01-01T02:30");
        let check = |now, end| check_in(&at_half_past_two, Window::Day, now, end);
        // 02:30 is skipped on 29 March: the day begins at 03:30, 01:30 UTC.
        check("2026-03-28T02:00:00Z", "2026-03-29T01:30:00Z");
        check("2026-03-29T01:10:00Z", "2026-03-29T01:30:00Z");
        check("2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z");
        // 02:30 comes twice on 25 October: at 00:30 UTC, and an hour later.
        check("2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z");
        check("2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
        check("2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z");
        // Samoa went from 29 to 31 December: both days begin at the same instant.
        let apia = calendar("Pacific/Apia", "");
        check_in(
            &apia,
            Window::Day,
            "2011-12-30T09:59:59Z",
            "2011-12-30T10:00:00Z",
        );
        check_in(
            &apia,
            Window::Day,
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        );
    }

    #[test]
    fn an_anchor_is_the_beginning_of_one_window_of_any_length() {
        let last = calendar("UTC", "2026-01-31T06:00");
        let check = |window, now, end| check_in(&last, window, now, end);
        check(Window::Day, "2026-02-03T05:59:59Z", "2026-02-03T06:00:00Z");
        check(Window::Week, "2026-02-03T00:00:00Z", "2026-02-07T06:00:00Z"); // a Saturday
        check(
            Window::Month,
            "2026-01-31T06:00:00Z",
            "2026-02-28T06:00:00Z",
        );
        check(
            Window::Month,
            "2026-02-28T06:00:00Z",
            "2026-03-31T06:00:00Z",
        );
        check(
            Window::Month,
            "2026-03-31T05:00:00Z",
            "2026-03-31T06:00:00Z",
        );
        check(
            Window::Month,
            "2028-02-01T00:00:00Z",
            "2028-02-29T06:00:00Z",
        );
        check(
            Window::Quarter,
            "2026-03-01T00:00:00Z",
            "2026-04-30T06:00:00Z",
        );
        check(Window::Year, "2026-03-01T00:00:00Z", "2027-01-31T06:00:00Z");
        // It need not have come yet.
        check(
            Window::Month,
            "2019-05-01T00:00:00Z",
            "2019-05-31T06:00:00Z",
        );
        let leap = calendar("UTC", "2024-02-29");
        check_in(
            &leap,
            Window::Year,
            "2025-02-27T00:00:00Z",
            "2025-02-28T00:00:00Z",
        );
        check_in(
            &leap,
            Window::Year,
            "2027-06-01T00:00:00Z",
            "2028-02-29T00:00:00Z",
        );
    }
}
