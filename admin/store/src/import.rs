//! Brings what the journals say into the store, exactly once.
//!
//! Rows, roll-ups, posting sums and checkpoints stand in one transaction. A batch says after which
//! record of each lane it begins and up to which it goes; it is imported only when it begins where
//! the store stands. So neither a crash between any two steps, nor a commit whose answer was lost,
//! nor two recorders at a time can count a record twice or leave one out.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::fault::{Cause, FaultKind, StoreFault};
use crate::postings::Posting;
use crate::rollup;
use crate::store::{Store, sequence};
use crate::usage::{UsageRow, column};

/// Records of one lane: those after `after`, up to and with `upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The run of the program that wrote them: each has a journal of its own.
    pub run: u32,
    /// The lane.
    pub lane: u16,
    /// The last record before the batch; 0 when there was none.
    pub after: u64,
    /// The last record of the batch.
    pub upto: u64,
}

/// What a stretch of journal comes to.
///
/// Some thousands of records make a good batch: each group of the roll-ups and each bucket then
/// costs one write for many requests.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The records it was made of, one span a lane at most.
    pub spans: Vec<Span>,
    /// The requests that were settled or refused, in any order.
    pub rows: Vec<UsageRow>,
    /// What was posted, in any order; one bucket and epoch may stand many times.
    pub postings: Vec<Posting>,
}

impl Batch {
    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.rows.clear();
        self.postings.clear();
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was imported now.
    Now,
    /// The store had all of it already: an earlier commit went through, but its answer was lost.
    Before,
}

impl Store {
    /// Forgets how far the journal of a run was imported, once nothing is left of it.
    ///
    /// # Errors
    /// What the disk or the file has to say.
    pub fn forget_run(&mut self, run: u32) -> Result<(), StoreFault> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM checkpoints WHERE run = ?1", [run])?;
            Ok(())
        })
    }

    /// Imports a batch: all of it or, on a fault, nothing.
    ///
    /// # Errors
    /// [`FaultKind::OutOfStep`] when the batch does not begin where the store stands; otherwise
    /// what the disk or the file has to say.
    pub fn import(&mut self, batch: &Batch) -> Result<Imported, StoreFault> {
        self.write(|transaction| {
            if step(transaction, &batch.spans)? == Imported::Before {
                return Ok(Imported::Before);
            }
            insert_rows(transaction, &batch.rows)?;
            rollup::add(transaction, &batch.rows)?;
            post(transaction, &batch.postings)?;
            Ok(Imported::Now)
        })
    }
}

/// Moves the checkpoints on, if the batch begins where they stand.
fn step(connection: &Connection, spans: &[Span]) -> Result<Imported, Cause> {
    let mut look = connection
        .prepare_cached("SELECT sequence FROM checkpoints WHERE run = ?1 AND lane = ?2")?;
    let mut stored = Vec::with_capacity(spans.len());
    for span in spans {
        let found: Option<i64> = look
            .query_row((span.run, span.lane), |row| row.get(0))
            .optional()?;
        stored.push(found.map_or(0, sequence));
    }
    let mut pairs = spans.iter().zip(&stored);
    if !spans.is_empty() && pairs.clone().all(|(span, &stored)| span.upto <= stored) {
        return Ok(Imported::Before);
    }
    if let Some((span, &stored)) = pairs.find(|(span, stored)| span.after != **stored) {
        let (run, lane, after) = (span.run, span.lane, span.after);
        return Err(FaultKind::OutOfStep {
            run,
            lane,
            stored,
            after,
        }
        .into());
    }
    let mut advance = connection.prepare_cached(
        "INSERT INTO checkpoints VALUES (?1, ?2, ?3) \
         ON CONFLICT (run, lane) DO UPDATE SET sequence = excluded.sequence",
    )?;
    for span in spans {
        advance.execute((span.run, span.lane, span.upto.cast_signed()))?;
    }
    Ok(Imported::Now)
}

fn insert_rows(connection: &Connection, rows: &[UsageRow]) -> rusqlite::Result<()> {
    let marks = vec!["?"; 29].join(", ");
    let mut statement =
        connection.prepare_cached(&format!("INSERT INTO usage_rows VALUES ({marks})"))?;
    for row in rows {
        statement.raw_bind_parameter(2, row.request)?;
        for (place, value) in (3..).zip(integers(row)) {
            statement.raw_bind_parameter(place, value)?;
        }
        // A clock that was set back, or two runs at a time, may have brought another row here.
        let mut place = row.place;
        loop {
            statement.raw_bind_parameter(1, place.0)?;
            match statement.raw_execute() {
                Err(fault) if is_taken(&fault) => place = place.beside(),
                executed => {
                    executed?;
                    break;
                }
            }
        }
    }
    Ok(())
}

fn is_taken(fault: &rusqlite::Error) -> bool {
    let code = fault.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

/// The columns of `usage_rows` from `attempt` on, in order.
fn integers(row: &UsageRow) -> [i64; 27] {
    let tokens = &row.tokens;
    [
        row.attempt.into(),
        row.tenant.into(),
        row.team.into(),
        row.key.into(),
        row.service.into(),
        row.model_asked.into(),
        row.model_served.into(),
        row.provider.into(),
        row.price_version.into(),
        row.dialect.into(),
        row.status.into(),
        row.refusal.into(),
        row.outcome.into(),
        row.usage_source.into(),
        column(tokens.input),
        column(tokens.output),
        column(tokens.cached_read),
        column(tokens.cache_write),
        column(tokens.reasoning),
        column(tokens.audio),
        column(tokens.image),
        column(tokens.searches),
        row.cost.0,
        row.ttfb_us.into(),
        column(row.total_us),
        column(row.bytes_in),
        column(row.bytes_out),
    ]
}

/// Adds what was posted to the sums, each bucket and epoch once.
fn post(connection: &Connection, postings: &[Posting]) -> rusqlite::Result<()> {
    let mut sums: HashMap<(u32, u32), i64> = HashMap::new();
    for posting in postings {
        let sum = sums.entry((posting.ends_s, posting.bucket)).or_default();
        *sum = sum.saturating_add(posting.amount);
    }
    let mut sums: Vec<_> = sums
        .into_iter()
        .filter(|&(_, amount)| amount != 0)
        .collect();
    sums.sort_unstable();
    let mut statement = connection.prepare_cached(
        "INSERT INTO postings VALUES (?1, ?2, ?3) \
         ON CONFLICT (ends_s, bucket) DO UPDATE SET amount = amount + excluded.amount",
    )?;
    for ((ends_s, bucket), amount) in sums {
        statement.execute((ends_s, bucket, amount))?;
    }
    Ok(())
}
