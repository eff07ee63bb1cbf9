//! The heads of messages: tokenised by httparse, judged here.
//!
//! Decides framing (RFC 9112 §6.3) and persistence (§9.3) more strictly than the RFC asks: what
//! two readers could take in two ways is malformed.

use super::Malformed;

/// Header fields in one head at most; arbitrary, what most servers allow.
pub(crate) const FIELDS_MAX: usize = 100;

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes, perhaps none.
    Length(u64),
    /// In chunks, until one of length 0 and the trailers.
    Chunked,
    /// Until the connection ends; never a request's.
    UntilClose,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct RequestHead<'f, 'b> {
    /// Bytes of the head, with the empty line at its end.
    pub(crate) len: usize,
    pub(crate) method: &'b str,
    pub(crate) target: &'b str,
    pub(crate) fields: &'f [httparse::Header<'b>],
    pub(crate) framing: Framing,
    /// The sender will use the connection again.
    pub(crate) keep_alive: bool,
    /// The sender waits for `100 Continue` before the body (RFC 9110 §10.1.1).
    pub(crate) expects_continue: bool,
    /// HTTP/1.1, so that chunks are understood.
    pub(crate) understands_chunks: bool,
}

impl<'f, 'b> RequestHead<'f, 'b> {
    /// Reads a head from the start of `bytes`; `None` when it does not end there.
    ///
    /// # Errors
    /// The head is malformed, whatever may follow.
    pub(crate) fn parse(
        bytes: &'b [u8],
        fields: &'f mut [httparse::Header<'b>; FIELDS_MAX],
    ) -> Result<Option<Self>, Malformed> {
        let mut request = httparse::Request::new(fields);
        let len = match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("the request's head is not HTTP/1.1")),
        };
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(Malformed("the request has no method or target"));
        };
        let version_1_1 = request.version == Some(1);
        let fields: &'f [httparse::Header<'b>] = request.headers;
        let judged = Judged::of(fields)?;
        Ok(Some(Self {
            len,
            method,
            target,
            fields,
            framing: judged.framing.unwrap_or(Framing::Length(0)),
            keep_alive: judged.keep_alive.unwrap_or(version_1_1),
            expects_continue: judged.expects_continue,
            understands_chunks: version_1_1,
        }))
    }
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// Bytes of the head, with the empty line at its end.
    pub(crate) len: usize,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// The sender will take another request on the connection.
    pub(crate) keep_alive: bool,
    /// The body is a stream of server-sent events.
    pub(crate) is_event_stream: bool,
}

impl ResponseHead {
    /// Reads a head from the start of `bytes`; `None` when it does not end there.
    ///
    /// `to_head` tells that the answer is to a HEAD request and has no body (RFC 9112 §6.3).
    ///
    /// # Errors
    /// The head is malformed, whatever may follow.
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<Self>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("the answer's head is not HTTP/1.1")),
        };
        let status = response.code.ok_or(Malformed("the answer has no status"))?;
        let version_1_1 = response.version == Some(1);
        let judged = Judged::of(response.headers)?;
        let framing = match status {
            _ if to_head => Framing::Length(0),
            100..=199 | 204 | 304 => Framing::Length(0),
            _ => judged.framing.unwrap_or(Framing::UntilClose),
        };
        let keep_alive = judged.keep_alive.unwrap_or(version_1_1) && framing != Framing::UntilClose;
        let is_event_stream = judged.is_event_stream;
        Ok(Some(Self {
            len,
            status,
            framing,
            keep_alive,
            is_event_stream,
        }))
    }
}

/// What the fields of a head say about the message.
#[derive(Default)]
struct Judged {
    framing: Option<Framing>,
    keep_alive: Option<bool>,
    expects_continue: bool,
    is_event_stream: bool,
}

