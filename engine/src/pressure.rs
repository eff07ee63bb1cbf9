//! How scarce memory is, and what is given up at each step of it.
//!
//! A thread of its own looks ten times a second and publishes one number; workers
//! read it with their ticks. Nothing here frees anything: it keeps work away until
//! what is held has gone. How much memory there is stands in the file or in the
//! control group; what is used is read in `memory.rs`.

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
    /// Connections end after the request in progress, so that idle ones cost nothing.
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
}

impl Gauge {
    /// What is given up now.
    pub(crate) fn pressure(&self) -> Pressure {
        let step = usize::from(self.pressure.load(Ordering::Relaxed));
        Pressure::ALL[step.min(Pressure::ALL.len() - 1)]
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
        let before = self.pressure();
        self.pressure.store(pressure as u8, Ordering::Relaxed);
        if before != pressure {
            let (before, pressure) = (before.word(), pressure.word());
            tracing::warn!(used_bytes, bound_bytes, before, pressure, "memory");
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
