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
}

impl LimitFault {
    /// What is wrong with `value`, the offending text as it may be shown.
    pub(super) fn message(self, value: &str) -> String {
        match self {
            Self::ZoneUnknown => format!("{value} is not a time zone"),
            Self::AnchorMalformed => format!("{value} is not a day"),
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
            Self::CalendarIdle => "remove it: only windows of a day and longer follow a calendar",
        }
    }
}
