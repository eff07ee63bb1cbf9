//! The bounds of the operator's door itself, each with its reason.
//!
//! None of them concerns the path of a request; those live in the configuration.

use std::time::Duration;

/// Connections held at once. An operator, a scraper and a page or two; the rest
/// wait in the listener's backlog, so that a flood here costs no descriptors there.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head; the least that hyper can be set to.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a request's body. The only body taken so far is an empty one.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request's head, from when the connection is ready for it. It also ends a
/// connection that waits for its next request; a scraper comes back every 15 s or 30 s.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(45);

/// A request's whole body. Absolute, so that a byte now and then does not help.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A reload, its wait for the one before it included. It reads one file.
pub(crate) const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection's age, after which it is closed between two requests. It ends the
/// client that asks and never reads.
pub(crate) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// Requests still being answered when the door closes.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The wait after a failed accept: out of descriptors, trying at once would only spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The span over which requests per second are counted.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(1);

const _: () = assert!(
    CLOSE_TIMEOUT.as_secs() < RELOAD_TIMEOUT.as_secs(),
    "closing must not wait for the slowest thing that may be running"
);
