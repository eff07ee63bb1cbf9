//! WebSockets: a tunnel once the upstream agrees, metered, bounded, and never before.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::thread;
use std::time::Duration;

use support::client::Client;
use support::message::Head;
use support::provider::Peer;
use support::site::{ACME, AMPLE};
use support::{Gate, Gateway, Provider, Request, Site, eventually};

const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
                      Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                      Sec-WebSocket-Protocol: chat\r\n\r\n";

fn ask() -> Request {
    Request::get("/ws/room?x=1")
        .field("Connection", "keep-alive, Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Protocol", "chat, superchat")
        .key(ACME)
}

/// A gateway before a service with WebSockets, metered as these lines say.
fn gateway(provider: &Provider, lines: &str) -> Gateway {
    let url = provider.url();
    Gateway::start(
        &Site::new()
            .set("timeouts", "idle", "\"20s\"")
            .raw(&format!(
                "[services.ws]\npath = \"/ws\"\nupstreams = [\"{url}\"]\nwebsocket = true\n{lines}"
            ))
            .tenant("acme", "")
            .key("acme", "bot", ACME, AMPLE),
    )
}

/// An upstream that agrees and then says everything back, until its client ends.
fn echo() -> Provider {
    Provider::start(|mut peer| {
        if peer.call().is_some() && peer.send(AGREED).is_ok() {
            while let Some(bytes) = peer.bytes(1) {
                if peer.send(bytes).is_err() {
                    return;
                }
            }
        }
    })
}

#[track_caller]
fn open(gateway: &Gateway) -> (Client, Head) {
    let mut client = gateway.client();
    client.send(ask().bytes());
    let head = client.head();
    assert_eq!(head.status, 101, "{head:?}");
    (client, head)
}

fn tunnels(gateway: &Gateway) -> u64 {
    let stats = gateway.stats();
    let workers = stats["workers"].as_array().unwrap();
    workers
        .iter()
        .map(|worker| worker["tunnels"].as_u64().unwrap())
        .sum()
}

#[test]
fn a_websocket_is_opened_by_both_and_carries_bytes_both_ways() {
    let provider = echo();
    let gateway = gateway(&provider, "");
    let (mut client, head) = open(&gateway);
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("connection"), Some("Upgrade"));
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(head.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(head.field("content-length"), None);
    let call = provider.calls().remove(0);
    assert_eq!(call.field("upgrade"), Some("websocket"));
    assert_eq!(call.field("connection"), Some("Upgrade"));
    assert_eq!(
        call.field("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(
        call.field("sec-websocket-protocol"),
        Some("chat, superchat")
    );
    assert_eq!(call.field("authorization"), None, "the caller's key left");
    for said in ["hello", "GET / HTTP/1.1\r\n\r\n", "\0\u{1}\u{7f}"] {
        client.send(said);
        assert_eq!(client.bytes(said.len()), said.as_bytes());
    }
    assert_eq!(tunnels(&gateway), 1);
    client.finish_sending();
    assert!(client.is_closed());
    eventually("no tunnel open", || (tunnels(&gateway) == 0).then_some(()));
    assert_eq!(gateway.stats()["statuses"]["101"], 1);
}

#[test]
fn what_was_said_before_the_other_side_knew_is_not_lost() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() && peer.send(format!("{AGREED}early")).is_ok() {
            let said = peer.bytes(5);
            let _ = peer.send(said.unwrap_or_default());
        }
    });
    let gateway = gateway(&provider, "");
    let mut client = gateway.client();
    let mut bytes = ask().bytes();
    bytes.extend_from_slice(b"eager");
    client.send(bytes);
    assert_eq!(client.head().status, 101);
    assert_eq!(client.bytes(10), b"earlyeager");
    assert!(client.is_closed());
}

#[test]
fn a_websocket_is_held_for_as_long_as_it_is_open() {
    let provider = echo();
    let gateway = gateway(&provider, "price = { request = \"0.01\" }");
    let (client, _) = open(&gateway);
    assert_eq!(gateway.bucket(ACME, "usd").held, 10_000_000);
    drop(client);
    assert_eq!(gateway.bucket_at_rest(ACME, "usd").used, 10_000_000);
}

#[test]
fn bytes_of_a_websocket_are_charged_however_it_ends() {
    let check = |end: fn(Client), script: fn(Peer)| {
        let provider = Provider::start(script);
        let gateway = gateway(
            &provider,
            "meter = \"bytes\"\nprice = { request = \"0.01\", megabyte = \"1\" }",
        );
        let (mut client, _) = open(&gateway);
        client.send(vec![b'u'; 3_000]);
        assert_eq!(client.bytes(2_000), vec![b'd'; 2_000]);
        end(client);
        // 0.01 USD, and 5,000 bytes at one USD for a million.
        let reading = gateway.bucket_at_rest(ACME, "usd");
        assert_eq!(reading.used, 10_000_000 + 5_000_000);
        assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 1);
    };
    fn talk(peer: &mut Peer) {
        if peer.call().is_some() && peer.send(AGREED).is_ok() && peer.bytes(3_000).is_some() {
            // Taken in by the gateway, so that a reset behind it loses nothing of it.
            let _ = peer.send_apart(vec![b'd'; 2_000]);
        }
    }
    let patient: fn(Peer) = |mut peer| {
        talk(&mut peer);
        peer.await_hang_up();
    };
    check(|client| client.finish_sending(), patient);
    check(|client| client.reset(), patient);
    check(drop, patient);
    check(
        |mut client| assert!(client.is_closed()),
        |mut peer| talk(&mut peer),
    );
    check(
        |mut client| assert!(client.is_closed()),
        |mut peer| {
            talk(&mut peer);
            peer.reset();
        },
    );
}

