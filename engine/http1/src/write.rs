//! The bytes of our own that go into a message: status lines, numbers, chunk heads.
//!
//! Everything is appended to a buffer of the caller's or built on the stack; nothing here
//! allocates by itself. It does not decide what to say.

/// The last chunk and the empty line that ends a chunked body (RFC 9112 §7.1). Only written
/// after a body that came to its own end.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bytes of the longest chunk head: sixteen digits and CRLF.
pub const CHUNK_HEAD_BYTES_MAX: usize = 18;

/// The line before the data of a chunk, as `1a3\r\n` (RFC 9112 §7.1). The data is followed by
/// a CRLF that the caller writes.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    bytes: [u8; CHUNK_HEAD_BYTES_MAX],
    start: u8,
}

impl ChunkHead {
    /// The head of a chunk of `len` bytes.
    ///
    /// Panics if `len` is 0: that would be the head of the last chunk, and a body cut short
    /// would look whole.
    #[must_use]
    pub fn new(len: usize) -> Self {
        assert!(len > 0, "an empty chunk ends the body");
        let mut bytes = *b"0000000000000000\r\n";
        let mut start = bytes.len() - 2;
        let mut left = len;
        while left > 0 {
            start -= 1;
            bytes[start] = b"0123456789abcdef"[left % 16];
            left /= 16;
        }
        let start = u8::try_from(start).expect("an index into eighteen bytes fits a byte");
        Self { bytes, start }
    }

    /// The line with its CRLF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Appends `n` in decimal.
pub fn append_decimal(out: &mut Vec<u8>, n: u64) {
    // The longest u64 has twenty digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut left = n;
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(left % 10) as usize];
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends one field line. Neither part may hold CR, LF or NUL: they are ours, or were parsed.
pub fn append_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(crate::syntax::is_token(name), "a field name is a token");
    debug_assert!(value.iter().all(|&byte| crate::syntax::is_value_byte(byte)));
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the status line of an answer of ours, with the registered reason phrase (RFC 9112
/// §4). `status` has three digits.
pub fn append_status_line(out: &mut Vec<u8>, status: u16) {
    debug_assert!((100..=999).contains(&status), "a status has three digits");
    out.extend_from_slice(b"HTTP/1.1 ");
    append_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The registered reason phrase of a status (RFC 9110 §15 and the IANA registry); empty where
/// there is none.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => client_reason_phrase(status),
        500..=599 => server_reason_phrase(status),
        _ => "",
    }
}

const fn client_reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

const fn server_reason_phrase(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_written(write: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut out = b"|".to_vec();
        write(&mut out);
        assert_eq!(
            out.escape_ascii().to_string(),
            format!("|{}", expected.escape_default())
        );
    }

    #[test]
    fn a_chunk_head_is_the_length_in_hexadecimal() {
        for len in [1, 9, 10, 15, 16, 17, 0x1a3, 4096, 65_535, usize::MAX] {
            assert_eq!(
                ChunkHead::new(len).as_bytes(),
                format!("{len:x}\r\n").as_bytes()
            );
        }
        assert_eq!(
            ChunkHead::new(usize::MAX).as_bytes().len(),
            CHUNK_HEAD_BYTES_MAX
        );
    }

    #[test]
    #[should_panic(expected = "an empty chunk ends the body")]
    fn an_empty_chunk_cannot_be_begun() {
        let _ = ChunkHead::new(0);
    }

    #[test]
    fn numbers_have_no_leading_zeros_and_no_limit() {
        for n in [0, 1, 9, 10, 11, 99, 100, 290, 1_234_567, u64::MAX] {
            check_written(|out| append_decimal(out, n), &n.to_string());
        }
    }

    #[test]
    fn a_status_line_has_its_registered_phrase() {
        check_written(|out| append_status_line(out, 200), "HTTP/1.1 200 OK\r\n");
        check_written(
            |out| append_status_line(out, 402),
            "HTTP/1.1 402 Payment Required\r\n",
        );
        check_written(|out| append_status_line(out, 599), "HTTP/1.1 599 \r\n");
        check_written(|out| append_field(out, b"Via", b"1.1 x"), "Via: 1.1 x\r\n");
    }

    #[test]
    fn every_status_that_is_answered_here_has_a_phrase() {
        for status in [
            400, 401, 402, 403, 404, 405, 408, 410, 411, 413, 414, 417, 429, 431,
        ] {
            assert!(!reason_phrase(status).is_empty(), "{status}");
        }
        for status in [500, 501, 502, 503, 504, 505] {
            assert!(!reason_phrase(status).is_empty(), "{status}");
        }
        assert_eq!(reason_phrase(299), "");
    }
}
