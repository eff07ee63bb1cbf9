//! What a run came to: the same facts for people and for programs.
//!
//! The names and units of the fields are a contract with those who read the JSON: they may be added
//! to, not changed. Times are microseconds unless their names say otherwise.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::Serialize;

use super::plan::{Arrivals, Plan, Spacing};
use super::record::{Record, Times};
use super::worker::Told;
use crate::units::show_micros;

/// Lag of the generator that is not worth a word, in microseconds: less than a scheduler's slice.
const LAG_SMALL_US: u64 = 1_000;

/// The part of the headline's p99 that the generator's own lag may be before the headline says more
/// about the generator than about the server.
const LAG_SHARE_MAX: f64 = 0.2;

/// How busy a thread may be before a closed loop's rate may be its own.
const BUSY_MAX: f64 = 0.95;

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the generator.
    pub version: &'static str,
    /// As the user wrote it.
    pub url: String,
    /// `open` or `closed`.
    pub mode: &'static str,
    /// Requests per second asked for, in an open loop.
    pub rate: Option<f64>,
    /// `constant` or `poisson`, in an open loop.
    pub arrivals: Option<&'static str>,
    /// Connections at most.
    pub connections_max: usize,
    /// Connections made.
    pub connections: u64,
    /// Threads used.
    pub threads: usize,
    /// From the start to the last answer.
    pub elapsed_s: f64,
    /// Whether the numbers are about the server.
    pub valid: bool,
    /// Why not, or what else should be known; empty when all is well.
    pub warnings: Vec<String>,
    /// Arrivals on the schedule; in a closed loop the same as `sent`.
    pub planned: u64,
    /// Requests of which the first byte went out.
    pub sent: u64,
    /// Requests with a whole answer, of any status.
    pub completed: u64,
    /// Requests without one.
    pub failed: u64,
    /// Arrivals that were due and never sent, because no connection was free until the end.
    pub unsent: u64,
    /// Arrivals that waited because all connections were busy.
    pub late: u64,
    /// Whole answers in a second of `elapsed_s`.
    pub requests_per_s: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by kind: connect, send, closed, cut, malformed, stream, timeout.
    pub failures: BTreeMap<&'static str, u64>,
    /// Bytes of requests.
    pub bytes_sent: u64,
    /// Bytes of answers, heads and all.
    pub bytes_received: u64,
    /// The headline: from the intended start in an open loop, from sending in a closed one.
    pub latency_us: Summary,
    /// From sending to the last byte.
    pub from_send_us: Summary,
    /// From sending to the first byte.
    pub first_byte_us: Summary,
    /// To connect.
    pub connect_us: Summary,
    /// From sending to the first event with content, of streams.
    pub first_delta_us: Summary,
    /// Between two events with content, of streams.
    pub event_gap_us: Summary,
    /// From the intended start to when the generator saw to it: its own fault.
    pub lag_us: Summary,
    /// How busy each thread of the generator was, of 1.
    pub cpu_busy: Vec<f64>,
}

/// A distribution of times in microseconds; all zero when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// The mean; says little about a distribution with a tail.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// 90 of 100 took no longer.
    pub p90: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// 999 of 1,000 took no longer.
    pub p999: u64,
    /// 9,999 of 10,000 took no longer.
    pub p9999: u64,
    /// The longest.
    pub max: u64,
}

impl Summary {
    fn of(times: &Times) -> Self {
        let micros = times.micros();
        if micros.is_empty() {
            return Self::default();
        }
        let at = |quantile| micros.value_at_quantile(quantile);
        Self {
            count: micros.len(),
            mean: micros.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: micros.max(),
        }
    }

    fn line(&self, out: &mut String, name: &str) {
        if self.count == 0 {
            return;
        }
        let _ = write!(out, "  {name:<26}");
        for micros in [
            self.p50, self.p90, self.p99, self.p999, self.p9999, self.max,
        ] {
            let _ = write!(out, "{:>10}", show_micros(micros));
        }
        out.push('\n');
    }
}

