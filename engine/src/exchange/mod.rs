//! The walk of a request: this list, as one function on one screen.
//!
//! | step | room | may refuse with |
//! |---|---|---|
//! | 2 head, and as much body as the route needs | `intake.rs`, `pace.rs` | 400 408 411 413 414 417 431 501 505 |
//! | 3 from where, and who calls | `access.rs`, `forwarded.rs`, `auth.rs` | 401 403 |
//! | 4 what for, on which host, by which path; what we answer ourselves | `route.rs`, `host.rs`, `rewrite.rs`, `own.rs`, `cors.rs` | 400 403 404 405 503 |
//! | 5 may it spend | `quota.rs`, `learnt.rs` over `ledger` | 400 402 403 429 503 |
//! | 6 who answers, and try again only when nothing can have been done | `attempt.rs`, `turns.rs`, `visit.rs`, `decline.rs`, `compose.rs`, `fields.rs` over `upstream` | 502 503 504 |
//! | 7 bytes back, untouched, counted; a body passed on while it comes; what is left told; a tunnel | `relay.rs`, `ending.rs`, `frame.rs`, `headroom.rs`, `date.rs`, `upload.rs`, `inflate.rs`, `tunnel.rs` | (cut in the client's dialect) |
//! | 8 what it cost, and that it is written down | `bill.rs`, `settle.rs`, `account.rs` | |
//! | every no, its status, code and body | `refusal.rs`, `wording.rs` | |
//!
//! Step 1, accepting, is the worker's. There is no `?` between the hold and its
//! settlement: from `quota::hold` on, every way out goes through the bill.

mod access;
mod account;
mod attempt;
mod auth;
mod bill;
mod compose;
pub(crate) mod cors;
pub(crate) mod date;
mod decline;
mod ending;
pub(crate) mod fields;
mod forwarded;
mod frame;
pub(crate) mod headroom;
mod host;
pub(crate) mod inflate;
mod intake;
pub(crate) mod learnt;
mod own;
mod pace;
mod quota;
pub(crate) mod refusal;
mod relay;
mod rewrite;
mod route;
mod settle;
mod tunnel;
mod turns;
mod upload;
mod visit;
pub(crate) mod wording;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tollring_config::ServiceId;
use tollring_http1::{Method, Version};

use crate::connection::{Connection, Desk, Intake, Outlet};
use crate::live::InForce;
use crate::net::{ClientWatch, Instant, Stream};
use crate::worker::Worker;

use refusal::Refusal;
use route::Errand;

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It waits for its next request.
    Next,
    /// It ends.
    Close,
    /// It ends before the answer did, so nothing may look like an end.
    Cut,
    /// It ends, but the client is still sending: it is read until it has seen our answer.
    Linger,
}

/// Why a walk ends before its last step.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Our no.
    Refuse(Refusal),
    /// The client is gone; there is nobody to tell.
    Leave,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// One request and its answer, while it lasts.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut Stream,
    pub(crate) presence: &'a Rc<ClientWatch>,
    pub(crate) intake: &'a mut Intake,
    pub(crate) outlet: &'a mut Outlet,
    pub(crate) progress: Progress,
    /// The snapshot this request sees from its first byte to its last.
    pub(crate) live: Rc<InForce>,
    /// What the subject of the client's certificate is looked up by, where it showed one.
    pub(crate) shown: Option<[u8; 32]>,
    pub(crate) facts: Facts,
}

/// How far an exchange has come, for the two directions of it that run side by side.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the request's body that were passed on.
    pub(crate) uploaded: Cell<u64>,
    /// Whether more of them are to come.
    pub(crate) uploading: Cell<bool>,
    /// Whether anything of an answer has been sent to the client.
    pub(crate) answering: Cell<bool>,
}

/// What every later step wants to know of the request; copied freely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) id: RequestId,
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// Who is at the other end of the connection.
    pub(crate) peer: IpAddr,
    /// How the client speaks to us: `https` where TLS is between us.
    pub(crate) scheme: &'static str,
    /// The service that is called, if it is one.
    pub(crate) service: Option<ServiceId>,
    /// What a page of another origin gets of it.
    pub(crate) grant: cors::Grant,
    /// Whether the connection is to become another protocol's.
    pub(crate) upgrade: tunnel::Upgrade,
    /// Who calls, once that is known.
    pub(crate) caller: Option<auth::Caller>,
    /// What the caller gets less than it asked for, since it could not pay for that.
    pub(crate) less: quota::Less,
    /// Whether what becomes of it is written down, or there is nothing to be written.
    pub(crate) accounted: bool,
    /// Whether the client lets the connection go on, and so do we.
    pub(crate) keep_alive: bool,
    /// In which words a refusal is put.
    pub(crate) voice: refusal::Voice,
    /// Time spent waiting for providers.
    pub(crate) waited: Duration,
}

