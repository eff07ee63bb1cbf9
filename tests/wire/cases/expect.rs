//! `Expect`: a client that waits is let on, one that expects what nobody has is told so.
//!
//! What refusals do to a waiting client is in `models`, where there is something to refuse.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, OK, Play, Script};

const WAITING: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                         Expect: 100-continue\r\n\r\n";
const WAITING_CHUNKED: &[u8] = b"POST /case HTTP/1.1\r\nHost: a\r\n\
                                 Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9110 §10.1.1",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
        after: b"\r\nabc",
        allowed: Allowed::Declined(&[417]),
        rows: &[
            ("an expectation that nobody has", b"Expect: 200-ok\r\n"),
            ("a parameter", b"Expect: 100-continue;a=b\r\n"),
            ("two in a list", b"Expect: 100-continue, 200-ok\r\n"),
            ("two fields", b"Expect: 200-ok\r\nExpect: 100-continue\r\n"),
            ("a prefix of it", b"Expect: 100-continu\r\n"),
            ("quotes", b"Expect: \"100-continue\"\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §10.1.1",
        before: b"",
        after: b"",
        allowed: Allowed::Accepted(&[]),
        rows: &[
            (
                "a client that does not wait",
                b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                  Expect: 100-continue\r\n\r\nabc",
            ),
            (
                "an expectation without a body",
                b"GET /case HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            ),
            (
                "an expectation with a body of nothing",
                b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\
                  Expect: 100-continue\r\n\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §10.1.1",
        before:
            b"POST /case HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive\r\n",
        after: b"\r\nabc",
        allowed: Allowed::Accepted(&[Check::Interims(&[]), Check::Sent(b"abc")]),
        rows: &[(
            "HTTP/1.0 is never told to continue",
            b"Expect: 100-continue\r\n",
        )],
    },
    Group::Scripts(SCRIPTS),
];

const fn script(
    name: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    allowed: Allowed,
) -> Script {
    Script {
        name,
        rfc: "RFC 9110 §10.1.1, §15.2.1",
        client,
        upstream,
        allowed,
    }
}

const SCRIPTS: &[Script] = &[
    script(
        "a client that waits is let on",
        &[
            Act::Send(WAITING),
            Act::ReadUntil(b"HTTP/1.1 100 "),
            Act::Send(b"abc"),
            Act::Send(NEXT),
        ],
        &[],
        Allowed::Accepted(&[Check::Sent(b"abc"), Check::Interims(&[100])]),
    ),
    script(
        "a client that waits with chunks is let on",
        &[
            Act::Send(WAITING_CHUNKED),
            Act::ReadUntil(b"HTTP/1.1 100 "),
            Act::Send(b"3\r\nabc\r\n0\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[],
        Allowed::Accepted(&[Check::Sent(b"abc"), Check::Interims(&[100])]),
    ),
    script(
        "the expectation in capitals",
        &[
            Act::Send(
                b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                  EXPECT: 100-Continue\r\n\r\n",
            ),
            Act::ReadUntil(b"HTTP/1.1 100 "),
            Act::Send(b"abc"),
            Act::Send(NEXT),
        ],
        &[],
        Allowed::Accepted(&[Check::Sent(b"abc")]),
    ),
    script(
        "an upstream that says 100 as well",
        &[
            Act::Send(WAITING),
            Act::ReadUntil(b"HTTP/1.1 100 "),
            Act::Send(b"abc"),
            Act::Send(NEXT),
        ],
        &[
            Play::TakeHead,
            Play::Send(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Play::TakeBody(3),
            Play::Send(OK),
        ],
        Allowed::Accepted(&[Check::Sent(b"abc")]),
    ),
    script(
        "an upstream that refuses before the body",
        &[
            Act::Send(WAITING),
            Act::ReadUntil(b"HTTP/1.1 413 "),
            Act::FinishSending,
        ],
        &[
            Play::TakeHead,
            Play::Send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            Play::Close,
        ],
        Allowed::All(&[Check::Statuses(&[413])]),
    ),
    script(
        "a bad head is refused without a 100",
        &[Act::Send(
            b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\
                  Expect: 100-continue\r\n\r\n",
        )],
        &[],
        Allowed::All(&[
            Check::Statuses(&[400]),
            Check::Interims(&[]),
            Check::Untouched,
        ]),
    ),
];
