//! What a number of requests come to: the counts that roll-ups keep and reports give.

use rusqlite::Row;
use tollring_config::NanoUsd;

use crate::store::count;
use crate::usage::{TokenCounts, UsageRow, column, token_counts};

/// What the requests of a group come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them.
    pub requests: u64,
    /// Those answered with a status of 500 or above, or not at all.
    pub errors: u64,
    /// Those that we refused with a status below 500.
    pub refused: u64,
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// What they cost.
    pub cost: NanoUsd,
    /// Microseconds to the first byte, over all of them.
    pub ttfb_us: u64,
    /// Microseconds to the last byte, over all of them.
    pub total_us: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
}

/// The columns of [`Sums`], in order.
pub(crate) const SUM_COLUMNS: [&str; 16] = [
    "requests",
    "errors",
    "refused",
    "input",
    "output",
    "cached_read",
    "cache_write",
    "reasoning",
    "audio",
    "image",
    "searches",
    "cost",
    "ttfb_us",
    "total_us",
    "bytes_in",
    "bytes_out",
];

impl Sums {
    /// What one request adds.
    pub(crate) fn of(row: &UsageRow) -> Self {
        let is_error = row.status == 0 || row.status >= 500;
        Self {
            requests: 1,
            errors: u64::from(is_error),
            refused: u64::from(row.refusal != 0 && !is_error),
            tokens: row.tokens,
            cost: row.cost,
            ttfb_us: u64::from(row.ttfb_us),
            total_us: row.total_us,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
        }
    }

    /// In the order of [`SUM_COLUMNS`].
    pub(crate) fn columns(&self) -> [i64; 16] {
        let tokens = &self.tokens;
        [
            column(self.requests),
            column(self.errors),
            column(self.refused),
            column(tokens.input),
            column(tokens.output),
            column(tokens.cached_read),
            column(tokens.cache_write),
            column(tokens.reasoning),
            column(tokens.audio),
            column(tokens.image),
            column(tokens.searches),
            self.cost.0,
            column(self.ttfb_us),
            column(self.total_us),
            column(self.bytes_in),
            column(self.bytes_out),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let (ours, theirs) = (&mut self.tokens, &other.tokens);
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.refused, other.refused),
            (&mut ours.input, theirs.input),
            (&mut ours.output, theirs.output),
            (&mut ours.cached_read, theirs.cached_read),
            (&mut ours.cache_write, theirs.cache_write),
            (&mut ours.reasoning, theirs.reasoning),
            (&mut ours.audio, theirs.audio),
            (&mut ours.image, theirs.image),
            (&mut ours.searches, theirs.searches),
            (&mut self.ttfb_us, other.ttfb_us),
            (&mut self.total_us, other.total_us),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.cost += other.cost;
    }

    /// Reads them from the column `first` on, in the order of [`SUM_COLUMNS`].
    pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            requests: count(row, first)?,
            errors: count(row, first + 1)?,
            refused: count(row, first + 2)?,
            tokens: token_counts(row, first + 3)?,
            cost: NanoUsd(row.get(first + 11)?),
            ttfb_us: count(row, first + 12)?,
            total_us: count(row, first + 13)?,
            bytes_in: count(row, first + 14)?,
            bytes_out: count(row, first + 15)?,
        })
    }
}
