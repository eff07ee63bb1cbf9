//! Gets a connection to an origin: a kept one, or a new one to an address of it, through its
//! proxy and TLS where it has them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{AttemptFailure, Cause};
use super::origin::Origin;
use super::pool::Connection;
use super::proxy::ProxyFault;
use super::queue::Patient;
use super::slots;
use crate::net::stream::{self, Broken};
use crate::net::{Instant, Stream, Unshaken, is_exhaustion};
use crate::tls::session::Session;
use crate::worker::Worker;

/// Addresses of one origin that one attempt tries.
const ADDRESSES_TRIED_MAX: usize = 3;

/// Why an address was of no use.
enum Failed {
    /// Another may be.
    Here(Cause),
    /// All of them would say the same; some would even shut us out for asking again.
    Everywhere(Cause),
}

/// A connection to an address of an origin on which a request may be sent, and what the peer's
/// system had acknowledged at its start. `limit` is for all of it: nothing has been sent that a
/// retry would repeat.
async fn reach(
    worker: &Worker,
    origin: &Origin,
    address: SocketAddr,
    limit: Duration,
) -> Result<(Stream, u64), Failed> {
    let begun = Instant::now();
    let connected = match &origin.socket {
        Some(path) => stream::connect_local(path, &worker.deadlines),
        // Boxed: a timer takes a kilobyte, which every exchange would carry for what is rare.
        None => Box::pin(stream::connect(address, limit, &worker.deadlines)).await,
    };
    let mut stream = connected.map_err(|fault| {
        if is_exhaustion(&fault) {
            // Nothing is held against the upstream. Idle ways to others make room for whoever
            // comes next.
            worker.pools.close_all();
            tracing::debug!(origin = %origin.name, %fault, "no descriptor for an upstream");
            return Failed::Everywhere(Cause::Exhausted);
        }
        origin.note(address, false, worker.clock_ms());
        tracing::debug!(origin = %origin.name, %address, %fault, "connect failed");
        Failed::Here(match fault.kind() {
            io::ErrorKind::TimedOut => Cause::TimedOut,
            _ => Cause::Unreachable,
        })
    })?;
    origin.note(address, true, worker.clock_ms());
    let acknowledged = stream.acknowledged().unwrap_or(0);
    let left = || limit.saturating_sub(begun.elapsed());
    if let Some(proxy) = &origin.proxy {
        let opened = Box::pin(proxy.open(&mut stream, left(), &worker.buffers)).await;
        opened.map_err(|fault| {
            tracing::warn!(origin = %origin.name, %fault, "a proxy opened no way to an upstream");
            match fault {
                ProxyFault::Silent(cause) => Failed::Here(cause),
                said => Failed::Everywhere(said.cause()),
            }
        })?;
    }
    let secured = secured(worker, origin, stream, left()).await;
    Ok((secured.map_err(Failed::Here)?, acknowledged))
}

/// Goes through the handshake where the origin wants one.
async fn secured(
    worker: &Worker,
    origin: &Origin,
    mut stream: Stream,
    limit: Duration,
) -> Result<Stream, Cause> {
    let Some(secure) = origin.secure.load_full() else {
        return Ok(stream);
    };
    let session = match Session::connect(&secure.config, secure.name.clone()) {
        Ok(session) => session,
        Err(fault) => return Err(untrusted(origin, &fault)),
    };
    // Boxed: rare, and every exchange would carry the room for it.
    let arrived = worker.buffers.block();
    let shaken = Box::pin(stream.shake_hands(session, limit, arrived, &worker.buffers)).await;
    match shaken {
        Ok(()) => Ok(stream),
        Err(Unshaken::Refused(fault)) => Err(untrusted(origin, &fault)),
        Err(Unshaken::Broken(Broken::Cut(_))) => Err(Cause::TimedOut),
        Err(Unshaken::Broken(_)) => Err(Cause::Untrusted),
    }
}

fn untrusted(origin: &Origin, fault: &rustls::Error) -> Cause {
    tracing::warn!(origin = %origin.name, %fault, "TLS towards an upstream did not come about");
    Cause::Untrusted
}

/// A connection to send one request on, made within a time, and one of so many to its origin.
/// `fresh` asks for a new one,
/// after a kept one turned out to be dead: its companions are likely to be dead too.
pub(crate) async fn connect(
    worker: &Worker,
    origin: &Arc<Origin>,
    limits: (Duration, Option<u32>),
    (fresh, patient): (bool, &Patient<'_>),
) -> Result<Connection, AttemptFailure> {
    if !fresh && let Some(kept) = worker.pools.take(origin) {
        return Ok(kept);
    }
    let slot = slots::take(worker, origin, limits, patient)
        .await
        .map_err(AttemptFailure::before_connection)?;
    let mut cause = Cause::NoAddress;
    for _ in 0..origin.addresses_len().min(ADDRESSES_TRIED_MAX) {
        let Some(address) = origin.address(worker.clock_ms()) else {
            break;
        };
        match reach(worker, origin, address, limits.0).await {
            Ok((stream, acknowledged)) => {
                let index = worker.index();
                return Ok(Connection::new(stream, acknowledged, (origin, slot), index));
            }
            Err(Failed::Here(why)) => cause = why,
            Err(Failed::Everywhere(why)) => {
                cause = why;
                break;
            }
        }
    }
    Err(AttemptFailure::before_connection(cause))
}
