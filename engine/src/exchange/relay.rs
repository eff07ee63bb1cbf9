//! Bytes back: passes an answer on as it comes, and counts it on the way.
//!
//! The provider's bytes leave as they are, but for the usage chunk that we asked for
//! and the client did not. An answer holds one block however long it is. What the
//! count costs is `settle`'s; here it is only noticed.

use std::ops::Range;
use std::rc::Rc;

use tollring_config::{OnMidstream, UpstreamTimeouts};
use tollring_dialects::openai::{EVENT_BYTES_MAX, Endpoint, Usage};
use tollring_http1::{BodyDecoder, Known, LAST_CHUNK};
use tollring_ledger::journal::Outcome;

use super::attempt::{Arrived, cause_of};
use super::bill::Bill;
use super::compose::{self, Out};
use super::frame::{HEADROOM, frame_fed, frame_in_place};
use super::inflate::is_coded;
use super::refusal::{Denied, Refusal};
use super::route::Call;
use super::{Exchange, Facts, Progress};
use crate::connection::Outlet;
use crate::live::Live;
use crate::net::deadline::Action;
use crate::net::stream::Broken;
use crate::net::{ClientWatch, Reader, Writer};
use crate::upstream::failure::{AttemptFailure, Cause};
use crate::worker::Worker;

/// Bodies up to this are copied behind their head and sent with it; longer ones are gathered.
/// About where a copy costs what the kernel's second buffer does.
const COPY_BYTES_MAX: usize = 4096;

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
    pub(super) progress: &'a Progress,
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
            progress: &self.progress,
            timeouts,
            cancel_stops_billing,
        }
    }
}

/// What of an answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
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
pub(super) struct Passage {
    pub(super) decoder: BodyDecoder,
    pub(super) count: Count,
    pub(super) out: Out,
    /// Decoded bytes of the body that came.
    pub(super) bytes: u64,
    pub(super) done: bool,
    /// Whether the body is in a coding, so that nothing of ours can stand in it.
    pub(super) coded: bool,
    /// Bytes came after the end; the connection cannot be trusted with another request.
    overrun: bool,
    /// Whether the call asks for text, so that an answer without any says nothing of its cost.
    writes_output: bool,
    /// Whether the client was told that its connection goes on.
    keep: bool,
    /// The no of a bucket that ends this answer at the next pause between two events, and how
    /// many bytes had come when it was said.
    denied: Option<(Denied, u64)>,
}

