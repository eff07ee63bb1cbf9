//! The target of a request: which forms there are, which bytes, and how long.
//!
//! What passes is passed on as it was written, undecoded. What the authority of a target may
//! be is here too; what `Host` may be is in `host`.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, Piece, Script};

const AFTER: &[u8] = b" HTTP/1.1\r\nHost: a\r\n\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 3986 §2",
        before: b"GET /case",
        after: AFTER,
        allowed: BAD,
        rows: &[
            ("a fragment", b"#x"),
            ("a fragment behind a query", b"?a=1#x"),
            ("a backslash", b"\\x"),
            ("a backslash in the query", b"?a=\\x"),
            ("a space in the path", b"/a b"),
            ("NUL in the path", b"/\0"),
            ("a control byte in the path", b"/\x01"),
            ("the last control byte in the path", b"/\x1f"),
            ("a vertical tab in the path", b"/\x0b"),
            ("DEL in the path", b"/\x7f"),
            ("DEL in the query", b"?\x7f"),
            ("UTF-8 in the path", b"/\xc3\xa9"),
            ("UTF-8 in the query", b"?\xc3\xa9"),
            ("the first high byte", b"/\x80"),
            ("the last high byte", b"/\xff"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2",
        before: b"GET ",
        after: AFTER,
        allowed: BAD,
        rows: &[
            ("a path without its slash", b"case"),
            ("a relative path", b"../case"),
            ("a query alone", b"?a=1"),
            ("an asterisk for GET", b"*"),
            ("an authority for GET", b"a:80"),
            ("ftp", b"ftp://a/case"),
            ("file", b"file:///case"),
            ("a scheme with one slash", b"http:/case"),
            ("a scheme without its colon", b"http//a/case"),
            ("an unknown scheme", b"x://a/case"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §4.2",
        before: b"GET ",
        after: AFTER,
        allowed: BAD,
        rows: &[
            ("no authority", b"http:///case"),
            ("a user", b"http://u@a/case"),
            ("a user and a password", b"http://u:p@a/case"),
            ("a user in https", b"https://u@a/case"),
            ("an empty user", b"http://@a/case"),
            ("a port that does not exist", b"http://a:99999/case"),
            ("a port of letters", b"http://a:x/case"),
            ("an IPv6 literal without end", b"http://[::1/case"),
            ("a bracket around no address", b"http://[zz]/case"),
            ("two hosts", b"http://a,b/case"),
            ("a quote in the authority", b"http://a\"/case"),
            ("a port alone", b"http://:80/case"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2.2",
        before: b"GET ",
        after: AFTER,
        allowed: Allowed::Accepted(&[Check::Line("GET /case HTTP/1.1")]),
        rows: &[
            ("the absolute form", b"http://a/case"),
            ("the absolute form in capitals", b"HTTP://A/case"),
            ("the absolute form with a port", b"http://a:80/case"),
            ("the absolute form of https", b"https://a/case"),
            ("an authority other than Host", b"http://b/case"),
            ("an address for a name", b"http://[::1]:80/case"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2.2",
        before: b"GET http://a/case HTTP/1.1\r\n",
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("the absolute form without Host", b""),
            ("the absolute form with an empty Host", b"Host:\r\n"),
        ],
    },
    Group::Scripts(KEPT),
    Group::Scripts(LONG),
    Group::Requests {
        rfc: "RFC 9110 §9.3.7",
        before: b"OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        after: b"\r\n",
        allowed: Allowed::Declined(&[200, 204]),
        rows: &[("OPTIONS of the server", b"")],
    },
];

/// A target that arrives as it was written.
const fn kept(name: &'static str, sent: &'static [Act], line: &'static [Check]) -> Script {
    Script {
        name,
        rfc: "RFC 9110 §4.2.3, RFC 3986 §6.2.2",
        client: sent,
        upstream: &[],
        allowed: Allowed::Accepted(line),
    }
}

const KEPT: &[Script] = &[
    kept(
        "a query stays",
        &[
            Act::Send(b"GET /case?x=1&y=%20 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case?x=1&y=%20 HTTP/1.1")],
    ),
    kept(
        "an empty query stays",
        &[
            Act::Send(b"GET /case? HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case? HTTP/1.1")],
    ),
    kept(
        "a question mark in the query stays",
        &[
            Act::Send(b"GET /case?a?/b HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case?a?/b HTTP/1.1")],
    ),
    kept(
        "an encoded slash stays encoded",
        &[
            Act::Send(b"GET /case/a%2fb%2F HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case/a%2fb%2F HTTP/1.1")],
    ),
    kept(
        "an encoded line end is never decoded into a head",
        &[
            Act::Send(b"GET /case/%0d%0aX-A:%201 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[
            Check::Line("GET /case/%0d%0aX-A:%201 HTTP/1.1"),
            Check::Drops("x-a"),
        ],
    ),
    kept(
        "an encoded line end in the query stays encoded",
        &[
            Act::Send(b"GET /case?a=%0D%0AX-A:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case?a=%0D%0AX-A:1 HTTP/1.1")],
    ),
    kept(
        "sub-delimiters stay",
        &[
            Act::Send(b"GET /case/a;b=c,d!$&'()*+:@ HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case/a;b=c,d!$&'()*+:@ HTTP/1.1")],
    ),
    kept(
        "the absolute form loses its authority and nothing else",
        &[
            Act::Send(b"GET http://b/case/x?y=%2f HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        &[Check::Line("GET /case/x?y=%2f HTTP/1.1")],
    ),
    Script {
        name: "an encoded NUL is never decoded",
        rfc: "RFC 3986 §2.1",
        client: &[
            Act::Send(b"GET /case/%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Either(&[400], &[Check::Line("GET /case/%00 HTTP/1.1")]),
    },
];

const LONG: &[Script] = &[
    Script {
        name: "a target of 8,000 octets",
        rfc: "RFC 9112 §3",
        client: &[
            Act::SendLong(&[
                Piece::Is(b"GET /case/"),
                Piece::Times(7994, b"x"),
                Piece::Is(b" HTTP/1.1\r\nHost: a\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Accepted(&[]),
    },
    Script {
        name: "a target longer than the limit",
        rfc: "RFC 9110 §15.5.15",
        client: &[
            Act::SendLong(&[
                Piece::Is(b"GET /case/"),
                Piece::Times(40_000, b"x"),
                Piece::Is(b" HTTP/1.1\r\nHost: a\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Refused(&[414]),
    },
    Script {
        name: "a query longer than the limit",
        rfc: "RFC 9110 §15.5.15",
        client: &[
            Act::SendLong(&[
                Piece::Is(b"GET /case?"),
                Piece::Times(40_000, b"x"),
                Piece::Is(b" HTTP/1.1\r\nHost: a\r\n\r\n"),
            ]),
            Act::Send(NEXT),
        ],
        upstream: &[],
        allowed: Allowed::Refused(&[414]),
    },
    Script {
        name: "a target without end is refused before its end",
        rfc: "RFC 9110 §15.5.15",
        client: &[Act::SendLong(&[
            Piece::Is(b"GET /case/"),
            Piece::Times(40_000, b"x"),
        ])],
        upstream: &[],
        allowed: Allowed::Refused(&[414]),
    },
];
