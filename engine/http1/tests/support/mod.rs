//! What the tests of this room share: limits, and heads read whole and in pieces.
//!
//! Nothing here knows what is right; that stands in the tests.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use tollring_http1::{
    Field, HeadFault, HeadLimits, Method, Parsed, RequestHead, ResponseFault, ResponseHead,
};

/// The limits of the configuration's defaults.
pub(crate) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    head_fields: 100,
    target_bytes: 16 * 1024,
};

/// A request parsed from all of `bytes` at once; it must not be partial.
#[track_caller]
pub(crate) fn request(bytes: &[u8]) -> Result<RequestHead, HeadFault> {
    let mut head = RequestHead::new();
    let parsed = head.parse(bytes, &LIMITS)?;
    assert_eq!(parsed, Parsed::Done, "the head is not whole");
    Ok(head)
}

/// A request that arrives one byte at a time: the head, or the first fault.
#[track_caller]
pub(crate) fn request_byte_by_byte(bytes: &[u8]) -> Result<RequestHead, HeadFault> {
    let mut head = RequestHead::new();
    for len in 0..=bytes.len() {
        if head.parse(&bytes[..len], &LIMITS)? == Parsed::Done {
            return Ok(head);
        }
    }
    panic!("the head is not whole");
}

/// A POST with these field lines, parsed whole; in pieces it must come to the same.
#[track_caller]
pub(crate) fn post_with(lines: &[u8]) -> Result<RequestHead, HeadFault> {
    let bytes = [b"POST / HTTP/1.1\r\n", lines, b"\r\n"].concat();
    let (whole, pieces) = (request(&bytes), request_byte_by_byte(&bytes));
    assert_eq!(
        whole.as_ref().err(),
        pieces.as_ref().err(),
        "{} in pieces",
        lines.escape_ascii()
    );
    whole
}

/// An answer to `asked`, parsed from all of `bytes` at once; it must not be partial.
#[track_caller]
pub(crate) fn response(bytes: &[u8], asked: Method) -> Result<ResponseHead, ResponseFault> {
    let mut head = ResponseHead::new();
    let parsed = head.parse(bytes, asked, &LIMITS)?;
    assert_eq!(parsed, Parsed::Done, "the head is not whole");
    Ok(head)
}

/// An answer that arrives one byte at a time: the head, or the first fault.
#[track_caller]
pub(crate) fn response_byte_by_byte(
    bytes: &[u8],
    asked: Method,
) -> Result<ResponseHead, ResponseFault> {
    let mut head = ResponseHead::new();
    for len in 0..=bytes.len() {
        if head.parse(&bytes[..len], asked, &LIMITS)? == Parsed::Done {
            return Ok(head);
        }
    }
    panic!("the head is not whole");
}

/// Everything that was learned about a request, to compare two heads by.
pub(crate) fn facts_of_request(head: &RequestHead) -> String {
    let fields: Vec<&Field> = head.fields.iter().collect();
    format!(
        "{:?}",
        (
            (
                head.method,
                head.method_text,
                head.target,
                head.path,
                head.query,
                head.version
            ),
            (
                head.authority,
                fields,
                head.framing,
                head.keep_alive,
                head.expect_continue,
                head.len
            ),
        )
    )
}

/// Everything that was learned about an answer, to compare two heads by.
pub(crate) fn facts_of_response(head: &ResponseHead) -> String {
    let fields: Vec<&Field> = head.fields.iter().collect();
    let line = (head.status, head.reason, head.version);
    format!(
        "{:?}",
        (line, fields, head.framing, head.keep_alive, head.len)
    )
}
