//! The gateway's live counters, as an operator reads them.
//!
//! Decides the names and units of `GET /api/v1/stats`; `/metrics` says the same
//! of the same reading. It does not count: every number here was counted
//! elsewhere since the process began, and none of them is per tenant but the
//! buckets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use tollring_config::{NanoUsd, Scope, Unit, UnixSeconds, Window};

use crate::latency::LatencySnapshot;

/// One reading of everything. The answer of `GET /api/v1/stats` is this and `requests_per_s`.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The version of the program.
    pub version: &'static str,
    /// Seconds since the process was ready.
    pub uptime_s: u64,
    /// Which system interface the workers use.
    pub io: Io,
    /// The ring flags that this kernel allowed, by their kernel names; empty on epoll.
    pub io_flags: Vec<&'static str>,
    /// The version of the snapshot in force.
    pub snapshot_version: u64,
    /// Each worker for itself.
    pub workers: Vec<WorkerStats>,
    /// Requests whose head was complete, answered or not.
    pub requests_total: u64,
    /// Requests begun and not yet settled.
    pub in_flight: u64,
    /// Open client connections.
    pub connections: u64,
    /// Memory, and what is given up for it.
    pub memory: MemoryStats,
    /// From a request's first byte to its answer's last.
    #[serde(rename = "latency_us")]
    pub latency: LatencySnapshot,
    /// The part of it that was ours: the time to the first byte, less the upstream's share.
    #[serde(rename = "overhead_us")]
    pub overhead: LatencySnapshot,
    /// Answers by status, ours and those passed on.
    pub statuses: BTreeMap<u16, u64>,
    /// Our own noes by their code.
    pub refusals: BTreeMap<&'static str, u64>,
    /// What went wrong upstream, by `stage/cause`; counted per attempt.
    pub failures: BTreeMap<String, u64>,
    /// Tokens posted.
    pub tokens: TokenStats,
    /// Money posted, as a decimal string of USD.
    #[serde(rename = "cost_usd", serialize_with = "decimal")]
    pub cost: NanoUsd,
    /// The live buckets; whoever reads them bounds how many.
    pub buckets: Vec<BucketStats>,
    /// The connection pools, all workers together, by origin.
    pub pools: Vec<PoolStats>,
    /// How each upstream of a provider or service stands.
    pub upstreams: Vec<UpstreamStats>,
    /// Holds that were neither posted nor voided; each is a bug that was counted.
    pub holds_dropped_total: u64,
}

/// How much memory is used, of how much, and what is given up for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// Bytes in use: of the process, or of its control group where that sets the bound.
    pub used_bytes: u64,
    /// Bytes there may be; absent without a bound.
    pub bound_bytes: Option<u64>,
    /// What is given up: `none`, `end_keep_alive`, `refuse_requests` or `stop_accepting`.
    pub pressure: &'static str,
}

/// Which system interface the workers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Io {
    /// The kernel's submission and completion rings.
    IoUring,
    /// Readiness, where rings are forbidden or unknown.
    Epoll,
}

impl Io {
    /// The word of every answer.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// One worker's own counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerStats {
    /// Its number, from 0.
    pub id: usize,
    /// The core it is pinned to; absent where pinning was refused.
    pub core: Option<usize>,
    /// Open client connections.
    pub connections: u64,
    /// Client connections ever accepted.
    pub connections_total: u64,
    /// Client connections closed at once, because there was no place for them.
    pub turned_away_total: u64,
    /// TLS handshakes of clients that came to a good end.
    pub handshakes_total: u64,
    /// Those that did not.
    pub handshakes_failed_total: u64,
    /// Clients closed because too many were on their way through one.
    pub handshakes_refused_total: u64,
    /// Connections that have become WebSockets and are open.
    pub tunnels: u64,
    /// Requests whose head was complete.
    pub requests_total: u64,
    /// Requests begun and not yet settled.
    pub in_flight: u64,
    /// Read buffers in the hands of connections.
    pub buffers_borrowed: u64,
    /// Panics caught at a connection's root; each ended one connection.
    pub panics_total: u64,
}

/// Tokens posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenStats {
    /// Tokens that providers read.
    pub input: u64,
    /// Tokens that providers wrote.
    pub output: u64,
}

/// One live bucket. In JSON every amount is a decimal string, money in USD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketStats {
    /// Whose it is.
    pub scope: Scope,
    /// The tenant's name, or `tenant/key`.
    pub scope_id: Box<str>,
    /// A name for people.
    pub name: Box<str>,
    /// What it counts; the four amounts are in this unit, money in nano-USD.
    pub unit: Unit,
    /// Over what span.
    pub window: Window,
    /// How much there is in this window.
    pub limit: i64,
    /// How much of it is posted.
    pub used: i64,
    /// How much of it is reserved by requests in flight.
    pub held: i64,
    /// How much may still be held.
    pub remaining: i64,
    /// When the window ends; absent for one that never does.
    pub resets_at: Option<UnixSeconds>,
}