#[test]
fn an_upgrade_that_the_upstream_refuses_is_an_ordinary_answer() {
    let provider = Provider::answering(|_| {
        b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 12\r\nContent-Length: 2\r\n\r\nno"
            .to_vec()
    });
    let gateway = gateway(&provider, "");
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.ask(&ask());
        assert_eq!(answer.status, 426, "{}", answer.describe());
        assert_eq!(answer.text(), "no");
        assert_eq!(answer.field("sec-websocket-version"), Some("12"));
    }
    assert_eq!(
        provider.connections(),
        1,
        "it was kept, for HTTP was never left"
    );
}

#[test]
fn an_agreement_nobody_asked_for_or_to_something_else_is_502() {
    for (request, agreed) in [
        (Request::get("/ws").key(ACME), AGREED.to_owned()),
        (ask(), AGREED.replace("WebSocket", "h2c")),
        (ask(), AGREED.replace("Connection: Upgrade\r\n", "")),
        (ask(), AGREED.replace("Upgrade: WebSocket\r\n", "")),
    ] {
        let provider = Provider::start(move |mut peer| {
            if peer.call().is_some() && peer.send(&agreed).is_ok() {
                peer.await_hang_up();
            }
        });
        let gateway = gateway(&provider, "price = { request = \"1\" }");
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 502, "{}", answer.describe());
        assert_eq!(gateway.bucket_at_rest(ACME, "usd").used, 0);
    }
}

#[test]
fn what_is_no_upgrade_is_an_ordinary_request() {
    let provider = Provider::answering(|call| {
        assert_eq!(call.field("upgrade"), None);
        assert_eq!(call.field("connection"), None);
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let gateway = gateway(&provider, "");
    for lines in [
        "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n",
        "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
        "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket2\r\n",
        "GET /ws HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "POST /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "{lines}Host: a\r\nAuthorization: Bearer {ACME}\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 200, "{lines}");
    }
    assert_eq!(provider.calls_total(), 5);
}

#[test]
fn a_service_without_websockets_opens_none() {
    let provider = Provider::answering(|call| {
        assert_eq!(call.field("upgrade"), None);
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let gateway = Gateway::start(&Site::new().open_service("ws", "/ws", &provider.url()));
    assert_eq!(gateway.ask(&ask()).status, 200);
}

#[test]
fn no_key_and_no_money_open_no_tunnel() {
    let provider = echo();
    let url = provider.url();
    let gateway = Gateway::start(
        &Site::new()
            .raw(&format!(
                "[services.ws]\npath = \"/ws\"\nupstreams = [\"{url}\"]\nwebsocket = true\n\
                 price = {{ request = \"1\" }}"
            ))
            .tenant("acme", "balance = \"0\"")
            .key("acme", "bot", ACME, ""),
    );
    assert_eq!(gateway.ask(&ask()).status, 402);
    let stranger = Request::get("/ws")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    assert_eq!(gateway.ask(&stranger).status, 401);
    assert_eq!(provider.connections(), 0);
}

#[test]
fn a_silent_websocket_ends_and_one_that_talks_one_way_does_not() {
    // It talks for longer than silence may last, and then says nothing more.
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() && peer.send(AGREED).is_ok() {
            for _ in 0..15 {
                thread::park_timeout(Duration::from_millis(200));
                if peer.send("tick").is_err() {
                    return;
                }
            }
            assert!(peer.await_hang_up());
        }
    });
    let url = provider.url();
    let gateway = Gateway::start(&Site::new().set("timeouts", "idle", "\"2s\"").service_with(
        "ws",
        "/ws",
        &url,
        "websocket = true",
    ));
    let (mut client, _) = open(&gateway);
    assert_eq!(client.bytes(60), b"tick".repeat(15));
    assert!(client.is_closed());
}

#[test]
fn whoever_does_not_read_stops_whoever_writes() {
    let stopped = Gate::default();
    let told = stopped.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() && peer.send(AGREED).is_ok() {
            let block = vec![b'x'; 1_000_000];
            // Far more than all sockets on the way hold.
            let patience = Duration::from_secs(1);
            let taken = (0..500).all(|_| peer.send_within(&block, patience).is_ok());
            assert!(!taken, "half a gigabyte went to somebody who does not read");
            told.open();
            peer.await_hang_up();
        }
    });
    let gateway = gateway(&provider, "");
    let before = gateway.memory_kib("VmRSS");
    let (client, _) = open(&gateway);
    assert!(stopped.wait());
    let grown = gateway.memory_kib("VmHWM").saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    drop(client);
    eventually("no tunnel open", || (tunnels(&gateway) == 0).then_some(()));
}

#[test]
fn a_drain_ends_a_tunnel_at_its_limit() {
    let provider = echo();
    let url = provider.url();
    let mut gateway = Gateway::start(
        &Site::new()
            .set("timeouts", "drain", "\"500ms\"")
            .service_with("ws", "/ws", &url, "websocket = true"),
    );
    let (mut client, _) = open(&gateway);
    gateway.signal("TERM");
    client.send("still here");
    assert_eq!(client.bytes(10), b"still here");
    assert!(client.is_closed());
    assert!(gateway.await_exit().success());
}
