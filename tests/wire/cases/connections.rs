//! One connection from a client: requests in order, ends that are meant and ends that are not.
//!
//! A request that ends early is never whole; a client that is gone is not waited for. What
//! becomes of the upstream's connections is in `pool`.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, OK, Piece, Play, Script};

const GET: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// What stands behind a request that ends the connection, and must be ignored.
const fn closing(allowed: Allowed, rows: &'static [(&'static str, &'static [u8])]) -> Group {
    Group::Requests {
        rfc: "RFC 9112 §9.3, §9.6",
        before: b"GET /case HTTP/1.",
        after: b"\r\n",
        allowed,
        rows,
    }
}

/// A case told by both sides.
const fn script(
    name: &'static str,
    rfc: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    checks: &'static [Check],
) -> Script {
    Script {
        name,
        rfc,
        client,
        upstream,
        allowed: Allowed::All(checks),
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    closing(
        Allowed::All(&[
            Check::Statuses(&[200]),
            Check::Calls(1),
            Check::Has("connection", &[b"close"]),
        ]),
        &[
            ("close", b"1\r\nHost: a\r\nConnection: close\r\n"),
            (
                "close in capitals",
                b"1\r\nHost: a\r\nConnection: CLOSE\r\n",
            ),
            (
                "close in a list",
                b"1\r\nHost: a\r\nConnection: keep-alive, close\r\n",
            ),
            (
                "close in a second field",
                b"1\r\nHost: a\r\nConnection: foo\r\nConnection: close\r\n",
            ),
        ],
    ),
    closing(
        Allowed::All(&[Check::Statuses(&[200]), Check::Calls(1), Check::Body(b"ok")]),
        &[
            ("HTTP/1.0 closes", b"0\r\nHost: a\r\n"),
            (
                "HTTP/1.0 closes when it says so",
                b"0\r\nHost: a\r\nConnection: close\r\n",
            ),
            (
                "HTTP/1.0 closes when it says both",
                b"0\r\nHost: a\r\nConnection: keep-alive, close\r\n",
            ),
        ],
    ),
    closing(
        Allowed::Accepted(&[Check::Somewhere(b"connection: keep-alive")]),
        &[(
            "HTTP/1.0 stays when it asked to",
            b"0\r\nHost: a\r\nConnection: keep-alive\r\n",
        )],
    ),
    Group::Scripts(ORDER),
    Group::Scripts(HALF_CLOSED),
    Group::Scripts(CUT),
    Group::Scripts(GONE),
    Group::Scripts(UNREAD),
];

const ORDER: &[Script] = &[
    script(
        "pipelined requests are answered in order",
        "RFC 9112 §9.3.2",
        &[Act::SendLong(&[
            Piece::Is(GET),
            Piece::Is(POST),
            Piece::Times(8, GET),
            Piece::Is(NEXT),
        ])],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"),
            Play::Take,
            Play::Send(b"HTTP/1.1 201 OK\r\nContent-Length: 6\r\n\r\nsecond"),
            Play::Take,
            Play::Send(b"HTTP/1.1 202 OK\r\nContent-Length: 5\r\n\r\nthird"),
        ],
        &[
            Check::Statuses(&[200, 201, 202, 200, 200, 200, 200, 200, 200, 200, 200]),
            Check::Body(b"first"),
            Check::Calls(11),
        ],
    ),
    script(
        "a pipelined request waits while the one before it is slow",
        "RFC 9112 §9.3.2",
        &[
            Act::Send(GET),
            Act::Send(NEXT),
            Act::AwaitUpstream,
            Act::Release,
        ],
        &[
            Play::Take,
            Play::Tell,
            Play::AwaitRelease,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
        ],
        &[Check::Statuses(&[200, 200]), Check::Body(b"slow")],
    ),
    script(
        "a request in two segments",
        "RFC 9112 §2.2",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Le"),
            Act::Send(b"ngth: 3\r\n\r\na"),
            Act::Send(b"bc"),
            Act::Send(NEXT),
        ],
        &[],
        &[Check::Statuses(&[200, 200]), Check::Sent(b"abc")],
    ),
    script(
        "a request byte by byte",
        "RFC 9112 §2.2",
        &[
            Act::Drip(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            Act::Drip(NEXT),
        ],
        &[],
        &[
            Check::Statuses(&[200, 200]),
            Check::Sent(b"abc"),
            Check::Calls(2),
        ],
    ),
    script(
        "an upload and the request behind it in one write",
        "RFC 9112 §9.3.2",
        &[Act::SendLong(&[
            Piece::Is(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"),
            Piece::Times(300_000, b"x"),
            Piece::Is(NEXT),
        ])],
        &[],
        &[
            Check::Statuses(&[200, 200]),
            Check::SentBytes(300_000),
            Check::Calls(2),
        ],
    ),
];

/// A client that has finished sending and still listens.
const HALF_CLOSED: &[Script] = &[
    script(
        "a client that has finished sending gets its answer",
        "RFC 9112 §9.6",
        &[Act::Send(GET), Act::FinishSending],
        &[],
        &[Check::Statuses(&[200]), Check::Body(b"ok"), Check::Calls(1)],
    ),
    script(
        "a client that has finished sending a body gets its answer",
        "RFC 9112 §9.6",
        &[Act::Send(POST), Act::FinishSending],
        &[],
        &[Check::Statuses(&[200]), Check::Sent(b"abc")],
    ),
    script(
        "a client that has finished sending gets a slow answer",
        "RFC 9112 §9.6",
        &[
            Act::Send(GET),
            Act::AwaitUpstream,
            Act::FinishSending,
            Act::Release,
        ],
        &[Play::Take, Play::Tell, Play::AwaitRelease, Play::Send(OK)],
        &[Check::Statuses(&[200]), Check::Body(b"ok")],
    ),
];

/// Requests that end before they are whole.
const CUT: &[Script] = &[
    script(
        "a request line cut short",
        "RFC 9112 §8",
        &[Act::Send(b"GET /case HT"), Act::FinishSending],
        &[],
        &[Check::Untouched],
    ),
    script(
        "a head cut short",
        "RFC 9112 §8",
        &[
            Act::Send(b"GET /case HTTP/1.1\r\nHost: a\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::Untouched],
    ),
    script(
        "a body cut short",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"),
            Act::FinishSending,
        ],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a body that never began",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a body cut short by a reset",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"),
            Act::AwaitUpstream,
            Act::Vanish,
        ],
        &[Play::TakeHead, Play::Tell, Play::AwaitHangUp],
        &[Check::NothingWhole, Check::ToldInTime],
    ),
    script(
        "chunks without the last one",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"3\r\nabc\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a chunk cut short",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"9\r\nabc"),
            Act::FinishSending,
        ],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a last chunk without the empty line",
        "RFC 9112 §8",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"3\r\nabc\r\n0\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::NothingWhole],
    ),
];

