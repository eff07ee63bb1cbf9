//! How scarce memory is, and what is given up at each step of it.
//!
//! A thread of its own looks ten times a second and publishes one number; workers
//! read it with their ticks. The bodies of requests, which can grow as fast as a network
//! is, ask for what they will need before it is there to be seen. Nothing here frees
//! anything: it keeps work away until what is held has gone. How much memory there is
//! stands in the file or in the control group; what is used is read in `memory.rs`.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Percent of the memory bound from which connections are not kept.
const END_KEEP_ALIVE_PERCENT: u64 = 85;
/// Percent from which new requests are refused.
const REFUSE_REQUESTS_PERCENT: u64 = 92;
/// Percent from which no client is taken.
const STOP_ACCEPTING_PERCENT: u64 = 95;

const _: () = assert!(
    END_KEEP_ALIVE_PERCENT < REFUSE_REQUESTS_PERCENT
        && REFUSE_REQUESTS_PERCENT < STOP_ACCEPTING_PERCENT
        && STOP_ACCEPTING_PERCENT < 100,
    "each step gives up more than the one before, and the last leaves room for what is going on"
);

/// What is given up, each step including those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    /// Nothing.
    None,
    /// Connections end after the request in progress, so that idle ones cost nothing; so do
    /// those to upstreams that are idle, and memory that was kept for the next request.
    EndKeepAlive,
    /// New requests are refused with 503.
    RefuseRequests,
    /// Clients wait in the listener's queue.
    StopAccepting,
}

impl Pressure {
    /// Every step, in order.
    const ALL: [Self; 4] = [
        Self::None,
        Self::EndKeepAlive,
        Self::RefuseRequests,
        Self::StopAccepting,
    ];

    /// What is given up with so much in use of so much.
    fn of(used_bytes: u64, bound_bytes: u64) -> Self {
        let beyond = |percent: u64| {
            u128::from(used_bytes) * 100 >= u128::from(bound_bytes) * u128::from(percent)
        };
        match () {
            () if beyond(STOP_ACCEPTING_PERCENT) => Self::StopAccepting,
            () if beyond(REFUSE_REQUESTS_PERCENT) => Self::RefuseRequests,
            () if beyond(END_KEEP_ALIVE_PERCENT) => Self::EndKeepAlive,
            () => Self::None,
        }
    }

    /// The word of statistics and of the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::EndKeepAlive => "end_keep_alive",
            Self::RefuseRequests => "refuse_requests",
            Self::StopAccepting => "stop_accepting",
        }
    }
}

/// A reading of memory and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReading {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes there may be; `None` without a bound.
    pub bound_bytes: Option<u64>,
    /// What is given up.
    pub pressure: Pressure,
}

impl MemoryReading {
    /// What follows from so much in use of so much.
    pub(crate) fn of(used_bytes: u64, bound_bytes: Option<u64>) -> Self {
        Self {
            used_bytes,
            bound_bytes,
            pressure: bound_bytes.map_or(Pressure::None, |bound| Pressure::of(used_bytes, bound)),
        }
    }
}

/// Written by the thread that looks, read by everyone.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    pressure: AtomicU8,
    used_bytes: AtomicU64,
    /// 0 without a bound.
    bound_bytes: AtomicU64,
    /// What bodies that are being read may yet take up.
    promised_bytes: AtomicU64,
    /// What the last ones took up, since the last look and since the one before it: a look may
    /// have come too early to see it.
    taken_bytes: [AtomicU64; 2],
}

impl Gauge {
    /// What is given up now.
    pub(crate) fn pressure(&self) -> Pressure {
        let step = usize::from(self.pressure.load(Ordering::Relaxed));
        Pressure::ALL[step.min(Pressure::ALL.len() - 1)]
    }

