//! Passes a request's body on while it comes, beside the answer on its way back.
//!
//! A REST body has no bound and is never held whole: one block goes up while another
//! comes down, so that neither side can block the other. What has been passed on
//! cannot be sent again, so only a failed connect is tried twice.

use std::rc::Rc;

use tollring_http1::{BodyDecoder, BodyFault, Framing, Version};

use super::attempt::{PROBE, await_head, cause_of, send};
use super::frame::{HEADROOM, frame_in_place};
use super::pace::Pace;
use super::refusal::Refusal;
use super::relay::{Downlink, Ended};
use super::route::Call;
use super::settle::Bill;
use super::{Exchange, Progress, compose, intake};
use crate::live::Live;
use crate::net::deadline::{Action, Cut};
use crate::net::stream::Broken;
use crate::net::{Buffer, ClientWatch, Instant, Reader, Writer, both};
use crate::upstream::balance::{draw, place_at};
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
    let timeouts = live.config.services[service.index()].timeouts;
    let mut connection = match begin(exchange, live, call).await {
        Ok(connection) => connection,
        Err(failure) => return Ended::Failed(failure),
    };
    if intake::say_continue(exchange).await.is_err() {
        return Ended::ClientGone {
            output: 0,
            bytes: 0,
        };
    }
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
    blame(uploaded, ended)
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
async fn begin(
    exchange: &mut Exchange<'_>,
    live: &Live,
    call: &Call,
) -> Result<Connection, AttemptFailure> {
    let Call::Service(service) = call else {
        unreachable!("completions are read whole before they are held")
    };
    let upstreams = live.upstreams(*service);
    let timeouts = live.config.services[service.index()].timeouts;
    let first = draw(upstreams.iter().map(|_| 1), &exchange.worker.dice);
    let mut last = AttemptFailure::before_connection(Cause::NoAddress);
    for turn in 0..upstreams.len() {
        let Some(place) = place_at(turn, first, upstreams.len()) else {
            break;
        };
        let upstream = &upstreams[place];
        compose::service(exchange, upstream);
        // A new connection: a kept one that has died cannot be replaced once the body moves.
        match connect(exchange.worker, &upstream.origin, timeouts.connect, true).await {
            Ok(mut connection) => {
                // What fails here is found when the answer is read.
                let _ = send(exchange, &mut connection, timeouts.between_bytes).await;
                return Ok(connection);
            }
            Err(failure) => {
                exchange
                    .worker
                    .counters()
                    .failed(failure.stage, failure.cause);
                last = failure;
            }
        }
    }
    Err(last)
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
    /// How long an answer may take once there is no more to be read.
    first_byte: std::time::Duration,
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
                self.answering.arm(self.first_byte, Action::CloseBoth);
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
