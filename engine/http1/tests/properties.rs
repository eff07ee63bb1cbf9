//! What holds for every message: splits do not matter, and nothing is made up.
//!
//! The seed is fixed, so that a run that fails fails again.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};
use support::{LIMITS, facts_of_request, facts_of_response, request, response};
use tollring_http1::{
    BodyDecoder, ChunkHead, Framing, LAST_CHUNK, Method, Parsed, RequestHead, ResponseHead,
    append_fields,
};

fn config() -> Config {
    Config {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    }
}

/// Field lines that are well-formed, some with a meaning at this hop.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[A-Za-z0-9!#$%&'*+.^`|~-]{1,20}:[ \t]{0,2}([!-~\u{80}-\u{ff}]{1,30})?[ \t]{0,2}"
            .prop_filter("no field of our own", |line| !is_special(line)),
        1 => Just("Keep-Alive: timeout=5".to_owned()),
        1 => Just("Upgrade: h2c".to_owned()),
        1 => Just("TE: trailers".to_owned()),
        1 => Just("X-Hop: 1".to_owned()),
        1 => Just("content_length: 7".to_owned()),
        1 => Just("Connection: x-hop, keep-alive".to_owned()),
        1 => Just("Proxy-Authorization: Basic x".to_owned()),
    ];
    vec(line, 0..20).prop_map(|lines| lines.iter().map(|line| format!("{line}\r\n")).collect())
}

/// Whether a random name happens to be one that frames or routes.
fn is_special(line: &str) -> bool {
    let name = line
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "expect",
    ]
    .contains(&name.as_str())
}

fn framing() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "Content-Length: 12\r\n",
        "Transfer-Encoding: chunked\r\n",
    ])
}

/// A head with some of the bytes after it.
fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let target = prop_oneof![
        "/[!\"$-Z^-~\\[\\]]{0,40}",
        "https?://[a-z]{1,9}(:[0-9]{1,4})?(/[a-z]{0,9})?(\\?[a-z=&]{0,9})?",
    ];
    let line = ("(\r\n){0,3}", "[A-Z]{1,9}", target)
        .prop_filter("a method that is served", |(_, method, _)| {
            method != "CONNECT" && method != "TRACE"
        })
        .prop_map(|(empty, method, target)| format!("{empty}{method} {target} HTTP/1.1\r\n"));
    (line, lines(), framing(), vec(any::<u8>(), 0..20)).prop_map(|(line, lines, framing, rest)| {
        [
            format!("{line}Host: a\r\n{lines}{framing}\r\n").as_bytes(),
            &rest,
        ]
        .concat()
    })
}

fn response_bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = (100..600u16, "[ -~\u{80}-\u{ff}]{0,20}");
    (line, lines(), framing(), vec(any::<u8>(), 0..20)).prop_map(
        |((status, reason), lines, framing, rest)| {
            [
                format!("HTTP/1.1 {status} {reason}\r\n{lines}{framing}\r\n").as_bytes(),
                &rest,
            ]
            .concat()
        },
    )
}

/// A body as chunks of the given sizes, with extensions now and then.
fn encode(data: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = data;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        out.extend_from_slice(ChunkHead::new(chunk.len()).as_bytes());
        if chunk.len() % 3 == 0 {
            out.truncate(out.len() - 2);
            out.extend_from_slice(b"; name=\"va;lue\"\r\n");
        }
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(LAST_CHUNK);
    out
}

