//! How upstreams are looked after: who is chosen, who is left out, how many wait.
//!
//! Part of the snapshot, and no more than what the operator said; what it means for a
//! request is the engine's to decide. The defaults put an upstream aside that cannot be
//! reached where another can, bound what retries add, and do nothing else.

use std::time::Duration;

/// How one target of a model, or one upstream of a service, is chosen among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Drawn by weight.
    Weighted,
    /// Of two drawn, the one with fewer requests in flight for its weight.
    LeastRequest,
    /// Of two drawn, the one that has been quicker of late, for what is in flight there.
    PeakEwma,
}

impl Balance {
    /// The word of the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::LeastRequest => "least_request",
            Self::PeakEwma => "peak_ewma",
        }
    }
}

/// What an attempt may show of its upstream that is held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It could not be reached, or not in time.
    Connect,
    /// It broke off, or said something that is not HTTP.
    Reset,
    /// It did not answer in time.
    Timeout,
    /// It answered with a status of 500 or more.
    Status,
    /// A provider would not serve our account, or not now.
    Declined,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 5] = [
        Self::Connect,
        Self::Reset,
        Self::Timeout,
        Self::Status,
        Self::Declined,
    ];

    /// The word of the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Status => "5xx",
            Self::Declined => "declined",
        }
    }
}

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// These signals.
    pub const fn of(signals: &[Signal]) -> Self {
        let (mut bits, mut place) = (0, 0);
        while place < signals.len() {
            bits |= 1 << signals[place] as u8;
            place += 1;
        }
        Self(bits)
    }

    /// Whether a signal is among them.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << signal as u8) != 0
    }

    /// Those that are, in order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL
            .into_iter()
            .filter(move |&signal| self.contains(signal))
    }
}

/// When an upstream is put aside by what requests meet there, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectPolicy {
    /// What counts against it; nothing: it is never put aside.
    pub on: Signals,
    /// How many in a row, without anything better between.
    pub failures: u32,
    /// For how long the first time; twice as long each time after.
    pub base: Duration,
    /// The longest.
    pub max: Duration,
    /// How many of those that could answer a request stay, whatever happens there.
    pub min_healthy: u32,
    /// Over how long its share grows from a tenth to the whole, once it is back.
    pub slow_start: Duration,
}

/// How an upstream is asked about its health, beside the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for, from the root of the host.
    pub path: Box<str>,
    /// Between two checks.
    pub interval: Duration,
    /// For one check, connecting included.
    pub timeout: Duration,
    /// How many in a row must pass before it is used again.
    pub healthy: u32,
    /// How many in a row must fail before it is not.
    pub unhealthy: u32,
    /// The statuses that pass.
    pub status: Vec<u16>,
}

/// When an upstream is left alone altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Percent of the requests of a window that must fail.
    pub failures: u32,
    /// Requests that a window must hold before it is judged.
    pub requests: u32,
    /// The window.
    pub window: Duration,
    /// For how long nobody is let through.
    pub open: Duration,
    /// Requests let through then, to see; all must pass.
    pub trials: u32,
}

/// Who waits when every place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePolicy {
    /// Requests that may wait, over all workers; 0: none.
    pub length: u32,
    /// How long one waits.
    pub wait: Duration,
}

/// How a provider's, or a service's, upstreams are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Care {
    /// When one is put aside by what requests meet there.
    pub eject: EjectPolicy,
    /// How one is asked about its health; absent: it is not.
    pub health: Option<HealthCheck>,
    /// When one is left alone; absent: never.
    pub breaker: Option<BreakerPolicy>,
    /// Requests in flight at the provider or service, over all workers; absent: no bound.
    pub max_in_flight: Option<u32>,
    /// Who waits for a place among them.
    pub queue: QueuePolicy,
    /// Connections to each host, over all workers, idle ones included; absent: no bound.
    pub max_connections: Option<u32>,
}

/// How often a failed attempt may be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after the first that one request may make.
    pub max: u32,
    /// Percent of the requests that retries may add, beside a small floor.
    pub budget: u32,
}

/// What the file says where it says nothing.
impl Care {
    /// Put aside what cannot be reached, or declines, while something else can answer.
    pub const EJECT: EjectPolicy = EjectPolicy {
        // A provider that declines is among them, for a retry budget would else turn an
        // account that is out of calls into errors while another could serve.
        on: Signals::of(&[Signal::Connect, Signal::Declined]),
        failures: 5,
        base: Duration::from_secs(5),
        max: Duration::from_secs(300),
        min_healthy: 1,
        slow_start: Duration::from_secs(10),
    };
    /// A hundred wait for a second.
    pub const QUEUE: QueuePolicy = QueuePolicy {
        length: 100,
        wait: Duration::from_secs(1),
    };
}

impl Default for Care {
    fn default() -> Self {
        Self {
            eject: Self::EJECT,
            health: None,
            breaker: None,
            max_in_flight: None,
            queue: Self::QUEUE,
            max_connections: None,
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: u32::try_from(crate::limits::RETRIES_MAX).unwrap_or(u32::MAX),
            budget: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let some = Signals::of(&[Signal::Declined, Signal::Connect]);
        let words: Vec<_> = some.iter().map(Signal::word).collect();
        assert_eq!(words, ["connect", "declined"]);
        assert!(!some.contains(Signal::Status));
    }
}
