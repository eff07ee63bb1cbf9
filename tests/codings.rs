//! Answers in a coding that nobody asked for: passed on as they came, and charged all the same.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write as _;

use serde_json::json;
use support::message::Answer;
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Gateway, Provider, Request, Site};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}

/// `{"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`, by Node's zlib.
const BROTLI: [u8; 57] = [
    0x1b, 0x45, 0x00, 0x40, 0x04, 0xe2, 0x6c, 0xa9, 0x5f, 0x56, 0x24, 0xa6, 0x15, 0x21, 0xd9, 0xdb,
    0xff, 0x37, 0xe3, 0x18, 0x07, 0xac, 0xd3, 0xe7, 0xdb, 0x83, 0xc8, 0xe0, 0xc3, 0xc6, 0xd8, 0x79,
    0xd6, 0x90, 0xc8, 0x83, 0xd5, 0x23, 0x86, 0xbe, 0xa7, 0xfa, 0xe7, 0xb4, 0xeb, 0x11, 0xaa, 0xc2,
    0x31, 0x14, 0xd4, 0x04, 0x07, 0x22, 0x34, 0xe3, 0xbb,
];

/// What a call costs, in tokens, whose answer is this; and the answer as the client has it.
fn charged(kind: &str, coding: &str, body: Vec<u8>, ask: serde_json::Value) -> (i128, Answer) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {coding}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let answer = [head.into_bytes(), body].concat();
    let provider = Provider::answering(move |call| {
        assert_eq!(call.field("accept-encoding"), Some("identity"));
        answer.clone()
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let answer = gateway.ask(&Request::post(CHAT, openai::chat("m", ask)).key(ACME));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert!(answer.whole);
    (gateway.bucket_at_rest(ACME, "tokens").used, answer)
}

#[test]
fn the_usage_of_a_compressed_answer_is_read_and_the_answer_left_alone() {
    let text = openai::answer_using(11, 7);
    let start = support::client::find(&text, b"\r\n\r\n").unwrap() + 4;
    let plain = &text[start..];
    for (coding, body) in [
        ("gzip", gzip(plain)),
        ("GZIP", gzip(plain)),
        ("deflate", zlib(plain)),
        ("zstd", zstd(plain)),
        ("br", BROTLI.to_vec()),
    ] {
        let ask = json!({ "max_tokens": 100 });
        let (tokens, answer) = charged("application/json", coding, body.clone(), ask);
        assert_eq!(tokens, 18, "{coding}");
        assert_eq!(answer.body, body, "{coding}");
        assert_eq!(answer.field("content-encoding"), Some(coding));
    }
}

#[test]
fn the_usage_of_a_compressed_stream_is_read_and_no_event_taken_out() {
    let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\
                  \"total_tokens\":18}}\n\ndata: [DONE]\n\n";
    let body = gzip(events.as_bytes());
    let ask = json!({ "stream": true, "max_tokens": 100 });
    let (tokens, answer) = charged("text/event-stream", "gzip", body.clone(), ask);
    assert_eq!(tokens, 18);
    assert_eq!(answer.body, body);
}

#[test]
fn what_cannot_be_read_or_grows_without_end_costs_what_was_held() {
    let bomb = gzip(&vec![b' '; 80 * 1024 * 1024]);
    let ask = || json!({ "max_tokens": 100 });
    let (held, _) = charged("application/json", "aes128gcm", b"secret".to_vec(), ask());
    assert!(held > 100, "input and the whole of max_tokens: {held}");
    for (coding, body) in [("gzip", bomb), ("gzip", b"{\"usage\":1}".to_vec())] {
        let (tokens, answer) = charged("application/json", coding, body.clone(), ask());
        assert_eq!(tokens, held);
        assert_eq!(answer.body, body);
    }
}
