//! The path of a request: a thread per core, nothing shared on the way.
//!
//! Start at `exchange/mod.rs`: one function is the list of steps, and each step is a
//! room of the same name. `worker.rs` is the life of a thread, `net/` everything that
//! knows the operating system.
//!
//! # Invariants
//!
//! - Only `engine/src/net/`, `engine/ledger/src/journal/map.rs` and `loadgen`'s own net room
//!   may contain `unsafe`, each block with its reason.
//! - `http1` and `dialects` do no I/O, read no clock, and hold no unbounded buffer.
//! - Workers share nothing mutable except a bucket's atomics, an upstream's standing and
//!   places, and bounded mail.
//! - A request sees one snapshot from its first byte to its last.
//! - For every bucket, at every instant: `posted + held + free ≤ limit (+ agreed overdraft)`;
//!   at rest `held = 0`.
//! - A refusal for lack of units happens only after every worker's unused slice was asked back.
//! - A request whose bytes may have reached a provider is not sent to another, unless the
//!   operator said it is idempotent.
//! - Same dialect on both sides: bytes pass untouched, but for the model name and the usage
//!   option when needed; counted, never re-serialised.
//! - An exchange holds at most a named number of bytes, however long its stream.
//! - Secrets have no `Debug` that shows them, are never logged, and are hashed (keys) or
//!   encrypted (provider keys, TOTP seeds) at rest.

pub mod counters;
pub mod engine;
pub mod live;
pub mod machine;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod tls;
pub mod upstream;

mod accept;
mod books;
mod callers;
mod connection;
mod descriptors;
mod doors;
mod exchange;
mod greeting;
mod keeper;
mod memory;
mod net;
mod pressure;
mod spread;
mod worker;

pub use engine::{Engine, StartFault, Written, workers_of};
pub use net::{Inherited, IoKind, IoReport};
pub use pressure::{MemoryReading, Pressure};
pub use tollring_ledger::{EpochEnd, Opening, UnixMillis, journal};
