//! Bytes back: passes an answer on as it comes, and counts it on the way.
//!
//! The provider's bytes leave as they are, but for the usage chunk that we asked for
//! and the client did not. An answer holds one block however long it is. What the
//! count costs is `settle`'s; here it is only noticed.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tollring_config::{OnMidstream, UpstreamTimeouts};
use tollring_dialects::openai;
use tollring_http1::{BodyDecoder, Known, LAST_CHUNK};

use super::attempt::{Arrived, cause_of};
use super::compose::{self, Out};
use super::frame::{HEADROOM, frame_fed, frame_in_place};
use super::refusal::{Denied, Refusal};
use super::route::Call;
use super::settle::Bill;
use super::{Exchange, Facts, wording};
use crate::connection::Outlet;
use crate::live::Live;
use crate::net::deadline::Action;
use crate::net::stream::Broken;
use crate::net::{ClientWatch, Reader, Writer};
use crate::upstream::failure::{AttemptFailure, Cause, Stage};
use crate::worker::Worker;

/// Bodies up to this are copied behind their head and sent with it; longer ones are gathered.
/// About where a copy costs what the kernel's second buffer does.
const COPY_BYTES_MAX: usize = 4096;

/// How long, and how many bytes, an answer is read on for its usage after its client left, at
/// a provider that charges for it anyway.
const DRAIN: Duration = Duration::from_secs(30);
const DRAIN_BYTES: u64 = 4 * 1024 * 1024;

/// How an exchange with a provider ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client has the whole answer, and the bill is settled if there was one to settle.
    Whole {
        /// Whether the client's connection may go on.
        keep: bool,
    },
    /// The client has what there was, visibly cut; the provider did not say what it cost.
    Uncounted {
        /// Output tokens that passed.
        output: u64,
    },
    /// The client left.
    ClientGone {
        /// Output tokens that passed.
        output: u64,
        /// Bytes of body that passed.
        bytes: u64,
    },
    /// Nothing has been sent to the client.
    Failed(AttemptFailure),
    /// Nothing has been sent to the client, whose own body turned out to be broken.
    Refused(Refusal),
}

/// The way of an answer from a provider's connection to the client's.
pub(super) struct Downlink<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) live: &'a Live,
    pub(super) presence: &'a Rc<ClientWatch>,
    pub(super) client: &'a mut Writer,
    pub(super) upstream: &'a mut Reader,
    pub(super) outlet: &'a mut Outlet,
    pub(super) facts: &'a Facts,
    pub(super) timeouts: UpstreamTimeouts,
    pub(super) cancel_stops_billing: bool,
}

impl Exchange<'_> {
    /// The way back from one upstream connection.
    pub(super) fn downlink<'b>(
        &'b mut self,
        upstream: &'b mut Reader,
        (timeouts, cancel_stops_billing): (UpstreamTimeouts, bool),
    ) -> Downlink<'b> {
        Downlink {
            worker: self.worker,
            live: &self.live,
            presence: self.presence,
            client: &mut self.client.writer,
            upstream,
            outlet: self.outlet,
            facts: &self.facts,
            timeouts,
            cancel_stops_billing,
        }
    }
}

/// What of an answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// The usage of a body that comes as one.
    Unary,
    /// The usage of a body of events; `strip` takes the usage chunk out again.
    Events { strip: bool },
    /// Bytes.
    Bytes,
    /// Nothing: the provider answered with a failure of its own, which costs nothing.
    Nothing,
}

/// One answer on its way.
struct Passage {
    decoder: BodyDecoder,
    count: Count,
    out: Out,
    /// Decoded bytes of the body that came.
    bytes: u64,
    done: bool,
    /// Bytes came after the end; the connection cannot be trusted with another request.
    overrun: bool,
}

/// Passes the answer on whose head is in the outlet, and keeps the connection if it may.
pub(super) async fn carry(
    exchange: &mut Exchange<'_>,
    call: &Call,
    arrived: Arrived,
    bill: &mut Bill<'_>,
) -> Ended {
    let Arrived {
        mut connection,
        timeouts,
        cancel_stops_billing,
    } = arrived;
    let to = (timeouts, cancel_stops_billing);
    let mut down = exchange.downlink(&mut connection.stream.reader, to);
    let (ended, reusable) = down.relay(call, bill).await;
    exchange.presence.stop();
    if reusable && !exchange.worker.draining.get() {
        exchange
            .worker
            .pools
            .keep(connection, exchange.worker.deadlines.now_ms());
    }
    ended
}

