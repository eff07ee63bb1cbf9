//! Where an answer's body ends, and which answers have none whatever they say.
//!
//! A doubtful framing is a 502. What becomes of a body that breaks its own framing is in
//! `answer_body`.

use crate::wire::case::{Allowed, Check, Ends, Group};

const GET: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HEAD /case HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers that frame their body so.
const fn framed(
    rfc: &'static str,
    after: &'static [u8],
    allowed: Allowed,
    rows: &'static [(&'static str, &'static [u8])],
) -> Group {
    Group::Answers {
        rfc,
        asked: GET,
        before: b"HTTP/1.1 200 OK\r\n",
        after,
        ends: Ends::Open,
        allowed,
        rows,
    }
}

/// Answers that have no body, whatever follows their head.
const fn bodiless(
    asked: &'static [u8],
    status: u16,
    checks: &'static [Check],
    rows: &'static [(&'static str, &'static [u8])],
) -> Group {
    Group::Answers {
        rfc: "RFC 9112 §6.3, RFC 9110 §9.3.2, §15.3.5, §15.4.5",
        asked,
        before: b"HTTP/1.1 ",
        after: b"",
        ends: Ends::Open,
        allowed: Allowed::Passed(status, checks),
        rows,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    framed(
        "RFC 9112 §6.1, §6.3",
        b"\r\n2\r\nok\r\n0\r\n\r\n",
        Allowed::BadGateway,
        &[
            (
                "length and chunked",
                b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "chunked and length",
                b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            ),
            (
                "chunked twice",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "chunked in a list with itself",
                b"Transfer-Encoding: chunked, chunked\r\n",
            ),
            ("gzip", b"Transfer-Encoding: gzip\r\n"),
            ("gzip and chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
            ("chunked and gzip", b"Transfer-Encoding: chunked, gzip\r\n"),
            ("identity", b"Transfer-Encoding: identity\r\n"),
            ("an empty coding", b"Transfer-Encoding:\r\n"),
            ("an empty element", b"Transfer-Encoding: ,chunked\r\n"),
            ("a parameter", b"Transfer-Encoding: chunked;q=1\r\n"),
            ("quotes", b"Transfer-Encoding: \"chunked\"\r\n"),
            ("a vertical tab", b"Transfer-Encoding: \x0bchunked\r\n"),
            ("a no-break space", b"Transfer-Encoding: \xa0chunked\r\n"),
            (
                "a coding that nobody has",
                b"Transfer-Encoding: xchunked\r\n",
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
    ),
    framed(
        "RFC 9110 §8.6",
        b"\r\nok",
        Allowed::BadGateway,
        &[
            ("a plus", b"Content-Length: +2\r\n"),
            ("a minus", b"Content-Length: -2\r\n"),
            ("hexadecimal", b"Content-Length: 0x2\r\n"),
            ("empty", b"Content-Length:\r\n"),
            ("letters", b"Content-Length: two\r\n"),
            ("a space inside", b"Content-Length: 2 2\r\n"),
            ("a point", b"Content-Length: 2.0\r\n"),
            ("an empty element behind", b"Content-Length: 2,\r\n"),
            ("2^63", b"Content-Length: 9223372036854775808\r\n"),
            ("2^64 and 2", b"Content-Length: 18446744073709551618\r\n"),
            (
                "two that differ",
                b"Content-Length: 2\r\nContent-Length: 1\r\n",
            ),
            ("two that differ in a list", b"Content-Length: 2, 1\r\n"),
            ("a space before its colon", b"Content-Length : 2\r\n"),
            ("NUL behind", b"Content-Length: 2\0\r\n"),
        ],
    ),
    Group::Answers {
        rfc: "RFC 9112 §6.1",
        asked: GET,
        before: b"HTTP/1.0 200 OK\r\n",
        after: b"\r\n2\r\nok\r\n0\r\n\r\n",
        ends: Ends::Closed,
        allowed: Allowed::BadGateway,
        rows: &[("chunked in HTTP/1.0", b"Transfer-Encoding: chunked\r\n")],
    },
    framed(
        "RFC 9112 §7.1",
        b"",
        Allowed::Passed(200, &[Check::Body(b"ok"), Check::Never(b"secret")]),
        &[
            (
                "chunks",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ),
            (
                "two chunks",
                b"transfer-encoding:CHUNKED\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            ),
            (
                "zeros before a size",
                b"Transfer-Encoding: chunked\r\n\r\n002\r\nok\r\n00\r\n\r\n",
            ),
            (
                "an extension",
                b"Transfer-Encoding: chunked\r\n\r\n2;secret=1\r\nok\r\n0\r\n\r\n",
            ),
            ("a length", b"Content-Length: 2\r\n\r\nok"),
            (
                "a length with blanks around",
                b"Content-Length: \t2 \r\n\r\nok",
            ),
        ],
    ),
    framed(
        "RFC 9110 §6.5",
        b"",
        Allowed::Passed(
            200,
            &[
                Check::Body(b"ok"),
                Check::Lacks("x-trailer"),
                Check::Lacks("set-cookie"),
                Check::Lacks("content-length"),
            ],
        ),
        &[
            (
                "a trailer is not merged into the head",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
            ),
            (
                "a cookie in a trailer",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=1\r\n\r\n",
            ),
        ],
    ),
    framed(
        "RFC 9112 §6.3",
        b"\r\n",
        Allowed::Passed(200, &[Check::Body(b"")]),
        &[("a length of nothing", b"Content-Length: 0\r\n")],
    ),
    bodiless(
        GET,
        204,
        &[
            Check::Body(b""),
            Check::Lacks("transfer-encoding"),
            Check::Lacks("content-length"),
        ],
        &[
            ("204", b"204 No Content\r\n\r\n"),
            (
                "204 with a length of nothing",
                b"204 No Content\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "204 with a length",
                b"204 No Content\r\nContent-Length: 5\r\n\r\n",
            ),
            (
                "204 that says chunked",
                b"204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
        ],
    ),
    bodiless(
        GET,
        204,
        &[Check::Body(b""), Check::Never(b"hello"), Check::NotReused],
        &[
            (
                "204 with a body behind it",
                b"204 No Content\r\nContent-Length: 5\r\n\r\nhello",
            ),
            (
                "204 with chunks behind it",
                b"204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
        ],
    ),
    bodiless(
        GET,
        304,
        &[Check::Body(b"")],
        &[
            ("304", b"304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
            (
                "304 with a length",
                b"304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            ),
        ],
    ),
    bodiless(
        GET,
        304,
        &[Check::Body(b""), Check::Never(b"hello"), Check::NotReused],
        &[(
            "304 with a body behind it",
            b"304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        )],
    ),
    bodiless(
        HEAD,
        200,
        &[Check::Body(b""), Check::Line("HEAD /case HTTP/1.1")],
        &[
            ("HEAD", b"200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("HEAD with a length", b"200 OK\r\nContent-Length: 5\r\n\r\n"),
            (
                "HEAD that says chunked",
                b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            ("HEAD without a word", b"200 OK\r\n\r\n"),
        ],
    ),
    bodiless(
        HEAD,
        200,
        &[Check::Has("content-length", &[b"5"])],
        &[(
            "HEAD keeps the length of what GET would get",
            b"200 OK\r\nContent-Length: 5\r\n\r\n",
        )],
    ),
    bodiless(
        HEAD,
        200,
        &[Check::Body(b""), Check::Never(b"hello"), Check::NotReused],
        &[(
            "HEAD with a body behind it",
            b"200 OK\r\nContent-Length: 5\r\n\r\nhello",
        )],
    ),
    Group::Answers {
        rfc: "RFC 9112 §6.3",
        asked: GET,
        before: b"HTTP/1.",
        after: b"",
        ends: Ends::Closed,
        allowed: Allowed::Passed(200, &[Check::Body(b"until the end")]),
        rows: &[
            ("a body until close", b"1 200 OK\r\n\r\nuntil the end"),
            (
                "a body until close in HTTP/1.0",
                b"0 200 OK\r\n\r\nuntil the end",
            ),
            (
                "a body until close that says so",
                b"1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            ),
        ],
    },
    Group::Answers {
        rfc: "RFC 9112 §6.1, §7.1",
        asked: b"GET /case HTTP/1.0\r\nHost: a\r\n\r\n",
        before: b"HTTP/1.1 200 OK\r\n",
        after: b"",
        ends: Ends::Closed,
        allowed: Allowed::Passed(
            200,
            &[Check::Body(b"ok"), Check::Lacks("transfer-encoding")],
        ),
        rows: &[
            (
                "HTTP/1.0 is never sent chunks",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ),
            ("HTTP/1.0 is sent a length", b"Content-Length: 2\r\n\r\nok"),
            ("HTTP/1.0 is sent until close", b"\r\nok"),
        ],
    },
    framed(
        "RFC 9112 §6.3",
        b"\r\nok",
        Allowed::DoubtfulOr(&[Check::Body(b"ok"), Check::Has("content-length", &[b"2"])]),
        &[
            (
                "two equal lengths",
                b"Content-Length: 2\r\nContent-Length: 2\r\n",
            ),
            ("a list of equal lengths", b"Content-Length: 2, 2\r\n"),
        ],
    ),
];
