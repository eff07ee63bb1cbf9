//! What is kept on disk, how surely, and what happens when it cannot be.

use std::path::PathBuf;
use std::time::Duration;

/// Where it is written down what was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The folder of the database and the journal.
    pub path: PathBuf,
    /// What an answer waits for.
    pub durability: Durability,
    /// How often the journal is made to last; what a power cut can lose is no older.
    pub sync_interval: Duration,
    /// Bytes of one file of the journal.
    pub segment_bytes: u64,
    /// Bytes of the journal, over all workers.
    pub journal_bytes_max: u64,
    /// Days that the row of a single request is kept; sums are kept for ever.
    pub keep_rows_days: u64,
    /// What becomes of metered requests when nothing can be written down.
    pub fail_mode: FailMode,
    /// What is charged for a request that was in flight when the process was killed.
    pub crash_settle: CrashSettle,
}

/// What an answer waits for before its last byte leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing, and nothing is ever waited for: the system writes when it likes. A killed
    /// process loses nothing, a power cut what the system had not written.
    Async,
    /// Nothing; what it cost is on the disk within `sync_interval`.
    Group,
    /// What it cost is on the disk.
    Sync,
}

/// What becomes of metered requests when nothing can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// They are refused with 503.
    Closed,
    /// They pass, held against the counters in memory; what is lost is counted and logged.
    Open,
}

/// What is charged for a request that was in flight when the process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashSettle {
    /// Its input: the provider has had that much.
    Input,
    /// Nothing.
    Void,
    /// All that was held for it.
    Hold,
}

/// The lasting numbers of what a snapshot names, each list in the order of the snapshot's own.
///
/// Given by the store before a snapshot is put in force; 0, which nothing is numbered, where
/// there is no store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of the tenants.
    pub tenants: Vec<u32>,
    /// Of the teams.
    pub teams: Vec<u32>,
    /// Of the keys.
    pub keys: Vec<u32>,
    /// Of the providers.
    pub providers: Vec<u32>,
    /// Of the models.
    pub models: Vec<u32>,
    /// Of the services.
    pub services: Vec<u32>,
    /// Of the prices in force, by model; a price that changes gets another.
    pub model_prices: Vec<u32>,
    /// Of the prices in force, by service.
    pub service_prices: Vec<u32>,
    /// Of the buckets' identities.
    pub buckets: Vec<u32>,
}

impl Numbers {
    /// The number at a place in one of the lists.
    pub fn at(list: &[u32], place: usize) -> u32 {
        list.get(place).copied().unwrap_or(0)
    }
}