impl Downlink<'_> {
    /// Passes the answer on; says how it ended and whether the upstream connection is as good
    /// as before.
    pub(super) async fn relay(&mut self, call: &Call, bill: &mut Bill<'_>) -> (Ended, bool) {
        let mut passage = self.begin(call);
        let mut from = self.outlet.answer.len;
        loop {
            let Ok(data) = self.decode(&mut passage, from) else {
                return (
                    self.cut_short(&passage, Cause::Malformed, bill).await,
                    false,
                );
            };
            if let Err(denied) = self.count(&passage, data.clone(), bill) {
                return (self.cut_by_quota(&passage, denied).await, false);
            }
            if passage.done {
                self.settle(&passage, bill);
            }
            if self.send(&passage, data).await.is_err() {
                return (self.client_left(&mut passage, bill).await, false);
            }
            if passage.done {
                let keep = self.facts.keep_alive && passage.out != Out::Close;
                let reusable = self.outlet.answer.keep_alive && !passage.overrun;
                return (Ended::Whole { keep }, reusable);
            }
            from = HEADROOM;
            match self.read(&passage).await {
                Ok(()) => {}
                // What ends by its connection's end is whole now, and has nothing more.
                Err(Broken::Closed) if passage.decoder.close().is_ok() => passage.done = true,
                Err(broken) => {
                    let cause = cause_of(broken);
                    return (self.cut_short(&passage, cause, bill).await, false);
                }
            }
        }
    }

    fn begin(&mut self, call: &Call) -> Passage {
        let answer = &self.outlet.answer;
        let count = self.what_counts(call);
        let rewritten = count == Count::Events { strip: true };
        let out = Out::choose(answer.framing, rewritten, self.facts, answer.status);
        let decoder = BodyDecoder::new(answer.framing);
        self.worker.counters().answered(answer.status);
        match count {
            Count::Unary => self.outlet.unary.reset(),
            Count::Events { strip } => self.outlet.events.reset(strip),
            Count::Bytes | Count::Nothing => {}
        }
        let completion = matches!(call, Call::Completion { .. });
        let caller = self.facts.caller.filter(|_| completion);
        let (worker, live) = (self.worker, self.live);
        compose::answer(self.outlet, self.facts, out, completion, |fields| {
            if let Some(caller) = caller {
                worker.headroom.append(fields, worker, live, caller);
            }
        });
        let done = decoder.is_done();
        Passage {
            decoder,
            count,
            out,
            bytes: 0,
            done,
            overrun: false,
        }
    }

    fn what_counts(&self, call: &Call) -> Count {
        let answer = &self.outlet.answer;
        match call {
            Call::Service { .. } if answer.status < 500 => Count::Bytes,
            Call::Completion { endpoint, ask, .. } if (200..300).contains(&answer.status) => {
                let kind = answer.fields.find(Known::ContentType);
                let kind = kind.map_or(&b""[..], |field| field.value.of(&self.outlet.block));
                const EVENTS: &[u8] = b"text/event-stream";
                let is_events =
                    kind.len() >= EVENTS.len() && kind[..EVENTS.len()].eq_ignore_ascii_case(EVENTS);
                if is_events {
                    Count::Events {
                        strip: compose::wants_usage(*endpoint, ask),
                    }
                } else {
                    Count::Unary
                }
            }
            _ => Count::Nothing,
        }
    }

    /// Reads more of the answer, with room before it for a chunk's head.
    async fn read(&mut self, passage: &Passage) -> Result<(), Broken> {
        let probe = self.probe(passage);
        let block = &mut self.outlet.block;
        block.clear();
        block.resize(HEADROOM, 0);
        let upstream = self.upstream.watch();
        upstream.arm(self.timeouts.between_bytes, Action::CloseBoth);
        if self.cancel_stops_billing {
            let now_ms = self.worker.deadlines.now_ms();
            let hangups = &self.worker.hangups;
            hangups.watch(self.presence, upstream, probe, now_ms);
        }
        let read = self.upstream.read(block).await;
        self.upstream.watch().disarm();
        read.map(drop)
    }

    /// What a client that half-closed is sent to learn whether it still listens: between two
    /// events a comment, which every reader of events skips; nothing anywhere else.
    fn probe(&self, passage: &Passage) -> Option<&'static [u8]> {
        let fits =
            matches!(passage.count, Count::Events { .. }) && self.outlet.events.between_events();
        match passage.out {
            Out::Chunked if fits => Some(b"3\r\n:\n\n\r\n"),
            Out::Close if fits => Some(b":\n\n"),
            _ => None,
        }
    }

    /// Decodes what lies in the block from `from` on; where the body's bytes are then.
    fn decode(&mut self, passage: &mut Passage, from: usize) -> Result<Range<usize>, ()> {
        let block = &mut self.outlet.block;
        if passage.done {
            passage.overrun |= block.len() > from;
            return Ok(from..from);
        }
        let decoded = passage
            .decoder
            .decode(&mut block[from..])
            .map_err(|fault| {
                tracing::warn!(request = self.facts.id.as_str(), %fault, "malformed answer body");
            })?;
        passage.done = decoded.done;
        passage.overrun |= from + decoded.consumed < block.len();
        passage.bytes += decoded.data.len() as u64;
        Ok(from + decoded.data.start..from + decoded.data.end)
    }

    /// Looks at the body's bytes; puts what is left of them into the outbox when the usage is
    /// taken out.
    fn count(
        &mut self,
        passage: &Passage,
        data: Range<usize>,
        bill: &mut Bill<'_>,
    ) -> Result<(), Denied> {
        let Outlet {
            block,
            outbox,
            unary,
            events,
            ..
        } = &mut *self.outlet;
        match passage.count {
            Count::Unary => unary.feed(&block[data]),
            Count::Events { strip: false } => events.observe(&block[data]),
            Count::Events { strip: true } => {
                outbox.reserve_block(data.len() + 4 * HEADROOM);
                frame_fed(outbox, passage.out, |out| {
                    events.feed(&block[data], out);
                    if passage.done {
                        events.finish(out);
                    }
                });
                if passage.done && passage.out == Out::Chunked {
                    outbox.extend_from_slice(LAST_CHUNK);
                }
            }
            Count::Bytes | Count::Nothing => {}
        }
        if !matches!(passage.count, Count::Events { .. }) {
            return Ok(());
        }
        let policy = self.live.config.quota.on_midstream;
        match bill.produced(events.output_tokens_counted()) {
            Err(denied) if policy == OnMidstream::Cut && !passage.done => Err(denied),
            // The answer goes on; what it costs beyond the hold is recorded when it is posted.
            _ => Ok(()),
        }
    }

    /// Settles a whole answer, before its last bytes leave.
    fn settle(&self, passage: &Passage, bill: &mut Bill<'_>) {
        let Outlet { unary, events, .. } = &*self.outlet;
        let (usage, counted) = match passage.count {
            Count::Unary => (unary.usage(), unary.output_tokens_counted()),
            Count::Events { .. } => (events.usage(), events.output_tokens_counted()),
            Count::Bytes => return bill.post_service(passage.bytes),
            Count::Nothing => return,
        };
        match usage {
            Some(usage) => bill.post_usage(usage),
            None => bill.post_counted(counted),
        }
    }

    /// Sends the head, if it has not left, and the body's bytes in the block, framed.
    async fn send(&mut self, passage: &Passage, data: Range<usize>) -> Result<(), Broken> {
        self.presence.stop();
        let Outlet { block, outbox, .. } = &mut *self.outlet;
        let framed = match (passage.count, passage.out) {
            (Count::Events { strip: true }, _) | (_, Out::Bodiless) => 0..0,
            (_, Out::Chunked) => frame_in_place(block, data, passage.done),
            (_, Out::Length(_) | Out::Close) => data,
        };
        if outbox.is_empty() && framed.is_empty() {
            return Ok(());
        }
        self.client
            .watch()
            .arm(self.live.config.timeouts.write, Action::CloseBoth);
        let sent = if outbox.is_empty() {
            self.client.write(block, framed).await
        } else if framed.len() <= COPY_BYTES_MAX {
            outbox.reserve_block(framed.len());
            outbox.extend_from_slice(&block[framed]);
            let whole = 0..outbox.len();
            self.client.write(outbox, whole).await
        } else {
            self.client.write_both(outbox, block, framed).await
        };
        self.client.watch().disarm();
        outbox.clear();
        sent
    }

    fn output_counted(&self, passage: &Passage) -> u64 {
        match passage.count {
            Count::Unary => self.outlet.unary.output_tokens_counted(),
            Count::Events { .. } => self.outlet.events.output_tokens_counted(),
            Count::Bytes | Count::Nothing => 0,
        }
    }

    /// The provider broke off. A stream ends with an error event; anything else ends visibly
    /// short, so that a broken answer is never taken for a whole one.
    async fn cut_short(&mut self, passage: &Passage, cause: Cause, bill: &mut Bill<'_>) -> Ended {
        let output = self.output_counted(passage);
        if cause == Cause::ClientGone {
            return Ended::ClientGone {
                output,
                bytes: passage.bytes,
            };
        }
        self.worker.counters().failed(Stage::Relay, cause);
        if passage.count == Count::Bytes {
            bill.post_service(passage.bytes);
        }
        if matches!(passage.count, Count::Events { .. }) {
            let id = self.facts.id.as_str();
            const SENTENCE: &str = "The provider broke off in the middle of its answer.";
            self.end_stream(passage, |out| {
                openai::append_midstream_failure(out, "upstream_failed", &SENTENCE, id);
            })
            .await;
        }
        Ended::Uncounted { output }
    }

    /// The money ran out in mid-stream and the operator wants it cut there.
    async fn cut_by_quota(&mut self, passage: &Passage, denied: Denied) -> Ended {
        let output = self.output_counted(passage);
        let refusal = Refusal::Denied(denied);
        self.worker.counters().refused(refusal.kind(self.live));
        let (facts, live) = (self.facts, self.live);
        self.end_stream(passage, |out| {
            wording::append_stream_error(out, facts, &refusal, live)
        })
        .await;
        Ended::Uncounted { output }
    }

    /// Ends a stream with an event of ours, on a line of its own.
    async fn end_stream(&mut self, passage: &Passage, write: impl FnOnce(&mut Vec<u8>)) {
        let Outlet { outbox, events, .. } = &mut *self.outlet;
        frame_fed(outbox, passage.out, |out| {
            if !events.between_events() {
                out.extend_from_slice(b"\n\n");
            }
            write(out);
        });
        if passage.out == Out::Chunked {
            outbox.extend_from_slice(LAST_CHUNK);
        }
        self.client
            .watch()
            .arm(self.live.config.timeouts.write, Action::CloseBoth);
        let whole = 0..outbox.len();
        // A client that is gone too does not need to be told.
        let _ = self.client.write(outbox, whole).await;
        self.client.watch().disarm();
    }

    /// The client is gone. Where that stops what the provider charges, nothing more is read;
    /// elsewhere the answer is read on for its usage, within bounds.
    async fn client_left(&mut self, passage: &mut Passage, bill: &mut Bill<'_>) -> Ended {
        let reads_on = !self.cancel_stops_billing && bill.by_tokens();
        if reads_on && !passage.done {
            self.upstream.watch().arm(DRAIN, Action::CloseBoth);
            let mut read = 0;
            while !passage.done && read < DRAIN_BYTES {
                let block = &mut self.outlet.block;
                block.clear();
                block.resize(HEADROOM, 0);
                let Ok(count) = self.upstream.read(block).await else {
                    break;
                };
                read += count as u64;
                let Ok(data) = self.decode(passage, HEADROOM) else {
                    break;
                };
                let _ = self.count(passage, data, bill);
                self.outlet.outbox.clear();
            }
            self.upstream.watch().disarm();
            if passage.done {
                self.settle(passage, bill);
            }
        }
        Ended::ClientGone {
            output: self.output_counted(passage),
            bytes: passage.bytes,
        }
    }
}
