//! The same walk without io_uring, for containers and hosts that forbid it.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Gateway, Provider, Request, Site, refused};

#[test]
fn a_gateway_on_epoll_serves_streams_meters_and_says_what_it_runs_on() {
    let events = openai::stream_events(&["Hel", "lo."], Some((11, 2)));
    let (stream, without_usage) = (
        openai::stream_of(&events),
        events[..3].concat() + &events[4],
    );
    let provider = Provider::answering(move |call| match call.json()["stream"].as_bool() {
        Some(true) => stream.clone(),
        _ => openai::answer_using(11, 7),
    });
    let gateway =
        Gateway::start(&Site::with_acme(&provider.url()).set("server", "io", "\"epoll\""));
    let chat = |extra| Request::post(CHAT, openai::chat("m", extra)).key(ACME);

    assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
    assert_eq!(
        gateway.ask(&chat(json!({ "stream": true }))).text(),
        without_usage
    );
    refused(
        &gateway.ask(&Request::post(CHAT, r#"{"model":"m"}"#)),
        401,
        "invalid_api_key",
    );
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 11 + 7 + 11 + 2);

    let stats = gateway.stats();
    assert_eq!(stats["io"], "epoll", "{stats}");
    for worker in stats["workers"].as_array().unwrap() {
        assert_eq!(worker["panics_total"], 0, "{stats}");
    }
}

#[test]
fn left_to_itself_the_gateway_says_which_of_the_two_it_took() {
    let gateway = Gateway::start(&Site::new());
    let io = gateway.stats()["io"].as_str().unwrap().to_owned();
    assert!(matches!(io.as_str(), "io_uring" | "epoll"), "{io}");
}

#[test]
fn a_large_body_passes_on_epoll_too() {
    let provider = Provider::answering(|call| {
        openai::answer("200 OK", &json!({ "got": call.body_bytes }).to_string())
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site.set("server", "io", "\"epoll\""));
    let answer = gateway.ask(&Request::new("POST", "/files").body(vec![b'x'; 5_000_000]));
    assert_eq!(answer.json()["got"], 5_000_000);
}
