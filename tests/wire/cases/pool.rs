//! Connections to an upstream: which are used again, and what may be sent twice.
//!
//! A connection is used again only when its last answer ended where it said. A request is
//! sent again only when nothing of it can have been done, or doing it twice is the same.

use crate::wire::case::{Act, Allowed, Check, Ends, Group, NEXT, OK, Play, Script};

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// An answer that ends the connection, whatever the upstream then does with it.
const fn parting(
    rfc: &'static str,
    ends: Ends,
    rows: &'static [(&'static str, &'static [u8])],
) -> Group {
    Group::Answers {
        rfc,
        asked: ASKED,
        before: b"",
        after: b"",
        ends,
        allowed: Allowed::Passed(200, &[Check::Body(b"ok"), Check::NotReused]),
        rows,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    parting(
        "RFC 9112 §9.3",
        Ends::Open,
        &[
            (
                "an answer that says close",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            ),
            (
                "an answer that says close in a list",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: foo, Close\r\n\r\nok",
            ),
            (
                "an answer in HTTP/1.0",
                b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            ),
        ],
    ),
    parting(
        "RFC 9112 §6.3",
        Ends::Closed,
        &[
            ("an answer until close", b"HTTP/1.1 200 OK\r\n\r\nok"),
            (
                "an answer until close in HTTP/1.0",
                b"HTTP/1.0 200 OK\r\n\r\nok",
            ),
        ],
    ),
    parting(
        "RFC 9112 §6.3, RFC 9110 §17",
        Ends::Open,
        &[
            (
                "a second answer that nobody asked for",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
                  HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            ),
            (
                "bytes behind an answer with a length",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
            ),
            (
                "bytes behind an answer in chunks",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
            ),
            (
                "a second answer behind chunks",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            ),
        ],
    ),
    Group::Scripts(SCRIPTS),
];

/// A POST behind a GET that was answered 200: told that it failed, or left by a close, and in
/// either case sent once.
const ONCE: &[Check] = &[
    Check::Once("POST"),
    Check::OneOf(&[Check::Statuses(&[200, 502, 200]), Check::Statuses(&[200])]),
];

const fn script(
    name: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    checks: &'static [Check],
) -> Script {
    Script {
        name,
        rfc: "RFC 9110 §9.2.2, RFC 9112 §9.3.1",
        client,
        upstream,
        allowed: Allowed::All(checks),
    }
}

const SCRIPTS: &[Script] = &[
    script(
        "a connection whose answers end well is used again",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[],
        &[
            Check::Statuses(&[200, 200, 200]),
            Check::Calls(3),
            Check::Reused,
        ],
    ),
    script(
        "an answer that comes unasked between two requests",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Release,
            Act::AwaitUpstream,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(OK),
            Play::AwaitRelease,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            Play::Tell,
        ],
        &[
            Check::Statuses(&[200, 200]),
            Check::Never(b"evil"),
            Check::NothingElse,
        ],
    ),
    script(
        "a connection that closed while it was idle is replaced for a GET",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Release,
            Act::AwaitUpstream,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(OK),
            Play::AwaitRelease,
            Play::CloseAndTell,
        ],
        &[Check::Statuses(&[200, 200]), Check::Calls(2)],
    ),
    script(
        "a connection that closed while it was idle is replaced for a POST",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Release,
            Act::AwaitUpstream,
            Act::Send(POST),
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(OK),
            Play::AwaitRelease,
            Play::CloseAndTell,
        ],
        &[Check::Statuses(&[200, 200, 200]), Check::Calls(3)],
    ),
    script(
        "a GET is sent again when its kept connection closes under it",
        &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        &[Play::Take, Play::Send(OK), Play::Take, Play::Close],
        &[Check::Statuses(&[200, 200]), Check::Calls(3)],
    ),
    script(
        "a POST is not sent again when its kept connection closes under it",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Send(POST),
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[Play::Take, Play::Send(OK), Play::Take, Play::Close],
        ONCE,
    ),
    script(
        "a POST is not sent again when its kept connection is reset under it",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Send(POST),
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[Play::Take, Play::Send(OK), Play::Take, Play::Reset],
        ONCE,
    ),
    script(
        "a POST is not sent again when its new connection closes under it",
        &[Act::Send(POST), Act::ReadAnswer, Act::Send(NEXT)],
        &[Play::Take, Play::Close],
        &[Check::Statuses(&[502, 200]), Check::Calls(2)],
    ),
    script(
        "a POST is not sent again when an answer has begun",
        &[
            Act::Send(ASKED),
            Act::ReadAnswer,
            Act::Send(POST),
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(OK),
            Play::Take,
            Play::Send(b"HTTP/1.1 2"),
            Play::Close,
        ],
        ONCE,
    ),
    script(
        "a connection is not used again when an answer is cut",
        &[Act::Send(ASKED)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            Play::Close,
        ],
        &[Check::Calls(1), Check::Cut],
    ),
];
