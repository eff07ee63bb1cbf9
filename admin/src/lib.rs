//! The operator's door: one port, one thread, one token.
//!
//! Decides who may look and who may change something, and writes what the
//! gateway knows as JSON and as Prometheus text. It does not know what the
//! gateway is made of: everything it may ask stands in the [`Gateway`] trait,
//! and the command line lends it one. It is off the path of every request, so
//! it may allocate, but it never makes a worker wait.
//!
//! ```text
//! door      the port, the thread, the connections, and how they end
//! routes    the table of what is answered, and for whom
//! token     who is the operator
//! origin    whether a browser was talked into asking
//! refusal   every no, as problem+json
//! gateway   what the gateway is asked, and what it answers
//! stats     its live counters, as an operator reads them
//! latency   from counted durations to percentiles and histograms
//! rate      requests per second, from two readings
//! metrics   the same counters as Prometheus text
//! limits    the bounds of the door itself
//! ```

mod door;
mod gateway;
mod latency;
mod limits;
mod metrics;
mod origin;
mod rate;
mod refusal;
mod routes;
mod stats;
mod token;

pub use door::{Door, OpenDoor, open, open_on};
pub use gateway::{Gateway, Readiness, ReloadFault, Reloaded};
pub use latency::LatencySnapshot;
pub use stats::{
    BucketStats, Io, MemoryStats, PoolStats, Stats, TokenStats, UpstreamStats, WorkerStats,
};
