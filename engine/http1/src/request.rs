//! The head of a request.
//!
//! Decides what a request that may go on looks like: the tokeniser finds the parts, and every
//! stricter rule of RFC 9112 is applied here in order. It does not know routes, keys or bodies.

use std::mem::MaybeUninit;

use crate::connection::ConnectionOptions;
use crate::progress::Progress;
use crate::{
    FieldFault, Fields, Framing, HEAD_FIELDS_MAX, HeadFault, HeadLimits, Known, Method, Parsed,
    Span, Version,
};
use crate::{host, request_line, target};

/// Empty lines that are skipped before a request (RFC 9112 §2.2). Some old clients send one
/// after a body; "at least one" is asked for.
pub const EMPTY_LINES_MAX: usize = 4;

/// The head of one request, as places in the bytes it was parsed from.
///
/// Reused for the next request on the connection; see [`RequestHead::clear`] for another one.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What is asked for.
    pub method: Method,
    /// The method as it was written.
    pub method_text: Span,
    /// The target as it was written.
    pub target: Span,
    /// The path of the target, undecoded. Begins with `/`, or is the `*` of `OPTIONS *`. When
    /// an absolute target has none, this is a `/` from its scheme: compare it, but cut nothing
    /// around it.
    pub path: Span,
    /// The query of the target, without its question mark.
    pub query: Option<Span>,
    /// The client's version.
    pub version: Version,
    /// Host and port: of an absolute target, else of `Host`. May be empty.
    pub authority: Span,
    /// The fields.
    pub fields: Fields,
    /// Where the body ends; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client lets the connection go on after the answer.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends its body.
    pub expect_continue: bool,
    /// Whether the client asks for another protocol, by `Upgrade` and its option in `Connection`.
    /// Which one, the fields say.
    pub upgrade: bool,
    /// Bytes of the head in the buffer, with the empty lines skipped before it. The body begins
    /// here.
    pub len: usize,
    progress: Progress,
}

impl RequestHead {
    /// A head to parse into; allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            method: Method::Get,
            method_text: Span { start: 0, end: 0 },
            target: Span { start: 0, end: 0 },
            path: Span { start: 0, end: 0 },
            query: None,
            version: Version::Http11,
            authority: Span { start: 0, end: 0 },
            fields: Fields::new(),
            framing: Framing::Length(0),
            keep_alive: false,
            expect_continue: false,
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

