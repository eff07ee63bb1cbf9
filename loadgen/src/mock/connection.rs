//! One client's connection: requests out of bytes, answers into bytes, and the moment at which the
//! client is gone.
//!
//! Decides framing and limits; what is answered is decided by [`super::exchange`]. All buffers live
//! as long as the connection, so that a warm one allocates nothing.

use std::io;
use std::time::{Duration, Instant};

use super::request::{Notes, Request};
use super::rest::Sum;
use crate::http::{Body, FIELDS_MAX, Framing, Malformed, RequestHead, reason};
use crate::net::{Inbox, Stream, sleep_until};

/// Bytes of JSON that are read at most; ten times the longest context there is.
const JSON_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a JSON body's buffer that are kept for the next request.
const JSON_BYTES_KEPT: usize = 1024 * 1024;

/// How long a client can be gone without being noticed while nothing is sent to it.
const GONE_CHECK: Duration = Duration::from_millis(50);

/// How long an answer stalls at most; longer than any client waits.
const STALL_MAX: Duration = Duration::from_secs(3600);

/// Why a connection is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed it between two requests, or within one.
    Closed,
    /// The client went away before its answer was complete.
    HungUp,
    /// The script says so.
    Reset,
    /// What came was no request; to be answered with this status and these words.
    Refused(u16, &'static str),
}

impl From<Malformed> for Ended {
    fn from(malformed: Malformed) -> Self {
        Self::Refused(400, malformed.0)
    }
}

/// How the body of an answer is delimited, and what stands in its head for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) framing: Framing,
    /// Another request may follow.
    pub(super) keep_alive: bool,
}

/// One client's connection.
pub(super) struct Connection {
    stream: Stream,
    inbox: Inbox,
    /// What is kept of the head of the request being answered.
    pub(super) notes: Notes,
    /// The JSON body of the request being answered.
    pub(super) json: Vec<u8>,
    /// The body of an answer while its length is not known.
    pub(super) draft: Vec<u8>,
    /// Bytes to be sent.
    pub(super) out: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbox: Inbox::default(),
            notes: Notes::default(),
            json: Vec::new(),
            draft: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Waits for a request and reads its head.
    pub(super) async fn head(&mut self) -> Result<Request, Ended> {
        loop {
            if let Some(request) = self.next_head()? {
                return Ok(request);
            }
            match self.inbox.fill(&mut self.stream).await {
                Ok(0) => return Err(Ended::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Err(Ended::Refused(431, "the head is too long"));
                }
                Err(_) => return Err(Ended::Closed),
            }
        }
    }

    fn next_head(&mut self) -> Result<Option<Request>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let Some(head) = RequestHead::parse(self.inbox.waiting(), &mut fields)? else {
            return Ok(None);
        };
        let request = Request::keep(&head, &mut self.notes);
        let len = head.len;
        self.inbox.take(len);
        Ok(Some(request))
    }

    /// Reads the body of `request` to its end, into `json` if it is to be understood.
    ///
    /// A body that is only summed may be of any length.
    pub(super) async fn body(&mut self, request: &Request) -> Result<Sum, Ended> {
        let mut body = Body::new(request.framing);
        let mut sum = Sum::default();
        self.json.clear();
        self.json.shrink_to(JSON_BYTES_KEPT);
        if request.expects_continue && !body.is_done() && self.inbox.waiting().is_empty() {
            let asked = self
                .stream
                .write_static(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await;
            asked.map_err(|_| Ended::Closed)?;
        }
        while !body.is_done() {
            let piece = body.next(self.inbox.waiting())?;
            let content = &self.inbox.waiting()[piece.content];
            if !request.route.reads_json() {
                sum = sum.add(content);
            } else if self.json.len() + content.len() <= JSON_BYTES_MAX {
                self.json.extend_from_slice(content);
            } else {
                return Err(Ended::Refused(413, "the body is too long"));
            }
            self.inbox.take(piece.consumed);
            if piece.consumed == 0 {
                match self.inbox.fill(&mut self.stream).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Err(Ended::Closed),
                }
            }
        }
        Ok(sum)
    }

    /// Appends the head of an answer to what will be sent.
    pub(super) fn begin(&mut self, shape: Shape, id: u64, date: &str) {
        use super::openai::number;

        let out = &mut self.out;
        out.extend_from_slice(b"HTTP/1.1 ");
        number(out, shape.status.into());
        out.push(b' ');
        out.extend_from_slice(reason(shape.status).as_bytes());
        out.extend_from_slice(b"\r\ndate: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\nx-request-id: req_mock");
        number(out, id);
        if shape.framing != Framing::Length(0) {
            out.extend_from_slice(b"\r\ncontent-type: ");
            out.extend_from_slice(shape.content_type.as_bytes());
        }
        match shape.framing {
            // A 204 has no length, not even of zero (RFC 9110 §8.6).
            Framing::Length(_) if shape.status == 204 => {}
            Framing::Length(length) => {
                out.extend_from_slice(b"\r\ncontent-length: ");
                number(out, length);
            }
            Framing::Chunked => out.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
            Framing::UntilClose => {}
        }
        if shape.status == 429 || shape.status == 503 {
            out.extend_from_slice(b"\r\nretry-after: 1");
        }
        if !shape.keep_alive {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends `draft`, and empties it, as one piece of the body that `framing` says.
    pub(super) fn append_draft(&mut self, framing: Framing) {
        if framing == Framing::Chunked {
            use std::io::Write;
            write!(self.out, "{:x}\r\n", self.draft.len()).expect("a vector takes every byte");
        }
        self.out.extend_from_slice(&self.draft);
        if framing == Framing::Chunked {
            self.out.extend_from_slice(b"\r\n");
        }
        self.draft.clear();
    }

    /// Sends what there is to be sent.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        let sent = self.stream.write(&mut self.out).await;
        self.out.clear();
        sent.map_err(|_| Ended::HungUp)
    }

    /// Sends constant bytes.
    pub(super) async fn send_static(&mut self, bytes: &'static [u8]) -> Result<(), Ended> {
        self.stream
            .write_static(bytes)
            .await
            .map_err(|_| Ended::HungUp)
    }

    /// Waits until `at`, unless the client goes first.
    pub(super) async fn wait_until(&self, at: Instant) -> Result<(), Ended> {
        loop {
            let now = Instant::now();
            if now >= at {
                return Ok(());
            }
            sleep_until(at.min(now + GONE_CHECK)).await;
            // A read that waits would see it at once, but would have to be cancelled each time.
            if self.stream.is_gone() {
                return Err(Ended::HungUp);
            }
        }
    }

    /// Waits until the client goes, which bytes that it has sent on may hide.
    pub(super) async fn wait_until_gone(&self) -> Ended {
        let waited = self.wait_until(Instant::now() + STALL_MAX).await;
        waited.err().unwrap_or(Ended::Reset)
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        self.stream.reset();
    }
}
