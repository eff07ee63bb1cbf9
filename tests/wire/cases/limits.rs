//! How many fields and how long a head: refused beyond the limit, and while it is read.
//!
//! The limits are the defaults: 100 fields, 64 KiB.

use crate::wire::case::{Act, Allowed, Check, Group, NEXT, Piece, Script};

const HEAD: Piece = Piece::Is(b"GET /case HTTP/1.1\r\nHost: a\r\n");
const END: Piece = Piece::Is(b"\r\n");
const TOO_MUCH: Allowed = Allowed::Refused(&[431]);

/// A request that is sent whole, and one behind it.
const fn sends(name: &'static str, client: &'static [Act], allowed: Allowed) -> Script {
    Script {
        name,
        rfc: "RFC 6585 §5, RFC 9110 §5.4",
        client,
        upstream: &[],
        allowed,
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[Group::Scripts(SCRIPTS)];

const SCRIPTS: &[Script] = &[
    sends(
        "as many fields as are allowed",
        &[
            Act::SendLong(&[HEAD, Piece::Times(99, b"X-A: 1\r\n"), END]),
            Act::Send(NEXT),
        ],
        Allowed::Accepted(&[]),
    ),
    sends(
        "one field more than is allowed",
        &[
            Act::SendLong(&[HEAD, Piece::Times(100, b"X-A: 1\r\n"), END]),
            Act::Send(NEXT),
        ],
        TOO_MUCH,
    ),
    sends(
        "a thousand fields",
        &[
            Act::SendLong(&[HEAD, Piece::Times(1000, b"X-A: 1\r\n"), END]),
            Act::Send(NEXT),
        ],
        TOO_MUCH,
    ),
    sends(
        "fields without end are refused before their end",
        &[Act::SendLong(&[HEAD, Piece::Times(200, b"X-A: 1\r\n")])],
        TOO_MUCH,
    ),
    sends(
        "a value of 4 KiB",
        &[
            Act::SendLong(&[
                HEAD,
                Piece::Is(b"X-A: "),
                Piece::Times(4096, b"x"),
                END,
                END,
            ]),
            Act::Send(NEXT),
        ],
        Allowed::Accepted(&[]),
    ),
    sends(
        "a value longer than a head may be",
        &[
            Act::SendLong(&[
                HEAD,
                Piece::Is(b"X-A: "),
                Piece::Times(70_000, b"x"),
                END,
                END,
            ]),
            Act::Send(NEXT),
        ],
        TOO_MUCH,
    ),
    sends(
        "a name longer than a head may be",
        &[
            Act::SendLong(&[
                HEAD,
                Piece::Times(70_000, b"x"),
                Piece::Is(b": 1"),
                END,
                END,
            ]),
            Act::Send(NEXT),
        ],
        TOO_MUCH,
    ),
    sends(
        "a head longer than is allowed, in few fields",
        &[
            Act::SendLong(&[
                HEAD,
                Piece::Is(b"X-A: "),
                Piece::Times(35_000, b"x"),
                Piece::Is(b"\r\nX-B: "),
                Piece::Times(35_000, b"x"),
                END,
                END,
            ]),
            Act::Send(NEXT),
        ],
        TOO_MUCH,
    ),
    sends(
        "a value without end is refused before its end",
        &[Act::SendLong(&[
            HEAD,
            Piece::Is(b"X-A: "),
            Piece::Times(70_000, b"x"),
        ])],
        TOO_MUCH,
    ),
    sends(
        "a head that comes byte by byte",
        &[
            Act::Drip(b"GET /case HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\nX-A: 3\r\n\r\n"),
            Act::Send(NEXT),
        ],
        Allowed::Accepted(&[Check::Passes("x-a", &[b"1", b"2", b"3"])]),
    ),
];