    /// A promise of nothing yet.
    pub(crate) fn promise(&self) -> Promise<'_> {
        Promise {
            gauge: self,
            bytes: 0,
        }
    }

    /// Whether everything that may be in use stays below the step at which requests are refused.
    fn has_room(&self) -> bool {
        let bound = self.bound_bytes.load(Ordering::Relaxed);
        // Without a bound, and before the first look, nothing is held against anyone.
        if bound == 0 {
            return true;
        }
        let [late, later] = &self.taken_bytes;
        let parts = [&self.used_bytes, &self.promised_bytes, late, later];
        let used = parts.map(|part| part.load(Ordering::Relaxed));
        let used = used.into_iter().fold(0, u64::saturating_add);
        Pressure::of(used, bound) < Pressure::RefuseRequests
    }

    /// The last reading; its parts may be of two looks.
    pub(crate) fn read(&self) -> MemoryReading {
        let bound_bytes = self.bound_bytes.load(Ordering::Relaxed);
        MemoryReading {
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            bound_bytes: (bound_bytes > 0).then_some(bound_bytes),
            pressure: self.pressure(),
        }
    }

    /// Publishes what was seen, and says in the log when another step is reached.
    pub(crate) fn publish(&self, used_bytes: u64, bound_bytes: Option<u64>) {
        let pressure = MemoryReading::of(used_bytes, bound_bytes).pressure;
        self.used_bytes.store(used_bytes, Ordering::Relaxed);
        self.bound_bytes
            .store(bound_bytes.unwrap_or(0), Ordering::Relaxed);
        let [late, later] = &self.taken_bytes;
        later.store(late.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        let before = self.pressure();
        self.pressure.store(pressure as u8, Ordering::Relaxed);
        if before != pressure {
            let (before, pressure) = (before.word(), pressure.word());
            tracing::warn!(used_bytes, bound_bytes, before, pressure, "memory");
        }
    }
}

/// What one body may yet take up; taken up when dropped.
#[derive(Debug)]
pub(crate) struct Promise<'g> {
    gauge: &'g Gauge,
    bytes: u64,
}

impl Promise<'_> {
    /// Makes it one of so many bytes in all; says whether memory has room for them.
    pub(crate) fn reach(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let promised = &self.gauge.promised_bytes;
        promised.fetch_add(more, Ordering::Relaxed);
        let kept = self.gauge.has_room();
        if kept {
            self.bytes += more;
        } else {
            promised.fetch_sub(more, Ordering::Relaxed);
        }
        kept
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let gauge = self.gauge;
            gauge.taken_bytes[0].fetch_add(self.bytes, Ordering::Relaxed);
            gauge
                .promised_bytes
                .fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_begins_at_its_percentage() {
        for (used, expected) in [
            (0, Pressure::None),
            (849, Pressure::None),
            (850, Pressure::EndKeepAlive),
            (919, Pressure::EndKeepAlive),
            (920, Pressure::RefuseRequests),
            (949, Pressure::RefuseRequests),
            (950, Pressure::StopAccepting),
            (5000, Pressure::StopAccepting),
        ] {
            assert_eq!(Pressure::of(used, 1000), expected, "{used} of 1000");
        }
    }

    #[test]
    fn bytes_beyond_any_machine_do_not_overflow() {
        assert_eq!(Pressure::of(u64::MAX, u64::MAX), Pressure::StopAccepting);
        assert_eq!(Pressure::of(1, u64::MAX), Pressure::None);
    }

    #[test]
    fn bodies_together_are_promised_no_more_than_there_is() {
        let gauge = Gauge::default();
        let mut first = gauge.promise();
        assert!(first.reach(10), "nobody has looked yet");
        gauge.publish(500, Some(1000));
        assert!(first.reach(400) && !first.reach(420) && first.reach(400));
        let mut second = gauge.promise();
        assert!(second.reach(19) && !second.reach(20));
        drop(first);
        assert!(!second.reach(20), "taken up, and not yet seen");
        gauge.publish(500, Some(1000));
        assert!(!second.reach(20), "the look may have come too early");
        gauge.publish(900, Some(1000));
        assert!(!second.reach(20));
        gauge.publish(100, Some(1000));
        assert!(second.reach(819) && !second.reach(820));
        gauge.publish(5000, None);
        assert!(second.reach(1 << 40));
    }

    #[test]
    fn without_a_bound_nothing_is_given_up() {
        let gauge = Gauge::default();
        gauge.publish(u64::MAX, None);
        assert_eq!(gauge.read().pressure, Pressure::None);
        assert_eq!(gauge.read().bound_bytes, None);
        gauge.publish(96, Some(100));
        assert_eq!(gauge.read().pressure, Pressure::StopAccepting);
        gauge.publish(10, Some(100));
        assert_eq!(gauge.read().pressure, Pressure::None);
    }
}
