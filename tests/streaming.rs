//! The same answer however it is cut: split at every byte, dripped, held back, unread.
//!
//! A stream's bytes leave the gateway as they came, each event as soon as it is whole, and
//! a client that does not read stops its provider rather than filling memory.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::json;
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Gateway, Provider, Request, Site};

fn stream_request() -> Request {
    Request::post(CHAT, openai::chat("m", json!({ "stream": true }))).key(ACME)
}

/// What a client that did not ask for usage gets of these events.
fn without_usage(events: &[String]) -> String {
    events
        .iter()
        .filter(|event| !event.contains("prompt_tokens"))
        .cloned()
        .collect()
}

/// Serves `whole` on one kept connection, the nth time in two parts: `n` bytes, the rest.
fn splitter(whole: Vec<u8>) -> Provider {
    let next = AtomicUsize::new(1);
    Provider::start(move |mut peer| {
        while peer.call().is_some() {
            let split = next.fetch_add(1, Ordering::SeqCst).min(whole.len());
            let (first, rest) = whole.split_at(split);
            if peer.send_apart(first).is_err() || peer.send(rest).is_err() {
                return;
            }
        }
    })
}

#[track_caller]
fn same_at_every_split(whole: &[u8], expected: &str, tokens_each: i128) {
    let provider = splitter(whole.to_vec());
    let limits = r#"limits = [{ unit = "tokens", amount = 1_000_000_000, per = "total" }]"#;
    let site = Site::new()
        .provider("main", &provider.url())
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, limits);
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    let mut count = 0;
    for split in 1..whole.len() {
        let answer = client.ask(&stream_request());
        assert_eq!(
            answer.status,
            200,
            "split after {split}: {}",
            answer.describe()
        );
        assert!(answer.whole, "split after {split}: {}", answer.describe());
        assert_eq!(answer.text(), expected, "split after {split}");
        count += 1;
    }
    assert_eq!(
        gateway.bucket_at_rest(ACME, "tokens").used,
        count * tokens_each
    );
}

#[test]
fn a_chunked_stream_split_at_every_byte_is_the_same_stream() {
    let events = openai::stream_events(&["Gr\u{fc}\u{df}e \"", "\\n}"], Some((11, 2)));
    same_at_every_split(&openai::stream_of(&events), &without_usage(&events), 13);
}

#[test]
fn a_unary_answer_split_at_every_byte_is_the_same_answer() {
    let whole = openai::answer_using(11, 2);
    let body = openai::completion("Hello.", Some(openai::usage(11, 2)));
    same_at_every_split(&whole, &body, 13);
}

#[test]
fn a_stream_with_carriage_returns_and_comments_split_at_every_byte_is_the_same_stream() {
    let events: Vec<String> = openai::stream_events(&["a"], Some((11, 2)))
        .into_iter()
        .map(|event| event.replace('\n', "\r\n"))
        .collect();
    let kept = without_usage(&events);
    let body = format!(": keepalive\r\n\r\n{}", events.concat());
    let whole = format!("{STREAM_HEAD}{}{LAST_CHUNK}", chunk(&body));
    same_at_every_split(whole.as_bytes(), &format!(": keepalive\r\n\r\n{kept}"), 13);
}

#[test]
fn a_stream_that_drips_byte_by_byte_is_the_same_stream() {
    let events = openai::stream_events(&["one", "two"], Some((11, 2)));
    let whole = openai::stream_of(&events);
    let provider = Provider::start(move |mut peer| {
        while peer.call().is_some() {
            for byte in &whole {
                if peer.send_apart([*byte]).is_err() {
                    return;
                }
            }
        }
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let answer = gateway.ask(&stream_request());
    assert_eq!(answer.text(), without_usage(&events));
    assert!(answer.whole);
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 13);
}

#[test]
fn each_event_leaves_when_it_arrives() {
    const EVENTS: usize = 50;
    // The provider sends an event only once the client has the one before: anything that
    // is held back for company would wait for ever.
    let (seen, one_seen) = mpsc::channel();
    let one_seen = std::sync::Mutex::new(one_seen);
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_none() || peer.send(STREAM_HEAD).is_err() {
            return;
        }
        let one_seen = one_seen.lock().unwrap();
        for number in 0..EVENTS {
            let event = openai::content_event(&number.to_string());
            if peer.send(chunk(&event)).is_err() || one_seen.recv().is_err() {
                return;
            }
        }
        let _ = peer.send(chunk(openai::DONE) + LAST_CHUNK);
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();
    let mut events = client.events(&head);
    for number in 0..EVENTS {
        let event = events.next().unwrap();
        assert_eq!(event + "\n\n", openai::content_event(&number.to_string()));
        seen.send(()).unwrap();
    }
    assert_eq!(events.next().as_deref(), Some("data: [DONE]"));
    assert_eq!(events.next(), None);
}

#[test]
fn the_head_of_a_stream_does_not_wait_for_its_first_event() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() && peer.send(STREAM_HEAD).is_ok() {
            let _ = wait.lock().unwrap().recv();
            let _ = peer.send(chunk(openai::DONE) + LAST_CHUNK);
        }
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();
    assert_eq!(head.status, 200);
    go.send(()).unwrap();
    assert_eq!(client.events(&head).count(), 1);
}

