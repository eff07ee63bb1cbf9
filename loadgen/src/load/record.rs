//! What one thread saw, in fixed memory: histograms of times and counts of outcomes.
//!
//! A histogram reaches from a microsecond to an hour with three digits; what is shorter counts as a
//! microsecond, and a request cannot take longer.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart, in microseconds: an hour.
const MICROS_MAX: u64 = 3_600_000_000;

/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// Why a request has no proper answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection could be made.
    Connect,
    /// The request could not be sent whole.
    Send,
    /// The connection ended before the first byte of an answer.
    Closed,
    /// The connection ended within the answer.
    Cut,
    /// The answer was not HTTP/1.1, or was followed by bytes nobody asked for.
    Malformed,
    /// A stream of events reported an error or ended without its last event.
    Stream,
    /// It took longer than the timeout.
    Timeout,
}

impl Failure {
    /// Every failure, in the order of the report.
    pub(super) const ALL: [Self; 7] = [
        Self::Connect,
        Self::Send,
        Self::Closed,
        Self::Cut,
        Self::Malformed,
        Self::Stream,
        Self::Timeout,
    ];

    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Stream => "stream",
            Self::Timeout => "timeout",
        }
    }
}

/// A histogram of times.
#[derive(Clone, Debug)]
pub(super) struct Times {
    micros: Histogram<u64>,
}

impl Times {
    pub(super) fn new() -> Self {
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, DIGITS)
            .expect("the bounds are constants that a histogram takes");
        Self { micros }
    }

    /// Adds a time.
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        self.micros.saturating_record(micros.max(1));
    }

    fn merge(&mut self, other: &Self) {
        self.micros
            .add(&other.micros)
            .expect("all histograms have the same bounds");
    }

    /// The histogram itself, in microseconds.
    pub(super) const fn micros(&self) -> &Histogram<u64> {
        &self.micros
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// From the intended start to the last byte; in a closed loop the same as `from_send`.
    pub(super) from_intended: Times,
    /// From the moment the request was handed to the kernel to the last byte.
    pub(super) from_send: Times,
    /// From the same moment to the first byte.
    pub(super) first_byte: Times,
    /// To connect, over all connections made.
    pub(super) connect: Times,
    /// From sending to the first event with content.
    pub(super) first_delta: Times,
    /// Between two events with content.
    pub(super) event_gap: Times,
    /// From an arrival's intended start to when the generator saw to it, where a connection was
    /// free: its own fault.
    pub(super) lag: Times,
    /// Arrivals that waited for a connection: the server's fault, or of too few connections.
    pub(super) late: u64,
    pub(super) sent: u64,
    pub(super) completed: u64,
    /// Answers by status, 100 to 599.
    statuses: Box<[u64; 600]>,
    failures: [u64; Failure::ALL.len()],
    pub(super) connections: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    /// When the last request was done with, since the start.
    pub(super) last_end: Duration,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            from_intended: Times::new(),
            from_send: Times::new(),
            first_byte: Times::new(),
            connect: Times::new(),
            first_delta: Times::new(),
            event_gap: Times::new(),
            lag: Times::new(),
            late: 0,
            sent: 0,
            completed: 0,
            statuses: Box::new([0; 600]),
            failures: [0; Failure::ALL.len()],
            connections: 0,
            bytes_sent: 0,
            bytes_received: 0,
            last_end: Duration::ZERO,
        }
    }

    /// Counts an answer that came whole.
    pub(super) fn complete(&mut self, status: u16) {
        self.completed += 1;
        if let Some(count) = self.statuses.get_mut(usize::from(status)) {
            *count += 1;
        }
    }

    /// Counts a request that failed.
    pub(super) const fn fail(&mut self, failure: Failure) {
        self.failures[failure as usize] += 1;
    }

    /// The requests that failed, all of them.
    pub(super) fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// The failures there were.
    pub(super) fn failures(&self) -> impl Iterator<Item = (Failure, u64)> {
        let counts = Failure::ALL.into_iter().zip(self.failures);
        counts.filter(|(_, count)| *count > 0)
    }

    /// The statuses there were.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = (0..).zip(self.statuses.iter().copied());
        counts.filter(|(_, count)| *count > 0)
    }

    /// Adds what another thread saw.
    pub(super) fn merge(&mut self, other: &Self) {
        self.from_intended.merge(&other.from_intended);
        self.from_send.merge(&other.from_send);
        self.first_byte.merge(&other.first_byte);
        self.connect.merge(&other.connect);
        self.first_delta.merge(&other.first_delta);
        self.event_gap.merge(&other.event_gap);
        self.lag.merge(&other.lag);
        self.late += other.late;
        self.sent += other.sent;
        self.completed += other.completed;
        self.connections += other.connections;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.last_end = self.last_end.max(other.last_end);
        for (mine, theirs) in self.statuses.iter_mut().zip(other.statuses.iter()) {
            *mine += theirs;
        }
        for (mine, theirs) in self.failures.iter_mut().zip(other.failures) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_two_threads_add_up() {
        let (mut one, mut two) = (Record::new(), Record::new());
        one.complete(200);
        one.from_send.add(Duration::from_micros(10));
        two.complete(200);
        two.complete(503);
        two.from_send.add(Duration::from_millis(30));
        two.fail(Failure::Cut);
        two.last_end = Duration::from_secs(2);
        one.merge(&two);
        assert_eq!(one.statuses().collect::<Vec<_>>(), [(200, 2), (503, 1)]);
        assert_eq!(one.failures().collect::<Vec<_>>(), [(Failure::Cut, 1)]);
        assert_eq!((one.completed, one.failed()), (3, 1));
        assert_eq!(one.last_end, Duration::from_secs(2));
        assert_eq!(one.from_send.micros().len(), 2);
        assert_eq!(one.from_send.micros().min(), 10);
    }

    #[test]
    fn times_off_the_scale_are_kept_at_its_ends() {
        let mut times = Times::new();
        times.add(Duration::ZERO);
        times.add(Duration::from_secs(7_200));
        assert_eq!(times.micros().min(), 1);
        assert!(times.micros().max() >= MICROS_MAX);
    }
}
