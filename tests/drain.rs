//! Shutdown finishes what it began, and is over by its deadline.
//!
//! SIGTERM and SIGINT: readiness falls, nothing new is begun, what is in flight goes on to
//! its end or to the drain deadline, and the process ends well. SIGQUIT: at once.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Client, Gate, Gateway, Provider, Request, Site, eventually};

fn stream_request() -> Request {
    Request::post(CHAT, openai::chat("m", json!({ "stream": true }))).key(ACME)
}

/// A provider that sends one event, and the rest once the gate is open.
fn gated(gate: &Gate) -> Provider {
    let gate = gate.clone();
    Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let first = chunk(&openai::content_event("one"));
        if peer.send(format!("{STREAM_HEAD}{first}")).is_ok() && gate.wait() {
            let rest = [openai::usage_event(11, 1), openai::DONE.to_owned()];
            let rest: String = rest.iter().map(|event| chunk(event)).collect();
            let _ = peer.send(rest + LAST_CHUNK);
        }
    })
}

/// Whether the gateway still begins new exchanges.
fn takes_new_work(gateway: &Gateway) -> bool {
    let Ok(mut client) = Client::try_connect(&gateway.url) else {
        return false;
    };
    let request = Request::get("/v1/models").key(ACME);
    client.try_send(request.bytes()).is_ok()
        && matches!(client.try_head(), Ok(Some(head)) if head.status == 200)
}

#[test]
fn a_stream_in_flight_is_finished_before_the_process_ends() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::default();
        let provider = gated(&gate);
        let mut gateway = Gateway::start(&Site::with_acme(&provider.url()));
        let mut client = gateway.client();
        client.send(stream_request().bytes());
        let head = client.head();
        assert!(client.events(&head).next().is_some());

        gateway.signal(signal);
        eventually("new work to be refused", || {
            (!takes_new_work(&gateway)).then_some(())
        });
        gate.open();

        let rest: Vec<String> = client.events(&head).collect();
        assert_eq!(rest, ["data: [DONE]"], "SIG{signal}");
        assert!(client.is_closed());
        assert!(
            gateway.await_exit().success(),
            "SIG{signal}: {}",
            gateway.log()
        );
    }
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut used = gateway.client();
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
    assert_eq!(used.ask(&request).status, 200);
    let mut unused = gateway.client();

    let begun = Instant::now();
    gateway.signal("TERM");

    assert!(used.is_closed());
    assert!(unused.is_closed());
    assert!(gateway.await_exit().success());
    // The drain deadline is 30 s; nothing was in flight to wait for.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_stream_that_outlives_the_drain_deadline_is_ended_with_an_error_event() {
    let gate = Gate::default();
    let provider = gated(&gate);
    let site = Site::with_acme(&provider.url()).set("timeouts", "drain", "\"500ms\"");
    let mut gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    gateway.signal("TERM");

    let rest: Vec<String> = client.events(&head).collect();
    let last = rest.last().expect("the end of the stream says nothing");
    assert!(last.starts_with("data: {\"error\":"), "{last}");
    assert!(
        !rest.iter().any(|event| event.contains("[DONE]")),
        "a broken stream looks whole"
    );
    gateway.await_exit();
}

#[test]
fn readiness_falls_while_the_process_still_answers() {
    let gate = Gate::default();
    let provider = gated(&gate);
    let mut gateway = Gateway::start(&Site::with_acme(&provider.url()));
    assert_eq!(gateway.ask_admin("GET", "/readyz").status, 200);
    assert_eq!(gateway.ask_admin("GET", "/livez").status, 200);
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    gateway.signal("TERM");
    eventually("readiness to fall", || {
        (gateway.ask_admin("GET", "/readyz").status == 503).then_some(())
    });
    assert_eq!(gateway.ask_admin("GET", "/livez").status, 200);

    gate.open();
    assert_eq!(client.events(&head).last().as_deref(), Some("data: [DONE]"));
    assert!(gateway.await_exit().success());
}

#[test]
fn sigquit_ends_at_once() {
    let gate = Gate::default();
    let provider = gated(&gate);
    let mut gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut client = gateway.client();
    client.send(stream_request().bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    let begun = Instant::now();
    gateway.signal("QUIT");
    gateway.await_exit();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn clients_in_the_listeners_queue_are_served_before_it_is_closed() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
    // While the process stands still the kernel connects clients and nobody takes them.
    gateway.signal("STOP");
    let mut queued: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = gateway.client();
            client.send(request.bytes());
            client
        })
        .collect();
    gateway.signal("TERM");
    gateway.signal("CONT");
    for client in &mut queued {
        assert_eq!(client.answer().status, 200);
        assert!(client.is_closed());
    }
    assert!(gateway.await_exit().success(), "{}", gateway.log());
    assert!(
        Client::try_connect(&gateway.url).is_err(),
        "the port is free"
    );
}
