//! Where a request's body ends: one length or chunked, said once and plainly.
//!
//! Whatever another reader could take for another framing is refused. How chunks themselves
//! are written is in `chunked`.

use crate::wire::case::{Allowed, Check, Group};

const BEFORE: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);
const CHUNKS: &[u8] = b"\r\n3\r\nabc\r\n0\r\n\r\n";

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §6.1, §6.3",
        before: BEFORE,
        after: CHUNKS,
        allowed: Allowed::Refused(&[400, 501]),
        rows: &[
            (
                "length, then chunked",
                b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "chunked, then length",
                b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            ),
            (
                "a length of 0 and chunked",
                b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "a length and identity",
                b"Content-Length: 3\r\nTransfer-Encoding: identity\r\n",
            ),
            (
                "chunked twice",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "identity, then chunked",
                b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "chunked, then identity",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            ),
            (
                "a space before the colon",
                b"Transfer-Encoding : chunked\r\n",
            ),
            (
                "a value on the next line",
                b"Transfer-Encoding:\r\n chunked\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §6.1",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ",
        after: b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        allowed: Allowed::Refused(&[400, 501]),
        rows: &[
            ("gzip", b"gzip"),
            ("a coding that nobody has", b"frob"),
            ("gzip and chunked", b"gzip, chunked"),
            ("chunked and gzip", b"chunked, gzip"),
            ("chunked and chunked", b"chunked, chunked"),
            ("identity", b"identity"),
            ("identity and chunked", b"identity, chunked"),
            ("chunked and identity", b"chunked, identity"),
            ("an empty element before", b", chunked"),
            ("an empty element behind", b"chunked,"),
            ("a semicolon behind", b"chunked;"),
            ("a parameter", b"chunked;q=1"),
            ("double quotes", b"\"chunked\""),
            ("single quotes", b"'chunked'"),
            ("nothing", b""),
            ("a letter before", b"xchunked"),
            ("a letter behind", b"chunkedx"),
            ("a letter less", b"chunke"),
            ("two words", b"chunked chunked"),
            ("a look-alike letter", b"chun\xe2\x84\xaaed"),
            ("a long s", b"chunked\xc5\xbf"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.5, RFC 9112 §6.1",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:",
        after: b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        allowed: Allowed::Refused(&[400, 501]),
        rows: &[
            ("a vertical tab before", b" \x0bchunked"),
            ("a vertical tab behind", b" chunked\x0b"),
            ("a form feed before", b" \x0cchunked"),
            ("a form feed behind", b" chunked\x0c"),
            ("NUL behind", b" chunked\0"),
            ("NUL before", b" \0chunked"),
            ("a no-break space before", b" \xa0chunked"),
            ("a no-break space behind", b" chunked\xc2\xa0"),
            ("a bare CR before", b"\rchunked"),
            ("a bare LF before", b"\nchunked"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §6.1",
        before: b"POST /case HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n",
        after: CHUNKS,
        allowed: BAD,
        rows: &[("chunked in HTTP/1.0", b"Transfer-Encoding: chunked\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9112 §7, RFC 9110 §5.6.3",
        before: BEFORE,
        after: CHUNKS,
        allowed: Allowed::Accepted(&[Check::Sent(b"abc")]),
        rows: &[
            ("chunked", b"Transfer-Encoding: chunked\r\n"),
            ("chunked in capitals", b"Transfer-Encoding: CHUNKED\r\n"),
            ("chunked in mixed case", b"tRANSFER-eNCODING: cHunKeD\r\n"),
            ("chunked without a space", b"Transfer-Encoding:chunked\r\n"),
            (
                "chunked with blanks around",
                b"Transfer-Encoding: \t chunked\t \r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §8.6",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: ",
        after: b"\r\n\r\nabc",
        allowed: BAD,
        rows: &[
            ("a plus", b"+3"),
            ("a minus", b"-3"),
            ("hexadecimal", b"0x3"),
            ("a space inside", b"3 3"),
            ("empty", b""),
            ("a comma behind the digits", b"3,"),
            ("a comma before the digits", b",3"),
            ("a semicolon", b"3;"),
            ("a point", b"3.0"),
            ("an exponent", b"3e0"),
            ("letters", b"abc"),
            ("an underscore", b"0_3"),
            ("quotes", b"\"3\""),
            ("a thousands separator", b"0,003"),
            ("two that differ in a list", b"3, 4"),
            ("digits of another script", b"\xd9\xa3"),
            ("NUL behind the digits", b"3\0"),
            ("a vertical tab before the digits", b"\x0b3"),
            ("a no-break space behind the digits", b"3\xa0"),
            ("a bare CR behind the digits", b"3\r4"),
            ("2^63", b"9223372036854775808"),
            ("2^64 and 3", b"18446744073709551619"),
            ("forty digits", b"1000000000000000000000000000000000000003"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §6.3",
        before: BEFORE,
        after: b"\r\nabc",
        allowed: BAD,
        rows: &[
            (
                "two lengths that differ",
                b"Content-Length: 3\r\nContent-Length: 4\r\n",
            ),
            (
                "two lengths, one is 0",
                b"Content-Length: 0\r\nContent-Length: 3\r\n",
            ),
            (
                "two lengths apart",
                b"Content-Length: 3\r\nX-A: 1\r\nContent-Length: 30\r\n",
            ),
            (
                "a length with a space before its colon",
                b"Content-Length : 3\r\n",
            ),
            ("a length on the next line", b"Content-Length:\r\n 3\r\n"),
            ("a length and a folded line", b"Content-Length: 3\r\n 4\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §6.3",
        before: BEFORE,
        after: b"\r\nabc",
        allowed: Allowed::Either(&[400], &[Check::Sent(b"abc")]),
        rows: &[
            (
                "two lengths that are equal",
                b"Content-Length: 3\r\nContent-Length: 3\r\n",
            ),
            ("a list of equal lengths", b"Content-Length: 3, 3\r\n"),
            ("zeros before the length", b"Content-Length: 0003\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §8.6",
        before: BEFORE,
        after: b"\r\nabc",
        allowed: Allowed::Accepted(&[Check::Sent(b"abc")]),
        rows: &[
            ("a length", b"Content-Length: 3\r\n"),
            ("a length with blanks around", b"Content-Length: \t3 \t\r\n"),
            ("a length in other case", b"content-LENGTH:3\r\n"),
            (
                "a length beside its look-alike",
                b"Content_Length: 9\r\nContent-Length: 3\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §6.3",
        before: b"",
        after: b"",
        allowed: Allowed::Accepted(&[Check::Sent(b"")]),
        rows: &[
            (
                "POST without a word",
                b"POST /case HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "POST of nothing",
                b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "GET of nothing",
                b"GET /case HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §9.3",
        before: b"",
        after: b" /case HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\n\
                 GET /case/within HTTP/1.1\r\nHost: a\r\nX-A: 1",
        allowed: Allowed::Either(&[400], &[Check::SentBytes(42)]),
        rows: &[
            ("GET with a body", b"GET"),
            ("DELETE with a body", b"DELETE"),
            ("OPTIONS with a body", b"OPTIONS"),
            ("PUT of what looks like a request", b"PUT"),
            ("a method nobody knows with a body", b"FROB"),
        ],
    },
];
