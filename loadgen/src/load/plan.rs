//! What a run is to do, complete before it starts: where to, what, when, until when.

use std::net::SocketAddr;
use std::time::Duration;

/// Threads one run may use; arbitrary, above any machine it has been tried on.
pub(super) const THREADS_MAX: usize = 256;

/// Connections of one run at most: what one address can hold towards one port.
pub(super) const CONNECTIONS_MAX: usize = 64_000;

/// Everything [`super::execute`] needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As the user wrote it, for the report.
    pub url: String,
    /// Where to connect; names have been resolved.
    pub address: SocketAddr,
    /// One request, head and body, as it goes out each time.
    pub request: Vec<u8>,
    /// The request is a HEAD, whose answers have no body.
    pub to_head: bool,
    /// A stream of events is not complete without its `[DONE]`.
    pub needs_done: bool,
    /// When requests are sent.
    pub arrivals: Arrivals,
    /// Requests after which it ends.
    pub requests_max: Option<u64>,
    /// Time after which nothing more is sent.
    pub duration: Option<Duration>,
    /// Threads, each with its part of the connections; 1 to 256.
    pub threads: usize,
    /// How long a request, or a connect, may take.
    pub timeout: Duration,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// On a schedule, whether answers come or not.
    Open {
        /// Requests per second over all threads.
        rate: f64,
        /// How they are spaced.
        spacing: Spacing,
        /// Connections that are open before the clock starts.
        connections_first: usize,
        /// Connections at most; arrivals that find none free wait for one.
        connections_max: usize,
    },
    /// Each connection sends when its last answer has come: what is measured is also what sets the
    /// pace, so that a server that stalls is asked less while it does.
    Closed {
        /// Connections over all threads.
        connections: usize,
    },
}

/// How the arrivals of an open loop are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly.
    Constant,
    /// At random, as independent callers would arrive.
    Poisson {
        /// The same seed gives the same schedule.
        seed: u64,
    },
}

/// The part of `total` that falls to the `index`th of `parts`; the first ones get what does not
/// divide.
pub(super) const fn part(total: u64, index: usize, parts: usize) -> u64 {
    let (index, parts) = (index as u64, parts as u64);
    total / parts + if index < total % parts { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_whole() {
        for (total, parts) in [(10, 3), (2, 5), (0, 4), (7, 1)] {
            assert_eq!(
                (0..parts)
                    .map(|index| part(total, index, parts))
                    .sum::<u64>(),
                total
            );
        }
    }
}
