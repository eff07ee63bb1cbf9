//! One settled request as the store keeps it: who, what, how it went, what it cost.
//!
//! Names stand here as numbers (`names`), 0 for none. What a code of `refusal`, `dialect`,
//! `outcome` or `usage_source` means is the journal's vocabulary; the store only keeps it.

use rusqlite::Row;
use tollring_config::NanoUsd;

use crate::store::count;

/// The twelve bytes of a request's id; callers see them as `req_` and 24 hexadecimal digits.
pub type RequestId = [u8; 12];

/// Where a row stands: by time, and within a millisecond by its lane and sequence.
///
/// It is the row's only clustered order, so newest-first paging and forgetting by age need no
/// index, and rows that arrive in about the order of time are appended. 42 bits of milliseconds
/// last until 2109; 11 bits tell 1,024 workers and the recorder apart; 10 bits of the sequence are
/// enough while no lane writes more than 1,024 records in one millisecond, ten times what a core
/// can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub i64);

impl Place {
    const LANE_BITS: u32 = 11;
    const SEQUENCE_BITS: u32 = 10;
    const AT_BITS: u32 = 42;
    const AT_MS_MAX: i64 = (1 << Self::AT_BITS) - 1;

    /// The place of the record `sequence` of `lane`, written at `at_ms` (Unix milliseconds).
    ///
    /// A time before 1970 counts as 1970, one after 2109 as 2109: the clock was wrong, the request
    /// was not.
    pub const fn new(at_ms: i64, lane: u16, sequence: u64) -> Self {
        let at_ms = if at_ms < 0 {
            0
        } else if at_ms > Self::AT_MS_MAX {
            Self::AT_MS_MAX
        } else {
            at_ms
        };
        let lane = lane as i64 & ((1 << Self::LANE_BITS) - 1);
        let sequence = (sequence & ((1 << Self::SEQUENCE_BITS) - 1)) as i64;
        Self(((at_ms << Self::LANE_BITS | lane) << Self::SEQUENCE_BITS) | sequence)
    }

    /// The first place of a millisecond: what lies below it is older.
    pub const fn first_of(at_ms: i64) -> Self {
        Self::new(at_ms, 0, 0)
    }

    /// Another place in the same millisecond, for a row whose own place is taken; all of them, one
    /// after the other.
    pub(crate) const fn beside(self) -> Self {
        let within = (1 << (Self::LANE_BITS + Self::SEQUENCE_BITS)) - 1;
        Self(self.0 & !within | (self.0 + 1) & within)
    }

    /// Unix milliseconds.
    pub const fn at_ms(self) -> i64 {
        self.0 >> (Self::LANE_BITS + Self::SEQUENCE_BITS)
    }
}

/// Tokens by kind. `input` and `output` are whole: the others are part of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// All that went in.
    pub input: u64,
    /// All that came out.
    pub output: u64,
    /// Of the input, read from the provider's cache.
    pub cached_read: u64,
    /// Of the input, written to the provider's cache.
    pub cache_write: u64,
    /// Of the output, thought and not said.
    pub reasoning: u64,
    /// Either way, as sound.
    pub audio: u64,
    /// Either way, as pictures.
    pub image: u64,
    /// Searches the provider made; not tokens, but priced like them.
    pub searches: u64,
}

/// One request that was settled or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// When it was settled, and its place in the order of rows.
    pub place: Place,
    /// Its id.
    pub request: RequestId,
    /// Which try at a target answered, from 1; 0 when none was made.
    pub attempt: u8,
    /// Who pays.
    pub tenant: u32,
    /// The group inside the tenant.
    pub team: u32,
    /// What the caller showed.
    pub key: u32,
    /// The service that was called.
    pub service: u32,
    /// The model that was asked for.
    pub model_asked: u32,
    /// The provider's name of the model that answered.
    pub model_served: u32,
    /// Who answered.
    pub provider: u32,
    /// By which prices (`price_versions`).
    pub price_version: u32,
    /// The wire language of the caller.
    pub dialect: u8,
    /// The status the caller saw; 0 when it saw none.
    pub status: u16,
    /// The code of our refusal; 0 when it was not refused.
    pub refusal: u16,
    /// How it ended.
    pub outcome: u8,
    /// Who counted the tokens.
    pub usage_source: u8,
    /// What was counted.
    pub tokens: TokenCounts,
    /// What it cost.
    pub cost: NanoUsd,
    /// From the request's head to the answer's first byte, in microseconds.
    pub ttfb_us: u32,
    /// From the request's first byte to the answer's last, in microseconds.
    pub total_us: u64,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl UsageRow {
    /// When it was settled, Unix milliseconds.
    pub const fn at_ms(&self) -> i64 {
        self.place.at_ms()
    }
}

/// A count as a column holds it; beyond 2^53 it is no count of anything, and sums must not spill.
pub(crate) fn column(count: u64) -> i64 {
    const COUNT_MAX: u64 = 1 << 53;
    i64::try_from(count.min(COUNT_MAX)).unwrap_or(i64::MAX)
}

/// Reads the eight kinds of tokens from the column `first` on.
pub(crate) fn token_counts(row: &Row<'_>, first: usize) -> rusqlite::Result<TokenCounts> {
    Ok(TokenCounts {
        input: count(row, first)?,
        output: count(row, first + 1)?,
        cached_read: count(row, first + 2)?,
        cache_write: count(row, first + 3)?,
        reasoning: count(row, first + 4)?,
        audio: count(row, first + 5)?,
        image: count(row, first + 6)?,
        searches: count(row, first + 7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_time_and_keep_it_to_the_millisecond() {
        let places = [
            Place::new(-5, 0, 0),
            Place::new(0, 0, 1),
            Place::new(1_795_392_000_000, 0, 0),
            Place::new(1_795_392_000_000, 0, 1_023),
            Place::new(1_795_392_000_000, 1, 0),
            Place::new(1_795_392_000_000, 1_024, 5_119),
            Place::first_of(1_795_392_000_001),
        ];
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        assert!(
            places[2..6]
                .iter()
                .all(|place| place.at_ms() == 1_795_392_000_000)
        );
        assert_eq!(Place::new(i64::MAX, 0, 0).at_ms(), Place::AT_MS_MAX);
        assert!(Place::new(i64::MAX, u16::MAX, u64::MAX).0 > 0);
    }

    #[test]
    fn a_place_beside_another_is_of_the_same_millisecond() {
        let last = Place(Place::first_of(8).0 - 1);
        assert_eq!(last.beside(), Place::first_of(7));
        assert_eq!(Place::first_of(7).beside().0, Place::first_of(7).0 + 1);
    }
}
