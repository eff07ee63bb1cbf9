//! What the door may ask of the gateway behind it, and what it is answered.
//!
//! This is the whole of what the two know of each other. Nothing here knows
//! how counters are kept, where a file is read or how many workers there are.

use serde::Serialize;
use tollring_config::Faults;

use crate::stats::Stats;

/// The gateway, as the operator's door sees it.
pub trait Gateway: Send + Sync + 'static {
    /// A merged reading of every live counter.
    ///
    /// It is asked about once a second and on every look, on the door's own
    /// thread: it must be cheap, and it must never take a lock that a worker
    /// may be waiting for.
    fn stats(&self) -> Stats;

    /// Whether new requests are welcome.
    fn readiness(&self) -> Readiness;

    /// Reads the configuration again and puts it in force, or keeps the old one.
    ///
    /// It may block (it reads a file); the door asks on a thread where that is
    /// allowed, and never twice at the same time.
    ///
    /// # Errors
    ///
    /// Says why nothing changed. The snapshot in force stays in force.
    fn reload(&self) -> Result<Reloaded, ReloadFault>;
}

/// Whether new requests are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Every worker listens.
    Ready,
    /// Not every worker listens yet.
    Starting,
    /// The process was told to stop and finishes what it began.
    Draining,
}

/// A new snapshot is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The version of the snapshot that is now in force.
    pub version: u64,
    /// What is different, a sentence each; empty when the file says the same as before.
    pub changes: Vec<String>,
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadFault {
    /// The gateway was started without a file, so there is none to read again.
    NoFile,
    /// The file cannot be put in force; every reason at once.
    Faulty(Faults),
    /// A certificate, key or root that the file names cannot be had; a sentence that says which.
    Keys(String),
    /// The names in it cannot be written down; a sentence that says why.
    Unwritten(String),
}
