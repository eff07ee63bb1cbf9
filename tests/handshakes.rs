//! Handshakes while certificates change under them, and handshakes that come to nothing.
//!
//! A reload loses none; a client that is refused learns why, in the words TLS has for it.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind};
use serde_json::json;
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Authority, Client, Gateway, Identity, Provider, Request, Site};

const NAME: &str = "gateway.test";
const RELOADS: usize = 200;
const CLIENTS: usize = 8;

fn site(provider: &str, identity: &Identity, more: &str) -> Site {
    Site::with_acme(provider).raw(&format!("[server.tls]\n{}\n{more}", identity.lines()))
}

/// What clients saw of the handshakes they made.
#[derive(Default)]
struct Seen {
    full: usize,
    resumed: usize,
    certificates: HashSet<Vec<u8>>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.full += other.full;
        self.resumed += other.resumed;
        self.certificates.extend(other.certificates);
    }
}

/// Shakes hands and asks twice, until it is told to stop.
fn ask_on(gateway: &Gateway, authority: &Authority, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        // Every fourth has no ticket; the others have those of the one before.
        let config = authority.client(None);
        for _ in 0..4 {
            let mut client = Client::secure(&gateway.url, NAME, &config);
            for _ in 0..2 {
                let answer = client.ask(&Request::get("/s/thing"));
                assert_eq!(answer.status, 200, "{}", answer.describe());
            }
            let tls = client.wire().tls().unwrap();
            match tls.handshake_kind() {
                Some(HandshakeKind::Resumed) => seen.resumed += 1,
                _ => seen.full += 1,
            }
            let shown = tls.peer_certificates().unwrap()[0].to_vec();
            seen.certificates.insert(shown);
        }
    }
    seen
}

#[test]
fn two_hundred_reloads_of_renewed_certificates_lose_no_handshake_and_no_request() {
    let upstream =
        Provider::answering(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let authority = Authority::new();
    let mut identity = authority.sign("gateway", &[NAME]);
    let site = site(&Provider::nowhere(), &identity, "").open_service("s", "/s", &upstream.url());
    let gateway = Gateway::start(&site);
    let stop = AtomicBool::new(false);
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let ask = || ask_on(&gateway, &authority, &stop);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        for _ in 0..RELOADS {
            identity = authority.sign("gateway", &[NAME]);
            let reload = gateway.ask_admin("POST", "/api/v1/reload");
            assert_eq!(reload.status, 200, "{}", reload.describe());
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            seen.add(client.join().unwrap());
        }
    });
    let Seen { full, resumed, .. } = seen;
    assert!(full > 0 && resumed > 0, "{full} full, {resumed} resumed");
    assert!(seen.certificates.len() > 2, "the clients saw no change");
    let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
    let tls = client.wire().tls().unwrap();
    let shown = &tls.peer_certificates().unwrap()[0];
    assert_eq!(shown, &identity.certificate, "the last one is in force");
    assert_eq!(total(&gateway, "handshakes_failed_total"), 0);
    assert_eq!(total(&gateway, "panics_total"), 0);
}

/// A counter of the workers, summed.
fn total(gateway: &Gateway, name: &str) -> u64 {
    let stats = gateway.stats();
    let workers = stats["workers"].as_array().unwrap();
    let of_worker = |worker: &serde_json::Value| worker[name].as_u64().unwrap();
    workers.iter().map(of_worker).sum()
}

/// What a client of `config` is told whose request does not come through.
fn told(gateway: &Gateway, config: &Arc<ClientConfig>, body: usize) -> Error {
    let chat = openai::chat("m", json!({ "user": "u".repeat(body) }));
    let refused = Client::try_secure(&gateway.url, NAME, config).and_then(|mut client| {
        client.try_send(Request::post(CHAT, chat).key(ACME).bytes())?;
        client.try_head()
    });
    let fault = refused.expect_err("it was refused");
    let inner = fault
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    inner
        .unwrap_or_else(|| panic!("not told why: {fault}"))
        .clone()
}