/// Passes the answer on whose head is in the outlet, and keeps the connection if it may.
pub(super) async fn carry(
    exchange: &mut Exchange<'_>,
    call: &Call,
    arrived: Arrived<'_>,
    bill: &mut Bill<'_>,
) -> Ended {
    let Arrived {
        mut connection,
        sent_whole,
        timeouts,
        cancel_stops_billing,
        // Until the answer has passed.
        visit: _visit,
    } = arrived;
    let to = (timeouts, cancel_stops_billing);
    let mut down = exchange.downlink(&mut connection.stream.reader, to);
    let (ended, reusable) = down.relay(call, bill).await;
    exchange.presence.stop();
    if reusable && sent_whole && !exchange.worker.draining.get() {
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
        bill.answered(self.outlet.answer.status);
        let mut from = self.outlet.answer.len;
        loop {
            let Ok(data) = self.decode(&mut passage, from) else {
                let ended = self.cut_short(&passage, Cause::Malformed, bill).await;
                return (ended, false);
            };
            if let Err(denied) = self.count(&passage, data.clone(), bill) {
                passage.denied = Some((denied, passage.bytes));
            }
            if passage.done {
                self.settle(&passage, bill);
                bill.lasts(self.live).await;
            }
            if self.send(&passage, data).await.is_err() {
                return (self.client_left(&mut passage, bill).await, false);
            }
            if passage.done {
                let keep = passage.keep && self.keeps() && passage.out != Out::Close;
                let reusable = self.outlet.answer.keep_alive && !passage.overrun;
                return (Ended::Whole { keep }, reusable);
            }
            // Not in the middle of an event, whose reader would see neither it nor ours; but no
            // event is waited for that never ends.
            if let Some((denied, since)) = passage.denied
                && (self.outlet.events.between_events()
                    || passage.bytes - since > EVENT_BYTES_MAX as u64)
            {
                return (self.cut_by_quota(&passage, denied, bill).await, false);
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

    /// Whether the client's connection may go on, as far as the request is concerned.
    fn keeps(&self) -> bool {
        self.facts.keep_alive && !self.progress.uploading.get()
    }

    fn begin(&mut self, call: &Call) -> Passage {
        let answer = &self.outlet.answer;
        let count = self.what_counts(call);
        let rewritten = count == Count::Events { strip: true };
        let out = Out::choose(answer.framing, rewritten, self.facts, answer.status);
        let decoder = BodyDecoder::new(answer.framing);
        let coded = self.outlet.ready_meters(count);
        let completion = matches!(call, Call::Completion { .. });
        let caller = self.facts.caller.filter(|_| completion);
        let (worker, live) = (self.worker, self.live);
        let keep = self.keeps();
        let facts = Facts {
            keep_alive: keep,
            ..*self.facts
        };
        let dated = self.outlet.answer.fields.has(Known::Date);
        compose::answer(self.outlet, &facts, live, out, |fields| {
            if !dated {
                worker.date.append(fields, worker.now());
            }
            facts.less.append(fields, live);
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
            coded,
            overrun: false,
            writes_output: !matches!(
                call,
                Call::Completion {
                    endpoint: Endpoint::Embeddings,
                    ..
                }
            ),
            keep,
            denied: None,
        }
    }

    fn what_counts(&self, call: &Call) -> Count {
        let answer = &self.outlet.answer;
        match call {
            Call::Service(_) if answer.status < 500 => Count::Bytes,
            Call::Completion { endpoint, ask, .. } if (200..300).contains(&answer.status) => {
                let kind = answer.fields.find(Known::ContentType);
                let kind = kind.map_or(&b""[..], |field| field.value.of(&self.outlet.block));
                const EVENTS: &[u8] = b"text/event-stream";
                let is_events =
                    kind.len() >= EVENTS.len() && kind[..EVENTS.len()].eq_ignore_ascii_case(EVENTS);
                if is_events {
                    // What is in a coding passes as it is.
                    let plain = !is_coded(answer, &self.outlet.block);
                    Count::Events {
                        strip: plain && compose::wants_usage(*endpoint, ask),
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
        // An upload watches its client itself, by reading from it.
        let uploaded = passage.count == Count::Bytes && !self.progress.uploading.get();
        if self.cancel_stops_billing || uploaded {
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
        let fits = matches!(passage.count, Count::Events { .. })
            && !passage.coded
            && self.outlet.events.between_events();
        match passage.out {
            Out::Chunked if fits => Some(b"3\r\n:\n\n\r\n"),
            Out::Close if fits => Some(b":\n\n"),
            _ => None,
        }
    }

    /// Decodes what lies in the block from `from` on; where the body's bytes are then.
    pub(super) fn decode(
        &mut self,
        passage: &mut Passage,
        from: usize,
    ) -> Result<Range<usize>, ()> {
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
    pub(super) fn count(
        &mut self,
        passage: &Passage,
        data: Range<usize>,
        bill: &mut Bill<'_>,
    ) -> Result<(), Denied> {
        if self.outlet.inflate.is_some() {
            self.outlet.count_coded(passage.count, data.clone());
        }
        let Outlet {
            block,
            outbox,
            unary,
            events,
            inflate,
            ..
        } = &mut *self.outlet;
        match passage.count {
            _ if inflate.is_some() => {}
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
        match bill.produced(self.live, events.output_tokens_counted()) {
            Err(denied) if policy == OnMidstream::Cut && !passage.done => Err(denied),
            // The answer goes on; what it costs beyond the hold is recorded when it is posted.
            _ => Ok(()),
        }
    }

    /// Settles a whole answer, before its last bytes leave.
    pub(super) fn settle(&self, passage: &Passage, bill: &mut Bill<'_>) {
        bill.passed(Outcome::Whole, self.both_bytes(passage));
        let counted = self.output_counted(passage);
        match (self.stated(passage), passage.count) {
            (_, Count::Bytes) => bill.post_service(self.bytes(passage)),
            (_, Count::Nothing) => {}
            (Some(usage), _) => bill.post_usage(usage),
            // A failure that came with a good status costs what a failure costs.
            (None, _) if counted == 0 && self.says_error(passage) => {}
            // Neither it nor its text says what it cost (a body in a coding, or no JSON).
            (None, _) if counted == 0 && passage.writes_output && !self.says_done(passage) => {
                bill.post_held();
            }
            (None, _) => bill.post_counted(counted),
        }
    }

    /// Settles an answer that ended before its end, if the provider had said by then what it
    /// costs. Otherwise the rule for how it ended applies.
    pub(super) fn settle_stated(&self, passage: &Passage, bill: &mut Bill<'_>) {
        if let Some(usage) = self.stated(passage) {
            let output = usage.output.max(self.output_counted(passage));
            bill.post_usage(Usage { output, ..usage });
        }
    }

    /// Whether the answer is the provider's word that it failed.
    fn says_error(&self, passage: &Passage) -> bool {
        match passage.count {
            Count::Unary => self.outlet.unary.error_seen(),
            Count::Events { .. } => self.outlet.events.error_seen(),
            Count::Bytes | Count::Nothing => false,
        }
    }

    /// Whether a stream came to the end that its dialect has, so that an empty one is just that.
    fn says_done(&self, passage: &Passage) -> bool {
        matches!(passage.count, Count::Events { .. }) && self.outlet.events.done_seen()
    }

    /// What the provider said it costs.
    fn stated(&self, passage: &Passage) -> Option<Usage> {
        match passage.count {
            Count::Unary => self.outlet.unary.usage(),
            Count::Events { .. } => self.outlet.events.usage(),
            Count::Bytes | Count::Nothing => None,
        }
    }

    /// Bytes of both bodies.
    pub(super) fn bytes(&self, passage: &Passage) -> u64 {
        let (uploaded, passed) = self.both_bytes(passage);
        uploaded + passed
    }

    /// Bytes of the request's body that were passed on, and of the answer's.
    pub(super) fn both_bytes(&self, passage: &Passage) -> (u64, u64) {
        (self.progress.uploaded.get(), passage.bytes)
    }

    /// Sends the head, if it has not left, and the body's bytes in the block, framed.
    async fn send(&mut self, passage: &Passage, data: Range<usize>) -> Result<(), Broken> {
        self.presence.stop();
        if !self.progress.answering.replace(true) {
            self.worker.counters().answered(self.outlet.answer.status);
        }
        let Outlet { block, outbox, .. } = &mut *self.outlet;
        let framed = match (passage.count, passage.out) {
            (Count::Events { strip: true }, _) | (_, Out::Bodiless) => 0..0,
            (_, Out::Chunked) => frame_in_place(block, data, passage.done),
            (_, Out::Length(_) | Out::Close | Out::Tunnel) => data,
        };
        if outbox.is_empty() && framed.is_empty() {
            return Ok(());
        }
        self.client
            .watch()
            .arm(self.live.config.timeouts.write, Action::Reset);
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

    pub(super) fn output_counted(&self, passage: &Passage) -> u64 {
        match passage.count {
            Count::Unary => self.outlet.unary.output_tokens_counted(),
            Count::Events { .. } => self.outlet.events.output_tokens_counted(),
            Count::Bytes | Count::Nothing => 0,
        }
    }
}
