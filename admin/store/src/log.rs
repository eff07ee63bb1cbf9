//! The rows themselves: one request by its id, and pages of them, newest first.

use rusqlite::{Row, ToSql};
use tollring_config::NanoUsd;

use crate::fault::StoreFault;
use crate::reader::Reader;
use crate::store::count;
use crate::usage::{Place, RequestId, UsageRow, token_counts};

impl Reader {
    /// The rows of one request, the oldest first: one, or one for each attempt that was recorded;
    /// none when it is unknown, or older than rows are kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn request(&self, request: &RequestId) -> Result<Vec<UsageRow>, StoreFault> {
        self.ask(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM usage_rows WHERE request = ?1 ORDER BY place")?;
            let rows = statement.query_map([request as &dyn ToSql], usage_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Reads a row of `usage_rows`, all columns in order.
fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        place: Place(row.get(0)?),
        request: row.get(1)?,
        attempt: row.get(2)?,
        tenant: row.get(3)?,
        team: row.get(4)?,
        key: row.get(5)?,
        service: row.get(6)?,
        model_asked: row.get(7)?,
        model_served: row.get(8)?,
        provider: row.get(9)?,
        price_version: row.get(10)?,
        dialect: row.get(11)?,
        status: row.get(12)?,
        refusal: row.get(13)?,
        outcome: row.get(14)?,
        usage_source: row.get(15)?,
        tokens: token_counts(row, 16)?,
        cost: NanoUsd(row.get(24)?),
        ttfb_us: row.get(25)?,
        total_us: count(row, 26)?,
        bytes_in: count(row, 27)?,
        bytes_out: count(row, 28)?,
    })
}
