//! A request that passes through allocates nothing once its connection is warm.
//!
//! The engine and the scripted provider run inside this process, under an allocator that
//! counts for all threads; the client writes and reads with what it has. So what is counted
//! is all there is: the worker's, the provider's and the client's together. Through TLS the
//! library allocates for every record, at the client's end as at ours; we add nothing to it.

use std::alloc::System;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::{env, fs, process};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest, Sha256};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tollring_engine::Engine;
use tollring_loadgen::mock::{self, MockOptions};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KEY: &str = "tr_allocations_0123456789";

/// Requests before counting begins: every pool, table and buffer has been used by then.
const WARM: usize = 2_000;

/// Requests that are counted.
const COUNTED_REQUESTS: usize = 2_000;

/// What may be allocated over all of them together. The worker's clock ticks beside them, and
/// the fields about what is left are written anew every 50 ms; none of it is per request.
const ALLOCATIONS_MAX: usize = 20;

/// What rustls allocates for a request and its answer, at both ends: each record is copied to a
/// vector of its own when it is opened, and to another when it is sealed.
const OF_THE_LIBRARY: usize = 4;

fn engine(provider: &str, tls: &str) -> Engine {
    let mut digest = String::new();
    for byte in Sha256::digest(KEY) {
        write!(digest, "{byte:02x}").expect("a String takes text");
    }
    let file = format!(
        r#"
        [server]
        listen = ["127.0.0.1:0"]
        workers = 1
        [limits]
        connections = 100
        [providers.p]
        dialect = "openai"
        base_url = "http://{provider}/v1"
        api_keys = ["sk-1"]
        [models.m]
        targets = [{{ provider = "p", model = "served" }}]
        price = {{ input = "1", output = "2" }}
        [tenants.t]
        balance = "1000"
        [[tenants.t.keys]]
        name = "k"
        sha256 = "{digest}"
        limits = [
          {{ unit = "requests", amount = 1_000_000, per = "day" }},
          {{ unit = "tokens", amount = 1_000_000_000, per = "month" }},
        ]
        {tls}
        "#
    );
    let snapshot = tollring_config::parse("allocations.toml", &file, &|_| None);
    Engine::start(snapshot.expect("the file is good")).expect("loopback has a free port")
}

/// One request on a kept connection; `whole` says when the answer is all there.
fn exchange(client: &mut dyn Wire, request: &[u8], room: &mut [u8], whole: fn(&[u8]) -> bool) {
    client.write_all(request).expect("the gateway reads");
    let mut filled = 0;
    while !whole(&room[..filled]) {
        let count = client
            .read(&mut room[filled..])
            .expect("the gateway answers");
        assert_ne!(
            count, 0,
            "the gateway closed a connection that was to be kept"
        );
        filled += count;
    }
    assert!(room.starts_with(b"HTTP/1.1 200 "), "not an answer");
}

fn request(body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A connection to the gateway, in the clear or not.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A certificate that is its own authority: what the file says, and a client that believes it.
fn identity() -> (String, Arc<ClientConfig>) {
    let signed = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]);
    let signed = signed.expect("keys can be made");
    let folder = env::temp_dir().join(format!("tollring-allocations-{}", process::id()));
    fs::create_dir_all(&folder).expect("the folder for temporary files takes folders");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, signed.cert.pem()).expect("the folder takes files");
    fs::write(&key, signed.signing_key.serialize_pem()).expect("the folder takes files");
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).expect("it is one");
    let client = ClientConfig::builder().with_root_certificates(roots);
    let lines = format!("[server.tls]\ncertificate = {certificate:?}\nprivate_key = {key:?}");
    (lines, Arc::new(client.with_no_client_auth()))
}

#[track_caller]
fn check(body: &str, whole: fn(&[u8]) -> bool, tls: Option<&(String, Arc<ClientConfig>)>) {
    let provider = mock::start(MockOptions::default()).expect("loopback has a free port");
    let lines = tls.map_or("", |(lines, _)| lines);
    let engine = engine(&provider.address().to_string(), lines);
    let socket = TcpStream::connect(engine.addresses()[0]).expect("it listens");
    let mut client: Box<dyn Wire> = match tls {
        None => Box::new(socket),
        Some((_, config)) => {
            let name = ServerName::try_from("gateway.test").expect("it is a name");
            let session = ClientConnection::new(Arc::clone(config), name);
            Box::new(StreamOwned::new(
                session.expect("the library agrees"),
                socket,
            ))
        }
    };
    let request = request(body);
    let mut room = vec![0; 64 * 1024];
    let warming = Region::new(COUNTED);
    for _ in 0..WARM {
        exchange(&mut client, &request, &mut room, whole);
    }
    assert!(
        warming.change().allocations > 0,
        "the allocator does not count"
    );
    let region = Region::new(COUNTED);
    for _ in 0..COUNTED_REQUESTS {
        exchange(&mut client, &request, &mut room, whole);
    }
    let change = region.change();
    let allocations = change.allocations + change.reallocations;
    let of_the_library = tls.map_or(0, |_| OF_THE_LIBRARY * COUNTED_REQUESTS);
    assert!(
        allocations <= ALLOCATIONS_MAX + of_the_library,
        "{allocations} allocations for {COUNTED_REQUESTS} requests: {change:?}"
    );
    drop(client);
    engine.stop();
    provider.stop();
}

// One test for all: the allocator counts the whole process, so they must not run at once.
#[test]
fn a_warm_request_allocates_nothing_whether_unary_or_streamed_and_in_tls_the_library_alone() {
    let unary =
        r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"Hello there"}]}"#;
    check(unary, |answer| answer.ends_with(b"}}"), None);
    check(
        r#"{"model":"m","stream":true,"max_tokens":8,"messages":[{"role":"user","content":"Hi"}]}"#,
        |answer| answer.ends_with(b"0\r\n\r\n"),
        None,
    );
    let tls = identity();
    check(unary, |answer| answer.ends_with(b"}}"), Some(&tls));
}
