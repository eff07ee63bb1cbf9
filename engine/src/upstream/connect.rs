//! Gets a connection to an origin: a kept one, or a new one to an address of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{AttemptFailure, Cause};
use super::origin::Origin;
use super::pool::Connection;
use crate::net::stream;
use crate::worker::Worker;

/// Addresses of one origin that one attempt tries.
const ADDRESSES_TRIED_MAX: usize = 3;

/// A connection to send one request on. `fresh` asks for a new one, after a kept one turned
/// out to be dead: its companions are likely to be dead too.
pub(crate) async fn connect(
    worker: &Worker,
    origin: &Arc<Origin>,
    limit: Duration,
    fresh: bool,
) -> Result<Connection, AttemptFailure> {
    if !fresh && let Some(kept) = worker.pools.take(origin) {
        return Ok(kept);
    }
    let mut cause = Cause::NoAddress;
    for _ in 0..origin.addresses_len().min(ADDRESSES_TRIED_MAX) {
        let Some(address) = origin.address() else {
            break;
        };
        // Boxed: a timer takes a kilobyte, which every exchange would carry for what is rare.
        match Box::pin(stream::connect(address, limit, &worker.deadlines)).await {
            Ok(stream) => return Ok(Connection::new(stream, origin, worker.index())),
            Err(fault) => {
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
