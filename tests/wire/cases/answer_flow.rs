//! Answers in time: interim ones, early ones, streams, and protocols that nobody asked for.
//!
//! What arrives leaves when it arrives; an answer may come before its request is whole.

use crate::wire::case::{Act, Allowed, Check, Ends, Group, NEXT, OK, Piece, Play, Script};

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Interim answers before the final one.
const fn interim(allowed: Allowed, rows: &'static [(&'static str, &'static [u8])]) -> Group {
    Group::Answers {
        rfc: "RFC 9110 §15.2",
        asked: ASKED,
        before: b"HTTP/1.1 ",
        after: ANSWER,
        ends: Ends::Open,
        allowed,
        rows,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    interim(
        Allowed::Passed(200, &[Check::Interims(&[103]), Check::Body(b"ok")]),
        &[(
            "a 103 is passed on",
            b"103 Early Hints\r\nLink: </x>\r\n\r\n",
        )],
    ),
    interim(
        Allowed::Passed(200, &[Check::Interims(&[102, 103]), Check::Body(b"ok")]),
        &[(
            "a 102 and a 103 are passed on",
            b"102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        )],
    ),
    interim(
        Allowed::Passed(200, &[Check::Body(b"ok")]),
        &[
            ("a 100 that nobody waits for", b"100 Continue\r\n\r\n"),
            ("an interim answer nobody knows", b"199 Odd\r\n\r\n"),
            (
                "an interim answer with a length",
                b"103 Early Hints\r\nContent-Length: 9\r\n\r\n",
            ),
        ],
    ),
    interim(
        Allowed::BadGateway,
        &[
            (
                "a 101 that nobody asked for",
                b"101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            ),
            ("a 101 without a word", b"101 Switching Protocols\r\n\r\n"),
            (
                "a malformed interim answer",
                b"103 Early Hints\r\nLink : </x>\r\n\r\n",
            ),
        ],
    ),
    Group::Answers {
        rfc: "RFC 9110 §15.2",
        asked: b"GET /case HTTP/1.0\r\nHost: a\r\n\r\n",
        before: b"HTTP/1.1 103 Early Hints\r\n\r\n",
        after: ANSWER,
        ends: Ends::Open,
        allowed: Allowed::Passed(200, &[Check::Interims(&[]), Check::Body(b"ok")]),
        rows: &[("HTTP/1.0 is sent no interim answer", b"")],
    },
    Group::Scripts(SCRIPTS),
    Group::Scripts(STREAMS),
    Group::Scripts(EARLY),
];

const fn script(
    name: &'static str,
    rfc: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    allowed: Allowed,
) -> Script {
    Script {
        name,
        rfc,
        client,
        upstream,
        allowed,
    }
}

const SCRIPTS: &[Script] = &[
    script(
        "a flood of interim answers",
        "RFC 9110 §15.2",
        &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        &[
            Play::Take,
            Play::SendLong(&[Piece::Times(20_000, b"HTTP/1.1 103 Early Hints\r\n\r\n")]),
            Play::Send(OK),
        ],
        Allowed::BadGateway,
    ),
    script(
        "an interim answer leaves before the final one comes",
        "RFC 9110 §15.2",
        &[
            Act::Send(ASKED),
            Act::ReadUntil(b" 103 "),
            Act::Release,
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
            Play::AwaitRelease,
            Play::Send(OK),
        ],
        Allowed::Passed(200, &[Check::Interims(&[103])]),
    ),
    script(
        "an answer of a mebibyte",
        "RFC 9112 §6.2",
        &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"),
                Piece::Times(1_048_576, b"x"),
            ]),
        ],
        Allowed::Passed(200, &[Check::BodyBytes(1_048_576)]),
    ),
    script(
        "an answer of a thousand chunks",
        "RFC 9112 §7.1",
        &[Act::Send(ASKED), Act::ReadAnswer, Act::Send(NEXT)],
        &[
            Play::Take,
            Play::SendLong(&[
                Piece::Is(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Piece::Times(1000, b"5\r\nhello\r\n"),
                Piece::Is(b"0\r\n\r\n"),
            ]),
        ],
        Allowed::Passed(200, &[Check::BodyBytes(5000)]),
    ),
];

const STREAMS: &[Script] = &[
    script(
        "each event in chunks leaves when it comes",
        "RFC 9112 §7.1",
        &[
            Act::Send(ASKED),
            Act::ReadUntil(b"data: 1"),
            Act::Release,
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
            ),
            Play::AwaitRelease,
            Play::Send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"),
        ],
        Allowed::Passed(200, &[Check::Body(b"data: 1\n\ndata: 2\n\n")]),
    ),
    script(
        "each event until close leaves when it comes",
        "RFC 9112 §6.3",
        &[
            Act::Send(ASKED),
            Act::ReadUntil(b"data: 1"),
            Act::Release,
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"),
            Play::AwaitRelease,
            Play::Send(b"data: 2\n\n"),
            Play::Close,
        ],
        Allowed::Passed(200, &[Check::Body(b"data: 1\n\ndata: 2\n\n")]),
    ),
    script(
        "each part of a body with a length leaves when it comes",
        "RFC 9112 §6.2",
        &[
            Act::Send(ASKED),
            Act::ReadUntil(b"one"),
            Act::Release,
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none"),
            Play::AwaitRelease,
            Play::Send(b"two"),
        ],
        Allowed::Passed(200, &[Check::Body(b"onetwo")]),
    ),
    script(
        "a head leaves before the first byte of its body",
        "RFC 9112 §6.2",
        &[
            Act::Send(ASKED),
            Act::ReadUntil(b"\r\n\r\n"),
            Act::Release,
            Act::ReadAnswer,
            Act::Send(NEXT),
        ],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
            Play::AwaitRelease,
            Play::Send(b"ok"),
        ],
        Allowed::Passed(200, &[Check::Body(b"ok")]),
    ),
];

/// Answers that come before their request is whole.
const EARLY: &[Script] = &[
    script(
        "an early answer is passed on and the upload stopped",
        "RFC 9112 §9.5",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc"),
            Act::ReadUntil(b"too large"),
            Act::FinishSending,
        ],
        &[
            Play::TakeHead,
            Play::Send(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\
                  too large",
            ),
            Play::Close,
        ],
        Allowed::All(&[Check::Statuses(&[413]), Check::Body(b"too large")]),
    ),
    script(
        "an early answer to chunks is passed on",
        "RFC 9112 §9.5",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"3\r\nabc\r\n"),
            Act::ReadUntil(b"no thanks"),
            Act::FinishSending,
        ],
        &[
            Play::TakeHead,
            Play::Send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno thanks"),
            Play::AwaitHangUp,
        ],
        Allowed::All(&[Check::Statuses(&[403]), Check::Body(b"no thanks")]),
    ),
    script(
        "an early answer while the upload does not stop",
        "RFC 9112 §9.5",
        &[
            Act::SendLong(&[
                Piece::Is(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n"),
                Piece::Times(2_000_000, b"x"),
            ]),
            Act::ReadUntil(b"too large"),
            Act::FinishSending,
        ],
        &[
            Play::TakeHead,
            Play::Send(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\
                  too large",
            ),
            Play::Close,
        ],
        Allowed::All(&[Check::Statuses(&[413])]),
    ),
];