/// Clients that leave without a word.
const GONE: &[Script] = &[
    script(
        "a client that leaves before the answer begins",
        "RFC 9110 §15.5, RFC 9112 §9.5",
        &[Act::Send(GET), Act::AwaitUpstream, Act::Vanish],
        &[Play::Take, Play::Tell, Play::AwaitHangUp],
        &[Check::ToldInTime, Check::Calls(1)],
    ),
    script(
        "a client that leaves after an upload, before the answer begins",
        "RFC 9112 §9.5",
        &[Act::Send(POST), Act::AwaitUpstream, Act::Vanish],
        &[Play::Take, Play::Tell, Play::AwaitHangUp],
        &[Check::ToldInTime, Check::Calls(1)],
    ),
    script(
        "a client that leaves in the middle of an answer",
        "RFC 9112 §9.5",
        &[Act::Send(GET), Act::ReadUntil(b"first"), Act::Vanish],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Play::AwaitHangUp,
        ],
        &[Check::ToldInTime, Check::Calls(1)],
    ),
];

/// Refusals whose request has a body that nobody reads.
const UNREAD: &[Script] = &[
    script(
        "a refused body is never taken for a request",
        "RFC 9112 §9.3",
        &[
            Act::Send(
                b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n\
                  GET /case/within HTTP/1.1\r\nHost: a\r\n",
            ),
            Act::Send(b"\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::Untouched, Check::Status(&[401, 404, 503])],
    ),
    script(
        "a refused chunk is never taken for a request",
        "RFC 9112 §9.3",
        &[
            Act::Send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"26\r\nGET /case/within HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::Untouched, Check::Status(&[401, 404, 503])],
    ),
];
