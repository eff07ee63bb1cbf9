//! Sends a call to someone who may answer it, and again only when nothing can have
//! been done.
//!
//! Who is tried next is `turns.rs`'s to say; whether a failure may be followed by another
//! attempt at all, `upstream::retry`'s. Ends with the head of an
//! answer in the outlet, or with the last failure.

use std::rc::Rc;
use std::time::Duration;

use tollring_config::{ModelId, ServiceId, UpstreamTimeouts};
use tollring_dialects::openai::{Ask, Endpoint};
use tollring_http1::{HeadLimits, Method, Parsed, Version};

use super::bill::Bill;
use super::decline::{Declined, declined, declined_failure};
use super::relay::Downlink;
use super::route::Call;
use super::settle::cause_of_cut;
use super::turns::{Group, Turns};
use super::visit::{Outcome, To, Visit, in_time};
use super::{Exchange, compose, quota, tunnel};
use crate::live::Live;
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::Action;
use crate::net::stream::Broken;
use crate::net::{Instant, both};
use crate::upstream::connect::connect;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};
use crate::upstream::pool::Connection;
use crate::upstream::retry::{ATTEMPTS_MAX, may_retry};
use crate::upstream::way::Way;

/// Interim answers of one provider to one request that are passed on. Arbitrary; real ones
/// send at most two.
const INTERIM_MAX: usize = 8;

/// Bounds of a provider's head; ours to choose, since providers are chosen by the operator.
const ANSWER_HEAD: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    head_fields: 200,
    target_bytes: 0,
};

/// Sent to a client that half-closed while it waits: one that is gone altogether resets the
/// connection, and one that still listens skips an interim answer (RFC 9110 §15.2).
pub(super) const PROBE: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// Gets a call answered: the head of the answer is in the outlet, its body begins in the block.
///
/// # Errors
/// The failure of the last attempt that was made.
pub(super) async fn dispatch<'l>(
    exchange: &mut Exchange<'_>,
    live: &'l Live,
    call: &Call,
    bill: &mut Bill<'_>,
) -> Result<Arrived<'l>, AttemptFailure> {
    match call {
        Call::Completion {
            endpoint,
            model,
            ask,
        } => ask_a_model(exchange, live, (*endpoint, *model, ask), bill).await,
        Call::Service(service) => ask_a_service(exchange, live, *service).await,
    }
}

async fn ask_a_model<'l>(
    exchange: &mut Exchange<'_>,
    live: &'l Live,
    (endpoint, asked, ask): (Endpoint, ModelId, &Ask),
    bill: &mut Bill<'_>,
) -> Result<Arrived<'l>, AttemptFailure> {
    let worker = Rc::clone(exchange.worker);
    let group = Group::Model(asked);
    let mut turns = Turns::begin(live, group, &worker);
    let next = |turns: &mut Turns, bill: &mut Bill<'_>| {
        // The model that was asked for is held already; another must be covered first.
        let covered = |other| quota::covers(bill, live, endpoint, other, ask);
        let (model, place) = turns.next_target(live, asked, &worker, covered)?;
        Some((model, &live.targets(model)[place]))
    };
    let mut tried = next(&mut turns, bill);
    let mut fresh = false;
    let mut last = turns.nobody();
    for turn in 1..=ATTEMPTS_MAX {
        let Some((model, target)) = tried else { break };
        compose::completion(exchange, target, endpoint, ask);
        bill.served_by(live, (model, ask.choices), target.provider);
        let way = &target.way;
        let to = (To { live, group, way }, target.cancel_stops_billing);
        let mut refused = None;
        last = match once(exchange, to, (fresh, turns.repeats())).await {
            Ok(mut arrived) => {
                let Some(declined) = declined(exchange, &mut arrived).await else {
                    let status = exchange.outlet.answer.status;
                    arrived.visit.ended(Outcome::Answered(status));
                    return Ok(arrived);
                };
                let failure = declined_failure(&arrived.connection, declined);
                arrived.visit.ended(Outcome::of(&failure));
                refused = (declined == Declined::ForNow).then_some(arrived);
                failure
            }
            Err(failure) => failure,
        };
        failed(exchange, &last);
        if !may_retry(&last, false) {
            return Err(last);
        }
        // A kept connection that was dead says nothing of the target.
        let same = last.reused && last.cause != Cause::Declined;
        fresh = turns.again(live, (group, &target.way), (&last, same), &worker) && same;
        if !fresh {
            tried = next(&mut turns, bill).filter(|_| turn < ATTEMPTS_MAX);
        }
        if let (None, Some(arrived)) = (tried, refused) {
            return Ok(arrived);
        }
    }
    Err(last)
}

