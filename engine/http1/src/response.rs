//! The head of an answer.
//!
//! Decides what an answer that may be passed on looks like, and whether it has a body. It does
//! not decide what a bad one turns into; every fault here is 502 to the client.

use std::mem::MaybeUninit;

use crate::connection::ConnectionOptions;
use crate::progress::Progress;
use crate::{
    FieldFault, Fields, Framing, HEAD_FIELDS_MAX, HeadLimits, Method, Parsed, ResponseFault, Span,
    Version,
};

/// Bytes before the reason phrase and its space: `HTTP/1.1 200`.
const STATUS_END: usize = "HTTP/1.1 200".len();

/// The head of one answer, as places in the bytes it was parsed from.
///
/// Reused for the next answer on the connection; see [`ResponseHead::clear`] for another one.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// From 100 to 599.
    pub status: u16,
    /// The reason phrase as it was written; may be empty.
    pub reason: Span,
    /// The peer's version.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
    /// Where the body ends. An interim answer, a 204, a 304 and an answer to `HEAD` have
    /// `Length(0)` whatever their fields say; after a 101 come the bytes of another protocol,
    /// [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether another request may follow on the connection once the body has ended.
    pub keep_alive: bool,
    /// Whether the peer names another protocol, by `Upgrade` and its option in `Connection`.
    pub upgrade: bool,
    /// Bytes of the head in the buffer. The body begins here.
    pub len: usize,
    progress: Progress,
}

impl ResponseHead {
    /// A head to parse into; allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            status: 0,
            reason: Span { start: 0, end: 0 },
            version: Version::Http11,
            fields: Fields::new(),
            framing: Framing::Length(0),
            keep_alive: false,
            upgrade: false,
            len: 0,
            progress: Progress::START,
        }
    }

    /// Forgets an unfinished head. Needed only where the bytes of the next call are not those
    /// of the last one with more behind them: a connection that closed within a head.
    pub fn clear(&mut self) {
        self.progress = Progress::START;
    }

    /// Parses the head at the beginning of `bytes`, the answer to a request with method `asked`.
    ///
    /// After `Partial`, call again with the same bytes and more behind them. After `Done` the
    /// fields of this value are those of the answer, and after either `Done` or a fault the
    /// next call begins a new one. Until `Done` the public fields mean nothing.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        asked: Method,
        limits: &HeadLimits,
    ) -> Result<Parsed, ResponseFault> {
        let parsed = self.advance(limits.window(bytes), asked, limits);
        if parsed != Ok(Parsed::Partial) {
            self.progress = Progress::START;
        }
        parsed
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        asked: Method,
        limits: &HeadLimits,
    ) -> Result<Parsed, ResponseFault> {
        // Fewer bytes than last time are another message, whatever was promised.
        if bytes.len() < self.progress.seen() {
            self.progress = Progress::START;
        }
        if self.progress.is_fresh() && self.tokenise(bytes, asked, limits)? == Parsed::Done {
            return Ok(Parsed::Done);
        }
        if self.progress.in_first_line() {
            check_status_line(bytes)?;
        }
        if self.progress.look(bytes, 0, limits)? == Parsed::Done {
            return match self.tokenise(bytes, asked, limits)? {
                Parsed::Done => Ok(Parsed::Done),
                // There is an empty line, and to the tokeniser it is not the end.
                Parsed::Partial => Err(FieldFault::LineEnd.into()),
            };
        }
        if bytes.len() < limits.head_bytes_max() {
            return Ok(Parsed::Partial);
        }
        Err(FieldFault::HeadTooLong.into())
    }

    fn tokenise(
        &mut self,
        bytes: &[u8],
        asked: Method,
        limits: &HeadLimits,
    ) -> Result<Parsed, ResponseFault> {
        // The tokeniser would skip empty lines; before an answer there is no excuse for them.
        if matches!(bytes, [b'\r' | b'\n', ..]) {
            return Err(ResponseFault::StatusLine);
        }
        let mut slots = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
        let mut found = httparse::Response::new(&mut []);
        let slots = &mut slots[..limits.head_fields_max()];
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut found, bytes, slots) {
            Ok(httparse::Status::Partial) => Ok(Parsed::Partial),
            Ok(httparse::Status::Complete(len)) => {
                self.len = len;
                self.fill(bytes, asked, &found)?;
                Ok(Parsed::Done)
            }
            Err(error) => Err(fault_of(error, bytes)),
        }
    }

    /// Takes over what was found in a complete head, and applies every rule it must obey.
    fn fill(
        &mut self,
        bytes: &[u8],
        asked: Method,
        found: &httparse::Response<'_, '_>,
    ) -> Result<(), ResponseFault> {
        self.version = Version::of_minor(found.version);
        self.status = found.code.unwrap_or(0);
        if !(100..=599).contains(&self.status) {
            return Err(ResponseFault::Status);
        }
        // The tokeniser gives no place for a phrase with obs-text in it; its end is known.
        let line_len = memchr::memchr(b'\n', bytes).ok_or(ResponseFault::StatusLine)?;
        if bytes[line_len - 1] != b'\r' || bytes[self.len - 2] != b'\r' {
            return Err(FieldFault::LineEnd.into());
        }
        // RFC 9112 §4 wants a space even before an empty phrase; many leave it out, and there
        // is nothing in it to misread.
        let reason_start = (STATUS_END + 1).min(line_len - 1);
        self.reason = Span::new(reason_start, line_len - 1);
        self.fields.fill(bytes, found.headers, self.len - 2)?;
        let options = ConnectionOptions::read(bytes, &mut self.fields)?;
        self.framing = Framing::of_response(bytes, &self.fields, self.version, self.status, asked)?;
        self.upgrade = options.upgrades(self.version, &self.fields);
        self.keep_alive = options.persists(self.version) && self.framing != Framing::UntilClose;
        Ok(())
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks as much of `HTTP/1.1 200` as is there (RFC 9112 §4), so that another protocol is
/// refused at once and not at a deadline. Also says which rule a whole line broke.
fn check_status_line(bytes: &[u8]) -> Result<(), ResponseFault> {
    let begun = &bytes[..bytes.len().min(STATUS_END + 1)];
    for (at, (byte, pattern)) in begun.iter().zip(b"HTTP/0.0 000 ").enumerate() {
        match pattern {
            b'0' if byte.is_ascii_digit() => {}
            b'0' if at > "HTTP/1.1".len() => return Err(ResponseFault::Status),
            b'0' => return Err(ResponseFault::StatusLine),
            // The reason phrase and its space may both be missing.
            _ if at == STATUS_END && matches!(byte, b'\r' | b'\n') => {}
            _ if byte == pattern => {}
            _ => return Err(ResponseFault::StatusLine),
        }
    }
    match begun.get("HTTP/".len().."HTTP/1.1".len()) {
        None | Some(b"1.1" | b"1.0") => Ok(()),
        Some(_) => Err(ResponseFault::Version),
    }
}

/// Which rule was broken where the tokeniser gave up.
fn fault_of(error: httparse::Error, bytes: &[u8]) -> ResponseFault {
    if let Err(fault) = check_status_line(bytes) {
        return fault;
    }
    match error {
        httparse::Error::Status => ResponseFault::Reason,
        error => {
            FieldFault::of(error, bytes).map_or(ResponseFault::StatusLine, ResponseFault::Field)
        }
    }
}
