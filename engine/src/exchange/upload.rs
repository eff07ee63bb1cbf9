//! Passes a request's body on while it comes, beside the answer on its way back.
//!
//! A REST body has no bound and is never held whole: one block goes up while another
//! comes down, so that neither side can block the other. What has been passed on
//! cannot be sent again, so only a failed connect is tried twice.

use std::rc::Rc;

use tollring_config::{ServiceId, UpstreamTimeouts};
use tollring_http1::{BodyDecoder, BodyFault, Framing, Version};

use super::attempt::{PROBE, await_head, cause_of, send};
use super::bill::Bill;
use super::frame::{HEADROOM, frame_in_place};
use super::pace::Pace;
use super::refusal::Refusal;
use super::relay::{Downlink, Ended};
use super::route::Call;
use super::turns::{Group, Turns};
use super::visit::{Outcome, To, Visit, in_time};
use super::{Exchange, Progress, compose, intake};
use crate::live::Live;
use crate::net::deadline::{Action, Cut};
use crate::net::stream::Broken;
use crate::net::{Buffer, ClientWatch, Instant, Reader, Writer, both};
use crate::upstream::connect::connect;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};
use crate::upstream::pool::Connection;
use crate::worker::Worker;

/// Whether part of the body has not arrived, so that it must be passed on as it comes.
pub(super) fn is_needed(exchange: &Exchange<'_>) -> bool {
    !exchange.intake.decoder.is_done()
}

/// Why an upload ended before its end.
#[derive(Debug)]
enum UploadFailure {
    /// The client broke off.
    Client,
    /// The client was too slow.
    TimedOut,
    /// The client's framing is broken.
    Malformed(BodyFault),
    /// The upstream takes no more; what it answers says why.
    Upstream,
}

/// Sends the call and its body, and passes the answer on meanwhile.
pub(super) async fn both_ways(
    exchange: &mut Exchange<'_>,
    live: &Live,
    call: &Call,
    bill: &mut Bill<'_>,
) -> Ended {
    let Call::Service(service) = call else {
        unreachable!("completions are read whole before they are held")
    };
    let (mut connection, mut visit, timeouts) = match ready(exchange, live, *service).await {
        Ok(ready) => ready,
        Err(ended) => return ended,
    };
    let head_due = timeouts.total.map(|total| (exchange.facts.started, total));
    exchange.progress.uploading.set(true);
    let asked = Instant::now();
    let mut waited = std::time::Duration::ZERO;
    let up = Uplink {
        client: &mut exchange.client.reader,
        upstream: &mut connection.stream.writer,
        answering: Rc::clone(connection.stream.reader.watch()),
        inbox: &mut exchange.intake.inbox,
        decoder: &mut exchange.intake.decoder,
        rest: &mut exchange.intake.rest,
        presence: exchange.presence,
        worker: exchange.worker,
        progress: &exchange.progress,
        http11: exchange.facts.version == Version::Http11,
        chunked: exchange.intake.head.framing == Framing::Chunked,
        first_byte: timeouts.first_byte,
        head_due,
        pace: Pace::new(&live.config),
        between_bytes: timeouts.between_bytes,
    };
    let mut down = Downlink {
        worker: exchange.worker,
        live,
        presence: exchange.presence,
        client: &mut exchange.client.writer,
        upstream: &mut connection.stream.reader,
        outlet: exchange.outlet,
        facts: &exchange.facts,
        progress: &exchange.progress,
        timeouts,
        cancel_stops_billing: false,
    };
    let download = async {
        let arrived = await_head(&mut down).await;
        waited = asked.elapsed();
        match arrived {
            Ok(()) => down.relay(call, bill).await,
            Err(cause) => (failed(cause), false),
        }
    };
    let (uploaded, (ended, reusable)) = both(up.carry(), download).await;
    exchange.facts.waited += waited;
    let sent_whole = matches!(uploaded, Some(Ok(())));
    uploaded_to(exchange, sent_whole);
    if reusable && sent_whole && !exchange.worker.draining.get() {
        let now_ms = exchange.worker.deadlines.now_ms();
        exchange.worker.pools.keep(connection, now_ms);
    }
    let ended = blame(uploaded, ended);
    visit.ended(outcome(&ended, exchange.outlet.answer.status));
    ended
}

/// What an upload and its answer say of the upstream.
const fn outcome(ended: &Ended, status: u16) -> Outcome {
    match ended {
        Ended::Failed(failure) => Outcome::of(failure),
        Ended::Refused(_) => Outcome::Unheld,
        _ => Outcome::Answered(status),
    }
}