/// The pools of one origin, all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolStats {
    /// Scheme, host and port.
    pub origin: Box<str>,
    /// Open connections that wait for a request.
    pub idle: u64,
    /// Open connections, idle ones included.
    pub open: u64,
    /// Connections ever opened.
    pub opened_total: u64,
    /// Requests sent over a connection that had served one before.
    pub reused_total: u64,
}

/// One upstream of a provider or service, all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamStats {
    /// Whose it is: `providers.openai`, `services.weather`.
    pub owner: Box<str>,
    /// Host and port.
    pub origin: Box<str>,
    /// `healthy`; `ejected`, put aside by what requests met there; `slow_start`, back and not
    /// at its whole share; `unhealthy`, by its checks; `open` or `half_open`, its circuit.
    pub state: &'static str,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests that wait for a place.
    pub queued: u64,
    /// Attempts made.
    pub attempts_total: u64,
    /// Attempts that failed.
    pub failures_total: u64,
    /// Attempts that repeated one that had failed.
    pub retries_total: u64,
    /// Failures that were not followed by another attempt, for want of a retry budget.
    pub retries_refused_total: u64,
}

impl BucketStats {
    /// An amount of this bucket as a decimal string.
    fn amount(&self, amount: i64) -> String {
        match self.unit {
            Unit::Usd => NanoUsd(amount).to_string(),
            Unit::Requests | Unit::Tokens | Unit::Concurrent => amount.to_string(),
        }
    }
}

impl Serialize for BucketStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bucket = serializer.serialize_struct("BucketStats", 10)?;
        bucket.serialize_field("scope", self.scope.word())?;
        bucket.serialize_field("scope_id", &self.scope_id)?;
        bucket.serialize_field("name", &self.name)?;
        bucket.serialize_field("unit", self.unit.word())?;
        bucket.serialize_field("window", self.window.word())?;
        bucket.serialize_field("limit", &self.amount(self.limit))?;
        bucket.serialize_field("used", &self.amount(self.used))?;
        bucket.serialize_field("held", &self.amount(self.held))?;
        bucket.serialize_field("remaining", &self.amount(self.remaining))?;
        bucket.serialize_field("resets_at", &self.resets_at.and_then(rfc3339))?;
        bucket.end()
    }
}

/// `2026-08-01T00:00:00Z`; none past the year 9999, which no calendar window reaches.
fn rfc3339(at: UnixSeconds) -> Option<String> {
    Timestamp::from_second(at.0)
        .ok()
        .map(|time| time.to_string())
}

// The signature is the one that `serialize_with` asks for.
fn decimal<S: Serializer>(amount: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    fn bucket(unit: Unit, limit: i64, used: i64) -> BucketStats {
        BucketStats {
            scope: Scope::Tenant,
            scope_id: "acme".into(),
            name: "prepaid balance".into(),
            unit,
            window: Window::Month,
            limit,
            used,
            held: 0,
            remaining: limit - used,
            resets_at: Some(UnixSeconds(1_785_542_400)),
        }
    }

    #[test]
    fn money_in_a_bucket_is_written_in_usd_without_a_float() {
        let json = serde_json::to_value(bucket(Unit::Usd, 25_000_000_000, 1)).unwrap();
        assert_eq!(json["limit"], "25");
        assert_eq!(json["used"], "0.000000001");
        assert_eq!(json["remaining"], "24.999999999");
    }

    #[test]
    fn counts_in_a_bucket_are_decimal_strings_even_where_a_float_would_round() {
        let json = serde_json::to_value(bucket(Unit::Tokens, i64::MAX, 0)).unwrap();
        assert_eq!(json["limit"], "9223372036854775807");
        assert_eq!(json["unit"], "tokens");
        assert_eq!(json["window"], "month");
        assert_eq!(json["scope"], "tenant");
    }

    #[test]
    fn a_window_that_ends_says_when_and_one_that_does_not_says_null() {
        let mut ends = bucket(Unit::Requests, 1, 0);
        assert_eq!(
            serde_json::to_value(&ends).unwrap()["resets_at"],
            "2026-08-01T00:00:00Z"
        );
        ends.resets_at = None;
        assert!(serde_json::to_value(&ends).unwrap()["resets_at"].is_null());
        ends.resets_at = Some(UnixSeconds(i64::MAX));
        assert!(serde_json::to_value(&ends).unwrap()["resets_at"].is_null());
    }

    #[test]
    fn the_word_for_the_interface_is_the_same_in_json_and_in_metrics() {
        for io in [Io::IoUring, Io::Epoll] {
            assert_eq!(serde_json::to_value(io).unwrap(), io.word());
        }
    }
}
