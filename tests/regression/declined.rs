//! What became of a provider's no: one said slowly while a prompt was still on its way, one
//! framed as few frame it, and one that never came to its end.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::openai::{self, CHAT, chunk};
use crate::support::site::ACME;
use crate::support::{Gateway, Provider, Request, Site, refused};
use crate::{TOKENS_WITHOUT_END, chat, with_limits};

/// What a provider that has no time says.
const BUSY: &str = r#"{"error":{"message":"Not now.","type":"rate_limit","code":"busy"}}"#;

/// The head of a 429 whose body comes in chunks.
const BUSY_HEAD: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\
                         transfer-encoding: chunked\r\n\r\n";

/// A provider that says this to a call, and nothing more.
fn saying(answer: String) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_some() && peer.send(&answer).is_ok() {
            peer.await_hang_up();
        }
    })
}

/// A gateway whose model `m` is at `first` alone, and whose model `n` falls back to `second`.
fn alone_and_backed(first: &Provider, second: &Provider) -> Gateway {
    let target = r#"{ provider = "main", model = "n-upstream" }"#;
    let lines = "fallback = [\"backup\"]\nprice = { input = \"1\", output = \"2\" }";
    let site = Site::with_acme(&first.url())
        .provider("second", &second.url())
        .model("backup", "second")
        .model_with("n", target, lines)
        // Longer than the test waits: what an answer may take is not what helps.
        .set("timeouts", "first_byte", "\"120s\"")
        .set("timeouts", "between_bytes", "\"120s\"");
    Gateway::start(&site)
}

/// Asserts that a call to model `n` is answered by the one that it falls back to.
#[track_caller]
fn falls_back(gateway: &Gateway, second: &Provider) {
    let body = openai::chat("n", json!({ "max_tokens": 10 }));
    let answer = gateway.ask(&Request::post(CHAT, body).key(ACME));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(second.calls_total(), 1, "calls at the second target");
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 18);
}

#[test]
fn a_no_in_chunks_is_whole_with_a_trailer_too() {
    let first = saying(format!("{BUSY_HEAD}{}0\r\nx: y\r\n\r\n", chunk(BUSY)));
    let second = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = alone_and_backed(&first, &second);
    falls_back(&gateway, &second);

    // Taken for unfinished, it would not be passed on.
    let answer = gateway.ask(&chat(json!({ "max_tokens": 10 })));
    assert_eq!(answer.status, 429, "{}", answer.describe());
    assert_eq!(answer.text(), BUSY);
}

#[test]
fn a_no_that_never_ends_is_not_waited_for() {
    let first = saying(format!("{BUSY_HEAD}{}", chunk("{\"error\":")));
    let second = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = alone_and_backed(&first, &second);
    let answer = gateway.ask(&chat(json!({ "max_tokens": 10 })));
    refused(&answer, 503, "upstream_unavailable");
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 0);
    falls_back(&gateway, &second);
}

#[test]
fn an_early_no_that_is_said_slowly_is_passed_on_whole() {
    // More than the kernel holds between two sockets, so that sending it cannot end.
    const TEXT_BYTES: usize = 16 * 1024 * 1024;
    // Together longer than the deadline between two reads, and each far from it.
    const BETWEEN_BYTES: Duration = Duration::from_millis(100);
    const NO: &str = r#"{"error":{"message":"Too long.","code":"too_long"}}"#;
    let provider = Provider::start(|mut peer| {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n", NO.len());
        if peer.call_head_and(0).is_none() || peer.send(head).is_err() {
            return;
        }
        for byte in NO.as_bytes() {
            // The pace of a slow provider is what this is about; nothing is waited for.
            thread::sleep(BETWEEN_BYTES);
            if peer.send([*byte]).is_err() {
                return;
            }
        }
        peer.await_hang_up();
    });
    let site =
        with_limits(&provider.url(), TOKENS_WITHOUT_END).set("timeouts", "between_bytes", "\"1s\"");
    let gateway = Gateway::start(&site);
    let text = "a b ".repeat(TEXT_BYTES / 4);
    let messages = json!([{ "role": "user", "content": text }]);
    let answer = gateway.ask(&chat(json!({ "messages": messages })));
    assert_eq!(answer.status, 400, "{}", answer.describe());
    assert!(answer.whole, "cut short: {}", answer.describe());
    assert_eq!(answer.text(), NO);
}
