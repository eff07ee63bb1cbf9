//! Idle connections to upstreams, most recently used last.
//!
//! Taken from the end, so that the ones nobody needs grow old and are closed.
//! Kept by the worker that opened them: a connection never changes thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::origin::Origin;
use super::slots::Slot;
use crate::net::{Stream, poll_now};

/// Connections kept for one origin by one worker.
const IDLE_MAX: usize = 512;

/// How long one is kept without use. Less than the 60 to 75 s after which common servers
/// close on their side, so that a request rarely meets a closing connection.
pub(crate) const IDLE_MS: u64 = 30_000;

/// A connection to an origin, new or kept.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) origin: Arc<Origin>,
    /// Whether it has served a request before.
    pub(crate) reused: bool,
    /// What the peer's system had acknowledged when nothing was sent yet.
    pub(crate) acknowledged_at_start: u64,
    worker: usize,
    idle_since_ms: u64,
    _slot: Slot,
}

impl Connection {
    /// A connection just made, of which the peer's system had acknowledged that much before
    /// anything was sent.
    pub(crate) fn new(
        stream: Stream,
        acknowledged_at_start: u64,
        (origin, slot): (&Arc<Origin>, Slot),
        worker: usize,
    ) -> Self {
        let counters = &origin.pools[worker];
        counters.open.add(1);
        counters.opened_total.add(1);
        let origin = Arc::clone(origin);
        Self {
            stream,
            origin,
            reused: false,
            acknowledged_at_start,
            worker,
            idle_since_ms: 0,
            _slot: slot,
        }
    }

    /// Bytes of this request the peer's system took, given how many had been sent on this
    /// connection before it. All of them when the system does not say.
    pub(crate) fn accepted_since(&self, sent_before: u64) -> u64 {
        match self.stream.acknowledged() {
            Some(acknowledged) => {
                acknowledged.saturating_sub(self.acknowledged_at_start + sent_before)
            }
            None => u64::MAX,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.origin.pools[self.worker].open.sub(1);
    }
}

/// The idle connections of one worker, by the number of their origin.
#[derive(Default)]
pub(crate) struct Pools {
    idle: RefCell<Vec<Vec<Connection>>>,
    polled: RefCell<Vec<libc::pollfd>>,
}

impl Pools {
    /// None yet.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// The connection used last, if any is idle and as it was left. One that the other side
    /// closed, or on which it spoke unasked, is not: what it said would be taken for the
    /// answer to the next request, which may be another tenant's.
    pub(crate) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(origin.id.0)?;
        loop {
            let mut connection = kept.pop()?;
            let counters = &origin.pools[connection.worker];
            counters.idle.sub(1);
            if connection.stream.is_quiet() {
                counters.reused_total.add(1);
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer ended in order; beyond the bound it is closed.
    pub(crate) fn keep(&self, mut connection: Connection, now_ms: u64) {
        // A deadline may pass in the very turn in which the answer ends.
        if connection.stream.cut().is_some() || connection.origin.slots.queued() > 0 {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let place = connection.origin.id.0;
        if idle.len() <= place {
            idle.resize_with(place + 1, Vec::new);
        }
        if idle[place].len() < IDLE_MAX {
            connection.idle_since_ms = now_ms;
            connection.origin.pools[connection.worker].idle.add(1);
            idle[place].push(connection);
        }
    }

    /// Closes what has been idle for as long as `idle_ms`, and what the other side closed or spoke
    /// on unasked.
    pub(crate) fn tick(&self, now_ms: u64, idle_ms: u64) {
        let mut idle = self.idle.borrow_mut();
        let mut polled = self.polled.borrow_mut();
        for connections in idle
            .iter_mut()
            .filter(|connections| !connections.is_empty())
        {
            polled.clear();
            polled.extend(connections.iter().map(|connection| libc::pollfd {
                fd: connection.stream.fd(),
                events: libc::POLLIN | libc::POLLRDHUP,
                revents: 0,
            }));
            poll_now(&mut polled);
            let mut seen = polled.iter();
            connections.retain(|connection| {
                let quiet = seen.next().is_some_and(|seen| seen.revents == 0);
                let young = now_ms.saturating_sub(connection.idle_since_ms) < idle_ms;
                if !(quiet && young) {
                    connection.origin.pools[connection.worker].idle.sub(1);
                }
                quiet && young
            });
        }
    }

    /// Closes what is kept from somebody who waits for a connection there.
    pub(crate) fn close_wanted(&self) {
        for connections in self.idle.borrow_mut().iter_mut() {
            let wanted = |last: &Connection| last.origin.slots.queued() > 0;
            while let Some(connection) = connections.pop_if(|last| wanted(last)) {
                connection.origin.pools[connection.worker].idle.sub(1);
            }
        }
    }

    /// Closes everything.
    pub(crate) fn close_all(&self) {
        for connection in self.idle.borrow_mut().drain(..).flatten() {
            connection.origin.pools[connection.worker].idle.sub(1);
        }
    }
}
