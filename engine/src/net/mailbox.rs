//! Mail from other threads to one worker: a bounded queue and an eventfd.
//!
//! The runtime's wakers are not to be trusted across threads, so the worker waits
//! for the descriptor to become readable, as it waits for any other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;

use super::system::{Arrival, Bell, Listening};

/// Letters that may wait; mail is rare (a drain, a stop), so this is never reached.
const MAIL_MAX: usize = 64;

/// Clients that may be on their way to one worker. Arbitrary: beyond it, whoever accepted one
/// keeps it.
const CLIENTS_MAX: usize = 256;

/// What a worker is told by another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// Take clients from now on.
    Open,
    /// Take nobody any more: another process has the listeners. Connections go on, each to the
    /// end of its next request.
    Leave,
    /// Take no new connections, end the idle ones, finish the rest.
    Drain,
    /// End whatever is still going on, each with the words that fit.
    Cut,
    /// Leave at once.
    Stop,
    /// Places were granted to requests that wait here; see [`Mailbox::nudge`].
    Places,
    /// Another worker has passed clients on; see [`Mailbox::next_client`].
    Clients,
    /// The journal was synced.
    Synced,
}

/// The sending end; any thread may have one.
#[derive(Clone)]
pub(crate) struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    letters: ArrayQueue<Letter>,
    clients: ArrayQueue<(Arrival, SocketAddr)>,
    /// Whether places were granted; not a letter, so that however many are, the box has room.
    nudged: AtomicBool,
    bell: Bell,
}

impl Mailbox {
    /// An empty mailbox.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                letters: ArrayQueue::new(MAIL_MAX),
                clients: ArrayQueue::new(CLIENTS_MAX),
                nudged: AtomicBool::new(false),
                bell: Bell::new()?,
            }),
        })
    }

    /// Puts a letter in and rings. A full box drops it and says so.
    pub(crate) fn send(&self, letter: Letter) -> bool {
        let kept = self.shared.letters.push(letter).is_ok();
        self.shared.bell.ring();
        kept
    }

    /// Passes a client on. A full box gives it back.
    pub(crate) fn pass_on(
        &self,
        arrival: Arrival,
        peer: SocketAddr,
    ) -> Result<(), (Arrival, SocketAddr)> {
        self.shared.clients.push((arrival, peer))?;
        self.shared.bell.ring();
        Ok(())
    }

    /// The next client that was passed on, if there is one.
    pub(crate) fn next_client(&self) -> Option<(Arrival, SocketAddr)> {
        self.shared.clients.pop()
    }

    /// Tells the worker to look at the places it was granted; rings once until it does.
    pub(crate) fn nudge(&self) {
        if !self.shared.nudged.swap(true, Ordering::AcqRel) {
            self.shared.bell.ring();
        }
    }

    /// The receiving end, for the worker's own thread.
    pub(crate) fn open(&self) -> io::Result<Letters> {
        Ok(Letters {
            shared: Arc::clone(&self.shared),
            listening: self.shared.bell.listen()?,
        })
    }
}

/// The receiving end of a mailbox.
pub(crate) struct Letters {
    shared: Arc<Shared>,
    listening: Listening,
}

impl Letters {
    /// Waits for the next letter.
    pub(crate) async fn next(&self) -> io::Result<Letter> {
        loop {
            if let Some(letter) = self.shared.letters.pop() {
                return Ok(letter);
            }
            if self.shared.nudged.swap(false, Ordering::AcqRel) {
                return Ok(Letter::Places);
            }
            if !self.shared.clients.is_empty() {
                return Ok(Letter::Clients);
            }
            self.listening.heard().await?;
        }
    }
}
