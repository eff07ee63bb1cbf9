//! What has happened, on disk: usage, sums, postings and entities in one SQLite file.
//!
//! [`Store`] is the one writer. It numbers names, imports what the journals say exactly once,
//! forgets rows that are too old, and keeps what the operator's API declares. A [`Reader`] asks,
//! on any other thread, and neither makes the other wait.
//!
//! It knows no journal, no HTTP and no time of day: what happened comes as a [`Batch`], the time as
//! an argument. It judges nothing either: an amount is added as it is told.
//!
//! One vocabulary: a type's fields are named as the columns they stand in
//! (`migrations/0001_first.sql` is the list of them). All times are UTC: a day of the roll-ups
//! begins at midnight UTC whatever the machine's zone is.

mod audit;
mod change;
mod declared;
mod fault;
mod import;
mod log;
mod marks;
mod migrations;
mod money;
mod names;
mod postings;
mod prices;
mod reader;
mod report;
mod retention;
mod rollup;
mod store;
mod sums;
mod usage;
mod wallet;

#[cfg(test)]
extern crate self as tollring_store;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use audit::AuditEntry;
pub use change::Change;
pub use declared::{ApiKey, Holder, Limit, Plan, Source, Team, Tenant};
pub use fault::{FaultKind, StoreFault};
pub use import::{Batch, Imported, Span};
pub use log::{PAGE_ROWS_MAX, Page, RowFilter};
pub use money::{Adjustment, Grant, GrantKind};
pub use names::NameKind;
pub use postings::{NEVER, Posting, Standing};
pub use prices::PriceVersion;
pub use reader::{READ_TIME_MAX, Reader};
pub use report::{GROUPS_MAX, GroupBy, UsageGroup, Whose};
pub use retention::{FORGET_ROWS_MAX, Forgotten};
pub use rollup::Grain;
pub use store::{Checkpoint, FILE_NAME, Store};
pub use sums::Sums;
pub use usage::{Place, RequestId, TokenCounts, UsageRow};
pub use wallet::{Movement, Wallet, wallet};
