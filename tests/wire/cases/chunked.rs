//! The chunked coding of a request: hexadecimal digits, CRLF, and nothing else.
//!
//! A body that is broken is refused, whether or not its head has gone on, and never reaches
//! the upstream as whole.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, Piece, Play, Script};

const BEFORE: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const BEFORE_TRAILERS: &[u8] =
    b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
const HEAD: Piece = Piece::Is(BEFORE);
const BAD: Allowed = Allowed::RefusedInBody(&[400]);

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: BEFORE,
        after: b"\r\nabc\r\n0\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a prefix", b"0x3"),
            ("a plus", b"+3"),
            ("a minus", b"-3"),
            ("a space before", b" 3"),
            ("a space behind", b"3 "),
            ("a tab behind", b"3\t"),
            ("a space within", b"0 3"),
            ("an underscore", b"0_3"),
            ("a point", b"3.0"),
            ("a suffix", b"3h"),
            ("a letter that is no digit", b"g"),
            ("no digits", b""),
            ("quotes", b"\"3\""),
            ("NUL behind", b"3\0"),
            ("a vertical tab behind", b"3\x0b"),
            ("a high byte behind", b"3\xa0"),
            ("seventeen digits", b"10000000000000003"),
            ("twenty digits", b"ffffffffffffffffffff"),
            ("a second CR", b"3\r"),
            ("a semicolon in place of digits", b";a=b"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: BEFORE,
        after: b"0\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a size line ended by LF", b"3\nabc\r\n"),
            ("a size line ended by CR", b"3\rabc\r\n"),
            ("a size line ended by CR and a letter", b"3\rXabc\r\n"),
            ("a chunk ended by LF", b"3\r\nabc\n"),
            ("a chunk ended by CR", b"3\r\nabc\r"),
            ("a chunk ended by nothing", b"3\r\nabc"),
            ("a chunk ended by two letters", b"3\r\nabcXX"),
            ("more data than was said", b"3\r\nabcd\r\n"),
            ("less data than was said", b"4\r\nabc\r\n"),
            ("an empty line between chunks", b"3\r\nabc\r\n\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before:
            b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0",
        after: b"",
        allowed: BAD,
        rows: &[
            ("the last chunk ended by LF", b"\n\r\n"),
            ("the body ended by LF", b"\r\n\n"),
            ("everything ended by LF", b"\n\n"),
            ("the body ended by CR and a letter", b"\r\n\rX"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1.1",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3",
        after: b"\r\nabc\r\n0\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("an extension without a name", b";=b"),
            ("an extension that hides a line feed", b";a\nb"),
            ("an extension that hides a carriage return", b";a\rb"),
            ("an extension with NUL", b";a=\0"),
            ("an extension with a quote that does not end", b";a=\"b"),
            ("an extension with a line feed in quotes", b";a=\"b\n\""),
            ("an extension with a control byte", b";a=\x01"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1.1",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3",
        after: b"\r\nabc\r\n0\r\n\r\n",
        allowed: Allowed::Either(&[400], &[Check::Sent(b"abc"), Check::Hides(b"secret")]),
        rows: &[
            ("an extension is not passed on", b";secret=1"),
            ("an extension without a value", b";secret"),
            ("an extension in quotes", b";a=\"secret;x=\\\"y\""),
            ("two extensions", b";a=1;b=secret"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §6.5",
        before: BEFORE_TRAILERS,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("a trailer without a colon", b"X-A\r\n"),
            ("a trailer with a space before its colon", b"X-A : 1\r\n"),
            ("a trailer without a name", b": 1\r\n"),
            ("a trailer that is folded", b"X-A: 1\r\n 2\r\n"),
            ("a trailer ended by LF", b"X-A: 1\n"),
            ("a trailer with NUL", b"X-A: \0\r\n"),
            ("a trailer with a bare CR", b"X-A: a\rb\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §6.5.1",
        before: BEFORE_TRAILERS,
        after: b"\r\n",
        allowed: Allowed::Either(&[400], &[Check::Sent(b"abc"), Check::Drops("x-trailer")]),
        rows: &[("a trailer is not merged into the head", b"X-Trailer: 1\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9110 §6.5.1",
        before: BEFORE_TRAILERS,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("a length in a trailer", b"Content-Length: 55555\r\n"),
            ("a coding in a trailer", b"Transfer-Encoding: x55555\r\n"),
            ("a Host in a trailer", b"Host: 55555\r\n"),
            ("a key in a trailer", b"Authorization: 55555\r\n"),
            (
                "a key behind another trailer",
                b"X-A: 1\r\nx-api-key: 55555\r\n",
            ),
            ("a caller in a trailer", b"X-Forwarded-For: 10.0.0.1\r\n"),
            ("an option in a trailer", b"connection: close\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: BEFORE,
        after: b"",
        allowed: Allowed::Accepted(&[Check::Sent(b"abcdefghijklm")]),
        rows: &[
            ("one chunk", b"d\r\nabcdefghijklm\r\n0\r\n\r\n"),
            ("a size in capitals", b"D\r\nabcdefghijklm\r\n0\r\n\r\n"),
            ("zeros before a size", b"000d\r\nabcdefghijklm\r\n0\r\n\r\n"),
            (
                "a size of sixteen digits",
                b"000000000000000d\r\nabcdefghijklm\r\n0\r\n\r\n",
            ),
            ("two chunks", b"3\r\nabc\r\na\r\ndefghijklm\r\n0\r\n\r\n"),
            (
                "a last chunk of three zeros",
                b"d\r\nabcdefghijklm\r\n000\r\n\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: BEFORE,
        after: b"\r\n0\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Sent(b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n")]),
        rows: &[(
            "data that looks like the end and a request",
            b"18\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        )],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: BEFORE,
        after: b"0\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Sent(b"")]),
        rows: &[("no data at all", b"")],
    },
    Group::Scripts(SCRIPTS),
];

const SCRIPTS: &[Script] = &[
    Script {
        name: "a body that comes byte by byte",
        rfc: "RFC 9112 §7.1",
        client: &[
            Act::Send(BEFORE),
            Act::Drip(b"3\r\nabc\r\n02;x=y\r\nde\r\n0\r\n\r\n"),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Either(&[400], &[Check::Sent(b"abcde")]),
    },
    Script {
        name: "a chunk of 200,000 bytes",
        rfc: "RFC 9112 §7.1",
        client: &[
            Act::SendLong(&[
                HEAD,
                Piece::Is(b"30d40\r\n"),
                Piece::Times(200_000, b"x"),
                Piece::Is(b"\r\n0\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Accepted(&[Check::SentBytes(200_000)]),
    },
    Script {
        name: "a thousand chunks of one byte",
        rfc: "RFC 9112 §7.1",
        client: &[
            Act::SendLong(&[
                HEAD,
                Piece::Times(1000, b"1\r\nx\r\n"),
                Piece::Is(b"0\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Accepted(&[Check::SentBytes(1000)]),
    },
    Script {
        name: "a broken chunk behind a good one that has gone on",
        rfc: "RFC 9112 §7.1",
        client: &[
            Act::Send(BEFORE),
            Act::Send(b"3\r\nabc\r\n"),
            Act::AwaitUpstream,
            Act::Send(b"0x3\r\nabc\r\n0\r\n\r\n"),
            Act::Send(NEXT),
        ],
        upstream: &[Play::TakeHead, Play::Tell, Play::AwaitHangUp],
        allowed: BAD,
    },
    Script {
        name: "an extension without end",
        rfc: "RFC 9112 §7.1.1",
        client: &[Act::SendLong(&[
            HEAD,
            Piece::Is(b"3;a="),
            Piece::Times(100_000, b"x"),
        ])],
        upstream: &[],
        allowed: Allowed::RefusedInBody(&[400, 413, 431]),
    },
    Script {
        name: "a flood of extensions",
        rfc: "RFC 9112 §7.1.1",
        client: &[
            Act::SendLong(&[
                HEAD,
                Piece::Times(3000, b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b\r\nx\r\n"),
                Piece::Is(b"0\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::RefusedInBody(&[400, 413, 431]),
    },
    Script {
        name: "trailers without end",
        rfc: "RFC 9110 §6.5",
        client: &[Act::SendLong(&[
            HEAD,
            Piece::Is(b"0\r\n"),
            Piece::Times(10_000, b"X-A: 1\r\n"),
        ])],
        upstream: &[],
        allowed: Allowed::RefusedInBody(&[400, 413, 431]),
    },
    Script {
        name: "a trailer longer than a head may be",
        rfc: "RFC 9110 §6.5",
        client: &[Act::SendLong(&[
            HEAD,
            Piece::Is(b"0\r\nX-A: "),
            Piece::Times(100_000, b"x"),
            Piece::Is(b"\r\n\r\n"),
        ])],
        upstream: &[],
        allowed: Allowed::RefusedInBody(&[400, 413, 431]),
    },
];
