//! How fast a request's body must come.
//!
//! A client that sends a byte before each deadline would keep its place for ever. So a body
//! has `timeouts.body` and, beyond that, the time its bytes take at `limits.body_rate_min`;
//! no read may outlast that. Only time spent waiting for the client counts: an upstream that
//! takes its own time is not the client's fault.

use std::time::Duration;

use tollring_config::Snapshot;

/// Time and bytes of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// `timeouts.body`: between two reads, and to begin with.
    patience: Duration,
    /// Bytes a second; 0 asks for none.
    rate_min: u64,
    /// How long the client was waited for.
    waited_ms: u64,
    /// Bytes that came meanwhile.
    bytes: u64,
}

impl Pace {
    /// Before the first read.
    pub(super) fn new(config: &Snapshot) -> Self {
        Self {
            patience: config.timeouts.body,
            rate_min: config.limits.body_rate_min,
            waited_ms: 0,
            bytes: 0,
        }
    }

    /// How long the next read may take.
    pub(super) fn next_read(&self) -> Duration {
        if self.rate_min == 0 {
            return self.patience;
        }
        let earned_ms = self.bytes.saturating_mul(1000) / self.rate_min;
        let patience_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let left_ms = patience_ms
            .saturating_add(earned_ms)
            .saturating_sub(self.waited_ms);
        self.patience.min(Duration::from_millis(left_ms))
    }

    /// Notes a read: how long it took by the worker's clock, and what came.
    pub(super) fn note(&mut self, took_ms: u64, bytes: usize) {
        self.waited_ms = self.waited_ms.saturating_add(took_ms);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        patience: Duration::from_secs(10),
        rate_min: 500,
        waited_ms: 0,
        bytes: 0,
    };

    /// How often a client that sends `bytes` every `every_ms` is waited for, up to a million.
    fn reads(mut pace: Pace, every_ms: u64, bytes: usize) -> u32 {
        let limit = |pace: &Pace| pace.next_read() >= Duration::from_millis(every_ms);
        (0..1_000_000)
            .take_while(|_| {
                let in_time = limit(&pace);
                pace.note(every_ms, bytes);
                in_time
            })
            .fold(0, |count, _| count + 1)
    }

    #[test]
    fn one_byte_before_each_deadline_is_not_enough() {
        assert_eq!(reads(PACE, 1_000, 1), 10);
        assert_eq!(reads(PACE, 9_000, 1), 1);
    }

    #[test]
    fn whoever_keeps_the_rate_is_waited_for_without_end() {
        assert_eq!(reads(PACE, 1_000, 500), 1_000_000);
        assert_eq!(reads(PACE, 10_000, 5_000), 1_000_000);
        assert_eq!(reads(PACE, 0, 1), 1_000_000);
        let any = Pace {
            rate_min: 0,
            ..PACE
        };
        assert_eq!(reads(any, 10_000, 1), 1_000_000);
    }

    #[test]
    fn no_read_outlasts_the_deadline_however_much_has_come() {
        let mut pace = PACE;
        pace.note(0, usize::MAX);
        assert_eq!(pace.next_read(), PACE.patience);
    }
}
