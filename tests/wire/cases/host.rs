//! `Host`: exactly one in HTTP/1.1, and nothing in it that another reader might cut elsewhere.
//!
//! What an absolute target does beside it is in `target`.

use crate::wire::case::{Allowed, Check, Group};

const BEFORE: &[u8] = b"GET /case HTTP/1.1\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §3.2",
        before: BEFORE,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("none", b""),
            ("two", b"Host: a\r\nHost: b\r\n"),
            ("two that are equal", b"Host: a\r\nHost: a\r\n"),
            ("two in different case", b"Host: a\r\nhOST: a\r\n"),
            ("one that is empty and one", b"Host:\r\nHost: a\r\n"),
            ("two apart", b"Host: a\r\nX-A: 1\r\nHost: b\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.2, RFC 3986 §3.2.2",
        before: b"GET /case HTTP/1.1\r\nHost: ",
        after: b"\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a space inside", b"a b"),
            ("a tab inside", b"a\tb"),
            ("a list", b"a, b"),
            ("a comma", b"a,b"),
            ("a slash", b"a/b"),
            ("a slash at the end", b"a/"),
            ("a backslash", b"a\\b"),
            ("a user", b"u@a"),
            ("a double quote", b"a\"b"),
            ("a single quote", b"a'b"),
            ("a query", b"a?b"),
            ("a fragment", b"a#b"),
            ("an angle bracket", b"a<b"),
            ("a brace", b"a{b}"),
            ("a bar", b"a|b"),
            ("a URL", b"http://a"),
            ("NUL", b"a\0b"),
            ("a control byte", b"a\x01b"),
            ("DEL", b"a\x7f"),
            ("a high byte", b"\xc3\xa9"),
            ("half an escape", b"a%2"),
            ("an escape of no digits", b"a%zz"),
        ],
    },
    Group::Requests {
        rfc: "RFC 3986 §3.2.2",
        before: b"GET /case HTTP/1.1\r\nHost: ",
        after: b"\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a bracket without end", b"[::1"),
            ("a bracket without beginning", b"::1]"),
            ("brackets around a name", b"[a]"),
            ("brackets around nothing", b"[]"),
            ("brackets behind a name", b"a[::1]"),
            ("a name behind brackets", b"[::1]a"),
            ("an address of nine groups", b"[1:2:3:4:5:6:7:8:9]"),
            ("an IPv6 address without brackets", b"::1"),
        ],
    },
    Group::Requests {
        rfc: "RFC 3986 §3.2.3",
        before: b"GET /case HTTP/1.1\r\nHost: ",
        after: b"\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a port of letters", b"a:b"),
            ("a port beyond the last", b"a:65536"),
            ("a port far beyond", b"a:99999999999"),
            ("a negative port", b"a:-1"),
            ("a port with a plus", b"a:+80"),
            ("a port in hexadecimal", b"a:0x50"),
            ("two ports", b"a:80:80"),
            ("a port with a space", b"a: 80"),
            ("a port alone", b":80"),
            ("an address with a port of letters", b"[::1]:x"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §7.2",
        before: b"GET /case HTTP/1.1\r\nHost:",
        after: b"\r\n\r\n",
        allowed: Allowed::Accepted(&[]),
        rows: &[
            ("a name", b" example.com"),
            ("a name without a space before it", b"example.com"),
            ("a name in capitals", b" EXAMPLE.com"),
            ("a name with a hyphen", b" xn--caf-dma.test"),
            ("a name with an underscore", b" a_b"),
            ("a port", b" a:8080"),
            ("the last port", b" a:65535"),
            ("an IPv4 address", b" 127.0.0.1"),
            ("an IPv6 address", b" [::1]"),
            ("an IPv6 address with a port", b" [2001:db8::1]:8080"),
            ("spaces around it", b" \t a \t "),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Either(&[400], &[]),
        rows: &[("an empty one beside a path", b"Host:\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2",
        before: b"GET /case HTTP/1.0\r\nConnection: keep-alive\r\n",
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Line("GET /case HTTP/1.1"), Check::Adds("host")]),
        rows: &[
            ("none in HTTP/1.0", b""),
            ("one in HTTP/1.0", b"Host: a\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §3.2",
        before: b"GET /case HTTP/1.0\r\n",
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("two in HTTP/1.0", b"Host: a\r\nHost: b\r\n"),
            ("a bad one in HTTP/1.0", b"Host: a/b\r\n"),
        ],
    },
];