impl Report {
    /// Adds up what the threads have to tell.
    pub(super) fn new(plan: &Plan, told: &[Told]) -> Self {
        let mut record = Record::new();
        told.iter().for_each(|told| record.merge(&told.record));
        let unsent = told.iter().map(|told| told.unsent).sum();
        let (mode, rate, arrivals, connections_max) = match plan.arrivals {
            Arrivals::Open {
                rate,
                spacing,
                connections_max,
                ..
            } => {
                let arrivals = match spacing {
                    Spacing::Constant => "constant",
                    Spacing::Poisson { .. } => "poisson",
                };
                ("open", Some(rate), Some(arrivals), connections_max)
            }
            Arrivals::Closed { connections } => ("closed", None, None, connections),
        };
        let elapsed_s = record.last_end.as_secs_f64();
        let from_send_us = Summary::of(&record.from_send);
        let cpu_busy = told.iter().map(busy).collect();
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            url: plan.url.clone(),
            mode,
            rate,
            arrivals,
            connections_max,
            connections: record.connections,
            threads: plan.threads,
            elapsed_s,
            valid: true,
            warnings: Vec::new(),
            // A connect that failed was never sent, but it was asked for.
            planned: record.lag.micros().len() + record.late + unsent,
            sent: record.sent,
            completed: record.completed,
            failed: record.failed(),
            unsent,
            late: record.late,
            requests_per_s: record.completed as f64 / elapsed_s.max(1e-9),
            statuses: record.statuses().collect(),
            failures: record
                .failures()
                .map(|(kind, count)| (kind.name(), count))
                .collect(),
            bytes_sent: record.bytes_sent,
            bytes_received: record.bytes_received,
            latency_us: Summary::of(&record.from_intended),
            from_send_us,
            first_byte_us: Summary::of(&record.first_byte),
            connect_us: Summary::of(&record.connect),
            first_delta_us: Summary::of(&record.first_delta),
            event_gap_us: Summary::of(&record.event_gap),
            lag_us: Summary::of(&record.lag),
            cpu_busy,
        };
        if mode == "closed" {
            report.planned = report.sent;
            report.latency_us = from_send_us;
        }
        report.judge();
        report
    }

    /// Decides whether the numbers are about the server, and says what stands against it.
    fn judge(&mut self) {
        let busiest = self.cpu_busy.iter().copied().fold(0.0, f64::max);
        let (lag, headline) = (self.lag_us.p99, self.latency_us.p99);
        if lag > LAG_SMALL_US && lag as f64 > LAG_SHARE_MAX * headline as f64 {
            self.valid = false;
            self.warnings.push(format!(
                "INVALID: the generator was the bottleneck: its own lag is {} at p99, the latency \
                 {} (threads up to {:.0}% busy); use more threads, a lower rate or a quieter \
                 machine",
                show_micros(lag),
                show_micros(headline),
                busiest * 100.0
            ));
        }
        if self.mode == "closed" && busiest > BUSY_MAX {
            self.warnings.push(format!(
                "a thread of the generator was {:.0}% busy: the server may be faster than this",
                busiest * 100.0
            ));
        }
        if self.unsent > 0 {
            self.warnings.push(format!(
                "{} of {} arrivals were never sent: none of {} connections was free for them \
                 before the end, and the latencies leave out the worst",
                self.unsent, self.planned, self.connections
            ));
        }
    }
}

fn busy(told: &Told) -> f64 {
    told.cpu.as_secs_f64() / told.wall.as_secs_f64().max(1e-9)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write_summary(&mut out)?;
        self.write_times(&mut out);
        for warning in &self.warnings {
            writeln!(out, "\n  {warning}")?;
        }
        f.write_str(&out)
    }
}