    /// Parses the head at the beginning of `bytes`.
    ///
    /// After `Partial`, call again with the same bytes and more behind them. After `Done` the
    /// fields of this value are those of the request, and after either `Done` or a fault the
    /// next call begins a new one. Until `Done` the public fields mean nothing.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, HeadFault> {
        let parsed = self.advance(limits.window(bytes), limits);
        if parsed != Ok(Parsed::Partial) {
            self.progress = Progress::START;
        }
        parsed
    }

    fn advance(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, HeadFault> {
        // Fewer bytes than last time are another message, whatever was promised.
        if bytes.len() < self.progress.seen() {
            self.progress = Progress::START;
        }
        let Some(start) = skip_empty_lines(bytes)? else {
            return Ok(Parsed::Partial);
        };
        if self.progress.is_fresh() && self.tokenise(bytes, start, limits)? == Parsed::Done {
            return Ok(Parsed::Done);
        }
        if self.progress.in_first_line() {
            let seen = self.progress.seen().saturating_sub(start);
            request_line::check(&bytes[start..], seen, limits)?;
        }
        if self.progress.look(bytes, start, limits)? == Parsed::Done {
            return match self.tokenise(bytes, start, limits)? {
                Parsed::Done => Ok(Parsed::Done),
                // There is an empty line, and to the tokeniser it is not the end.
                Parsed::Partial => Err(FieldFault::LineEnd.into()),
            };
        }
        if bytes.len() < limits.head_bytes_max() {
            return Ok(Parsed::Partial);
        }
        Err(if self.progress.in_first_line() {
            HeadFault::TargetTooLong
        } else {
            FieldFault::HeadTooLong.into()
        })
    }

    fn tokenise(
        &mut self,
        bytes: &[u8],
        start: usize,
        limits: &HeadLimits,
    ) -> Result<Parsed, HeadFault> {
        let mut slots = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
        let mut found = httparse::Request::new(&mut []);
        let slots = &mut slots[..limits.head_fields_max()];
        match found.parse_with_uninit_headers(&bytes[start..], slots) {
            Ok(httparse::Status::Partial) => Ok(Parsed::Partial),
            Ok(httparse::Status::Complete(len)) => {
                self.len = start + len;
                self.fill(bytes, start, &found, limits)?;
                Ok(Parsed::Done)
            }
            Err(error) => Err(fault_of(error, &bytes[start..], limits)),
        }
    }

    /// Takes over what was found in a complete head, and applies every rule it must obey.
    fn fill(
        &mut self,
        bytes: &[u8],
        start: usize,
        found: &httparse::Request<'_, '_>,
        limits: &HeadLimits,
    ) -> Result<(), HeadFault> {
        let method_end = start + found.method.map_or(0, str::len);
        let target_end = method_end + 1 + found.path.map_or(0, str::len);
        self.method_text = Span::new(start, method_end);
        self.target = Span::new(method_end + 1, target_end);
        self.version = Version::of_minor(found.version);
        self.method = Method::admit(self.method_text.of(bytes))?;
        if self.target.len() > limits.target_bytes {
            return Err(HeadFault::TargetTooLong);
        }
        let line_end = target_end + " HTTP/1.1".len();
        if bytes[line_end] != b'\r' || bytes[self.len - 2] != b'\r' {
            return Err(FieldFault::LineEnd.into());
        }
        let parts = target::read(bytes, self.target, self.method)?;
        (self.path, self.query) = (parts.path, parts.query);
        self.fields.fill(bytes, found.headers, self.len - 2)?;
        self.authority = self.read_host(bytes, parts.authority)?;
        let options = ConnectionOptions::read(bytes, &mut self.fields)?;
        self.keep_alive = options.persists(self.version);
        self.upgrade = options.upgrades(self.version, &self.fields);
        self.framing = Framing::of_request(bytes, &self.fields, self.version)?;
        self.expect_continue = self.read_expectation(bytes)?;
        self.check_upgrade(bytes)
    }

    /// RFC 9112 §3.2: exactly one `Host`, and the authority that counts.
    fn read_host(&self, bytes: &[u8], authority: Span) -> Result<Span, HeadFault> {
        let Some(field) = self.fields.find(Known::Host) else {
            return match self.version {
                Version::Http11 => Err(HeadFault::HostMissing),
                Version::Http10 => Ok(authority),
            };
        };
        if self.fields.is_repeated(Known::Host) {
            return Err(HeadFault::HostRepeated);
        }
        // Empty is what a target without an authority calls for, and an error beside one.
        let valid = match field.value.is_empty() {
            true => authority.is_empty(),
            false => host::is_authority(field.value.of(bytes)),
        };
        if !valid {
            return Err(HeadFault::Host);
        }
        Ok(if authority.is_empty() {
            field.value
        } else {
            authority
        })
    }

    /// RFC 9110 §10.1.1: `100-continue` or nothing.
    fn read_expectation(&self, bytes: &[u8]) -> Result<bool, HeadFault> {
        let Some(field) = self.fields.find(Known::Expect) else {
            return Ok(false);
        };
        // An HTTP/1.0 client cannot wait for an interim answer; what it says is ignored.
        if self.version == Version::Http10 {
            return Ok(false);
        }
        let met = field.value.of(bytes).eq_ignore_ascii_case(b"100-continue");
        if !met || self.fields.is_repeated(Known::Expect) {
            return Err(HeadFault::Expectation);
        }
        Ok(!self.framing.is_empty())
    }

    /// RFC 9110 §7.8: no upgrade beside a body, unless it is one that is ignored anyway.
    fn check_upgrade(&self, bytes: &[u8]) -> Result<(), HeadFault> {
        let asked = self.fields.has(Known::Upgrade) && self.version == Version::Http11;
        if !asked || self.framing.is_empty() {
            return Ok(());
        }
        let ignored = self
            .fields
            .iter()
            .filter(|field| field.known == Known::Upgrade)
            .all(|field| field.value.of(bytes).eq_ignore_ascii_case(b"h2c"));
        if ignored {
            Ok(())
        } else {
            Err(HeadFault::UpgradeWithBody)
        }
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the request begins after the empty lines before it (RFC 9112 §2.2), if it has begun.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, HeadFault> {
    for start in (0..=EMPTY_LINES_MAX * 2).step_by(2) {
        match &bytes[start..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => {}
            [b'\r' | b'\n', ..] => return Err(FieldFault::LineEnd.into()),
            _ => return Ok(Some(start)),
        }
    }
    Err(HeadFault::EmptyLines)
}

/// Which rule was broken where the tokeniser gave up.
fn fault_of(error: httparse::Error, bytes: &[u8], limits: &HeadLimits) -> HeadFault {
    if let Err(fault) = request_line::check(bytes, 0, limits) {
        return fault;
    }
    FieldFault::of(error, bytes).map_or(HeadFault::RequestLine, HeadFault::Field)
}
