//! The gateway's counters as OpenMetrics text, which Prometheus reads.
//!
//! Decides names, units and labels of `GET /metrics`. Every scrape encodes one
//! reading and forgets it: nothing is registered, so nothing grows with what
//! was ever seen. No label is made of what a client sent; tenants and buckets
//! are left to `/api/v1/stats`, for they would make a series each.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::latency::LatencySnapshot;
use crate::stats::{PoolStats, Stats, UpstreamStats, WorkerStats};

/// What the encoder writes (OpenMetrics 1.0).
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds for whole requests: from a loopback answer to the longest of generations.
const DURATION_BOUNDS_US: [u64; 18] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
    600_000_000,
];

/// Upper bounds for our own part, which is some tens of microseconds when all is well.
const OVERHEAD_BOUNDS_US: [u64; 11] = [
    10, 25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000,
];

/// A family's name, its help, its kind, and where its value is read.
type Family<T> = (&'static str, &'static str, MetricType, fn(&T) -> u64);

const OF_EACH_WORKER: [Family<WorkerStats>; 11] = [
    (
        "tollring_worker_requests",
        "Requests with a whole head.",
        Counter,
        |w| w.requests_total,
    ),
    (
        "tollring_worker_connections_accepted",
        "Ever accepted.",
        Counter,
        |w| w.connections_total,
    ),
    (
        "tollring_worker_connections_turned_away",
        "Closed at once for want of a place.",
        Counter,
        |w| w.turned_away_total,
    ),
    (
        "tollring_worker_handshakes",
        "TLS handshakes of clients that came to a good end.",
        Counter,
        |w| w.handshakes_total,
    ),
    (
        "tollring_worker_handshakes_failed",
        "TLS handshakes of clients that did not.",
        Counter,
        |w| w.handshakes_failed_total,
    ),
    (
        "tollring_worker_handshakes_refused",
        "Clients closed because too many were on their way through a handshake.",
        Counter,
        |w| w.handshakes_refused_total,
    ),
    (
        "tollring_worker_connections",
        "Open client connections.",
        Gauge,
        |w| w.connections,
    ),
    ("tollring_worker_tunnels", "Open WebSockets.", Gauge, |w| {
        w.tunnels
    }),
    (
        "tollring_worker_requests_in_flight",
        "Begun and not settled.",
        Gauge,
        |w| w.in_flight,
    ),
    (
        "tollring_worker_buffers_borrowed",
        "Read buffers in use.",
        Gauge,
        |w| w.buffers_borrowed,
    ),
    (
        "tollring_worker_panics",
        "Panics caught; each is a bug.",
        Counter,
        |w| w.panics_total,
    ),
];

const OF_EACH_POOL: [Family<PoolStats>; 4] = [
    (
        "tollring_pool_idle",
        "Connections that wait for a request.",
        Gauge,
        |p| p.idle,
    ),
    ("tollring_pool_open", "Open connections.", Gauge, |p| p.open),
    (
        "tollring_pool_opened",
        "Connections ever opened.",
        Counter,
        |p| p.opened_total,
    ),
    (
        "tollring_pool_reused",
        "Requests over a used connection.",
        Counter,
        |p| p.reused_total,
    ),
];

const OF_EACH_UPSTREAM: [Family<UpstreamStats>; 6] = [
    (
        "tollring_upstream_in_flight",
        "Requests under way.",
        Gauge,
        |u| u.in_flight,
    ),
    (
        "tollring_upstream_queued",
        "Requests that wait for a place.",
        Gauge,
        |u| u.queued,
    ),
    (
        "tollring_upstream_attempts",
        "Attempts made.",
        Counter,
        |u| u.attempts_total,
    ),
    (
        "tollring_upstream_attempts_failed",
        "Attempts that failed.",
        Counter,
        |u| u.failures_total,
    ),
    (
        "tollring_upstream_retries",
        "Attempts that repeated one that had failed.",
        Counter,
        |u| u.retries_total,
    ),
    (
        "tollring_upstream_retries_refused",
        "Failures not tried again for want of a retry budget.",
        Counter,
        |u| u.retries_refused_total,
    ),
];

/// One reading as text.
///
/// # Errors
///
/// When a value cannot be written, which only a gauge above `i64::MAX` cannot.
pub(crate) fn encode(stats: Stats) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Reading(stats)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// A reading on its way into text.
#[derive(Debug)]
struct Reading(Stats);

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        page.program(&self.0)?;
        page.traffic(&self.0)?;
        page.money(&self.0)?;
        page.workers(&self.0.workers)?;
        page.pools(&self.0.pools)?;
        page.upstreams(&self.0.upstreams)
    }
}