async fn ask_a_service<'l>(
    exchange: &mut Exchange<'_>,
    live: &'l Live,
    service: ServiceId,
) -> Result<Arrived<'l>, AttemptFailure> {
    let worker = Rc::clone(exchange.worker);
    let group = Group::Service(service);
    let idempotent = is_idempotent(exchange.facts.method);
    let mut turns = Turns::begin(live, group, &worker);
    let mut tried = turns.next_upstream(live, service, &worker);
    let mut fresh = false;
    let mut last = turns.nobody();
    for _ in 0..ATTEMPTS_MAX {
        let Some(place) = tried else { break };
        let upstream = &live.upstreams(service)[place];
        compose::service(exchange, upstream);
        let way = &upstream.way;
        let to = (To { live, group, way }, true);
        last = match once(exchange, to, (fresh, turns.repeats())).await {
            Ok(mut arrived) => {
                let outcome = Outcome::Answered(exchange.outlet.answer.status);
                arrived.visit.ended(outcome);
                return Ok(arrived);
            }
            Err(failure) => failure,
        };
        failed(exchange, &last);
        if !may_retry(&last, idempotent) {
            return Err(last);
        }
        // Also where there is only one: a connection that died says little of who is there.
        let same = last.reused || (last.stage != Stage::Connect && turns.is_last(live, group));
        if !turns.again(live, (group, &upstream.way), (&last, same), &worker) {
            break;
        }
        fresh = same;
        if !same {
            tried = turns.next_upstream(live, service, &worker);
        }
    }
    Err(last)
}

/// Counts a failed attempt, and tells it to whoever looks closely.
fn failed(exchange: &Exchange<'_>, failure: &AttemptFailure) {
    exchange
        .worker
        .counters()
        .failed(failure.stage, failure.cause);
    let request = exchange.facts.id.as_str();
    tracing::debug!(request, ?failure, "an attempt failed");
}

/// An upstream connection on which an answer has begun.
pub(super) struct Arrived<'l> {
    pub(super) connection: Connection,
    /// Whether the provider was sent the whole request; else it is still owed the rest.
    pub(super) sent_whole: bool,
    pub(super) timeouts: UpstreamTimeouts,
    /// Whether closing it stops what the provider charges.
    pub(super) cancel_stops_billing: bool,
    pub(super) visit: Visit<'l>,
}

/// Requests up to this are sent before an answer is looked for: they fit into the sockets'
/// buffers, so that sending them does not wait for the provider to read.
const SENT_FIRST_BYTES_MAX: usize = 64 * 1024;

/// One attempt with the request that is in the outbox, from its place in the queue on.
async fn once<'l>(
    exchange: &mut Exchange<'_>,
    (to, cancel_stops_billing): (To<'l>, bool),
    (fresh, repeats): (bool, bool),
) -> Result<Arrived<'l>, AttemptFailure> {
    let mut visit = Visit::begin(exchange, to, repeats).await?;
    let asked = Instant::now();
    match send_once(exchange, (to.way, cancel_stops_billing), fresh).await {
        Ok((connection, sent_whole)) => {
            visit.took(Some(asked.elapsed()));
            Ok(Arrived {
                connection,
                sent_whole,
                timeouts: to.way.timeouts,
                cancel_stops_billing,
                visit,
            })
        }
        Err(failure) => {
            visit.ended(Outcome::of(&failure));
            visit.took(None);
            Err(failure)
        }
    }
}

/// Connects, sends, and reads until the head of the answer is in the outlet. Says whether the
/// whole request was sent.
async fn send_once(
    exchange: &mut Exchange<'_>,
    (way, cancel_stops_billing): (&Way, bool),
    fresh: bool,
) -> Result<(Connection, bool), AttemptFailure> {
    let limits = (
        in_time(way.timeouts, exchange)?.connect,
        way.care.max_connections,
    );
    let how = (fresh, &exchange.patient());
    let mut connection = connect(exchange.worker, &way.origin, limits, how).await?;
    let timeouts = in_time(way.timeouts, exchange)?;
    let sent_before = connection.stream.writer.sent();
    let asked = Instant::now();
    let on = (timeouts, cancel_stops_billing);
    let (sent, arrived) = if exchange.outlet.outbox.len() <= SENT_FIRST_BYTES_MAX {
        let sent = send(exchange, &mut connection, timeouts.between_bytes).await;
        // A provider may answer before it has read everything, so a write that failed is not
        // the end: there may be an answer that says why.
        let mut down = exchange.downlink(&mut connection.stream.reader, on);
        (Some(sent), await_head(&mut down).await)
    } else {
        // Boxed: only what is long needs the room for both at once.
        Box::pin(send_and_await(exchange, &mut connection, on)).await
    };
    exchange.facts.waited += asked.elapsed();
    match arrived {
        Ok(()) => Ok((connection, matches!(sent, Some(Ok(()))))),
        Err(cause) => Err(AttemptFailure {
            stage: match sent {
                Some(Ok(())) => Stage::AwaitHead,
                _ => Stage::Send,
            },
            // Our own deadline looks like the peer's close to whoever reads, and may be seen there
            // before the write it ended has come back. What was written may arrive yet.
            cause: connection.stream.cut().map_or(cause, cause_of_cut),
            reused: connection.reused,
            bytes_accepted: connection.accepted_since(sent_before),
        }),
    }
}

