//! What a client may take of the gateway: connections, requests on one, and time to read.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::mpsc;

use support::site::ACME;
use support::{Client, Gateway, PATIENCE, Provider, Request, Site, eventually};

fn site() -> Site {
    // One worker, for each has its share of a bound.
    Site::with_acme("http://127.0.0.1:9").set("server", "workers", "1")
}

fn models() -> Request {
    Request::get("/v1/models").key(ACME)
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let gateway = Gateway::start(&site().set("limits", "connections_per_address", "2"));
    let mut kept: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    for client in &mut kept {
        assert_eq!(client.ask(&models()).status, 200);
    }
    let mut third = gateway.client();
    third.send(models().bytes());
    let answer = third.answer();
    assert_eq!(answer.status, 429);
    assert_eq!(answer.code(), "too_many_connections");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert!(third.is_closed());
    // Those who are here notice nothing, and a place that is given up is taken again.
    assert_eq!(kept[0].ask(&models()).status, 200);
    drop(kept.pop());
    eventually("a place", || {
        let status = gateway.ask(&models()).status;
        (status == 200).then_some(())
    });
}

#[test]
fn the_last_request_of_a_connection_is_told_that_it_is() {
    let gateway = Gateway::start(&site().set("limits", "requests_per_connection", "3"));
    let mut client = gateway.client();
    // All at once; a refusal is a request too, and what comes after the last is not begun.
    let refused = Request::get("/v1/models").key("tr_nobody");
    let all = [models(), refused, models(), models()].map(|request| request.bytes());
    client.send(all.concat());
    let told: Vec<_> = (0..3)
        .map(|_| {
            let answer = client.answer();
            (answer.status, answer.field("connection").map(str::to_owned))
        })
        .collect();
    let close = Some("close".to_owned());
    assert_eq!(told, [(200, None), (401, None), (200, close)]);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_never_reads_is_let_go_by_the_write_deadline() {
    let (told, over) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
        let mut sent = peer.send(head);
        while sent.is_ok() {
            sent = peer.send([b'x'; 65_536]);
        }
        let _ = told.send(());
    });
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "write", "\"300ms\"");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(Request::get("/files/without-end").bytes());
    let ended = over.recv_timeout(PATIENCE);
    assert!(ended.is_ok(), "the provider is still listened to");
    drop(client);
}