/// Begins the call, and has the client send the rest of its body. What is left of the deadlines
/// comes with it.
async fn ready<'l>(
    exchange: &mut Exchange<'_>,
    live: &'l Live,
    service: ServiceId,
) -> Result<(Connection, Visit<'l>, UpstreamTimeouts), Ended> {
    let begun = begin(exchange, live, service).await;
    let (connection, visit) = begun.map_err(Ended::Failed)?;
    if intake::say_continue(exchange).await.is_err() {
        return Err(Ended::ClientGone {
            output: 0,
            bytes: 0,
        });
    }
    let timeouts = live.config.services[service.index()].timeouts;
    let timeouts = in_time(timeouts, exchange).map_err(Ended::Failed)?;
    Ok((connection, visit, timeouts))
}

/// Notes whether the body was passed on to its end. The rest of one that nobody wants any more
/// must not be taken for the next request.
fn uploaded_to(exchange: &mut Exchange<'_>, the_end: bool) {
    exchange.facts.keep_alive &= the_end;
    exchange.progress.uploading.set(!the_end);
    if !the_end {
        // A read may have been under way, with the inbox's bytes.
        exchange.intake.inbox.clear();
        exchange.intake.body = 0..0;
        exchange.intake.rest = 0;
    }
}

/// How it ended, with regard to what the client did: an answer that failed because the body
/// broke off is the client's doing.
fn blame(uploaded: Option<Result<(), UploadFailure>>, ended: Ended) -> Ended {
    match (uploaded, ended) {
        (Some(Err(UploadFailure::Malformed(fault))), Ended::Failed(_)) => {
            Ended::Refused(Refusal::Body(fault))
        }
        (Some(Err(UploadFailure::TimedOut)), Ended::Failed(_)) => {
            Ended::Refused(Refusal::BodyTimedOut)
        }
        (Some(Err(UploadFailure::Client)), Ended::Failed(failure)) => {
            Ended::Failed(AttemptFailure {
                cause: Cause::ClientGone,
                ..failure
            })
        }
        (_, ended) => ended,
    }
}

fn failed(cause: Cause) -> Ended {
    let stage = Stage::AwaitHead;
    Ended::Failed(AttemptFailure {
        stage,
        cause,
        reused: false,
        bytes_accepted: u64::MAX,
    })
}

/// Connects to an upstream of the service and sends the head, and what has arrived of the body.
async fn begin<'l>(
    exchange: &mut Exchange<'_>,
    live: &'l Live,
    service: ServiceId,
) -> Result<(Connection, Visit<'l>), AttemptFailure> {
    let worker = Rc::clone(exchange.worker);
    let group = Group::Service(service);
    let mut turns = Turns::begin(live, group, &worker);
    let mut tried = turns.next_upstream(live, service, &worker);
    let mut last = turns.nobody();
    while let Some(place) = tried {
        let upstream = &live.upstreams(service)[place];
        compose::service(exchange, upstream);
        let way = &upstream.way;
        match reach(exchange, To { live, group, way }, turns.repeats()).await {
            Ok((mut connection, visit)) => {
                // What fails here is found when the answer is read.
                let limit = way.timeouts.between_bytes;
                let _ = send(exchange, &mut connection, limit).await;
                return Ok((connection, visit));
            }
            Err(failure) => {
                worker.counters().failed(failure.stage, failure.cause);
                last = failure;
            }
        }
        let stopped = matches!(last.cause, Cause::ClientGone | Cause::Stopped);
        if stopped || !turns.again(live, (group, &upstream.way), (&last, false), &worker) {
            break;
        }
        tried = turns.next_upstream(live, service, &worker);
    }
    Err(last)
}

/// Takes a place and a connection. A new one: a kept one that has died cannot be replaced once
/// the body moves.
async fn reach<'l>(
    exchange: &Exchange<'_>,
    to: To<'l>,
    repeats: bool,
) -> Result<(Connection, Visit<'l>), AttemptFailure> {
    let way = to.way;
    let mut visit = Visit::begin(exchange, to, repeats).await?;
    let limits = (
        in_time(way.timeouts, exchange)?.connect,
        way.care.max_connections,
    );
    let how = (true, &exchange.patient());
    let connected = connect(exchange.worker, &way.origin, limits, how).await;
    let connection = connected.inspect_err(|failure| visit.ended(Outcome::of(failure)))?;
    Ok((connection, visit))
}

