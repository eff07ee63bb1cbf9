//! What each worker counts, for others to read at any time.
//!
//! Every counter has one writer, its worker, so counting is a load and a store of
//! one line in that core's cache; readers merge the workers and may see numbers a
//! few instructions apart. Nothing here is money: that is the ledger's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::exchange::refusal::RefusalKind;
use crate::upstream::failure::{Cause, Stage};

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning worker may.
    #[inline]
    pub fn add(&self, more: u64) {
        // One writer: no read-modify-write is needed.
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(more),
            Ordering::Relaxed,
        );
    }

    /// Takes away; only the owning worker may.
    #[inline]
    pub fn sub(&self, less: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(less),
            Ordering::Relaxed,
        );
    }

    /// Sets; only the owning worker may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Statuses that are counted one by one: 100 to 599.
const STATUSES: usize = 500;

/// Eight steps for each doubling: a reading is at most one eighth off.
const STEPS: usize = 8;

/// Doublings from 1 µs: the last holds an hour and everything beyond.
const DOUBLINGS: usize = 32;

/// How long things took, in steps of an eighth, from a microsecond to an hour.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[Counter]>,
    sum_us: Counter,
    max_us: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: (0..STEPS * DOUBLINGS).map(|_| Counter::default()).collect(),
            sum_us: Counter::default(),
            max_us: Counter::default(),
        }
    }
}

impl Histogram {
    /// Counts one span.
    #[inline]
    pub fn record(&self, span: Duration) {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.counts[step_of(us)].add(1);
        self.sum_us.add(us);
        if us > self.max_us.read() {
            self.max_us.set(us);
        }
    }

    /// Adds what was counted to `into`: one number per step, then the sum and the maximum.
    pub fn merge_into(&self, into: &mut HistogramReading) {
        into.counts.resize(self.counts.len(), 0);
        for (total, counter) in into.counts.iter_mut().zip(&self.counts) {
            *total += counter.read();
        }
        into.sum_us += self.sum_us.read();
        into.max_us = into.max_us.max(self.max_us.read());
    }
}

/// Several histograms added up.
#[derive(Clone, Debug, Default)]
pub struct HistogramReading {
    counts: Vec<u64>,
    /// All spans added up, in microseconds.
    pub sum_us: u64,
    /// The longest span, in microseconds.
    pub max_us: u64,
}

impl HistogramReading {
    /// Steps that hold anything: the largest whole number of microseconds of the step, and
    /// how many spans fell into it.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self
            .counts
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0);
        filled.map(|(step, &count)| (upper_us(step), count))
    }
}

/// The step a number of microseconds falls into: 0 to 7 have one each, then eight for each
/// doubling.
fn step_of(us: u64) -> usize {
    if us < STEPS as u64 {
        return usize::try_from(us).unwrap_or(0);
    }
    let doubling = (u64::BITS - 1 - us.leading_zeros()) as usize;
    let within = usize::try_from((us >> (doubling - 3)) & (STEPS as u64 - 1)).unwrap_or(0);
    ((doubling - 2) * STEPS + within).min(STEPS * DOUBLINGS - 1)
}

/// The largest number of microseconds that falls into a step.
fn upper_us(step: usize) -> u64 {
    if step < STEPS {
        return step as u64;
    }
    let doubling = step / STEPS + 2;
    let within = (step % STEPS) as u64;
    ((STEPS as u64 + within + 1) << (doubling - 3)) - 1
}

/// Everything one worker counts.
#[derive(Debug)]
pub struct Counters {
    /// Client connections that are open.
    pub connections: Counter,
    /// Client connections accepted.
    pub connections_total: Counter,
    /// Requests whose head was read.
    pub requests_total: Counter,
    /// Requests not answered yet.
    pub in_flight: Counter,
    /// Blocks of memory lent at the last tick.
    pub buffers_borrowed: Counter,
    /// Times the worker looked up from its work; one that stands still is stuck.
    pub ticks: Counter,
    /// Tasks that ended in a panic.
    pub panics_total: Counter,
    /// Accepts that failed, and connections turned away because the gateway was full.
    pub turned_away_total: Counter,
    /// TLS handshakes of clients that came to a good end.
    pub handshakes_total: Counter,
    /// Those that did not.
    pub handshakes_failed_total: Counter,
    /// Clients closed because too many were on their way through one.
    pub handshakes_refused_total: Counter,
    /// Connections that have become another protocol's.
    pub tunnels: Counter,
    /// From a request's first byte to its answer's last.
    pub latency: Histogram,
    /// The same, less the time spent waiting for a provider.
    pub overhead: Histogram,
    /// Tokens posted.
    pub tokens_input: Counter,
    /// Tokens posted.
    pub tokens_output: Counter,
    /// Nano-USD posted.
    pub cost_nano_usd: Counter,
    /// Records for which the journal had no room.
    pub journal_lost_total: Counter,
    statuses: Box<[Counter]>,
    refusals: Box<[Counter]>,
    failures: Box<[Counter]>,
}

