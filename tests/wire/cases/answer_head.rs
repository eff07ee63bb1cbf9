//! The head of an upstream's answer: a status line and fields, read as strictly as a request's.
//!
//! What is malformed is a 502 to the client, and the connection it came on is used no more.

use crate::wire::case::{Act, Allowed, Check, Ends, Group, NEXT, Piece, Play, Script};

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";

/// What may not be repeated (RFC 9110 §9.2.2): a GET may be asked again elsewhere before anything
/// of an answer came.
const ASKED_ONCE: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

/// Status lines.
const fn lines(
    rfc: &'static str,
    allowed: Allowed,
    rows: &'static [(&'static str, &'static [u8])],
) -> Group {
    Group::Answers {
        rfc,
        asked: ASKED,
        before: b"",
        after: b"\r\nContent-Length: 2\r\n\r\nok",
        ends: Ends::Closed,
        allowed,
        rows,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    lines(
        "RFC 9112 §4",
        Allowed::BadGateway,
        &[
            ("two spaces before the status", b"HTTP/1.1  200 OK"),
            ("a tab before the status", b"HTTP/1.1\t200 OK"),
            ("no space before the status", b"HTTP/1.1200 OK"),
            ("no space behind the status", b"HTTP/1.1 200OK"),
            ("a tab behind the status", b"HTTP/1.1 200\tOK"),
            ("a status of two digits", b"HTTP/1.1 20 OK"),
            ("a status of four digits", b"HTTP/1.1 2000 OK"),
            ("a status with a letter", b"HTTP/1.1 2x0 OK"),
            ("a negative status", b"HTTP/1.1 -20 OK"),
            ("a status with a plus", b"HTTP/1.1 +20 OK"),
            ("no status", b"HTTP/1.1 OK"),
            ("no status and no reason", b"HTTP/1.1"),
            ("a space before the protocol", b" HTTP/1.1 200 OK"),
            ("an empty line before the answer", b"\r\nHTTP/1.1 200 OK"),
        ],
    ),
    lines(
        "RFC 9110 §15",
        Allowed::BadGateway,
        &[
            ("status 000", b"HTTP/1.1 000 OK"),
            ("status 099", b"HTTP/1.1 099 OK"),
            ("status 600", b"HTTP/1.1 600 OK"),
            ("status 999", b"HTTP/1.1 999 OK"),
        ],
    ),
    lines(
        "RFC 9112 §2.3",
        Allowed::BadGateway,
        &[
            ("the protocol in lower case", b"http/1.1 200 OK"),
            ("version 0.9", b"HTTP/0.9 200 OK"),
            ("version 1.2", b"HTTP/1.2 200 OK"),
            ("version 2.0", b"HTTP/2.0 200 OK"),
            ("version 3.0", b"HTTP/3.0 200 OK"),
            ("a version of two digits", b"HTTP/1.10 200 OK"),
            ("no minor version", b"HTTP/1 200 OK"),
            ("another protocol", b"ICY 200 OK"),
            ("a longer protocol", b"HTTPS/1.1 200 OK"),
        ],
    ),
    lines(
        "RFC 9112 §4",
        Allowed::BadGateway,
        &[
            ("NUL in the reason", b"HTTP/1.1 200 O\0K"),
            ("a control byte in the reason", b"HTTP/1.1 200 O\x01K"),
            ("DEL in the reason", b"HTTP/1.1 200 O\x7fK"),
            ("a bare CR in the reason", b"HTTP/1.1 200 O\rK"),
            ("a line ended by LF", b"HTTP/1.1 200 OK\nX-A: 1"),
        ],
    ),
    lines(
        "RFC 9112 §4",
        Allowed::Passed(200, &[Check::Body(b"ok")]),
        &[
            ("a reason of words", b"HTTP/1.1 200 All is well"),
            ("an empty reason", b"HTTP/1.1 200 "),
            ("no reason and no space", b"HTTP/1.1 200"),
            ("obs-text in the reason", b"HTTP/1.1 200 \xe9\xff"),
            ("an answer in HTTP/1.0", b"HTTP/1.0 200 OK"),
        ],
    ),
    lines(
        "RFC 9110 §15",
        Allowed::Passed(299, &[Check::Body(b"ok")]),
        &[("a status nobody knows", b"HTTP/1.1 299 Odd")],
    ),
    lines(
        "RFC 9110 §15",
        Allowed::Passed(599, &[Check::Body(b"ok")]),
        &[("the last status", b"HTTP/1.1 599 Odd")],
    ),
    Group::Answers {
        rfc: "RFC 9112 §5, RFC 9110 §5",
        asked: ASKED,
        before: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        after: b"\r\n\r\nok",
        ends: Ends::Closed,
        allowed: Allowed::BadGateway,
        rows: &[
            ("a space before the colon", b"X-A : 1"),
            ("a tab before the colon", b"X-A\t: 1"),
            ("no colon", b"X-A"),
            ("an empty name", b": 1"),
            ("a space in a name", b"X A: 1"),
            ("NUL in a name", b"X\0A: 1"),
            ("a high byte in a name", b"X\xe9: 1"),
            ("a mark that no name has", b"X(A): 1"),
            ("NUL in a value", b"X-A: a\0b"),
            ("a control byte in a value", b"X-A: a\x01b"),
            ("a vertical tab in a value", b"X-A: a\x0bb"),
            ("DEL in a value", b"X-A: a\x7fb"),
            ("a bare CR in a value", b"X-A: a\rb"),
            ("a bare CR before a field of its own", b"X-A: a\rX-B: b"),
            ("a field ended by LF", b"X-A: a\nX-B: b"),
            ("a folded value", b"X-A: 1\r\n 2"),
            ("a value folded by a tab", b"X-A: 1\r\n\t2"),
            ("a line of white space", b" "),
        ],
    },
    Group::Answers {
        rfc: "RFC 9112 §5.2",
        asked: ASKED,
        before: b"HTTP/1.1 200 OK\r\n",
        after: b"Content-Length: 2\r\n\r\nok",
        ends: Ends::Closed,
        allowed: Allowed::BadGateway,
        rows: &[("white space before the first field", b" X-A: 1\r\n")],
    },
    Group::Answers {
        rfc: "RFC 9112 §2.3",
        asked: ASKED,
        before: b"",
        after: b"",
        ends: Ends::Closed,
        allowed: Allowed::BadGateway,
        rows: &[
            ("a page without a head", b"<html>hello</html>\r\n"),
            ("garbage", b"\xff\xfe\0\x01garbage\r\n\r\n"),
            ("an SSH banner", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
            ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
            ("half a status line", b"HTTP/1.1 2"),
            ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
            (
                "a head without its empty line",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
            ),
            (
                "a head ended by LF",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
            ),
            ("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
    },
    Group::Answers {
        rfc: "RFC 9112 §2.3",
        asked: ASKED_ONCE,
        before: b"",
        after: b"",
        ends: Ends::Closed,
        allowed: Allowed::BadGateway,
        rows: &[("nothing", b"")],
    },
    Group::Answers {
        rfc: "RFC 9112 §9.5",
        asked: ASKED_ONCE,
        before: b"",
        after: b"",
        ends: Ends::Reset,
        allowed: Allowed::BadGateway,
        rows: &[
            ("a reset for an answer", b""),
            ("a reset in the head", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ],
    },
    Group::Scripts(LONG),
];

const fn long(name: &'static str, upstream: &'static [Play], allowed: Allowed) -> Script {
    Script {
        name,
        rfc: "RFC 9110 §5.4",
        client: &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        upstream,
        allowed,
    }
}

const LONG: &[Script] = &[
    long(
        "a head without end",
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(b"HTTP/1.1 200 OK\r\nX-A: "),
                Piece::Times(1_000_000, b"x"),
            ]),
            Play::Close,
        ],
        Allowed::BadGateway,
    ),
    long(
        "fields without end",
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(b"HTTP/1.1 200 OK\r\n"),
                Piece::Times(100_000, b"X-A: 1\r\n"),
            ]),
            Play::Close,
        ],
        Allowed::BadGateway,
    ),
    long(
        "a head of sixty fields",
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
                Piece::Times(60, b"X-A: 1\r\n"),
                Piece::Is(b"\r\nok"),
            ]),
        ],
        Allowed::Passed(200, &[Check::Body(b"ok")]),
    ),
];
