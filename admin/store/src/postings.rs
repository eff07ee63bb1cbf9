//! What was posted to every bucket in every epoch: the sums that limits are held against.
//!
//! An epoch is told by its end. Sums of windows of an hour and less may be forgotten two days after
//! they ended (`retention.rs`); all others are kept for ever, since invoices rest on them.

use rusqlite::Connection;

use crate::fault::StoreFault;
use crate::store::{Checkpoint, Store, checkpoints};

/// The end of an epoch that never ends: a balance, or a limit over all time.
pub const NEVER: u32 = u32::MAX;

/// An amount posted to a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Posting {
    /// When the epoch ends that admitted the request, Unix seconds; [`NEVER`].
    pub ends_s: u32,
    /// The bucket's number.
    pub bucket: u32,
    /// How much, in the bucket's own unit.
    pub amount: i64,
}

impl Store {
    /// What was posted to every bucket in the epochs that end after `now_s` or never.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn postings(&self, now_s: u32) -> Result<Vec<Posting>, StoreFault> {
        self.read(|connection| Ok(live(connection, now_s)?))
    }
}

/// How far every journal is imported, and what that comes to.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Up to where each lane is imported.
    pub checkpoints: Vec<Checkpoint>,
    /// What was posted in the epochs that have not ended.
    pub postings: Vec<Posting>,
}

impl Store {
    /// Both of one instant, although another process may be importing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn standing(&self, now_s: u32) -> Result<Standing, StoreFault> {
        self.read(|connection| {
            let instant = connection.unchecked_transaction()?;
            Ok(Standing {
                checkpoints: checkpoints(&instant)?,
                postings: live(&instant, now_s)?,
            })
        })
    }
}

fn live(connection: &Connection, now_s: u32) -> rusqlite::Result<Vec<Posting>> {
    let mut statement = connection
        .prepare_cached("SELECT ends_s, bucket, amount FROM postings WHERE ends_s > ?1")?;
    let rows = statement.query_map([now_s], |row| {
        Ok(Posting {
            ends_s: row.get(0)?,
            bucket: row.get(1)?,
            amount: row.get(2)?,
        })
    })?;
    rows.collect()
}
