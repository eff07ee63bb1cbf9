//! How an answer ends that does not end well: the provider breaks off, the money runs out, the
//! client leaves.
//!
//! What was said of its cost by then counts; where nothing was, our own count does. Whoever
//! still listens is told in its own dialect, and never takes a part for the whole.

use std::time::Duration;

use tollring_dialects::openai;
use tollring_http1::LAST_CHUNK;
use tollring_ledger::journal::Outcome;

use super::bill::Bill;
use super::compose::Out;
use super::frame::{HEADROOM, frame_fed};
use super::refusal::{Denied, Refusal};
use super::relay::{Count, Downlink, Ended, Passage};
use super::wording;
use crate::connection::Outlet;
use crate::net::deadline::Action;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};

/// How long, and how many bytes, an answer is read on for its usage after its client left, at
/// a provider that charges for it anyway.
const DRAIN: Duration = Duration::from_secs(30);
const DRAIN_BYTES: u64 = 4 * 1024 * 1024;

impl Downlink<'_> {
    /// The provider broke off. Where nothing has been sent, that is a failure like others. A
    /// stream ends with an error event; anything else ends visibly short, so that a broken
    /// answer is never taken for a whole one.
    pub(super) async fn cut_short(
        &mut self,
        passage: &Passage,
        cause: Cause,
        bill: &mut Bill<'_>,
    ) -> Ended {
        let stage = Stage::Relay;
        if !self.progress.answering.get() {
            return Ended::Failed(AttemptFailure {
                stage,
                cause,
                reused: false,
                bytes_accepted: u64::MAX,
            });
        }
        let outcome = match cause {
            Cause::ClientGone => Outcome::ClientGone,
            _ => Outcome::Cut,
        };
        bill.passed(outcome, self.both_bytes(passage));
        self.settle_stated(passage, bill);
        let (output, bytes) = (self.output_counted(passage), self.bytes(passage));
        if cause == Cause::ClientGone {
            return Ended::ClientGone { output, bytes };
        }
        self.worker.counters().failed(stage, cause);
        if passage.count == Count::Bytes {
            bill.post_service(bytes);
        }
        if matches!(passage.count, Count::Events { .. }) && !passage.coded {
            let id = self.facts.id.as_str();
            let (code, sentence) = wording::broken_off(cause);
            self.end_stream(passage, |out| {
                openai::append_midstream_failure(out, code, &sentence, id);
            })
            .await;
        }
        Ended::Uncounted { output }
    }

    /// The money ran out in mid-stream and the operator wants it cut there.
    pub(super) async fn cut_by_quota(
        &mut self,
        passage: &Passage,
        denied: Denied,
        bill: &mut Bill<'_>,
    ) -> Ended {
        bill.passed(Outcome::Cut, self.both_bytes(passage));
        self.settle_stated(passage, bill);
        let output = self.output_counted(passage);
        let refusal = Refusal::Denied(denied);
        self.worker.counters().refused(refusal.kind(self.live));
        let (facts, live) = (self.facts, self.live);
        if !passage.coded {
            self.end_stream(passage, |out| {
                wording::append_stream_error(out, facts, &refusal, live)
            })
            .await;
        }
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
            .arm(self.live.config.timeouts.write, Action::Reset);
        let whole = 0..outbox.len();
        // A client that is gone too does not need to be told.
        let _ = self.client.write(outbox, whole).await;
        self.client.watch().disarm();
    }

    /// The client is gone. Where that stops what the provider charges, nothing more is read;
    /// elsewhere the answer is read on for its usage, within bounds.
    pub(super) async fn client_left(
        &mut self,
        passage: &mut Passage,
        bill: &mut Bill<'_>,
    ) -> Ended {
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
        bill.passed(Outcome::ClientGone, self.both_bytes(passage));
        self.settle_stated(passage, bill);
        Ended::ClientGone {
            output: self.output_counted(passage),
            bytes: self.bytes(passage),
        }
    }
}