/// The way of a body from the client's connection to the upstream's.
struct Uplink<'a> {
    client: &'a mut Reader,
    upstream: &'a mut Writer,
    /// The deadline of the answer, to end it when the body turns out to be broken.
    answering: Rc<crate::net::Watch>,
    inbox: &'a mut Buffer,
    decoder: &'a mut BodyDecoder,
    rest: &'a mut usize,
    presence: &'a Rc<ClientWatch>,
    worker: &'a Worker,
    progress: &'a Progress,
    /// Whether the client knows interim answers.
    http11: bool,
    chunked: bool,
    /// How long an answer may take once there is no more to be read, and until when at most.
    first_byte: std::time::Duration,
    head_due: Option<(Instant, std::time::Duration)>,
    /// How long each read from the client may take.
    pace: Pace,
    /// For one write to the upstream.
    between_bytes: std::time::Duration,
}

impl Uplink<'_> {
    /// Passes the body on to its end. Where it is broken, the upstream must never take it for
    /// whole: its connection ends.
    async fn carry(mut self) -> Result<(), UploadFailure> {
        let carried = self.pass_on().await;
        match &carried {
            Ok(()) => self.watch_the_client(),
            Err(UploadFailure::Upstream) => {}
            Err(UploadFailure::Client | UploadFailure::TimedOut | UploadFailure::Malformed(_)) => {
                self.answering.end(Cut::ClientGone, Action::CloseBoth);
            }
        }
        carried
    }

    /// From now on the client only waits, and may leave without a word. Once an answer has
    /// begun, nothing but it may be sent.
    fn watch_the_client(&self) {
        self.progress.uploading.set(false);
        let silent = self.progress.answering.get() || !self.http11;
        let probe = (!silent).then_some(PROBE);
        let now_ms = self.worker.deadlines.now_ms();
        let hangups = &self.worker.hangups;
        hangups.watch(self.presence, &self.answering, probe, now_ms);
    }

    fn until_head(&self) -> std::time::Duration {
        let left = |(started, total): (Instant, std::time::Duration)| {
            total.saturating_sub(started.elapsed())
        };
        let bound = self.head_due.map_or(self.first_byte, left);
        self.first_byte.min(bound)
    }

    async fn pass_on(&mut self) -> Result<(), UploadFailure> {
        while !self.decoder.is_done() {
            self.inbox.clear();
            self.inbox.reserve_block(crate::net::buffer::BLOCK_BYTES);
            self.inbox.resize(HEADROOM, 0);
            let asked_ms = self.worker.deadlines.now_ms();
            let limit = self.pace.next_read();
            self.client.watch().arm(limit, Action::CloseReading);
            let read = self.client.read(self.inbox).await;
            self.client.watch().disarm();
            let count = read.map_err(|broken| match broken {
                Broken::Cut(Cut::Deadline) => UploadFailure::TimedOut,
                _ => UploadFailure::Client,
            })?;
            let took_ms = self.worker.deadlines.now_ms() - asked_ms;
            self.pace.note(took_ms, count);
            let decoded = self.decoder.decode(&mut self.inbox[HEADROOM..]);
            let decoded = decoded.map_err(UploadFailure::Malformed)?;
            let data = HEADROOM + decoded.data.start..HEADROOM + decoded.data.end;
            let next = HEADROOM + decoded.consumed;
            let uploaded = self.progress.uploaded.get() + data.len() as u64;
            self.progress.uploaded.set(uploaded);
            if !self.progress.answering.get() {
                // An answer is not late while there is more to be read.
                self.answering.arm(self.until_head(), Action::CloseBoth);
            }
            self.write(data, next, decoded.done)
                .await
                .map_err(|broken| {
                    tracing::debug!(
                        cause = cause_of(broken).word(),
                        "the upstream takes no more"
                    );
                    UploadFailure::Upstream
                })?;
        }
        Ok(())
    }

    /// Sends a piece of the body; what follows the body in the inbox, from `next` on, stays.
    async fn write(
        &mut self,
        data: std::ops::Range<usize>,
        next: usize,
        done: bool,
    ) -> Result<(), Broken> {
        self.upstream
            .watch()
            .arm(self.between_bytes, Action::CloseBoth);
        let next = next.min(self.inbox.len());
        let pipelined = self.inbox.split_off(next);
        let framed = if self.chunked {
            frame_in_place(self.inbox, data, done)
        } else {
            data
        };
        let sent = self.upstream.write(self.inbox, framed).await;
        self.upstream.watch().disarm();
        if done {
            *self.rest = self.inbox.len();
            self.inbox.extend_from_slice(&pipelined);
        }
        sent
    }
}
