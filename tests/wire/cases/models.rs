//! The way to a model: keys, bodies that are read whole, answers that are counted.
//!
//! The rules are the same as for a service; here they meet a body that is changed on its way
//! and an answer that is looked into. The model is called `m/case`.

use crate::wire::case::{Act, Allowed, Check, Group, Play, Script};

const POST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\
                      Authorization: Bearer tr_acme_0123456789abcdef\r\n";
const BODY: &[u8] = b"{\"model\":\"m/case\",\"messages\":[],\"max_tokens\":5}";
const STREAM: &[u8] = b"{\"model\":\"m/case\",\"messages\":[],\"stream\": true}";

/// What stands before [`BODY`] when nothing is wrong.
const HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\
                      Authorization: Bearer tr_acme_0123456789abcdef\r\n\
                      Connection: close\r\nContent-Length: 47\r\n\r\n";
const _: () = assert!(BODY.len() == 47 && STREAM.len() == 47, "heads say so");

const fn script(
    name: &'static str,
    rfc: &'static str,
    client: &'static [Act],
    upstream: &'static [Play],
    checks: &'static [Check],
) -> Script {
    Script {
        name,
        rfc,
        client,
        upstream,
        allowed: Allowed::All(checks),
    }
}

/// The tables.
pub const GROUPS: &[Group] = &[
    Group::Requests {
        rfc: "RFC 9112 §6.3",
        before: POST,
        after: b"\r\n{\"model\":\"m/case\",\"messages\":[],\"max_tokens\":5}",
        allowed: Allowed::Refused(&[400, 501]),
        rows: &[
            (
                "length and chunked",
                b"Content-Length: 47\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "two lengths",
                b"Content-Length: 47\r\nContent-Length: 46\r\n",
            ),
            ("a plus before the length", b"Content-Length: +47\r\n"),
            ("gzip", b"Transfer-Encoding: gzip\r\n"),
            ("a second Host", b"Content-Length: 47\r\nHost: b\r\n"),
            ("a folded line", b"Content-Length: 47\r\nX-A: 1\r\n 2\r\n"),
            (
                "Connection names the key",
                b"Content-Length: 47\r\nConnection: authorization\r\n",
            ),
        ],
    },
    Group::Requests {
        rfc: "RFC 9112 §7.1",
        before: b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\
                  Authorization: Bearer tr_acme_0123456789abcdef\r\n\
                  Transfer-Encoding: chunked\r\n\r\n",
        after: b"\r\n{\"model\":\"m/case\",\"messages\":[],\"max_tokens\":5}\r\n0\r\n\r\n",
        allowed: Allowed::Refused(&[400]),
        rows: &[
            ("a chunk size with a prefix", b"0x2f"),
            ("a chunk size too small", b"2e"),
            ("a chunk size with a space", b"2f "),
        ],
    },
    Group::Scripts(REQUESTS),
    Group::Scripts(ANSWERS),
];