#[test]
fn a_client_that_sends_on_learns_why_its_handshake_was_refused() {
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let lines = format!("client_ca = {:?}", authority.file());
    let gateway = Gateway::start(&site(&Provider::nowhere(), &identity, &lines));
    // In TLS 1.3 it has sent its request before it can know; what nobody reads of that made the
    // kernel reset the connection, and the alert was lost.
    for _ in 0..8 {
        let told = told(&gateway, &authority.client(None), 100_000);
        let expected = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(told, expected);
    }
}

#[test]
fn a_client_hears_of_its_tickets_before_it_asks() {
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let gateway = Gateway::start(&site(&Provider::nowhere(), &identity, ""));
    let name = ServerName::try_from(NAME).unwrap();
    let mut tls = ClientConnection::new(authority.client(None), name).unwrap();
    let address = gateway.url.strip_prefix("https://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    // They are what acknowledges the client's last words. Kept back for the first answer, they
    // cost every client without TCP_NODELAY 40 ms on every connection.
    while tls.tls13_tickets_received() < 2 {
        assert_ne!(tls.read_tls(&mut socket).unwrap(), 0, "it hung up");
        tls.process_new_packets().unwrap();
    }
}

#[test]
fn a_client_that_can_verify_no_certificate_is_told_that_nothing_is_in_common() {
    let authority = Authority::new();
    let identity = authority.sign_rsa("gateway", &[NAME]);
    let gateway = Gateway::start(&site(&Provider::nowhere(), &identity, ""));
    let ecdsa_alone = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384],
        ..aws_lc_rs::default_provider()
    };
    let config = authority.client_by(ecdsa_alone, &[&rustls::version::TLS12]);
    // The library says access_denied where it is given no certificate to begin with.
    let expected = Error::AlertReceived(AlertDescription::HandshakeFailure);
    assert_eq!(told(&gateway, &config, 1), expected);
}

#[test]
fn a_hello_in_more_pieces_than_anybody_needs_is_refused_with_little_held() {
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let gateway = Gateway::start(&site(&Provider::nowhere(), &identity, ""));
    let mut socket = TcpStream::connect(gateway.url.strip_prefix("https://").unwrap()).unwrap();
    // A hello of 60,000 bytes, one in each record: 360,000 bytes that nobody can open.
    let hello = [&[1, 0, 0xea, 0x60][..], &[0; 60_000]].concat();
    let records: Vec<u8> = hello
        .iter()
        .flat_map(|&byte| [22, 3, 1, 0, 1, byte])
        .collect();
    // The gateway may close before it has read everything.
    let _ = socket.write_all(&records);
    let mut told = Vec::new();
    let _ = socket.read_to_end(&mut told);
    assert_eq!(total(&gateway, "handshakes_failed_total"), 1);
}

#[test]
fn a_connection_that_ends_in_order_says_so_and_one_that_is_cut_does_not() {
    let upstream = Provider::start(|mut peer| {
        let Some(call) = peer.call() else { return };
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        let _ = peer.send(if call.target.ends_with("cut") {
            cut
        } else {
            whole
        });
    });
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let site = site(&Provider::nowhere(), &identity, "")
        .open_service("s", "/s", &upstream.url())
        .set("timeouts", "idle", "\"100ms\"");
    let gateway = Gateway::start(&site);
    let end_after = |head: &str| {
        let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
        client.send(format!("{head}\r\nhost: {NAME}\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        let mut rest = Vec::new();
        let ended = client.wire().read_to_end(&mut rest);
        ended.map_err(|fault| fault.kind())
    };
    // The client has read its body, or a part of it, with the head.
    assert!(end_after("GET /s/it HTTP/1.1\r\nconnection: close").is_ok());
    assert!(end_after("GET /s/it HTTP/1.1").is_ok(), "idle for too long");
    let cut = end_after("GET /s/cut HTTP/1.1");
    assert_eq!(cut.err(), Some(ErrorKind::UnexpectedEof));
}
