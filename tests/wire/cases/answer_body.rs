//! Answers that break off or break their own framing: the client must be able to see it.
//!
//! The client's framing is left unterminated, or it is told 502 when nothing has left yet.
//! Nothing malformed is passed on.

use crate::wire::case::{Act, Allowed, Check, Ends, Group, NEXT, Piece, Play, Script};

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Answers that go wrong, and then end like that.
const fn broken(
    rfc: &'static str,
    before: &'static [u8],
    ends: Ends,
    rows: &'static [(&'static str, &'static [u8])],
) -> Group {
    Group::Answers {
        rfc,
        asked: ASKED,
        before,
        after: b"",
        ends,
        allowed: Allowed::CutVisibly,
        rows,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    broken(
        "RFC 9112 §8",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        Ends::Closed,
        &[
            ("a length and no body", b""),
            ("a length and a byte less", b"123456789"),
            ("a length and some", b"abc"),
        ],
    ),
    broken(
        "RFC 9112 §8",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        Ends::Reset,
        &[
            ("a length and a reset", b""),
            ("a length, some and a reset", b"abc"),
        ],
    ),
    broken(
        "RFC 9112 §8",
        CHUNKED,
        Ends::Closed,
        &[
            ("chunked and nothing", b""),
            ("chunks without the last one", b"3\r\nabc\r\n"),
            ("a chunk cut short", b"9\r\nabc"),
            ("a chunk without its CRLF", b"3\r\nabc"),
            ("a size cut short", b"3\r\nabc\r\n1"),
            ("a last chunk without the empty line", b"3\r\nabc\r\n0\r\n"),
            (
                "a last chunk and half the empty line",
                b"3\r\nabc\r\n0\r\n\r",
            ),
            ("a trailer cut short", b"3\r\nabc\r\n0\r\nX-A"),
        ],
    ),
    broken(
        "RFC 9112 §8",
        CHUNKED,
        Ends::Reset,
        &[
            ("chunks and a reset", b"3\r\nabc\r\n"),
            ("a chunk cut short by a reset", b"9\r\nabc"),
        ],
    ),
    broken(
        "RFC 9112 §7.1",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        Ends::Open,
        &[
            ("a prefix", b"0x3\r\nabc\r\n0\r\n\r\n"),
            ("a plus", b"+3\r\nabc\r\n0\r\n\r\n"),
            ("a minus", b"-3\r\nabc\r\n0\r\n\r\n"),
            ("a space before the size", b" 3\r\nabc\r\n0\r\n\r\n"),
            ("a space behind the size", b"3 \r\nabc\r\n0\r\n\r\n"),
            ("an underscore", b"0_3\r\nabc\r\n0\r\n\r\n"),
            ("no digits", b"\r\nabc\r\n0\r\n\r\n"),
            ("letters", b"xyz\r\nabc\r\n0\r\n\r\n"),
            ("seventeen digits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
            (
                "a size that overflows",
                b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
            ),
            ("a size line ended by LF", b"3\nabc\r\n0\r\n\r\n"),
            ("a chunk ended by LF", b"3\r\nabc\n0\r\n\r\n"),
            ("a chunk ended by nothing", b"3\r\nabc0\r\n\r\n"),
            ("more data than was said", b"3\r\nabcd\r\n0\r\n\r\n"),
            ("the body ended by LF", b"0\n\n"),
            ("the body ended by CR and a letter", b"0\r\n\rX"),
            ("a line feed in an extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
            ("a trailer without a colon", b"0\r\nX-A\r\n\r\n"),
            ("a trailer that is folded", b"0\r\nX-A: 1\r\n 2\r\n\r\n"),
            ("a length in a trailer", b"0\r\nContent-Length: 9\r\n\r\n"),
            (
                "a coding behind another trailer",
                b"2\r\nok\r\n0\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
        ],
    ),
    Group::Scripts(SCRIPTS),
];

const fn script(name: &'static str, upstream: &'static [Play], allowed: Allowed) -> Script {
    Script {
        name,
        rfc: "RFC 9112 §7.1, §8",
        client: &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        upstream,
        allowed,
    }
}

const SCRIPTS: &[Script] = &[
    Script {
        name: "an answer that the client has begun to read and that breaks off",
        rfc: "RFC 9112 §8",
        client: &[Act::Send(ASKED), Act::ReadUntil(b"first"), Act::Release],
        upstream: &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Play::AwaitRelease,
            Play::Close,
        ],
        allowed: Allowed::All(&[Check::Cut]),
    },
    Script {
        name: "an answer that the client has begun to read and that goes wrong",
        rfc: "RFC 9112 §7.1",
        client: &[Act::Send(ASKED), Act::ReadUntil(b"first"), Act::Release],
        upstream: &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Play::AwaitRelease,
            Play::Send(b"0x5\r\nwrong\r\n0\r\n\r\n"),
        ],
        allowed: Allowed::All(&[Check::Cut, Check::Never(b"wrong")]),
    },
    script(
        "an extension without end",
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(CHUNKED),
                Piece::Is(b"3;a="),
                Piece::Times(1_000_000, b"x"),
            ]),
            Play::Close,
        ],
        Allowed::CutVisibly,
    ),
    script(
        "trailers without end",
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(CHUNKED),
                Piece::Is(b"3\r\nabc\r\n0\r\n"),
                Piece::Times(100_000, b"X-A: 1\r\n"),
            ]),
            Play::Close,
        ],
        Allowed::CutVisibly,
    ),
];
