//! Who is slow is waited for, as long as something moves.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::support::openai;
use super::support::site::ACME;
use super::support::{Authority, Gate, Gateway, Provider, Request, refused};
use super::{TOKENS_WITHOUT_END, chat, with_limits};

/// More than the kernel holds between two sockets.
const TEXT_BYTES: usize = 16 * 1024 * 1024;

/// The pauses of a provider that reads slowly, together longer than any deadline; and what it
/// reads between two, so that its kernel has room for more.
const PAUSES: usize = 8;
const PAUSE: Duration = Duration::from_millis(400);
const READ_BYTES: usize = TEXT_BYTES / PAUSES;

fn long() -> Request {
    let text = "a b ".repeat(TEXT_BYTES / 4);
    chat(json!({ "messages": [{ "role": "user", "content": text }] }))
}

#[test]
fn a_provider_that_reads_a_long_prompt_slowly_is_waited_for_as_long_as_it_reads() {
    let authority = Authority::new();
    let identity = authority.sign("upstream", &["127.0.0.1"]);
    let slow = |mut peer: super::support::Peer| {
        for piece in 1..=PAUSES {
            thread::sleep(PAUSE);
            if peer.call_head_and(piece * READ_BYTES).is_none() {
                return;
            }
        }
        if peer.call_without_body().is_some() {
            let _ = peer.send(openai::answer_using(11, 7));
        }
    };
    let plain = Provider::start(slow);
    let secure = Provider::start_secure(authority.server(&identity, false), slow);
    let tls = format!("[providers.main.tls]\nca = {:?}", authority.file());
    for (provider, url, lines) in [
        (&plain, plain.url(), ""),
        (&secure, secure.secure_url(), &*tls),
    ] {
        let site = with_limits(&url, TOKENS_WITHOUT_END)
            .raw(lines)
            .set("timeouts", "between_bytes", "\"2s\"")
            .set("timeouts", "first_byte", "\"2s\"");
        let gateway = Gateway::start(&site);
        let answer = gateway.ask(&long());
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert!(provider.calls()[0].body_bytes > TEXT_BYTES);
        assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 18);
    }
}

#[test]
fn a_provider_that_stops_reading_a_long_prompt_is_given_up() {
    let over = Gate::default();
    let over_of_provider = over.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(READ_BYTES).is_some() {
            // Keeps the socket open for longer than the test waits.
            while !over_of_provider.wait() {}
        }
    });
    let site = with_limits(&provider.url(), TOKENS_WITHOUT_END).set(
        "timeouts",
        "between_bytes",
        "\"200ms\"",
    );
    let gateway = Gateway::start(&site);
    refused(&gateway.ask(&long()), 504, "upstream_timeout");
    assert_eq!(provider.connections(), 1, "it may have begun");
    over.open();
}
