//! What is forgotten, and in steps of what size.
//!
//! Rows, when the operator says how long they are kept. Sums of brief buckets, two days after their
//! epochs ended: no request lasts longer, and no answer rests on them. Never: roll-ups, the sums of
//! longer windows, money, prices, names. The file does not shrink; what was freed is used again.

use rusqlite::{Connection, OptionalExtension};

use crate::fault::StoreFault;
use crate::marks::Mark;
use crate::names::NameKind;
use crate::store::Store;
use crate::usage::Place;

/// Rows that one step forgets at most: some tens of milliseconds in which nothing is imported.
pub const FORGET_ROWS_MAX: u32 = 10_000;

/// How long sums of brief buckets outlive their epochs, in seconds. A request may take a day
/// (`TIMEOUT_MAX`), and clocks may be wrong by some hours.
const BRIEF_KEPT_S: i64 = 2 * 24 * 60 * 60;

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How many rows are gone.
    pub rows: u64,
    /// Whether there may be more; another step would tell.
    pub more: bool,
}

impl Store {
    /// Forgets the oldest usage rows that were settled before `before_s`, at most
    /// [`FORGET_ROWS_MAX`] of them. Roll-ups stay.
    ///
    /// # Errors
    /// What the disk or the file has to say.
    pub fn forget_rows(&mut self, before_s: i64) -> Result<Forgotten, StoreFault> {
        let before = Place::first_of(before_s.saturating_mul(1000)).0;
        self.write(|transaction| {
            let beyond = nth_place(transaction, FORGET_ROWS_MAX)?;
            let end = beyond.unwrap_or(i64::MAX).min(before);
            let mut statement =
                transaction.prepare_cached("DELETE FROM usage_rows WHERE place < ?1")?;
            let rows = statement.execute([end])? as u64;
            Ok(Forgotten {
                rows,
                more: end < before && rows > 0,
            })
        })
    }

    /// Forgets sums of brief buckets whose epochs ended two days before `now_s`, looking at about
    /// [`FORGET_ROWS_MAX`] sums.
    ///
    /// # Errors
    /// What the disk or the file has to say.
    pub fn forget_brief_postings(&mut self, now_s: i64) -> Result<Forgotten, StoreFault> {
        let before_s = now_s.saturating_sub(BRIEF_KEPT_S);
        self.write(|transaction| {
            let begin_s = Mark::BriefForgotten.read(transaction)?;
            if begin_s >= before_s {
                return Ok(Forgotten {
                    rows: 0,
                    more: false,
                });
            }
            let beyond_s = nth_end(transaction, begin_s, FORGET_ROWS_MAX)?;
            // A whole epoch at least, however many buckets share its end.
            let end_s = beyond_s.unwrap_or(i64::MAX).max(begin_s + 1).min(before_s);
            let mut statement = transaction.prepare_cached(
                "DELETE FROM postings WHERE ends_s >= ?1 AND ends_s < ?2 AND EXISTS \
                 (SELECT 1 FROM names WHERE number = bucket AND kind = ?3)",
            )?;
            let rows = statement.execute((begin_s, end_s, NameKind::BriefBucket as u8))?;
            Mark::BriefForgotten.write(transaction, end_s)?;
            Ok(Forgotten {
                rows: rows as u64,
                more: end_s < before_s,
            })
        })
    }
}

/// The place of the row that has `skipped` older ones.
fn nth_place(connection: &Connection, skipped: u32) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT place FROM usage_rows ORDER BY place LIMIT 1 OFFSET ?1")?;
    statement.query_row([skipped], |row| row.get(0)).optional()
}

/// The end of the epoch of the sum that has `skipped` others between itself and `begin_s`.
fn nth_end(connection: &Connection, begin_s: i64, skipped: u32) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT ends_s FROM postings WHERE ends_s >= ?1 ORDER BY ends_s LIMIT 1 OFFSET ?2",
    )?;
    statement
        .query_row((begin_s, skipped), |row| row.get(0))
        .optional()
}