/// The walk.
pub(crate) async fn exchange(connection: &mut Connection, desk: &mut Desk) -> After {
    let mut exchange = Exchange::begin(connection, desk);
    match walk(&mut exchange).await {
        Ok(after) => after,
        Err(Stop::Refuse(refusal)) => refusal::answer(&mut exchange, refusal).await,
        Err(Stop::Leave) => After::Cut,
    }
}

async fn walk(exchange: &mut Exchange<'_>) -> Result<After, Stop> {
    let (worker, live) = (Rc::clone(exchange.worker), Rc::clone(&exchange.live));
    // 2. The head.
    intake::head(exchange).await?;
    // 3. From where, and who calls: what the path names decides whether a key is needed.
    let place = route::place(exchange, &live)?;
    access::admit(exchange, &live, place)?;
    let caller = auth::caller(exchange, &live, &place)?;
    exchange.facts.caller = caller;
    // 4. What for.
    let mut call = match route::errand(exchange, &live, place, caller)? {
        Errand::Own(own) => return own::answer(exchange, &live, own, caller).await,
        Errand::Call(wanted) => intake::body(exchange, &live, wanted, caller).await?,
    };
    // 5. May it spend. From here on nothing leaves but through the bill.
    let mut bill = quota::hold((&worker, &live), exchange, &mut call)?;
    // 6. Who answers; 7. bytes back.
    let ended = if upload::is_needed(exchange) {
        // Boxed: only uploads that are still coming need the room for it.
        Box::pin(upload::both_ways(exchange, &live, &call, &mut bill)).await
    } else {
        match attempt::dispatch(exchange, &live, &call, &mut bill).await {
            Ok(arrived) if exchange.outlet.answer.status == 101 => {
                Box::pin(tunnel::carry(exchange, arrived, &mut bill)).await
            }
            Ok(arrived) => relay::carry(exchange, &call, arrived, &mut bill).await,
            Err(failure) => relay::Ended::Failed(failure),
        }
    };
    // 8. What it cost.
    settle::settle(exchange, bill, ended)
}

impl<'a> Exchange<'a> {
    fn begin(connection: &'a mut Connection, desk: &'a mut Desk) -> Self {
        let live = connection.worker.live();
        let goes_on = connection.begin_request(live.config.limits.requests_per_connection);
        let worker = &connection.worker;
        let counters = worker.counters();
        counters.in_flight.add(1);
        let facts = Facts {
            id: RequestId::new(worker.id_seed(), worker.index(), worker.next_request()),
            started: Instant::now(),
            method: Method::Get,
            version: Version::Http11,
            peer: connection.peer.ip(),
            scheme: match connection.client.seal() {
                Some(_) => "https",
                None => "http",
            },
            service: None,
            grant: cors::Grant::Unasked,
            upgrade: tunnel::Upgrade::Unasked,
            caller: None,
            less: quota::Less::Nothing,
            accounted: false,
            keep_alive: goes_on,
            voice: refusal::Voice::Problem,
            waited: Duration::ZERO,
        };
        let Desk { intake, outlet } = desk;
        intake.head.clear();
        intake.path_out.clear();
        let Connection {
            worker,
            client,
            presence,
            shown,
            ..
        } = connection;
        Self {
            worker,
            client,
            presence,
            intake,
            outlet,
            progress: Progress::default(),
            live,
            shown: *shown,
            facts,
        }
    }
}

impl Drop for Exchange<'_> {
    /// Counts the exchange, however it ended: also by a panic, or with its worker.
    fn drop(&mut self) {
        self.presence.stop();
        let counters = self.worker.counters();
        counters.in_flight.sub(1);
        if self.facts.upgrade == tunnel::Upgrade::Agreed {
            // How long two programs have talked says nothing of how quick we are.
            return;
        }
        let took = self.facts.started.elapsed();
        counters.latency.record(took);
        counters
            .overhead
            .record(took.saturating_sub(self.facts.waited));
    }
}

/// The name of one request in logs, headers and bodies: `req_` and 24 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId {
    text: [u8; 28],
    bits: [u8; 12],
}

impl RequestId {
    /// Unique within the process by worker and number, and between processes by the seed.
    pub(crate) fn new(seed: u64, worker: usize, number: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"req_000000000000000000000000";
        // 40 bits of seed, 8 of worker, 48 of number.
        let high = (seed << 8) ^ (worker as u64 & 0xff);
        let pair = (u128::from(high) << 48) | u128::from(number & 0xffff_ffff_ffff);
        for (place, digit) in text[4..].iter_mut().rev().enumerate() {
            *digit = DIGITS[(pair >> (4 * place)) as usize & 0xf];
        }
        let mut bits = [0; 12];
        bits.copy_from_slice(&pair.to_be_bytes()[4..]);
        Self { text, bits }
    }

    /// The same as a number, for what is written down.
    pub(crate) fn bits(&self) -> [u8; 12] {
        self.bits
    }

    /// The id as it is sent.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("hexadecimal digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_by_worker_and_number() {
        let ids = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(w, n)| RequestId::new(7, w, n));
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].contains(id), "{}", id.as_str());
            assert_eq!(id.as_str().len(), 28);
        }
    }
}