const REQUESTS: &[Script] = &[
    script(
        "a prompt in chunks reaches the provider with a length",
        "RFC 9112 §7.1",
        &[
            Act::Send(POST),
            Act::Send(b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::Send(b"11\r\n{\"model\":\"m/case\"\r\n"),
            Act::Send(b"1e;x=y\r\n,\"messages\":[],\"max_tokens\":5}\r\n0\r\nX-T: 1\r\n\r\n"),
        ],
        &[],
        &[
            Check::Statuses(&[200]),
            Check::Calls(1),
            Check::Drops("transfer-encoding"),
        ],
    ),
    script(
        "what ends at each hop and the caller's key stay behind",
        "RFC 9110 §7.6.1",
        &[
            Act::Send(POST),
            Act::Send(b"Connection: close, x-mine\r\nX-Mine: secret\r\nTE: trailers\r\n"),
            Act::Send(b"Proxy-Authorization: secret\r\nX-Kept: 1\r\n"),
            Act::Send(b"Content-Length: 47\r\n\r\n"),
            Act::Send(BODY),
        ],
        &[],
        &[
            Check::Statuses(&[200]),
            Check::Hides(b"secret"),
            Check::Hides(b"tr_acme"),
            Check::Drops("te"),
            Check::Passes("x-kept", &[b"1"]),
            Check::Adds("via"),
        ],
    ),
    script(
        "two prompts in one write are answered in order",
        "RFC 9112 §9.3.2",
        &[
            Act::Send(POST),
            Act::Send(b"Content-Length: 47\r\n\r\n"),
            Act::Send(BODY),
            Act::Send(HEAD),
            Act::Send(BODY),
        ],
        &[],
        &[Check::Statuses(&[200, 200]), Check::Calls(2)],
    ),
    script(
        "a stranger's prompt is refused and never taken for a request",
        "RFC 9112 §9.3",
        &[
            Act::Send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"),
            Act::Send(b"Authorization: Bearer tr_nobody\r\nContent-Length: 47\r\n\r\n"),
            Act::Send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::Statuses(&[401]), Check::Untouched],
    ),
    script(
        "a stranger that waits is refused instead of let on",
        "RFC 9110 §10.1.1",
        &[
            Act::Send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"),
            Act::Send(b"Authorization: Bearer tr_nobody\r\nContent-Length: 47\r\n"),
            Act::Send(b"Expect: 100-continue\r\n\r\n"),
        ],
        &[],
        &[
            Check::Statuses(&[401]),
            Check::Interims(&[]),
            Check::Untouched,
        ],
    ),
    script(
        "a caller that waits is let on",
        "RFC 9110 §10.1.1",
        &[
            Act::Send(POST),
            Act::Send(b"Connection: close\r\nContent-Length: 47\r\nExpect: 100-continue\r\n\r\n"),
            Act::ReadUntil(b"HTTP/1.1 100 "),
            Act::Send(BODY),
        ],
        &[],
        &[
            Check::Statuses(&[200]),
            Check::Interims(&[100]),
            Check::Calls(1),
        ],
    ),
    script(
        "a prompt cut short reaches nobody",
        "RFC 9112 §8",
        &[
            Act::Send(POST),
            Act::Send(b"Content-Length: 47\r\n\r\n{\"model\":\"m/case\""),
            Act::FinishSending,
        ],
        &[],
        &[Check::Untouched],
    ),
    script(
        "a key in a trailer opens nothing",
        "RFC 9110 §6.5.1",
        &[
            Act::Send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"),
            Act::Send(b"Transfer-Encoding: chunked\r\n\r\n2f\r\n"),
            Act::Send(BODY),
            Act::Send(b"\r\n0\r\nAuthorization: Bearer tr_acme_0123456789abcdef\r\n\r\n"),
            Act::FinishSending,
        ],
        &[],
        &[Check::Status(&[400, 401]), Check::Untouched],
    ),
];

const ANSWERS: &[Script] = &[
    script(
        "a provider's garbage is a 502",
        "RFC 9112 §4",
        &[Act::Send(HEAD), Act::Send(BODY)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200OK\r\n\r\n"),
            Play::Close,
        ],
        &[Check::Statuses(&[502]), Check::Calls(1)],
    ),
    script(
        "a provider's doubtful framing is a 502",
        "RFC 9112 §6.3",
        &[Act::Send(HEAD), Act::Send(BODY)],
        &[
            Play::Take,
            Play::Send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\n{}\r\n0\r\n\r\n",
            ),
        ],
        &[Check::Statuses(&[502]), Check::Calls(1), Check::NotReused],
    ),
    script(
        "a provider's answer cut short is visibly cut",
        "RFC 9112 §8",
        &[Act::Send(HEAD), Act::Send(BODY)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
            Play::Close,
        ],
        &[Check::Cut, Check::Calls(1)],
    ),
    script(
        "a provider's stream cut short ends with an error event",
        "RFC 9112 §8",
        &[Act::Send(HEAD), Act::Send(STREAM)],
        &[
            Play::Take,
            Play::Send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n12\r\ndata: {\"id\":\"x\"}\n\n\r\n",
            ),
            Play::Close,
        ],
        &[
            Check::Status(&[200]),
            Check::Somewhere(b"\"error\""),
            Check::Never(b"[DONE]"),
        ],
    ),
    script(
        "a provider's second answer is not taken for the next",
        "RFC 9112 §6.3",
        &[
            Act::Send(POST),
            Act::Send(b"Content-Length: 47\r\n\r\n"),
            Act::Send(BODY),
            Act::ReadAnswer,
            Act::Send(HEAD),
            Act::Send(BODY),
        ],
        &[
            Play::Take,
            Play::Send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\
                  HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            ),
        ],
        &[
            Check::Statuses(&[200, 200]),
            Check::Never(b"evil"),
            Check::NotReused,
        ],
    ),
    script(
        "a provider that speaks HTTP/1.0 until it closes",
        "RFC 9112 §6.3",
        &[Act::Send(HEAD), Act::Send(BODY)],
        &[
            Play::Take,
            Play::Send(b"HTTP/1.0 200 OK\r\n\r\n{\"a\":1}"),
            Play::Close,
        ],
        &[
            Check::Statuses(&[200]),
            Check::Body(b"{\"a\":1}"),
            Check::Calls(1),
        ],
    ),
];
