//! What ends at each hop, in both directions, and what a proxy says of itself.
//!
//! `Connection` may name a field to end it here, but none that frames, routes or
//! authenticates. Upgrades are agreed by both sides or by nobody.

use crate::wire::case::{Allowed, Check, Ends, Group};

const BEFORE: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n";
const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9110 §7.6.1",
        before: BEFORE,
        after: b"X-Kept: 1\r\n\r\n",
        allowed: Allowed::Accepted(&[
            Check::Hides(b"secret"),
            Check::Hides(b"x-mine"),
            Check::Passes("x-kept", &[b"1"]),
        ]),
        rows: &[
            (
                "a named field ends here",
                b"Connection: X-Mine\r\nX-Mine: secret\r\n",
            ),
            (
                "a named field before its name",
                b"X-Mine: secret\r\nConnection: x-mine\r\n",
            ),
            (
                "a named field that is repeated",
                b"X-Mine: secret\r\nConnection: X-MINE\r\nx-mine: secret\r\n",
            ),
            (
                "a field named among others",
                b"Connection: keep-alive ,\t,X-Mine, foo\r\nX-Mine: secret\r\n",
            ),
            (
                "a field named in the second Connection",
                b"Connection: keep-alive\r\nConnection: x-mine\r\nX-Mine: secret\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.1",
        before: BEFORE,
        after: b"X-Kept: 1\r\n\r\n",
        allowed: Allowed::Accepted(&[
            Check::Hides(b"secret"),
            Check::Drops("keep-alive"),
            Check::Drops("proxy-connection"),
            Check::Drops("proxy-authorization"),
            Check::Drops("te"),
            Check::Drops("upgrade"),
            Check::Drops("http2-settings"),
            Check::Passes("x-kept", &[b"1"]),
        ]),
        rows: &[
            (
                "Keep-Alive",
                b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
            ),
            ("Keep-Alive that nobody named", b"Keep-Alive: timeout=5\r\n"),
            ("Proxy-Connection", b"Proxy-Connection: keep-alive\r\n"),
            ("Proxy-Connection of close", b"Proxy-Connection: close\r\n"),
            (
                "Proxy-Authorization",
                b"Proxy-Authorization: Basic secret\r\n",
            ),
            ("TE of trailers", b"Connection: TE\r\nTE: trailers\r\n"),
            ("TE that nobody named", b"TE: gzip;q=0.5, trailers\r\n"),
            (
                "Upgrade to what nobody has",
                b"Connection: Upgrade\r\nUpgrade: secret/1\r\n",
            ),
            ("Upgrade that nobody named", b"Upgrade: secret/1\r\n"),
            (
                "Upgrade to h2c is ignored",
                b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                  HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.1",
        before: BEFORE,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("Connection names Host", b"Connection: host\r\n"),
            (
                "Connection names Host among others",
                b"Connection: close, HOST\r\n",
            ),
            (
                "Connection names the length",
                b"Connection: Content-Length\r\nContent-Length: 0\r\n",
            ),
            (
                "Connection names the coding",
                b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            ),
            (
                "Connection names the key",
                b"Connection: authorization\r\nAuthorization: Bearer x\r\n",
            ),
            (
                "Connection names a key elsewhere",
                b"Connection: X-Api-Key\r\nX-Api-Key: x\r\n",
            ),
            (
                "Connection names who was forwarded for",
                b"Connection: x-forwarded-for\r\nX-Forwarded-For: 1.2.3.4\r\n",
            ),
            (
                "Connection names Forwarded",
                b"Connection: forwarded\r\nForwarded: for=1.2.3.4\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.8",
        before: b"POST /case HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        after: b"",
        allowed: BAD,
        rows: &[
            ("Upgrade and a body", b"Content-Length: 3\r\n\r\nabc"),
            (
                "Upgrade and chunks",
                b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.3",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Adds("via"), Check::Some("via")]),
        rows: &[("Via is added on both ways", b"")],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.3",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Adds("via"), Check::Reaches(b"1.0 fred")]),
        rows: &[("Via of those before stays", b"Via: 1.0 fred\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9112 §2.3",
        before: b"GET /case HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n",
        after: b"\r\n",
        allowed: Allowed::Accepted(&[
            Check::Line("GET /case HTTP/1.1"),
            Check::Somewhere(b"HTTP/1.1 200"),
        ]),
        rows: &[("the version is ours on both ways", b"")],
    },
    Group::Answers {
        rfc: "RFC 9110 §7.6.1",
        asked: ASKED,
        before: ANSWER,
        after: b"X-Kept: 1\r\n\r\nok",
        ends: Ends::Open,
        allowed: Allowed::Passed(
            200,
            &[
                Check::Never(b"secret"),
                Check::Lacks("keep-alive"),
                Check::Lacks("proxy-connection"),
                Check::Lacks("proxy-authenticate"),
                Check::Lacks("te"),
                Check::Lacks("upgrade"),
                Check::Has("x-kept", &[b"1"]),
                Check::Body(b"ok"),
            ],
        ),
        rows: &[
            (
                "an answer's named field",
                b"Connection: x-mine\r\nX-Mine: secret\r\n",
            ),
            (
                "an answer's Keep-Alive",
                b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
            ),
            (
                "an answer's Proxy-Connection",
                b"Proxy-Connection: keep-alive\r\n",
            ),
            (
                "an answer's Proxy-Authenticate",
                b"Proxy-Authenticate: Basic realm=\"secret\"\r\n",
            ),
            (
                "an answer's Upgrade",
                b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            ),
        ],
    },
    Group::Answers {
        rfc: "RFC 9110 §7.6.1",
        asked: ASKED,
        before: ANSWER,
        after: b"\r\nok",
        ends: Ends::Open,
        allowed: Allowed::BadGateway,
        rows: &[
            (
                "an answer that hides its length",
                b"Connection: content-length\r\n",
            ),
            (
                "an answer that hides its coding",
                b"Connection: transfer-encoding\r\n",
            ),
        ],
    },
    Group::Answers {
        rfc: "RFC 9110 §6.6.1",
        asked: ASKED,
        before: ANSWER,
        after: b"\r\nok",
        ends: Ends::Open,
        allowed: Allowed::Passed(200, &[Check::Some("date")]),
        rows: &[("Date is added when it is absent", b"")],
    },
    Group::Answers {
        rfc: "RFC 9110 §6.6.1",
        asked: ASKED,
        before: ANSWER,
        after: b"\r\nok",
        ends: Ends::Open,
        allowed: Allowed::Passed(
            200,
            &[Check::Has("date", &[b"Sun, 06 Nov 1994 08:49:37 GMT"])],
        ),
        rows: &[(
            "Date stays when it is there",
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        )],
    },
    Group::Answers {
        rfc: "RFC 9110 §5.3, §5.5",
        asked: ASKED,
        before: ANSWER,
        after: b"\r\nok",
        ends: Ends::Open,
        allowed: Allowed::Passed(
            200,
            &[
                Check::Has("set-cookie", &[b"a=1", b"b=2", b"a=3"]),
                Check::Has("x-text", &[b"\xe9\xff\t\"x\""]),
                Check::Has("x-empty", &[b""]),
            ],
        ),
        rows: &[(
            "an answer's fields pass in order and unchanged",
            b"Set-Cookie: a=1\r\nX-Text: \xe9\xff\t\"x\"\r\nSet-Cookie: b=2\r\nX-Empty:\r\n\
              Set-Cookie: a=3\r\n",
        )],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.2",
        before: b"OPTIONS /case HTTP/1.1\r\nHost: a\r\n",
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("max-forwards", &[b"2"])]),
        rows: &[(
            "Max-Forwards of OPTIONS counts down",
            b"Max-Forwards: 3\r\n",
        )],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.2",
        before: b"OPTIONS /case HTTP/1.1\r\nHost: a\r\n",
        after: b"\r\n",
        allowed: Allowed::Declined(&[200, 204]),
        rows: &[("OPTIONS that may go no further", b"Max-Forwards: 0\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.2",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("max-forwards", &[b"0"])]),
        rows: &[("Max-Forwards of GET means nothing", b"Max-Forwards: 0\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.6.2",
        before: b"OPTIONS /case HTTP/1.1\r\nHost: a\r\n",
        after: b"\r\n",
        allowed: Allowed::Either(&[400], &[Check::Passes("max-forwards", &[b"+3"])]),
        rows: &[("Max-Forwards that is no number", b"Max-Forwards: +3\r\n")],
    },
];