impl Report {
    fn write_summary(&self, out: &mut String) -> fmt::Result {
        let how = match (self.rate, self.arrivals) {
            (Some(rate), Some(arrivals)) => format!("open loop, {rate} requests/s, {arrivals}"),
            _ => format!("closed loop, {} connections", self.connections_max),
        };
        writeln!(out, "  {}   {how}, {} thread(s)\n", self.url, self.threads)?;
        writeln!(
            out,
            "  {:.0} requests/s   {} answers in {:.2} s over {} connections",
            self.requests_per_s, self.completed, self.elapsed_s, self.connections
        )?;
        let sent_mb = self.bytes_sent as f64 / 1e6;
        let received_mb = self.bytes_received as f64 / 1e6;
        writeln!(out, "  {sent_mb:.1} MB sent, {received_mb:.1} MB received")?;
        for (status, count) in &self.statuses {
            writeln!(out, "  status {status}: {count}")?;
        }
        for (kind, count) in &self.failures {
            writeln!(out, "  failed, {kind}: {count}")?;
        }
        if self.mode == "open" {
            let (planned, late, unsent) = (self.planned, self.late, self.unsent);
            writeln!(
                out,
                "  {planned} arrivals planned, {late} late for want of a connection, {unsent} \
                 never sent"
            )?;
        }
        let busy = self
            .cpu_busy
            .iter()
            .map(|busy| format!("{:.0}%", busy * 100.0));
        writeln!(out, "  own CPU: {}\n", busy.collect::<Vec<_>>().join(", "))
    }

    fn write_times(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "  {:<26}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "p50", "p90", "p99", "p99.9", "p99.99", "max"
        );
        if self.mode == "open" {
            self.latency_us.line(out, "from intended start");
        }
        self.from_send_us.line(out, "from sending");
        self.first_byte_us.line(out, "to the first byte");
        self.first_delta_us.line(out, "to the first content");
        self.event_gap_us.line(out, "between contents");
        self.connect_us.line(out, "to connect");
        self.lag_us.line(out, "own schedule lag");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use std::time::Duration;

    use super::*;

    fn report(arrivals: Arrivals, busy_ms: u64, see: impl Fn(&mut Record)) -> Report {
        let plan = Plan {
            url: "http://a".to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
            request: Vec::new(),
            to_head: false,
            needs_done: false,
            arrivals,
            requests_max: None,
            duration: None,
            threads: 1,
            timeout: Duration::from_secs(1),
        };
        let mut record = Record::new();
        see(&mut record);
        let (cpu, wall) = (Duration::from_millis(busy_ms), Duration::from_secs(1));
        Report::new(
            &plan,
            &[Told {
                record,
                unsent: 0,
                cpu,
                wall,
            }],
        )
    }

    const OPEN: Arrivals = Arrivals::Open {
        rate: 1.0,
        spacing: Spacing::Constant,
        connections_first: 1,
        connections_max: 1,
    };

    fn lagging(lag_us: u64, latency_us: u64) -> Report {
        report(OPEN, 100, |record| {
            record.lag.add(Duration::from_micros(lag_us));
            record.from_intended.add(Duration::from_micros(latency_us));
        })
    }

    #[test]
    fn a_lag_that_is_most_of_the_latency_makes_a_run_invalid() {
        let invalid = lagging(5_000, 10_000);
        assert!(!invalid.valid);
        assert!(
            invalid
                .to_string()
                .contains("INVALID: the generator was the bottleneck")
        );
        assert!(
            lagging(5_000, 100_000).valid,
            "a small part of a long latency"
        );
        assert!(lagging(500, 600).valid, "less than a scheduler's slice");
    }

    #[test]
    fn a_busy_closed_loop_is_warned_of_and_valid() {
        let busy = report(Arrivals::Closed { connections: 1 }, 990, |_| {});
        assert!(busy.valid && busy.warnings[0].contains("99% busy"));
        assert!(
            report(Arrivals::Closed { connections: 1 }, 500, |_| {})
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn the_json_has_the_fields_that_programs_were_promised() {
        let json = serde_json::to_value(lagging(1, 1)).unwrap();
        let mut fields: Vec<_> = json
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        let promised = "arrivals bytes_received bytes_sent completed connect_us connections \
            connections_max cpu_busy elapsed_s event_gap_us failed failures first_byte_us \
            first_delta_us from_send_us lag_us late latency_us mode planned rate requests_per_s \
            sent statuses threads unsent url valid version warnings";
        assert_eq!(fields, promised.split_whitespace().collect::<Vec<_>>());
        for field in ["count", "mean", "p50", "p90", "p99", "p999", "p9999", "max"] {
            assert!(json["latency_us"][field].is_number(), "{field}");
        }
    }
}