/// Decodes in pieces of the given sizes; every piece must yield no more than it was given.
fn decode(framing: Framing, mut rest: &[u8], sizes: &[usize]) -> (Vec<u8>, usize, bool) {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut used) = (Vec::new(), 0);
    for size in sizes.iter().cycle() {
        if rest.is_empty() || decoder.is_done() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        let mut piece = piece.to_vec();
        let Ok(decoded) = decoder.decode(&mut piece) else {
            break;
        };
        assert!(decoded.consumed <= piece.len() && decoded.data.end <= decoded.consumed);
        assert!(decoded.done || decoded.consumed == piece.len());
        data.extend_from_slice(&piece[decoded.data]);
        used += decoded.consumed;
        rest = after;
    }
    (data, used, decoder.is_done())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_request_is_the_same_however_it_arrives(
        bytes in request_bytes(),
        at in any::<Index>(),
    ) {
        let whole = request(&bytes).unwrap();
        let mut head = RequestHead::new();
        let mut parse = |len: usize| {
            let parsed = head.parse(&bytes[..len], &LIMITS);
            (parsed, facts_of_request(&head))
        };
        let done = (Ok(Parsed::Done), facts_of_request(&whole));
        // Twice on the same value: what is left from the first must not matter.
        for _ in 0..2 {
            prop_assert_eq!(parse(at.index(whole.len)).0, Ok(Parsed::Partial));
            prop_assert_eq!(&parse(bytes.len()), &done);
            for len in 0..whole.len {
                prop_assert_eq!(parse(len).0, Ok(Parsed::Partial));
            }
            prop_assert_eq!(&parse(whole.len), &done);
        }
    }

    #[test]
    fn an_answer_is_the_same_however_it_arrives(
        bytes in response_bytes(),
        at in any::<Index>(),
    ) {
        let whole = response(&bytes, Method::Get).unwrap();
        let mut head = ResponseHead::new();
        let mut parse = |len: usize| {
            let parsed = head.parse(&bytes[..len], Method::Get, &LIMITS);
            (parsed, facts_of_response(&head))
        };
        let done = (Ok(Parsed::Done), facts_of_response(&whole));
        for _ in 0..2 {
            prop_assert_eq!(parse(at.index(whole.len)).0, Ok(Parsed::Partial));
            prop_assert_eq!(&parse(bytes.len()), &done);
            for len in 0..whole.len {
                prop_assert_eq!(parse(len).0, Ok(Parsed::Partial));
            }
            prop_assert_eq!(&parse(whole.len), &done);
        }
    }

    #[test]
    fn fields_that_end_here_are_not_passed_on(bytes in request_bytes()) {
        let head = request(&bytes).unwrap();
        let mut out = b"GET / HTTP/1.1\r\n".to_vec();
        append_fields(&mut out, &bytes, &head.fields, |_| true);
        out.extend_from_slice(b"\r\n");
        let named = head.fields.find_name(&bytes, b"connection").is_some();
        let passed = request(&out).unwrap();
        let kept: Vec<_> = passed.fields.iter().map(|field| field.line.of(&out)).collect();
        let expected: Vec<_> = head
            .fields
            .iter()
            .filter(|field| {
                let name = String::from_utf8_lossy(field.name.of(&bytes)).to_ascii_lowercase();
                let ends = [
                    "connection", "keep-alive", "upgrade", "te", "proxy-authorization",
                    "content_length", "transfer-encoding",
                ];
                !ends.contains(&name.as_str()) && (!named || name != "x-hop")
            })
            .map(|field| field.line.of(&bytes))
            .collect();
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn a_chunked_body_decodes_to_its_data(
        data in vec(any::<u8>(), 0..600),
        chunks in vec(1..90usize, 1..9),
        pieces in vec(1..120usize, 1..9),
        rest in vec(any::<u8>(), 0..20),
    ) {
        let body = encode(&data, &chunks);
        let bytes = [body.as_slice(), &rest].concat();
        prop_assert_eq!(decode(Framing::Chunked, &bytes, &pieces), (data, body.len(), true));
    }

    #[test]
    fn a_decoder_makes_nothing_up(
        bytes in vec(prop_oneof![any::<u8>(), select(b"03aF\r\n;=\": ".to_vec())], 0..300),
        pieces in vec(1..50usize, 1..5),
        length in 0..400u64,
    ) {
        for framing in [Framing::Chunked, Framing::Length(length), Framing::UntilClose] {
            let (data, used, _) = decode(framing, &bytes, &pieces);
            prop_assert!(data.len() <= used && used <= bytes.len());
            let whole = decode(framing, &bytes, &[usize::MAX]);
            prop_assert!(whole.0.len() <= whole.1);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..200)) {
        let mut head = RequestHead::new();
        let mut answer = ResponseHead::new();
        for len in 0..=bytes.len() {
            let _ = head.parse(&bytes[..len], &LIMITS);
            let _ = answer.parse(&bytes[..len], Method::Get, &LIMITS);
        }
        let _ = head.parse(&bytes, &LIMITS);
        let _ = answer.parse(&bytes, Method::Get, &LIMITS);
    }
}
