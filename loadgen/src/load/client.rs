//! One connection: sends a request when it is given an arrival, reads the answer to its end, and
//! writes down when everything happened.
//!
//! One request at a time: pipelining would hide what a server does to the second one.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::dispatch::{Arrival, Dispatch, Seat};
use super::events::Events;
use super::plan::Plan;
use super::progress::Live;
use super::record::Failure;
use crate::http::{Body, Malformed, ResponseHead};
use crate::net::{Inbox, Stream, sleep};

/// How long to wait after a connect that failed: a server that is down is not to be stormed, and
/// the failures are to be of the order of seconds, not of the speed of a loop.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// A connection that has been idle for longer is looked at before it is used: the server may have
/// closed it, as is its right.
const IDLE_TRUSTED: Duration = Duration::from_millis(500);

/// What all connections of a thread share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    /// The plan's request, where the kernel can read it for all of them.
    pub(super) request: Rc<Vec<u8>>,
    pub(super) dispatch: Dispatch,
    pub(super) live: Live,
}

/// One connection and its buffers.
pub(super) struct Client {
    shared: Rc<Shared>,
    seat: Rc<Seat>,
    stream: Option<Stream>,
    /// When the stream was last used.
    used: Instant,
    inbox: Inbox,
    events: Events,
}

/// An answer that came whole.
struct Answer {
    status: u16,
    keep_alive: bool,
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Client {
    pub(super) fn new(shared: Rc<Shared>, seat: Rc<Seat>) -> Self {
        Self {
            shared,
            seat,
            stream: None,
            used: Instant::now(),
            inbox: Inbox::default(),
            events: Events::new(),
        }
    }

    /// Sends what it is given until there is no more.
    pub(super) async fn live(mut self) {
        let shared = Rc::clone(&self.shared);
        let dispatch = &shared.dispatch;
        // A failure will be met again, and counted, with the first arrival.
        let _ = self.connect().await;
        dispatch.opened();
        while let Some(arrival) = dispatch.next(&self.seat).await {
            let outcome = self.exchange(arrival).await;
            let overdue = self.seat.clear_deadline();
            self.used = Instant::now();
            match outcome {
                Ok(answer) => {
                    dispatch.record().complete(answer.status);
                    shared.live.completed.fetch_add(1, Ordering::Relaxed);
                    if !answer.keep_alive {
                        self.stream = None;
                    }
                }
                // Cut because the run was broken off: neither the server's fault nor ours.
                Err(_) if dispatch.is_aborted() => break,
                Err(failure) => {
                    let failure = if overdue { Failure::Timeout } else { failure };
                    self.fail(failure).await;
                }
            }
            let end = self.used.duration_since(dispatch.start());
            let mut record = dispatch.record();
            record.last_end = record.last_end.max(end);
        }
        dispatch.leave(&self.seat);
    }

    async fn fail(&mut self, failure: Failure) {
        self.stream = None;
        self.shared.dispatch.record().fail(failure);
        self.shared.live.failed.fetch_add(1, Ordering::Relaxed);
        if failure == Failure::Connect {
            sleep(CONNECT_PAUSE).await;
        }
    }

    /// One request and its answer.
    async fn exchange(&mut self, arrival: Arrival) -> Result<Answer, Failure> {
        let gone = |stream: &Stream| self.used.elapsed() > IDLE_TRUSTED && stream.is_gone();
        if self.stream.as_ref().is_none_or(gone) {
            self.connect().await.map_err(|_| Failure::Connect)?;
        }
        let shared = Rc::clone(&self.shared);
        let stream = self.stream.as_mut().ok_or(Failure::Connect)?;
        let sent = Instant::now();
        self.seat.set_deadline(sent + shared.plan.timeout);
        shared.dispatch.record().sent += 1;
        stream
            .write_shared(&shared.request)
            .await
            .map_err(|_| Failure::Send)?;
        shared.dispatch.record().bytes_sent += shared.request.len() as u64;
        let answer = self.answer(sent).await?;
        let end = Instant::now();
        let mut record = shared.dispatch.record();
        record.from_intended.add(end - arrival.intended);
        record.from_send.add(end - sent);
        Ok(answer)
    }

    async fn connect(&mut self) -> io::Result<()> {
        self.stream = None;
        self.inbox.clear();
        let (plan, begun) = (&self.shared.plan, Instant::now());
        let stream = Stream::connect(plan.address, plan.timeout).await?;
        let mut record = self.shared.dispatch.record();
        record.connect.add(begun.elapsed());
        record.connections += 1;
        self.seat.tie(stream.leash());
        self.stream = Some(stream);
        Ok(())
    }

    /// Reads an answer to its end.
    async fn answer(&mut self, sent: Instant) -> Result<Answer, Failure> {
        let head = self.head(sent).await?;
        let mut body = Body::new(head.framing);
        let mut read_at = Instant::now();
        self.events.restart();
        while !body.is_done() {
            let piece = body.next(self.inbox.waiting())?;
            if head.is_event_stream {
                let content = &self.inbox.waiting()[piece.content];
                let mut record = self.shared.dispatch.record();
                self.events.read(content, read_at, |last| {
                    record.event_gap.add(read_at - last)
                });
            }
            self.inbox.take(piece.consumed);
            if piece.consumed == 0 {
                if self.fill().await? == 0 {
                    if body.may_end_with_connection() {
                        break;
                    }
                    return Err(Failure::Cut);
                }
                read_at = Instant::now();
            }
        }
        if !self.inbox.waiting().is_empty() {
            return Err(Failure::Malformed);
        }
        if head.is_event_stream {
            self.judge_events(sent)?;
        }
        Ok(Answer {
            status: head.status,
            keep_alive: head.keep_alive,
        })
    }

    fn judge_events(&self, sent: Instant) -> Result<(), Failure> {
        if let Some(first) = self.events.first_delta {
            self.shared.dispatch.record().first_delta.add(first - sent);
        }
        if self.events.error || (self.shared.plan.needs_done && !self.events.done) {
            return Err(Failure::Stream);
        }
        Ok(())
    }

    /// Reads the head of the final answer; interim ones (RFC 9110 §15.2) are passed over.
    async fn head(&mut self, sent: Instant) -> Result<ResponseHead, Failure> {
        if self.fill().await.map_err(|_| Failure::Closed)? == 0 {
            return Err(Failure::Closed);
        }
        self.shared.dispatch.record().first_byte.add(sent.elapsed());
        loop {
            match ResponseHead::parse(self.inbox.waiting(), self.shared.plan.to_head)? {
                Some(head) => {
                    self.inbox.take(head.len);
                    if !(100..=199).contains(&head.status) {
                        return Ok(head);
                    }
                }
                None if self.fill().await? == 0 => return Err(Failure::Cut),
                None => {}
            }
        }
    }

    async fn fill(&mut self) -> Result<usize, Failure> {
        let stream = self.stream.as_mut().ok_or(Failure::Cut)?;
        let bytes = self
            .inbox
            .fill(stream)
            .await
            .map_err(|error| match error.kind() {
                // The head is longer than any that is sensible.
                io::ErrorKind::OutOfMemory => Failure::Malformed,
                _ => Failure::Cut,
            })?;
        self.shared.dispatch.record().bytes_received += bytes as u64;
        Ok(bytes)
    }
}
