//! Decides whether a request may spend, and counts what was spent, exactly.
//!
//! A request holds the most it could cost in every bucket on its path before a byte
//! goes upstream, and settles at what it did cost: a burst of large requests cannot
//! pass on the strength of the same balance. See [`hold()`] for the walk, `counters`
//! for how many cores share one bucket.
//!
//! Not decided here: how much a request should hold, what it did cost, and what a
//! refusal looks like to its caller. This room reads no clock, and does no I/O but in
//! [`journal`], where what was held and charged is put down.
//!
//! Invariants, for every bucket at every instant:
//!
//! - `posted + held + free <= limit`, and when an overdraft or a lowered limit makes
//!   `posted + held` exceed the limit, `free` is as far below zero; at rest `held` is 0.
//! - Nobody is refused for lack of units before every worker's slot was asked.
//! - An epoch that was left is never begun again, whatever the clock says.

mod amounts;
mod bucket;
mod counters;
mod denial;
mod heat;
mod hold;
pub mod journal;
mod ledger;
pub mod price;
mod sync;
mod tally;
mod window;

pub use amounts::{Amounts, UnixMillis, WorkerSlot};
pub use bucket::Bucket;
pub use denial::{Denial, DenialReason, Reading};
pub use hold::{Counting, Hold, PATH_MAX, Path, Receipt, hold};
pub use ledger::{Ledger, Opening};
pub use tally::AMOUNT_MAX;
pub use window::EpochEnd;