impl Default for Counters {
    fn default() -> Self {
        let zeros = |count: usize| (0..count).map(|_| Counter::default()).collect();
        Self {
            connections: Counter::default(),
            connections_total: Counter::default(),
            requests_total: Counter::default(),
            in_flight: Counter::default(),
            buffers_borrowed: Counter::default(),
            ticks: Counter::default(),
            panics_total: Counter::default(),
            turned_away_total: Counter::default(),
            handshakes_total: Counter::default(),
            handshakes_failed_total: Counter::default(),
            handshakes_refused_total: Counter::default(),
            tunnels: Counter::default(),
            latency: Histogram::default(),
            overhead: Histogram::default(),
            tokens_input: Counter::default(),
            tokens_output: Counter::default(),
            cost_nano_usd: Counter::default(),
            journal_lost_total: Counter::default(),
            statuses: zeros(STATUSES),
            refusals: zeros(RefusalKind::ALL.len()),
            failures: zeros(Stage::ALL.len() * Cause::ALL.len()),
        }
    }
}

impl Counters {
    /// Counts an answer by its status.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(counter) = self.statuses.get(usize::from(status).wrapping_sub(100)) {
            counter.add(1);
        }
    }

    /// Counts a refusal by its kind.
    pub(crate) fn refused(&self, kind: RefusalKind) {
        self.refusals[kind as usize].add(1);
    }

    /// Counts a failed attempt by where and why.
    pub(crate) fn failed(&self, stage: Stage, cause: Cause) {
        self.failures[stage as usize * Cause::ALL.len() + cause as usize].add(1);
    }

    /// Statuses answered so far, and how often.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let numbered = (100_u16..).zip(&self.statuses);
        numbered
            .map(|(status, counter)| (status, counter.read()))
            .filter(|&(_, count)| count > 0)
    }

    /// Refusals so far by code, and how often.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let named = RefusalKind::ALL.iter().zip(&self.refusals);
        named
            .map(|(kind, counter)| (kind.code(), counter.read()))
            .filter(|&(_, count)| count > 0)
    }

    /// Failed attempts so far by stage and cause, and how often.
    pub fn failures(&self) -> impl Iterator<Item = (Stage, Cause, u64)> + '_ {
        let pairs = Stage::ALL
            .iter()
            .flat_map(|&stage| Cause::ALL.iter().map(move |&c| (stage, c)));
        let counted = pairs.zip(&self.failures);
        counted
            .map(|((stage, cause), counter)| (stage, cause, counter.read()))
            .filter(|&(_, _, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_falls_into_the_step_that_ends_at_or_above_it() {
        for us in (0..5_000).chain([65_535, 65_536, 1_000_000, 3_599_999_999]) {
            let step = step_of(us);
            assert!(us <= upper_us(step), "{us} µs in step {step}");
            assert!(
                step == 0 || us > upper_us(step - 1),
                "{us} µs in step {step}"
            );
        }
    }

    #[test]
    fn a_step_is_at_most_an_eighth_wide() {
        for step in STEPS..STEPS * DOUBLINGS - 1 {
            let (low, high) = (upper_us(step - 1) + 1, upper_us(step));
            assert!((high - low) * 8 <= high, "{low}..={high}");
        }
    }

    #[test]
    fn readings_of_two_workers_add_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_micros(10));
        two.record(Duration::from_micros(10));
        two.record(Duration::from_millis(2));
        let mut reading = HistogramReading::default();
        one.merge_into(&mut reading);
        two.merge_into(&mut reading);
        assert_eq!(reading.sum_us, 2_020);
        assert_eq!(reading.max_us, 2_000);
        assert_eq!(reading.steps().map(|(_, count)| count).sum::<u64>(), 3);
    }
}