/// The page being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn program(&mut self, stats: &Stats) -> fmt::Result {
        let labels = vec![("version", stats.version), ("io", stats.io.word())];
        let info = Info::new(labels);
        let encoder = self.0.encode_descriptor(
            "tollring",
            "The program and the system interface it runs on.",
            None,
            info.metric_type(),
        )?;
        info.encode(encoder)?;
        self.gauge(
            "tollring_uptime_seconds",
            "Since the process was ready.",
            stats.uptime_s,
        )?;
        self.gauge(
            "tollring_snapshot_version",
            "Version of the configuration in force.",
            stats.snapshot_version,
        )
    }

    fn traffic(&mut self, stats: &Stats) -> fmt::Result {
        let statuses = stats
            .statuses
            .iter()
            .map(|(status, &n)| ([("status", *status)], n));
        self.counters(
            "tollring_requests",
            "Requests by the status they got.",
            statuses,
        )?;
        self.gauge(
            "tollring_connections",
            "Open client connections.",
            stats.connections,
        )?;
        self.gauge(
            "tollring_requests_in_flight",
            "Begun and not settled.",
            stats.in_flight,
        )?;

        self.gauge(
            "tollring_memory_used_bytes",
            "Memory in use.",
            stats.memory.used_bytes,
        )?;
        if let Some(bound_bytes) = stats.memory.bound_bytes {
            let help = "Memory there may be; work is refused before.";
            self.gauge("tollring_memory_bound_bytes", help, bound_bytes)?;
        }
        self.histogram(
            "tollring_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            &stats.latency,
            &DURATION_BOUNDS_US,
        )?;
        self.histogram(
            "tollring_overhead_seconds",
            "The part of a request's duration that was the gateway's own.",
            &stats.overhead,
            &OVERHEAD_BOUNDS_US,
        )?;
        let refusals = stats
            .refusals
            .iter()
            .map(|(code, &n)| ([("code", *code)], n));
        self.counters(
            "tollring_refusals",
            "The gateway's own noes by code.",
            refusals,
        )?;
        let failures = stats.failures.iter().map(|(place, &n)| {
            let (stage, cause) = place.split_once('/').unwrap_or((place, ""));
            ([("stage", escape(stage)), ("cause", escape(cause))], n)
        });
        self.counters(
            "tollring_upstream_failures",
            "Attempts that went wrong.",
            failures,
        )
    }

    fn money(&mut self, stats: &Stats) -> fmt::Result {
        let tokens = [
            ([("direction", "input")], stats.tokens.input),
            ([("direction", "output")], stats.tokens.output),
        ];
        self.counters("tollring_tokens", "Tokens posted.", tokens.into_iter())?;
        // The format knows only floats. The exact amount is in the stats, as a decimal.
        #[allow(clippy::cast_precision_loss)]
        let cost_usd = stats.cost.0 as f64 / 1e9;
        self.counter(
            "tollring_cost_usd",
            "Money posted, in USD; rounded.",
            cost_usd,
        )?;
        self.counter(
            "tollring_holds_dropped",
            "Holds neither posted nor voided; each is a bug.",
            stats.holds_dropped_total,
        )
    }

    fn workers(&mut self, workers: &[WorkerStats]) -> fmt::Result {
        for (name, help, kind, count) in OF_EACH_WORKER {
            let rows = workers
                .iter()
                .map(|worker| ([("worker", worker.id)], count(worker)));
            self.family(name, help, kind, rows)?;
        }
        Ok(())
    }

    fn pools(&mut self, pools: &[PoolStats]) -> fmt::Result {
        for (name, help, kind, count) in OF_EACH_POOL {
            let rows = pools
                .iter()
                .map(|pool| ([("origin", escape(&pool.origin))], count(pool)));
            self.family(name, help, kind, rows)?;
        }
        Ok(())
    }

    fn upstreams(&mut self, upstreams: &[UpstreamStats]) -> fmt::Result {
        let place = |upstream: &UpstreamStats| {
            let (owner, origin) = (escape(&upstream.owner), escape(&upstream.origin));
            [("owner", owner), ("origin", origin)]
        };
        for (name, help, kind, count) in OF_EACH_UPSTREAM {
            let rows = upstreams
                .iter()
                .map(|upstream| (place(upstream), count(upstream)));
            self.family(name, help, kind, rows)?;
        }
        let states = upstreams.iter().map(|upstream| {
            let [owner, origin] = place(upstream);
            let state = ("state", upstream.state.to_owned());
            ([owner, origin, state], 1)
        });
        self.family(
            "tollring_upstream_state",
            "1 for the state an upstream is in.",
            Gauge,
            states,
        )
    }

    fn counter<N>(&mut self, name: &str, help: &str, value: N) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        let counter = ConstCounter::new(value);
        let encoder = self
            .0
            .encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let encoder = self
            .0
            .encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(encoder)
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        latency: &LatencySnapshot,
        bounds_us: &[u64],
    ) -> fmt::Result {
        let counts = latency.fold(bounds_us);
        let bounds_s = bounds_us.iter().map(|&bound_us| seconds(bound_us));
        // The encoder takes `f64::MAX` for +Inf.
        let buckets: Vec<(f64, u64)> = bounds_s.chain([f64::MAX]).zip(counts).collect();
        // The count is what the buckets hold, so that the two cannot disagree.
        let count = buckets
            .iter()
            .fold(0_u64, |sum, &(_, n)| sum.saturating_add(n));
        let sum_s = seconds(latency.sum_us);
        self.0
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        self.family(name, help, Counter, rows)
    }

    fn family<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            let row = family.encode_family(&labels)?;
            match kind {
                Counter => ConstCounter::new(value).encode(row)?,
                _ => ConstGauge::new(value).encode(row)?,
            }
        }
        Ok(())
    }
}

/// A label's value as the text format wants it; the encoder writes it as it comes.
fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}

fn seconds(us: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // the format knows only floats
    let us = us as f64;
    us / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes_or_its_line() {
        assert_eq!(
            escape("plain http://127.0.0.1:9000"),
            "plain http://127.0.0.1:9000"
        );
        assert_eq!(escape("a\"} 1\nb\\"), r#"a\"} 1\nb\\"#);
    }
}
