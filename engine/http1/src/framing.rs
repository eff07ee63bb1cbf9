//! Where a body ends, from what its head says.
//!
//! Decides RFC 9112 §6.3 without its leniency: a head that frames its body in two ways, or in
//! a way that another reader could take differently, is refused. It reads no body.

use crate::syntax::is_token;
use crate::{FieldFault, Fields, Known, Method, Version};

/// How the length of a body is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Exactly so many bytes; below 2^63.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the peer closes. Never a request.
    UntilClose,
}

impl Framing {
    /// Whether it is known from the head that there is no body.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// The framing of a request; without a word about it there is no body (RFC 9112 §6.3, 7).
    pub(crate) fn of_request(
        bytes: &[u8],
        fields: &Fields,
        version: Version,
    ) -> Result<Self, FieldFault> {
        Ok(declared(bytes, fields, version)?.unwrap_or(Self::Length(0)))
    }

    /// The framing of an answer with this status to a request with this method.
    pub(crate) fn of_response(
        bytes: &[u8],
        fields: &Fields,
        version: Version,
        status: u16,
        asked: Method,
    ) -> Result<Self, FieldFault> {
        let declared = declared(bytes, fields, version)?;
        Ok(match status {
            // What follows is no longer HTTP and ends with the connection.
            101 => Self::UntilClose,
            // RFC 9112 §6.3, 1: the fields speak of a body that is not sent.
            100..=199 | 204 | 304 => Self::Length(0),
            _ if asked == Method::Head => Self::Length(0),
            _ => declared.unwrap_or(Self::UntilClose),
        })
    }
}

/// What the fields declare, if anything.
fn declared(
    bytes: &[u8],
    fields: &Fields,
    version: Version,
) -> Result<Option<Framing>, FieldFault> {
    if fields.has(Known::TransferEncoding) {
        return transfer_encoding(bytes, fields, version).map(Some);
    }
    let Some(field) = fields.find(Known::ContentLength) else {
        return Ok(None);
    };
    if fields.is_repeated(Known::ContentLength) {
        return Err(FieldFault::ContentLengthRepeated);
    }
    content_length(field.value.of(bytes)).map(|length| Some(Framing::Length(length)))
}

/// RFC 9112 §6.1: exactly one coding, which is `chunked`, in HTTP/1.1, with no length beside it.
fn transfer_encoding(
    bytes: &[u8],
    fields: &Fields,
    version: Version,
) -> Result<Framing, FieldFault> {
    if fields.has(Known::ContentLength) {
        return Err(FieldFault::FramedTwice);
    }
    if fields.is_repeated(Known::TransferEncoding) {
        return Err(FieldFault::TransferEncoding);
    }
    if version == Version::Http10 {
        return Err(FieldFault::TransferEncodingInHttp10);
    }
    let field = fields
        .find(Known::TransferEncoding)
        .expect("the caller found one");
    let coding = field.value.of(bytes);
    if coding.eq_ignore_ascii_case(b"chunked") {
        Ok(Framing::Chunked)
    } else if is_token(coding) && !coding.eq_ignore_ascii_case(b"identity") {
        Err(FieldFault::TransferEncodingUnknown)
    } else {
        // Lists, parameters, quotes, and `identity`, which RFC 7230 took away.
        Err(FieldFault::TransferEncoding)
    }
}

/// RFC 9110 §8.6: digits and nothing else; what does not fit 63 bits is not a length.
fn content_length(text: &[u8]) -> Result<u64, FieldFault> {
    if text.is_empty() {
        return Err(FieldFault::ContentLength);
    }
    let mut length: u64 = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return Err(FieldFault::ContentLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .filter(|&length| length <= i64::MAX.cast_unsigned())
            .ok_or(FieldFault::ContentLength)?;
    }
    Ok(length)
}
