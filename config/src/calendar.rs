//! By whose clock a limit counts its days, and from which of them its windows begin.
//!
//! Zones come from the database that the program brings along, so that a bucket ends at the
//! same instant on every machine. When a window ends is the ledger's to say.

use jiff::civil::{DateTime, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::fault::{LimitFault, Problem};

/// A time zone, and a beginning that windows are counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Whose days they are.
    pub zone: TimeZone,
    /// The beginning of one window of any length, as the clocks of `zone` show it; the others
    /// follow from it, both ways.
    pub anchor: DateTime,
}

impl Calendar {
    /// Midnight of the first of January of the year 1, which was a Monday: days begin at
    /// midnight, weeks on Mondays as ISO 8601 has them, months on the first.
    pub const BEGINNING: DateTime = date(1, 1, 1).at(0, 0, 0, 0);

    /// The name of the zone in the IANA database.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The anchor as the file has it; absent where the calendar's own beginning counts.
    pub fn anchor_text(&self) -> Option<String> {
        (self.anchor != Self::BEGINNING).then(|| self.anchor.strftime("%Y-%m-%dT%H:%M").to_string())
    }
}

/// Days of UTC, weeks from Monday, months from the first.
impl Default for Calendar {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            anchor: Self::BEGINNING,
        }
    }
}

/// The name of a zone in the IANA database: `"Europe/Berlin"`.
pub(crate) fn parse_zone(text: &str) -> Result<TimeZone, Problem> {
    TimeZoneDatabase::bundled()
        .get(text)
        .map_err(|_| Problem::Limit(LimitFault::ZoneUnknown))
}

/// A day, or a day and a time to the minute: `"2026-01-15"`, `"2026-01-15T06:00"`.
pub(crate) fn parse_anchor(text: &str) -> Result<DateTime, Problem> {
    // No seconds and no offset: the zone is said elsewhere.
    let shaped = matches!(text.len(), 10 | 16);
    text.parse()
        .ok()
        .filter(|_| shaped)
        .ok_or(Problem::Limit(LimitFault::AnchorMalformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_their_name_alone() {
        for name in ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"] {
            let zone = parse_zone(name).map(|zone| zone.iana_name().map(str::to_owned));
            assert_eq!(zone, Ok(Some(name.to_owned())));
        }
        for name in ["", "Berlin", "+02:00", "Europe/Berlin ", "../etc/passwd"] {
            assert_eq!(
                parse_zone(name),
                Err(Problem::Limit(LimitFault::ZoneUnknown)),
                "{name}"
            );
        }
    }

    #[test]
    fn an_anchor_is_a_day_and_perhaps_a_time() {
        assert_eq!(
            parse_anchor("2026-01-31"),
            Ok(date(2026, 1, 31).at(0, 0, 0, 0))
        );
        assert_eq!(
            parse_anchor("2026-01-31T06:30"),
            Ok(date(2026, 1, 31).at(6, 30, 0, 0))
        );
        for text in [
            "",
            "2026-02-30",
            "15",
            "2026-1-5",
            "2026-01-15T06:00:30",
            "2026-01-15T06Z",
            "20260115T06:0030",
        ] {
            assert!(parse_anchor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_beginning_is_a_monday() {
        let monday = Calendar::BEGINNING.weekday().to_monday_zero_offset();
        assert_eq!(monday, 0);
    }
}