#[test]
fn a_close_delimited_stream_of_an_old_provider_works() {
    let events = openai::stream_events(&["one"], Some((11, 1)));
    let body = events.concat();
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let head = format!("{version} 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
        let whole = head + &body;
        let provider = Provider::start(move |mut peer| {
            if peer.call().is_some() {
                let _ = peer.send(&whole);
            }
        });
        let gateway = Gateway::start(&Site::with_acme(&provider.url()));
        let mut client = gateway.client();
        for _ in 0..2 {
            let answer = client.ask(&stream_request());
            assert_eq!(answer.text(), without_usage(&events), "{version}");
            assert!(answer.whole, "{version}");
        }
        assert_eq!(
            provider.connections(),
            2,
            "a closed connection was taken for a kept one"
        );
    }
}

#[test]
fn an_event_longer_than_any_bound_passes_unchanged() {
    let long = "x".repeat(300_000);
    let events = openai::stream_events(&[long.as_str(), "end"], Some((11, 2)));
    let whole = openai::stream_of(&events);
    let provider = Provider::answering(move |_| whole.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let answer = gateway.ask(&stream_request());
    assert!(
        answer.text() == without_usage(&events),
        "a long event was changed"
    );
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 13);
}

#[test]
fn a_client_that_does_not_read_stops_its_provider_and_fills_no_memory() {
    const STREAM_BYTES: usize = 64 * 1024 * 1024;
    // Loopback's own buffers, on both sides of the gateway, take some megabytes.
    const KERNEL_BYTES_MAX: usize = 32 * 1024 * 1024;
    // A stream is to hold 64 KiB; the rest is what an allocator asks of the system at once,
    // a huge page or two.
    const GROWTH_KIB_MAX: u64 = 4 * 1024;
    let event = chunk(&openai::content_event(&"word ".repeat(200)));
    let events = STREAM_BYTES / event.len();
    let block = event.repeat(64);
    let sent = Arc::new(AtomicUsize::new(0));
    let sent_by_provider = Arc::clone(&sent);
    let (stalled, has_stalled) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_none() || peer.send(STREAM_HEAD).is_err() {
            return;
        }
        for _ in 0..events / 64 {
            let mut left = block.as_bytes();
            while !left.is_empty() {
                match peer.send_within(left, Duration::from_millis(300)) {
                    Ok(count) => {
                        sent_by_provider.fetch_add(count, Ordering::SeqCst);
                        left = &left[count..];
                    }
                    Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                        let _ = stalled.send(());
                    }
                    Err(_) => return,
                }
            }
        }
        let _ = peer.send(chunk(openai::DONE) + LAST_CHUNK);
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    // Whatever is made at the first request is there before memory is measured.
    gateway.ask(&Request::get("/v1/models").key(ACME));
    let before = gateway.memory_kib("RssAnon");
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();

    has_stalled
        .recv_timeout(support::PATIENCE)
        .expect("the provider is never stopped");
    let accepted = sent.load(Ordering::SeqCst);
    assert!(
        accepted < KERNEL_BYTES_MAX,
        "{accepted} bytes were taken for nobody"
    );
    let grown = gateway.memory_kib("RssAnon").saturating_sub(before);
    assert!(
        grown < GROWTH_KIB_MAX,
        "{grown} KiB more for one slow client"
    );

    // And nothing of it is lost once the client reads.
    let mut count = 0;
    let mut last = String::new();
    for event in client.events(&head) {
        count += 1;
        last = event;
    }
    assert_eq!(
        (count, last.as_str()),
        (events / 64 * 64 + 1, "data: [DONE]")
    );
}

#[test]
fn one_stalled_stream_does_not_hold_up_another_on_its_worker() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            if call.json()["stream"] == true {
                let _ = peer.send(STREAM_HEAD);
                let _ = wait.lock().unwrap().recv();
                let _ = peer.send(chunk(openai::DONE) + LAST_CHUNK);
            } else {
                let _ = peer.send(openai::answer_using(1, 1));
            }
        }
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()).set("server", "workers", "1"));
    let mut stalled = gateway.client();
    stalled.send(stream_request().bytes());
    let head = stalled.head();
    for _ in 0..20 {
        let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
        assert_eq!(gateway.ask(&request).status, 200);
    }
    go.send(()).unwrap();
    assert_eq!(stalled.events(&head).count(), 1);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 21);
}

#[test]
fn an_error_in_the_middle_is_passed_on_as_the_provider_wrote_it() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let events = vec![openai::content_event("one"), error.to_owned()];
    let whole = openai::stream_of(&events);
    let provider = Provider::answering(move |_| whole.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let answer = gateway.ask(&stream_request());
    assert_eq!(answer.text(), events.concat());
}