impl Judged {
    fn of(fields: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let mut judged = Self::default();
        for field in fields {
            let (name, value) = (field.name, field.value);
            // The lengths differ, so that most fields cost one comparison of integers.
            match name.len() {
                6 if name.eq_ignore_ascii_case("expect") => {
                    judged.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
                }
                10 if name.eq_ignore_ascii_case("connection") => judged.persistence(value),
                12 if name.eq_ignore_ascii_case("content-type") => {
                    let kind = value.split(|&byte| byte == b';').next().unwrap_or_default();
                    judged.is_event_stream =
                        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream");
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    judged.frame(Framing::Length(length(value)?))?;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Malformed("a transfer-encoding other than chunked"));
                    }
                    judged.frame(Framing::Chunked)?;
                }
                _ => {}
            }
        }
        Ok(judged)
    }

    fn frame(&mut self, framing: Framing) -> Result<(), Malformed> {
        match self.framing.replace(framing) {
            None => Ok(()),
            Some(_) => Err(Malformed("the body's length is given twice")),
        }
    }

    fn persistence(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = Some(false);
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.keep_alive.is_none() {
                self.keep_alive = Some(true);
            }
        }
    }
}

/// Reads a `Content-Length`: digits and nothing else (RFC 9110 §8.6).
fn length(value: &[u8]) -> Result<u64, Malformed> {
    const WRONG: Malformed = Malformed("the content-length is not a number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    value
        .iter()
        .try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(WRONG)
}

/// The phrase beside a status; a generic one where nobody would miss it.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    #[track_caller]
    fn framing(head: &str) -> Result<Framing, &'static str> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let parsed = RequestHead::parse(head.as_bytes(), &mut fields);
        parsed
            .map(|head| head.unwrap().framing)
            .map_err(|malformed| malformed.0)
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        assert_eq!(
            framing("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            Ok(Framing::Length(0))
        );
    }

    #[test]
    fn a_length_or_chunks_frame_the_body() {
        assert_eq!(
            framing("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"),
            Ok(Framing::Length(12))
        );
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(framing(chunked), Ok(Framing::Chunked));
    }

    #[test]
    fn two_ways_to_read_a_length_are_malformed() {
        for fields in [
            "content-length: 1\r\ncontent-length: 1",
            "content-length: 1\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: gzip, chunked",
            "content-length: +1",
            "content-length: 1, 1",
            "content-length:",
            "content-length: 99999999999999999999",
        ] {
            let head = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert!(framing(&head).is_err(), "{fields}");
        }
    }

    #[test]
    fn a_head_is_partial_until_its_empty_line_wherever_it_is_cut() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(
                ResponseHead::parse(&head[..cut], false),
                Ok(None),
                "cut at {cut}"
            );
        }
        let parsed = ResponseHead::parse(head, false).unwrap().unwrap();
        assert_eq!(
            (parsed.len, parsed.framing),
            (head.len(), Framing::Length(2))
        );
    }

    #[test]
    fn an_answer_without_a_length_lasts_until_the_close_and_ends_the_connection() {
        let parsed = ResponseHead::parse(b"HTTP/1.1 200 OK\r\n\r\n", false)
            .unwrap()
            .unwrap();
        assert_eq!(parsed.framing, Framing::UntilClose);
        assert!(!parsed.keep_alive);
    }

    #[test]
    fn answers_that_cannot_have_a_body_have_none() {
        for head in ["204 No Content", "304 Not Modified", "100 Continue"] {
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: 5\r\n\r\n");
            let parsed = ResponseHead::parse(head.as_bytes(), false)
                .unwrap()
                .unwrap();
            assert_eq!(parsed.framing, Framing::Length(0), "{head}");
        }
        let to_head = ResponseHead::parse(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true);
        assert_eq!(to_head.unwrap().unwrap().framing, Framing::Length(0));
    }

    #[test]
    fn persistence_follows_the_version_and_the_connection_field() {
        for (head, keeps) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\ncontent-length: 0\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
                true,
            ),
        ] {
            let parsed = ResponseHead::parse(head.as_bytes(), false)
                .unwrap()
                .unwrap();
            assert_eq!(parsed.keep_alive, keeps, "{head}");
        }
    }
}
