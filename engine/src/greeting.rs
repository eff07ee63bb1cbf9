//! Step 1 of the walk: what passes between accepting a client and its first request.
//!
//! A client that has not come through this costs a socket and a small task, and has
//! `timeouts.head` to do so. How many may be on the way at one time is bounded, for a
//! handshake costs more than a request.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tollring_config::subject_digest;

use crate::connection::{self, Connection};
use crate::net::{Stream, Unshaken, spawn};
use crate::tls::session::Session;
use crate::worker::Worker;

/// Takes in a client that was just accepted, on a task of its own where it has to prove
/// something first.
pub(crate) fn welcome(worker: &Rc<Worker>, stream: Stream, peer: SocketAddr) {
    let live = worker.live();
    let Some(tls) = &live.tls else {
        return connection::start(Connection::new(Rc::clone(worker), stream, peer, None));
    };
    if worker.handshakes.get() >= live.config.limits.handshakes {
        worker.counters().handshakes_refused_total.add(1);
        worker.counters().connections.sub(1);
        return;
    }
    let guard = Handshaking::begin(worker, peer);
    let panicked = Rc::clone(worker);
    spawn(shake_hands(guard, stream, Arc::clone(tls)), move || {
        panicked.counters().panics_total.add(1);
    });
}

/// A client on its way through the handshake; counted until it is dropped.
struct Handshaking {
    worker: Rc<Worker>,
    peer: SocketAddr,
    /// Whether it became a connection, which counts itself.
    arrived: bool,
}

impl Handshaking {
    fn begin(worker: &Rc<Worker>, peer: SocketAddr) -> Self {
        worker.handshakes.set(worker.handshakes.get() + 1);
        Self {
            worker: Rc::clone(worker),
            peer,
            arrived: false,
        }
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.worker.handshakes.set(self.worker.handshakes.get() - 1);
        if !self.arrived {
            self.worker.counters().connections.sub(1);
        }
    }
}

async fn shake_hands(mut guard: Handshaking, mut stream: Stream, tls: Arc<ServerConfig>) {
    let worker = Rc::clone(&guard.worker);
    let limit = worker.live().config.timeouts.head;
    let shaken = match Session::accept(&tls) {
        Ok(session) => stream.shake_hands(session, limit, &worker.buffers).await,
        Err(fault) => Err(Unshaken::Refused(fault)),
    };
    if let Err(fault) = shaken {
        worker.counters().handshakes_failed_total.add(1);
        tracing::debug!(?fault, "a client's handshake did not come about");
        return;
    }
    worker.counters().handshakes_total.add(1);
    let shown = stream.seal().and_then(|seal| seal.peer());
    let shown = shown.map(|certificate| subject_digest(&certificate.subject));
    guard.arrived = true;
    connection::start(Connection::new(worker, stream, guard.peer, shown));
}
