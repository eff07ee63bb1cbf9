//! The PROXY protocol: a trusted balancer says whose connection it is, and nobody else can.
//!
//! Seen by the bound on connections of one address, which goes by the address that was said.
//! What a header looks like is `http1`'s business and tested there.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::Ipv4Addr;

use support::site::ACME;
use support::{Client, Gateway, Provider, Request, Site, eventually};

/// The signature of version 2, and the command by which a balancer speaks for itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A site behind balancers of these networks, with one connection for each address.
fn behind(trusted: &str) -> Site {
    // One worker, for each has its share of the bound.
    Site::with_acme("http://127.0.0.1:9")
        .set("server", "workers", "1")
        .set(
            "server",
            "proxy_protocol",
            &format!("{{ trusted = {trusted} }}"),
        )
        .set("limits", "connections_per_address", "1")
}

fn line(source: &str) -> String {
    format!("PROXY TCP4 {source} 192.0.2.254 40000 443\r\n")
}

fn binary(source: Ipv4Addr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&[192, 0, 2, 254, 0x9c, 0x40, 0x01, 0xbb]);
    header
}

fn models() -> Vec<u8> {
    Request::get("/v1/models").key(ACME).bytes()
}

#[track_caller]
fn served(client: &mut Client) {
    assert_eq!(client.answer().status, 200);
}

#[test]
fn whose_connection_it_is_counts_and_not_through_whom_it_comes() {
    let gateway = Gateway::start(&behind("[\"127.0.0.0/8\"]"));
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    // In one piece with the request, before it, and in pieces.
    clients[0].send([line("203.0.113.1").into_bytes(), models()].concat());
    clients[1].send(binary(Ipv4Addr::new(203, 0, 113, 2)));
    clients[1].send(models());
    for byte in line("203.0.113.3").bytes() {
        clients[2].send([byte]);
    }
    clients[2].send(models());
    clients.iter_mut().for_each(served);

    let mut second = gateway.client();
    second.send([line("203.0.113.1").into_bytes(), models()].concat());
    let answer = second.answer();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "too_many_connections")
    );
    assert!(second.is_closed());

    drop(clients);
    eventually("the place to be free again", || {
        let mut again = gateway.client();
        again.send([line("203.0.113.1").into_bytes(), models()].concat());
        (again.answer().status == 200).then_some(())
    });
}

#[test]
fn a_trusted_balancer_must_say_whose_connection_it_is() {
    let gateway = Gateway::start(&behind("[\"127.0.0.0/8\"]"));
    for begin in [
        models(),
        b"PROXY TCP4 203.0.113.1 192.0.2.254 99999 443\r\n".to_vec(),
        b"PROXY UNKNOWN\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0".to_vec(),
    ] {
        let mut client = gateway.client();
        client.send(&begin);
        assert!(client.is_closed(), "{}", begin.escape_ascii());
    }
    assert!(gateway.log().contains("no PROXY header"));
}

#[test]
fn whoever_is_not_trusted_speaks_for_himself() {
    let gateway = Gateway::start(&behind("[\"198.51.100.0/24\"]"));
    let mut liar = gateway.client();
    liar.send([line("203.0.113.1").into_bytes(), models()].concat());
    assert_eq!(liar.answer().status, 400);
    assert!(liar.is_closed());
    drop(liar);
    let plain = || {
        let mut client = gateway.client();
        client.send(models());
        let status = client.answer().status;
        (status == 200).then_some(client)
    };
    let _first = eventually("a place", plain);
    let mut second = gateway.client();
    second.send(models());
    assert_eq!(second.answer().status, 429);
}

#[test]
fn a_health_check_is_let_in_and_makes_no_noise() {
    let gateway = Gateway::start(&behind("[\"127.0.0.1\"]"));
    // One that only connects, one that closes after its header, one that also asks.
    drop(gateway.client());
    let mut silent = gateway.client();
    silent.send(LOCAL);
    silent.finish_sending();
    assert!(silent.is_closed());
    let asked = || {
        let mut client = gateway.client();
        client.send([LOCAL, &models()].concat());
        (client.answer().status == 200).then_some(())
    };
    eventually("an answer", asked);
    assert!(!gateway.log().contains("PROXY"), "{}", gateway.log());
}

#[test]
fn half_a_header_is_not_waited_for_without_end() {
    let site = behind("[\"127.0.0.1\"]").set("timeouts", "head", "\"200ms\"");
    let gateway = Gateway::start(&site);
    for begin in [&b""[..], b"PROXY TCP4 203.0.113.1", &LOCAL[..14]] {
        let mut client = gateway.client();
        client.send(begin);
        assert!(client.is_closed(), "{}", begin.escape_ascii());
    }
}

#[test]
fn an_upstream_is_sent_no_part_of_the_header() {
    let provider = Provider::answering(|call| {
        support::openai::answer("200 OK", &format!("{:?}", call.target))
    });
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("server", "proxy_protocol", "{ trusted = [\"127.0.0.1\"] }");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    let request = Request::new("POST", "/files/a").body("a body").bytes();
    client.send([line("203.0.113.1").into_bytes(), request.clone(), request].concat());
    for _ in 0..2 {
        served(&mut client);
    }
    assert_eq!(provider.calls_total(), 2);
}
