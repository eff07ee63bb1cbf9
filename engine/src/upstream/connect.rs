//! Gets a connection to an origin: a kept one, or a new one to an address of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{AttemptFailure, Cause};
use super::origin::Origin;
use super::pool::Connection;
use super::slots;
use crate::net::stream::{self, Broken};
use crate::net::{Stream, Unshaken};
use crate::tls::session::Session;
use crate::worker::Worker;

/// Addresses of one origin that one attempt tries.
const ADDRESSES_TRIED_MAX: usize = 3;

/// Goes through the handshake where the origin wants one. Nothing has been sent that a retry
/// would repeat.
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

/// A connection to send one request on, within `max` to its origin. `fresh` asks for a new one,
/// after a kept one turned out to be dead: its companions are likely to be dead too.
pub(crate) async fn connect(
    worker: &Worker,
    origin: &Arc<Origin>,
    (limit, max): (Duration, Option<u32>),
    fresh: bool,
) -> Result<Connection, AttemptFailure> {
    if !fresh && let Some(kept) = worker.pools.take(origin) {
        return Ok(kept);
    }
    let slot = slots::take(origin, max, limit)
        .await
        .map_err(AttemptFailure::before_connection)?;
    let mut cause = Cause::NoAddress;
    for _ in 0..origin.addresses_len().min(ADDRESSES_TRIED_MAX) {
        let Some(address) = origin.address(worker.clock_ms()) else {
            break;
        };
        // Boxed: a timer takes a kilobyte, which every exchange would carry for what is rare.
        let connected = match &origin.socket {
            Some(path) => stream::connect_local(path, &worker.deadlines),
            None => Box::pin(stream::connect(address, limit, &worker.deadlines)).await,
        };
        match connected {
            Ok(stream) => {
                origin.note(address, true, worker.clock_ms());
                let acknowledged = stream.acknowledged().unwrap_or(0);
                match secured(worker, origin, stream, limit).await {
                    Ok(stream) => {
                        let index = worker.index();
                        return Ok(Connection::new(stream, acknowledged, (origin, slot), index));
                    }
                    Err(why) => cause = why,
                }
            }
            Err(fault) => {
                origin.note(address, false, worker.clock_ms());
                tracing::debug!(origin = %origin.name, %address, %fault, "connect failed");
                cause = match fault.kind() {
                    io::ErrorKind::TimedOut => Cause::TimedOut,
                    _ => Cause::Unreachable,
                };
            }
        }
    }
    Err(AttemptFailure::before_connection(cause))
}
