//! Answers by which a provider declines: it has not begun, so somebody else may be asked.
//!
//! What concerns our own account there is never passed on: a caller can do nothing about
//! it, and would take it for its own. Who is asked next is `attempt.rs`'s.

use std::time::Duration;

use memchr::memmem;
use tollring_http1::{BodyDecoder, Framing};

use super::Exchange;
use super::attempt::{Arrived, cause_of};
use super::relay::Downlink;
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::Action;
use crate::net::stream::Broken;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};
use crate::upstream::pool::Connection;

/// That a provider answered that it would not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// Because of our own account or key: never passed on to a caller, who can do nothing.
    ForUs,
    /// Because it has too much to do; passed on if nobody else can be asked.
    ForNow,
    /// It said so and broke off, or we did: there is nothing to pass on.
    Half(Cause),
}

/// Reads from an answer whether a provider declined. These statuses say that it did not begin;
/// 500 and 502 do not.
pub(super) async fn declined(
    exchange: &mut Exchange<'_>,
    arrived: &mut Arrived<'_>,
) -> Option<Declined> {
    match exchange.outlet.answer.status {
        401..=403 => Some(Declined::ForUs),
        429 => {
            let on = (arrived.timeouts, arrived.cancel_stops_billing);
            let reader = &mut arrived.connection.stream.reader;
            if let Err(cause) = read_short_body(&mut exchange.downlink(reader, on)).await {
                return Some(Declined::Half(cause));
            }
            let body = &exchange.outlet.block[exchange.outlet.answer.len..];
            let broke = memmem::find(body, b"insufficient_quota").is_some();
            Some(if broke {
                Declined::ForUs
            } else {
                Declined::ForNow
            })
        }
        503 | 529 => Some(Declined::ForNow),
        _ => None,
    }
}

/// How long a provider that declines may take to say why.
const DECLINE_LIMIT: Duration = Duration::from_secs(2);

/// Reads on until a short body is here, so that what it says can be looked at. A longer one is
/// looked at as far as a block holds it.
///
/// # Errors
/// Why the rest did not come.
async fn read_short_body(down: &mut Downlink<'_>) -> Result<(), Cause> {
    let head = down.outlet.answer.len;
    let framing = down.outlet.answer.framing;
    // Decoding happens in place, so it is tried on a copy; this is no path to be quick on.
    let is_whole = |body: &[u8]| {
        let decoded = BodyDecoder::new(framing).decode(&mut body.to_vec());
        decoded.is_err() || decoded.is_ok_and(|decoded| decoded.done)
    };
    let watch = down.upstream.watch();
    watch.arm(
        down.timeouts.between_bytes.min(DECLINE_LIMIT),
        Action::CloseBoth,
    );
    let block = &mut down.outlet.block;
    let mut read = Ok(0);
    while !is_whole(&block[head..]) && block.len() < head + BLOCK_BYTES {
        block.reserve_block(1);
        read = down.upstream.read(block).await;
        if read.is_err() {
            break;
        }
    }
    down.upstream.watch().disarm();
    match read {
        Err(Broken::Closed) if framing == Framing::UntilClose => Ok(()),
        read => read.map(drop).map_err(cause_of),
    }
}

pub(super) fn declined_failure(connection: &Connection, declined: Declined) -> AttemptFailure {
    let cause = match declined {
        Declined::Half(cause @ (Cause::ClientGone | Cause::Stopped)) => cause,
        _ => Cause::Declined,
    };
    AttemptFailure {
        stage: Stage::AwaitHead,
        cause,
        reused: connection.reused,
        bytes_accepted: u64::MAX,
    }
}
