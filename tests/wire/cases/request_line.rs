//! The first line of a request: one method, one target, one version, single spaces.
//!
//! What any two readers could cut differently is refused; other protocols on this port are
//! refused at once. What a target may hold is in `target`.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, Piece, Script};

const FIELDS: &[u8] = b"\r\nHost: a\r\n\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);

/// Another protocol: refused at once, before anything else of it comes.
const fn stranger(name: &'static str, client: &'static [Act]) -> Script {
    Script {
        name,
        rfc: "RFC 9112 §2.2",
        client,
        upstream: &[],
        allowed: Allowed::Refused(&[400, 501, 505]),
    }
}

/// A request that is sent as it stands.
const fn sends(
    name: &'static str,
    rfc: &'static str,
    client: &'static [Act],
    allowed: Allowed,
) -> Script {
    Script {
        name,
        rfc,
        client,
        upstream: &[],
        allowed,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §3",
        before: b"",
        after: FIELDS,
        allowed: BAD,
        rows: &[
            ("two spaces after the method", b"GET  /case HTTP/1.1"),
            ("two spaces after the target", b"GET /case  HTTP/1.1"),
            ("a tab after the method", b"GET\t/case HTTP/1.1"),
            ("a tab after the target", b"GET /case\tHTTP/1.1"),
            ("a vertical tab after the method", b"GET\x0b/case HTTP/1.1"),
            ("a form feed after the target", b"GET /case\x0cHTTP/1.1"),
            ("a space at the end", b"GET /case HTTP/1.1 "),
            ("a tab at the end", b"GET /case HTTP/1.1\t"),
            ("a space before the method", b" GET /case HTTP/1.1"),
            ("a tab before the method", b"\tGET /case HTTP/1.1"),
            ("no target", b"GET HTTP/1.1"),
            ("an empty target", b"GET  HTTP/1.1"),
            ("no version", b"GET /case"),
            ("no version but its space", b"GET /case "),
            ("a fourth word", b"GET /case HTTP/1.1 x"),
            ("a bare CR within the line", b"GET /case\rHTTP/1.1"),
            ("a second CR at the end", b"GET /case HTTP/1.1\r"),
            ("NUL at the end", b"GET /case HTTP/1.1\0"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §2.3",
        before: b"GET /case ",
        after: FIELDS,
        allowed: BAD,
        rows: &[
            ("the protocol in lower case", b"http/1.1"),
            ("the protocol in mixed case", b"Http/1.1"),
            ("no minor version", b"HTTP/1"),
            ("an empty minor version", b"HTTP/1."),
            ("no major version", b"HTTP/.1"),
            ("three numbers", b"HTTP/1.1.1"),
            ("a leading zero", b"HTTP/01.1"),
            ("two digits", b"HTTP/1.10"),
            ("a space in the version", b"HTTP/ 1.1"),
            ("a space before the slash", b"HTTP /1.1"),
            ("a comma for the dot", b"HTTP/1,1"),
            ("a sign", b"HTTP/+1.1"),
            ("a letter behind", b"HTTP/1.1x"),
            ("a letter before", b"xHTTP/1.1"),
            ("another protocol's name", b"HTTPS/1.1"),
            ("a hyphen for the slash", b"HTTP-1.1"),
            ("no number at all", b"HTTP"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §15.6.6",
        before: b"GET /case ",
        after: FIELDS,
        allowed: Allowed::Refused(&[505]),
        rows: &[
            ("version 0.9", b"HTTP/0.9"),
            ("version 1.2", b"HTTP/1.2"),
            ("version 1.9", b"HTTP/1.9"),
            ("version 2.0", b"HTTP/2.0"),
            ("version 2.1", b"HTTP/2.1"),
            ("version 3.0", b"HTTP/3.0"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §9.1",
        before: b"",
        after: b" /case HTTP/1.1\r\nHost: a\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a slash in the method", b"G/T"),
            ("a colon in the method", b"GET:"),
            ("quotes around the method", b"\"GET\""),
            ("parentheses in the method", b"G(E)T"),
            ("a comma in the method", b"G,T"),
            ("an at sign in the method", b"G@T"),
            ("brackets in the method", b"[GET]"),
            ("NUL in the method", b"G\0T"),
            ("DEL in the method", b"G\x7fT"),
            ("a high byte in the method", b"G\xc9T"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §9.1",
        before: b"",
        after: b" /case HTTP/1.1\r\nHost: a\r\n\r\n",
        allowed: Allowed::Accepted(&[]),
        rows: &[
            ("a method nobody knows", b"FROB"),
            ("a method of 32 bytes", b"METHODMETHODMETHODMETHODMETHODME"),
            ("a method of every mark", b"M!#$%&'*+-.^_`|~9"),
            ("DELETE", b"DELETE"),
            ("OPTIONS of a resource", b"OPTIONS"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §9.1",
        before: b"get",
        after: b" /case HTTP/1.1\r\nHost: a\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Line("get /case HTTP/1.1")]),
        rows: &[("a method in lower case is another one", b"")],
    },
    Group::Requests {
        rfc: "RFC 9110 §15.6.2",
        before: b"METHODMETHODMETHODMETHODMETHODMET",
        after: b" /case HTTP/1.1\r\nHost: a\r\n\r\n",
        allowed: Allowed::Refused(&[501]),
        rows: &[
            ("a method of 33 bytes", b""),
            ("a method of 49 bytes", b"METHODMETHODMETH"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §9.3.6, §9.3.8",
        before: b"",
        after: b"\r\nHost: a\r\n\r\n",
        allowed: Allowed::Refused(&[405, 501]),
        rows: &[
            ("CONNECT to an authority", b"CONNECT a:443 HTTP/1.1"),
            ("CONNECT to a path", b"CONNECT /case HTTP/1.1"),
            ("TRACE", b"TRACE /case HTTP/1.1"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §2.2",
        before: b"",
        after: b"",
        allowed: BAD,
        rows: &[
            ("LF ends the line", b"GET /case HTTP/1.1\nHost: a\r\n\r\n"),
            ("LF ends every line", b"GET /case HTTP/1.1\nHost: a\n\n"),
            ("LF ends the head", b"GET /case HTTP/1.1\r\nHost: a\r\n\n"),
            (
                "LF before the request",
                b"\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "CR before the request",
                b"\rGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("CR ends the line", b"GET /case HTTP/1.1\rHost: a\r\n\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §2.2",
        before: b"\r\n",
        after: b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Line("GET /case HTTP/1.1")]),
        rows: &[
            ("an empty line before the request", b""),
            ("two empty lines before the request", b"\r\n"),
        ],
    },
    Group::Scripts(SCRIPTS),
];

const SCRIPTS: &[Script] = &[
    sends(
        "empty lines without end",
        "RFC 9112 §2.2",
        &[Act::SendLong(&[Piece::Times(2000, b"\r\n")])],
        Allowed::Refused(&[400]),
    ),
    sends(
        "an empty line between two requests",
        "RFC 9112 §2.2",
        &[
            Act::Send(b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n"),
            Act::Send(NEXT),
        ],
        Allowed::Accepted(&[Check::Sent(b"abc")]),
    ),
    stranger(
        "an HTTP/2 preface",
        &[Act::Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
    ),
    stranger(
        "a TLS hello",
        &[Act::Send(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        )],
    ),
    stranger("an SSH banner", &[Act::Send(b"SSH-2.0-OpenSSH_9.2p1\r\n")]),
    stranger("a SOCKS greeting", &[Act::Send(b"\x05\x01\x00")]),
    stranger("bytes of nothing", &[Act::Send(b"\0\0\0\0\0\0\0\0")]),
];
