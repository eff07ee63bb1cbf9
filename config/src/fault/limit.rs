//! What can be wrong with a limit beyond its shape, with the words for each.

/// A limit that cannot be counted as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitFault {
    /// No zone of the IANA database.
    ZoneUnknown,
    /// Not a day, nor a day and a time.
    AnchorMalformed,
    /// A zone or an anchor on a window that follows no calendar.
    CalendarIdle,
    /// Not the span of a rolling window.
    SpanMalformed,
    /// A span outside its bounds.
    SpanOutside,
    /// A window of the calendar and one that rolls.
    WindowTwice,
    /// Weights of tokens on a limit that counts none.
    WeightIdle,
    /// Weights by which nothing counts.
    WeightZero,
}

impl LimitFault {
    /// What is wrong with `value`, the offending text as it may be shown.
    pub(super) fn message(self, value: &str) -> String {
        match self {
            Self::ZoneUnknown => format!("{value} is not a time zone"),
            Self::AnchorMalformed => format!("{value} is not a day"),
            Self::SpanMalformed => format!("{value} is not a span"),
            Self::SpanOutside => format!("{value} is not from 10s to 366d"),
            Self::WindowTwice => "stands beside per".to_owned(),
            Self::WeightIdle => "weighs what the limit does not count".to_owned(),
            Self::WeightZero => "lets no token count".to_owned(),
            Self::CalendarIdle => "says nothing for this window".to_owned(),
        }
    }

    /// What to do about it.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::ZoneUnknown => "write a name of the IANA database, as in \"Europe/Berlin\"",
            Self::AnchorMalformed => {
                "write a day and perhaps a time, as in \"2026-01-15\" or \"2026-01-15T06:00\""
            }
            Self::SpanMalformed => "write \"90s\", \"30m\", \"5h\" or \"7d\"",
            Self::SpanOutside => "choose one that is",
            Self::WindowTwice => "keep one of the two, or write two limits",
            Self::WeightIdle => "remove it, or write unit = \"tokens\"",
            Self::WeightZero => "let input or output weigh something",
            Self::CalendarIdle => "remove it: only windows of a day and longer follow a calendar",
        }
    }
}
