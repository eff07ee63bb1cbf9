//! Deadlines: for a head, for a body, between requests, and for an upstream.
//!
//! Each is absolute or between two reads as its name says; here it is only seen that there is
//! one, that it is told to the client where it can be, and that nothing half goes on.

use crate::wire::case::{Act, Allowed, Check, Group, Play, Script};

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";

const fn script(
    name: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    checks: &'static [Check],
) -> Script {
    Script {
        name,
        rfc: "RFC 9110 §15.5.9, §15.6.5, RFC 9112 §9.5",
        client,
        upstream,
        allowed: Allowed::All(checks),
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[Group::Scripts(SCRIPTS)];

const SCRIPTS: &[Script] = &[
    script(
        "a head that stops is told 408",
        &[Act::Send(b"GET /case HTTP/1.1\r\nHost: a\r\nX-A")],
        &[],
        &[
            Check::Statuses(&[408]),
            Check::Has("connection", &[b"close"]),
            Check::Untouched,
        ],
    ),
    script(
        "a request line that stops is told 408",
        &[Act::Send(b"GET /ca")],
        &[],
        &[Check::Statuses(&[408]), Check::Untouched],
    ),
    script(
        "a head that drips does not extend its deadline",
        &[
            Act::Send(b"GET /case HTTP/1.1\r\nHost: a\r\nX-A: "),
            Act::DripUntilAnswered(b"x"),
        ],
        &[],
        &[Check::Statuses(&[408]), Check::Untouched],
    ),
    script(
        "a body that stops is never whole",
        &[Act::Send(
            b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        )],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a body that stops is told 408",
        &[Act::Send(
            b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        )],
        &[],
        &[Check::Statuses(&[408])],
    ),
    script(
        "chunks that stop are never whole",
        &[Act::Send(
            b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        )],
        &[],
        &[Check::NothingWhole],
    ),
    script(
        "a body that drips is told 408 before it has come",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"),
            Act::DripUntilAnswered(b"x"),
        ],
        &[],
        &[Check::Statuses(&[408]), Check::NothingWhole],
    ),
    script(
        "chunks that drip are told 408 before the last has come",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::DripUntilAnswered(b"1\r\nx\r\n"),
        ],
        &[],
        &[Check::Statuses(&[408]), Check::NothingWhole],
    ),
    script(
        "a connection without a request is closed",
        &[],
        &[],
        &[
            Check::OneOf(&[Check::NoAnswer, Check::Statuses(&[408])]),
            Check::Untouched,
        ],
    ),
    script(
        "a connection that is idle after an answer is closed",
        &[Act::Send(ASKED), Act::ReadAnswer],
        &[],
        &[Check::Statuses(&[200]), Check::Calls(1)],
    ),
    script(
        "an upstream that does not answer is a 504",
        &[Act::Send(ASKED)],
        &[Play::Take, Play::AwaitRelease],
        &[Check::Status(&[504]), Check::CallsMax(1)],
    ),
    script(
        "an upstream that stops in its head is a 504",
        &[Act::Send(ASKED)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nX-A"),
            Play::AwaitRelease,
        ],
        &[Check::Status(&[502, 504]), Check::CallsMax(1)],
    ),
    script(
        "an upstream that stops in its body is cut visibly",
        &[Act::Send(ASKED)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Play::AwaitRelease,
        ],
        &[Check::Cut, Check::CallsMax(1)],
    ),
];