/// Sends what is in the outbox and looks for an answer meanwhile: a provider that has seen
/// enough of a long request answers, and reads no more. One that reads slowly is waited for as
/// long as it reads on.
async fn send_and_await(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    on: (UpstreamTimeouts, bool),
) -> (Option<Result<(), Broken>>, Result<(), Cause>) {
    let empty = exchange.worker.buffers.none();
    let mut outbox = std::mem::replace(&mut exchange.outlet.outbox, empty);
    let answering = Rc::clone(connection.stream.reader.watch());
    let writer = &mut connection.stream.writer;
    let taking = Rc::clone(writer.watch());
    let (timeouts, started) = (on.0, exchange.facts.started);
    // An answer is not late while there is more to be read.
    let expect_answer = || {
        let bound = timeouts.total.unwrap_or(Duration::MAX);
        let left = bound.saturating_sub(started.elapsed());
        answering.arm(timeouts.first_byte.min(left), Action::CloseBoth);
    };
    let sending = async {
        let whole = 0..outbox.len();
        let step = || {
            taking.arm(timeouts.between_bytes, Action::CloseBoth);
            expect_answer();
        };
        let sent = writer.write_in_steps(&mut outbox, whole, step).await;
        taking.disarm();
        expect_answer();
        sent
    };
    let mut down = exchange.downlink(&mut connection.stream.reader, on);
    let ended = both(sending, await_head(&mut down)).await;
    // A send that the answer overtook was dropped with its deadline set.
    connection.stream.writer.watch().disarm();
    ended
}

/// Sends what is in the outbox.
pub(super) async fn send(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    limit: Duration,
) -> Result<(), Broken> {
    let outbox = &mut exchange.outlet.outbox;
    let writer = &mut connection.stream.writer;
    writer.watch().arm(limit, Action::CloseBoth);
    let whole = 0..outbox.len();
    let sent = writer.write(outbox, whole).await;
    writer.watch().disarm();
    sent
}

/// Reads until the head of the final answer is whole.
pub(super) async fn await_head(down: &mut Downlink<'_>) -> Result<(), Cause> {
    let now_ms = down.worker.deadlines.now_ms();
    if down.cancel_stops_billing {
        let probe = (down.facts.version == Version::Http11).then_some(PROBE);
        down.worker
            .hangups
            .watch(down.presence, down.upstream.watch(), probe, now_ms);
    }
    let outlet = &mut *down.outlet;
    outlet.block.clear();
    outlet.block.reserve_block(BLOCK_BYTES);
    outlet.answer.clear();
    down.upstream
        .watch()
        .arm(down.timeouts.first_byte, Action::CloseBoth);
    let mut interim = 0;
    let arrived = loop {
        outlet.block.reserve_block(1);
        if let Err(broken) = down.upstream.read(&mut outlet.block).await {
            let begun = interim > 0 || !outlet.block.is_empty();
            break Err(cause_before_head(broken, begun));
        }
        let mut parsed = outlet
            .answer
            .parse(&outlet.block, down.facts.method, &ANSWER_HEAD);
        while matches!(parsed, Ok(Parsed::Done)) && is_interim(outlet.answer.status) {
            interim += 1;
            if interim > INTERIM_MAX {
                break;
            }
            if down.facts.version == Version::Http11 {
                compose::interim(outlet);
                let whole = 0..outlet.outbox.len();
                down.client
                    .watch()
                    .arm(down.live.config.timeouts.write, Action::Reset);
                // A client that is gone is found out by whoever sends the answer.
                let _ = down.client.write(&mut outlet.outbox, whole).await;
                down.client.watch().disarm();
            }
            let head_len = outlet.answer.len;
            outlet.block.drop_front(head_len);
            outlet.answer.clear();
            parsed = outlet
                .answer
                .parse(&outlet.block, down.facts.method, &ANSWER_HEAD);
        }
        match parsed {
            // Switching protocols to what was not asked for (RFC 9110 §15.2.2).
            Ok(Parsed::Done)
                if outlet.answer.status < 200 && !tunnel::agrees(outlet, down.facts) =>
            {
                break Err(Cause::Malformed);
            }
            Ok(Parsed::Done) => break Ok(()),
            Ok(Parsed::Partial) => {}
            Err(fault) => {
                tracing::warn!(request = down.facts.id.as_str(), %fault, "malformed answer");
                break Err(Cause::Malformed);
            }
        }
    };
    down.upstream.watch().disarm();
    arrived
}

const fn is_interim(status: u16) -> bool {
    status < 200 && status != 101
}

/// Why no head came. What has begun and breaks off is no answer, and is not asked for again.
fn cause_before_head(broken: Broken, begun: bool) -> Cause {
    match cause_of(broken) {
        Cause::Closed | Cause::Reset if begun => Cause::Malformed,
        cause => cause,
    }
}

/// Why a read from a provider came to nothing.
pub(super) fn cause_of(broken: Broken) -> Cause {
    match broken {
        Broken::Closed | Broken::Unannounced => Cause::Closed,
        Broken::Reset => Cause::Reset,
        Broken::Cut(cut) => cause_of_cut(cut),
    }
}

/// Whether doing it twice is the same as doing it once (RFC 9110 §9.2.2).
const fn is_idempotent(method: Method) -> bool {
    matches!(
        method,
        Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options
    )
}
