//! A new process takes the listening sockets over from a running one, and nobody is turned away.
//!
//! ```text
//! running (offer.rs)                         new (succeed.rs)
//!   listens at server.takeover      ◀── connects; each checks that the other is the same user
//!   sends every listener            ──▶ starts its workers and its admin port on them
//!   goes on as if nothing were                …
//!   stops accepting                 ◀── SERVING: accepts now
//!   LEFT, and drains                ──▶ is ready
//! ```
//!
//! The sockets are the same, so clients in their queues are served by whoever accepts
//! next. Until SERVING the running process does what it did: when the new one cannot
//! start, or dies, nothing has happened. The bytes are `wire.rs`'s.

mod offer;
mod succeed;
mod wire;

pub(crate) use offer::{Offer, Taken};
pub(crate) use succeed::{Predecessor, ask};

use tollring_engine::Inherited;

/// What one process hands to the next.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The listeners of the data port.
    pub(crate) data: Vec<Inherited>,
    /// The listener of the admin port.
    pub(crate) admin: Option<std::net::TcpListener>,
}
