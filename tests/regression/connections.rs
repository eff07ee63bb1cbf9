//! Whose bytes went over which connection, and who was told of an end: answers nobody had
//! asked for, uploads whose other side was gone, and ends that did not come.

use std::sync::mpsc;

use serde_json::json;

use crate::support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use crate::support::site::{ACME, AMPLE};
use crate::support::{Client, Gate, Gateway, PATIENCE, Provider, Request, Site, eventually};
use crate::{TOKENS_WITHOUT_END, chat, no_task_panicked, with_limits};

/// What a server says on its way out to a connection that has been quiet for too long.
const UNASKED: &str =
    "HTTP/1.1 408 Request Timeout\r\ncontent-length: 6\r\nconnection: close\r\n\r\npoison";

#[test]
fn what_an_upstream_says_unasked_is_nobodys_answer() {
    let (told, spoken) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            let mark = json!({ "mark": call.field("x-mark"), "usage": openai::usage(1, 1) });
            let own = openai::answer("200 OK", &mark.to_string());
            let sent = peer.send_apart(own);
            let _ = sent.and_then(|()| peer.send(UNASKED));
            let _ = told.send(());
        }
    });
    let site = Site::with_acme(&provider.url())
        .tenant("other", "")
        .key("other", "bot", "tr_other", AMPLE)
        .open_service("files", "/files", &provider.url())
        .set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    for round in 0..12 {
        let key = [ACME, "tr_other"][round % 2];
        let request = match round % 3 {
            0 => Request::post(CHAT, openai::chat("m", json!({}))),
            1 => Request::get("/files/a"),
            _ => Request::new("POST", "/files/a").body("one piece"),
        };
        let mark = round.to_string();
        let answer = gateway.ask(&request.key(key).field("X-Mark", &mark));
        assert_eq!(answer.status, 200, "round {round}: {}", answer.describe());
        assert_eq!(
            answer.json()["mark"],
            mark,
            "round {round}: another's answer"
        );
        spoken.recv_timeout(PATIENCE).expect("the provider speaks");
    }
    assert_eq!(provider.calls_total(), 12);
}

/// The head of an upload of so many bytes to `/files`, with the first of them.
fn begun_upload(length: usize, first: usize) -> String {
    let body = "x".repeat(first);
    format!("POST /files HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn an_upload_whose_upstream_closes_without_a_word_is_502() {
    let provider = Provider::start(|mut peer| {
        peer.call_head_and(1000);
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send(begun_upload(100_000, 1000));
        let answer = client.answer();
        assert_eq!(answer.status, 502, "{}", answer.describe());
        assert_eq!(answer.json()["code"], "upstream_failed");
    }
    no_task_panicked(&gateway);
}

#[test]
fn an_answer_that_comes_before_its_upload_is_over_says_that_the_connection_ends() {
    let provider = Provider::start(|mut peer| {
        if peer.call_head_and(1000).is_some() {
            let _ = peer.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
            peer.await_hang_up();
        }
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(50_000_000, 1000));
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{}", answer.describe());
    assert_eq!(answer.body, b"big");
    assert_eq!(answer.field("connection"), Some("close"));
    client.finish_sending();
    assert!(client.is_closed());
}

/// Uploads ten bytes in two pieces, leaves before there is an answer, and asserts that the
/// upstream is told.
#[track_caller]
fn leave_after_upload(leave: impl FnOnce(Client)) {
    let half = Gate::default();
    let half_of_provider = half.clone();
    let (told, hung_up) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(5).is_some() {
            half_of_provider.open();
        }
        if peer.call().is_some() {
            let _ = told.send(peer.await_hang_up());
        }
    });
    // No deadline of ours may be what ends the connection.
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "first_byte", "\"120s\"")
        .set("timeouts", "between_bytes", "\"120s\"");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(10, 5));
    assert!(half.wait(), "the first half did not arrive");
    client.send("67890");
    provider.await_calls(1);
    leave(client);
    let hung_up = hung_up
        .recv_timeout(2 * PATIENCE)
        .expect("it waits no longer");
    assert!(hung_up, "the upstream was left working for nobody");
}

#[test]
fn an_upstream_is_told_when_the_client_crashes_after_its_upload() {
    leave_after_upload(Client::reset);
}

#[test]
fn an_upstream_is_told_when_the_client_closes_after_its_upload() {
    leave_after_upload(drop);
}

#[test]
fn a_large_chunked_completion_goes_through() {
    const TEXT_BYTES: usize = 6 * 1024 * 1024;
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&with_limits(&provider.url(), TOKENS_WITHOUT_END));
    let text = "a b ".repeat(TEXT_BYTES / 4);
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ACME}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    ));
    for piece in body.to_string().as_bytes().chunks(64 * 1024) {
        client.send(chunk(std::str::from_utf8(piece).unwrap()));
    }
    client.send(LAST_CHUNK);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let calls = provider.calls();
    let told = &calls[0].json()["messages"][0]["content"];
    assert_eq!(told.as_str().map(str::len), Some(TEXT_BYTES));
}

#[test]
fn an_early_no_to_a_completion_is_passed_on_although_its_body_is_never_taken() {
    // More than the kernel holds between two sockets, so that sending it cannot end.
    const TEXT_BYTES: usize = 16 * 1024 * 1024;
    let over = Gate::default();
    let over_of_provider = over.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(0).is_some() {
            let early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\
                         connection: close\r\n\r\nbig";
            let _ = peer.send(early);
            // Takes nothing more, and keeps the socket open for longer than the test waits.
            while !over_of_provider.wait() {}
        }
    });
    let site = with_limits(&provider.url(), TOKENS_WITHOUT_END)
        .set("timeouts", "between_bytes", "\"60s\"")
        .set("timeouts", "first_byte", "\"60s\"");
    let gateway = Gateway::start(&site);
    let text = "a b ".repeat(TEXT_BYTES / 4);
    let messages = json!([{ "role": "user", "content": text }]);
    let answer = gateway.ask(&chat(json!({ "messages": messages })));
    over.open();
    assert_eq!(answer.status, 413, "{}", answer.describe());
    assert_eq!(answer.body, b"big");
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 0);
}

#[test]
fn sigquit_ends_a_drain_at_once() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let first = chunk(&openai::content_event("one"));
            let _ = peer.send(format!("{STREAM_HEAD}{first}"));
            // Again and again: an end of the stream must not be what ends the drain.
            while !gate_of_provider.wait() {}
        }
    });
    // Longer than the test waits for anything, so that a drain cannot be what ends it.
    let site = Site::with_acme(&provider.url()).set("timeouts", "drain", "\"120s\"");
    let mut gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(chat(json!({ "stream": true })).bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    gateway.signal("TERM");
    eventually("readiness to fall", || {
        (gateway.ask_admin("GET", "/readyz").status == 503).then_some(())
    });
    gateway.signal("QUIT");
    gateway.await_exit();
    gate.open();
}
