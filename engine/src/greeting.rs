//! Step 1 of the walk: what passes between accepting a client and its first request.
//!
//! First whose connection it is, by the PROXY header of a balancer that is trusted; then
//! TLS. A client that has not come through this costs a socket and a small task, and has
//! `timeouts.head` for each of the two. How many handshakes may be under way at one time is
//! bounded, for one costs more than a request.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tollring_config::subject_digest;
use tollring_http1::{PROXY_BINARY_BYTES_MAX, ProxyClient, ProxyFault, ProxyHeader};

use crate::accept;
use crate::callers::Seat;
use crate::connection::{self, Connection};
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::Action;
use crate::net::{Buffer, Stream, Unshaken, spawn};
use crate::tls::session::Session;
use crate::worker::Worker;

const _: () = assert!(
    PROXY_BINARY_BYTES_MAX <= BLOCK_BYTES,
    "a header that is whole has room in the block it is read into"
);

/// A client that was accepted and has no connection to its name yet; counted until it is
/// dropped, and after that by its connection.
pub(crate) struct Newcomer {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: Stream,
    /// Who it is: as accepted, or as a trusted balancer said.
    pub(crate) peer: SocketAddr,
    counted: Counted,
    /// Its place among the connections of its address, where those are bounded.
    seat: Option<Seat>,
}

/// One of the worker's connections, until it is dropped.
struct Counted(Option<Rc<Worker>>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(worker) = &self.0 {
            worker.counters().connections.sub(1);
        }
    }
}

impl Newcomer {
    /// A client just accepted; whoever accepted it has counted it.
    pub(crate) fn new(worker: &Rc<Worker>, stream: Stream, peer: SocketAddr) -> Self {
        Self {
            worker: Rc::clone(worker),
            stream,
            peer,
            counted: Counted(Some(Rc::clone(worker))),
            seat: None,
        }
    }

    /// Its connection, which counts itself.
    pub(crate) fn into_connection(mut self) -> Connection {
        let shown = self.stream.seal().and_then(|seal| seal.peer());
        let shown = shown.map(|certificate| subject_digest(&certificate.subject));
        self.counted.0 = None;
        Connection::new(self.worker, self.stream, self.peer, shown, self.seat)
    }
}

/// Takes in a client that was just accepted, on a task of its own where it has to prove
/// something first.
pub(crate) fn welcome(newcomer: Newcomer) {
    let live = newcomer.worker.live();
    let address = newcomer.peer.ip();
    let balancers = live.config.server.proxy_protocol.as_ref();
    let is_balancer =
        balancers.is_some_and(|list| list.trusted.iter().any(|net| net.contains(address)));
    if !is_balancer {
        return admit(newcomer, None);
    }
    let panicked = Rc::clone(&newcomer.worker);
    spawn(introduce(newcomer), move || {
        panicked.counters().panics_total.add(1);
    });
}

/// Reads whose connection it is before anything else of it. A balancer that only looks whether
/// anybody listens says so, or says nothing; neither is worth a word.
async fn introduce(mut newcomer: Newcomer) {
    let mut arrived = newcomer.worker.buffers.block();
    match announced(&mut newcomer, &mut arrived).await {
        Ok(header) => {
            if let ProxyClient::At { source, .. } = header.client {
                newcomer.peer = source;
            }
            arrived.drop_front(header.len);
            let rest = (!arrived.is_empty()).then_some(arrived);
            admit(newcomer, rest);
        }
        Err(None) => {}
        Err(Some(fault)) => {
            newcomer.worker.counters().turned_away_total.add(1);
            let peer = newcomer.peer;
            tracing::warn!(%peer, %fault, "a trusted balancer sent no PROXY header");
        }
    }
}

/// The header, once it is whole; what follows it stays in the block behind it.
///
/// # Errors
/// What is wrong with it, or nothing where the connection ended before it was whole.
async fn announced(
    newcomer: &mut Newcomer,
    arrived: &mut Buffer,
) -> Result<ProxyHeader, Option<ProxyFault>> {
    let limit = newcomer.worker.live().config.timeouts.head;
    let reader = &mut newcomer.stream.reader;
    reader.watch().arm(limit, Action::CloseBoth);
    let header = loop {
        arrived.reserve_block(1);
        if reader.read(arrived).await.is_err() {
            break Err(None);
        }
        if let Some(header) = ProxyHeader::parse(arrived).transpose() {
            break header.map_err(Some);
        }
    };
    reader.watch().disarm();
    header
}

/// Takes in a client of which it is known who it is. `arrived` is what has come of it already.
fn admit(mut newcomer: Newcomer, arrived: Option<Buffer>) {
    let worker = Rc::clone(&newcomer.worker);
    let live = worker.live();
    if let Some(max) = live.config.limits.connections_per_address {
        let share = max.div_ceil(worker.workers());
        newcomer.seat = worker.callers.seat(newcomer.peer.ip(), share);
        if newcomer.seat.is_none() {
            return accept::turn_away_caller(newcomer);
        }
    }
    let Some(tls) = &live.tls else {
        return connection::start(newcomer.into_connection(), arrived);
    };
    if worker.handshakes.get() >= live.config.limits.handshakes {
        worker.counters().handshakes_refused_total.add(1);
        return;
    }
    let shaking = shake_hands(
        Handshaking::begin(&worker),
        newcomer,
        Arc::clone(tls),
        arrived,
    );
    spawn(shaking, move || worker.counters().panics_total.add(1));
}

/// A client on its way through the handshake; counted until it is dropped.
struct Handshaking(Rc<Worker>);

impl Handshaking {
    fn begin(worker: &Rc<Worker>) -> Self {
        worker.handshakes.set(worker.handshakes.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.handshakes.set(self.0.handshakes.get() - 1);
    }
}

async fn shake_hands(
    shaking: Handshaking,
    mut newcomer: Newcomer,
    tls: Arc<ServerConfig>,
    arrived: Option<Buffer>,
) {
    let worker = Rc::clone(&shaking.0);
    let limit = worker.live().config.timeouts.head;
    let arrived = arrived.unwrap_or_else(|| worker.buffers.block());
    let shaken = match Session::accept(&tls) {
        Ok(session) => {
            let shaken = newcomer
                .stream
                .shake_hands(session, limit, arrived, &worker.buffers);
            shaken.await
        }
        Err(fault) => Err(Unshaken::Refused(fault)),
    };
    if let Err(fault) = shaken {
        worker.counters().handshakes_failed_total.add(1);
        tracing::debug!(?fault, "a client's handshake did not come about");
        if let Unshaken::Refused(_) = fault {
            // What it still sends would have the alert lost to a reset, and with it the reason.
            drop(shaking);
            let mut block = worker.buffers.block();
            connection::linger(&mut newcomer.stream, &mut block).await;
        }
        return;
    }
    worker.counters().handshakes_total.add(1);
    connection::start(newcomer.into_connection(), None);
}
