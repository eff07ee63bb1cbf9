//! Field lines: names are tokens, values hold no control bytes, a line is a line.
//!
//! What particular fields mean is in the tables named after them; how many there may be is in
//! `limits`.

use crate::wire::case::{Allowed, Check, Group};

const BEFORE: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n";
const BAD: Allowed = Allowed::Refused(&[400]);

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §5.1",
        before: BEFORE,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("a space before the colon", b"X-A : 1\r\n"),
            ("a tab before the colon", b"X-A\t: 1\r\n"),
            ("an empty name", b": 1\r\n"),
            ("no colon", b"X-A\r\n"),
            ("no colon, two words", b"X-A 1\r\n"),
            ("a line that is a colon", b":\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.1",
        before: BEFORE,
        after: b": 1\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("a space in a name", b"X A"),
            ("NUL in a name", b"X\0A"),
            ("a control byte in a name", b"X\x01A"),
            ("DEL in a name", b"X\x7f"),
            ("a high byte in a name", b"X\xe9"),
            ("UTF-8 in a name", b"X\xc3\xa9"),
            ("parentheses in a name", b"X(A)"),
            ("a slash in a name", b"X/A"),
            ("a comma in a name", b"X,A"),
            ("a semicolon in a name", b"X;A"),
            ("quotes around a name", b"\"X\""),
            ("an at sign in a name", b"X@A"),
            ("brackets in a name", b"X[A]"),
            ("braces in a name", b"X{A}"),
            ("an equals sign in a name", b"X=A"),
            ("a question mark in a name", b"X?A"),
            ("angle brackets in a name", b"<X>"),
            ("a backslash in a name", b"X\\A"),
            ("a bare CR in a name", b"X\rA"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §5.2",
        before: BEFORE,
        after: b"\r\n",
        allowed: BAD,
        rows: &[
            ("a line folded by a space", b"X-A: 1\r\n 2\r\n"),
            ("a line folded by a tab", b"X-A: 1\r\n\t2\r\n"),
            ("an empty value that is folded", b"X-A:\r\n 1\r\n"),
            ("a folded line of blanks", b"X-A: 1\r\n \t\r\n"),
            ("a folded Host", b" b\r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §2.2",
        before: b"GET /case HTTP/1.1\r\n",
        after: b"Host: a\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("white space before the first field", b" X-A: 1\r\n"),
            ("a tab before the first field", b"\tX-A: 1\r\n"),
            ("a line of white space", b" \r\n"),
            ("a line ended by LF", b"X-A: 1\n"),
            ("a line ended by CR", b"X-A: 1\r"),
            ("a line ended by two CR", b"X-A: 1\r\r\n"),
            ("a line ended by LF CR", b"X-A: 1\n\r"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.5",
        before: BEFORE,
        after: b"\r\n\r\n",
        allowed: BAD,
        rows: &[
            ("NUL in a value", b"X-A: a\0b"),
            ("NUL as a value", b"X-A: \0"),
            ("the first control byte in a value", b"X-A: a\x01b"),
            ("a backspace in a value", b"X-A: a\x08b"),
            ("a vertical tab in a value", b"X-A: a\x0bb"),
            ("a form feed in a value", b"X-A: a\x0cb"),
            ("an escape in a value", b"X-A: \x1b[31m"),
            ("the last control byte in a value", b"X-A: a\x1fb"),
            ("DEL in a value", b"X-A: a\x7fb"),
            ("a bare CR in a value", b"X-A: a\rb"),
            ("a bare CR before a field of its own", b"X-A: a\rX-B: b"),
            ("a bare LF before a field of its own", b"X-A: a\nX-B: b"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.5",
        before: b"GET /case HTTP/1.1\r\nHost: a\r\nX-A:",
        after: b"\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("x-a", &[b"a b"])]),
        rows: &[
            ("one space before a value", b" a b"),
            ("no space before a value", b"a b"),
            ("blanks around a value", b" \t a b \t"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.5",
        before: b"GET /case HTTP/1.1\r\nHost: a\r\nX-A: ",
        after: b"\r\n\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("x-a", &[b"\xe9\xff\x80 a\tb: \"c\";,=()"])]),
        rows: &[(
            "obs-text, tabs and marks pass unchanged",
            b"\xe9\xff\x80 a\tb: \"c\";,=()",
        )],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.5",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("x-a", &[b""])]),
        rows: &[
            ("an empty value", b"X-A:\r\n"),
            ("a value of blanks", b"X-A: \t \r\n"),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.3",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("x-a", &[b"1", b"2", b"1"])]),
        rows: &[
            (
                "repeated fields keep their order",
                b"X-A: 1\r\nX-A: 2\r\nX-A: 1\r\n",
            ),
            (
                "repeated fields in other cases",
                b"x-a: 1\r\nX-A: 2\r\nx-A: 1\r\n",
            ),
            (
                "repeated fields among others",
                b"X-A: 1\r\nX-B: 9\r\nX-A: 2\r\nX-A: 1\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9110 §5.1",
        before: b"GET /case HTTP/1.1\r\nhOsT: a\r\n",
        after: b"\r\n",
        allowed: Allowed::Accepted(&[Check::Passes("!#$%&'*+-.^`|~9", &[b"1"])]),
        rows: &[("a name of every mark", b"!#$%&'*+-.^`|~9: 1\r\n")],
    },
    Group::Requests {
        rfc: "RFC 9110 §17.10",
        before: BEFORE,
        after: b"\r\n",
        allowed: Allowed::Either(
            &[400],
            &[
                Check::Drops("content_length"),
                Check::Drops("transfer_encoding"),
                Check::Drops("transfer-encoding"),
                Check::Drops("content-length"),
            ],
        ),
        rows: &[
            ("Content_Length is dropped", b"Content_Length: 5\r\n"),
            (
                "Transfer_Encoding is dropped",
                b"transfer_encoding: chunked\r\n",
            ),
            (
                "TRANSFER_ENCODING is dropped",
                b"TRANSFER_ENCODING: chunked\r\n",
            ),
        ],
    },
];
