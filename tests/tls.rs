//! TLS on the data port and towards upstreams, from outside.
//!
//! What a client sees of certificates and versions, whom the gateway believes, and what
//! becomes of bytes when a handshake or a stream ends before its time.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::{HandshakeKind, ProtocolVersion};
use serde_json::json;
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::{ACME, ADMIN_TOKEN, AMPLE};
use support::{Authority, Client, Gateway, Identity, Provider, Request, Site, eventually};

const NAME: &str = "gateway.test";

fn chat() -> Request {
    Request::post(CHAT, openai::chat("m", json!({}))).key(ACME)
}

fn answering() -> Provider {
    Provider::answering(|_| openai::answer_using(11, 5))
}

/// A site whose data port shows `identity`.
fn secure_site(provider: &str, identity: &Identity, more: &str) -> Site {
    Site::with_acme(provider).raw(&format!("[server.tls]\n{}\n{more}", identity.lines()))
}

/// A gateway that is asked by a client which believes `authority`.
fn start(authority: &Authority, site: &Site) -> Gateway {
    Gateway::start(site).called(NAME, authority.client(None))
}

/// What a client of `authority` is shown by a gateway asked for `name`.
fn shown(gateway: &Gateway, name: &str, authority: &Authority) -> Vec<u8> {
    let mut client = Client::secure(&gateway.url, name, &authority.client(None));
    let tls = client.wire().tls().unwrap();
    tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_completion_and_a_stream_pass_through_both_versions() {
    let provider = Provider::answering(|call| {
        if call.json()["stream"] == true {
            let events = [openai::content_event("one"), openai::usage_event(11, 1)];
            let events = events.iter().map(|event| chunk(event)).collect::<String>();
            let done = chunk(openai::DONE);
            return format!("{STREAM_HEAD}{events}{done}{LAST_CHUNK}").into_bytes();
        }
        openai::answer_using(11, 5)
    });
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let gateway = start(&authority, &secure_site(&provider.url(), &identity, ""));
    assert!(gateway.url.starts_with("https://"), "{}", gateway.url);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = authority.client_of(None, &[version]);
        let mut client = Client::secure(&gateway.url, NAME, &config);
        let answer = client.ask(&chat());
        assert_eq!(answer.status, 200, "{}", answer.describe());
        let stream = Request::post(CHAT, openai::chat("m", json!({ "stream": true }))).key(ACME);
        let answer = client.ask(&stream);
        assert!(answer.text().contains("one"), "{}", answer.describe());
        assert!(answer.text().contains("[DONE]"), "{}", answer.describe());
        let tls = client.wire().tls().unwrap();
        assert_eq!(tls.protocol_version(), Some(version.version));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 4);
}

#[test]
fn min_version_shuts_out_what_is_older() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let site = secure_site(&provider.url(), &identity, "min_version = \"1.3\"");
    let gateway = Gateway::start(&site);
    let old = authority.client_of(None, &[&rustls::version::TLS12]);
    assert!(Client::try_secure(&gateway.url, NAME, &old).is_err());
    let new = authority.client(None);
    let mut client = Client::secure(&gateway.url, NAME, &new);
    assert_eq!(client.ask(&chat()).status, 200);
    let version = client.wire().tls().unwrap().protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn the_certificate_is_chosen_by_name_and_by_what_the_client_can_verify() {
    let authority = Authority::new();
    let first = authority.sign("first", &["first.test"]);
    let wild = authority.sign("wild", &["*.wild.test"]);
    let exact = authority.sign("exact", &["exact.wild.test"]);
    let rsa = authority.sign_rsa("rsa", &["both.test"]);
    let ecdsa = authority.sign("ecdsa", &["both.test"]);
    let more = [&wild, &exact, &rsa, &ecdsa]
        .map(|identity| format!("{{ {} }}", identity.lines().replace('\n', ", ")))
        .join(", ");
    let site = secure_site(&Provider::nowhere(), &first, &format!("more = [{more}]"));
    let gateway = Gateway::start(&site);
    let told = |name: &str| shown(&gateway, name, &authority);
    assert_eq!(told("first.test"), *first.certificate);
    assert_eq!(told("a.wild.test"), *wild.certificate);
    assert_eq!(told("exact.wild.test"), *exact.certificate);
    // In the order of the file, where the client can verify both.
    assert_eq!(told("both.test"), *rsa.certificate);
    // A name that nobody has is shown the first, which the client then refuses.
    let config = authority.client(None);
    assert!(Client::try_secure(&gateway.url, "other.test", &config).is_err());
}

#[test]
fn a_client_certificate_is_asked_for_and_its_subject_stands_for_a_key() {
    let provider = answering();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.sign("gateway", &[NAME]);
    let bot = authority.sign_client("build-bot");
    let nobody = authority.sign_client("nobody");
    let client_ca = format!("client_ca = {:?}", authority.file());
    let site = secure_site(&provider.url(), &identity, &client_ca).raw(&format!(
        "[[tenants.acme.keys]]\nname = \"machine\"\nsubject = \"CN=build-bot\"\n{AMPLE}"
    ));
    let gateway = Gateway::start(&site);
    let ask = |identity: Option<&Identity>, request: &Request| {
        let config = authority.client(identity);
        let mut client = Client::secure(&gateway.url, NAME, &config);
        client.ask(request)
    };
    let unsigned = Request::post(CHAT, openai::chat("m", json!({})));
    let answer = ask(Some(&bot), &unsigned);
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(ask(Some(&nobody), &unsigned).status, 401);
    // A key that is sent counts more than the certificate.
    assert_eq!(ask(Some(&bot), &chat()).status, 200);
    let machine = ask(Some(&bot), &Request::get("/v1/quota")).json();
    let counted = gateway_requests(&machine);
    assert_eq!(counted, "1", "{machine}");
    // In TLS 1.3 a client learns that it is not believed when it reads.
    for config in [
        authority.client(None),
        authority.client(Some(&stranger.sign_client("build-bot"))),
    ] {
        let refused = Client::try_secure(&gateway.url, NAME, &config).and_then(|mut client| {
            client.try_send(unsigned.bytes())?;
            client.try_head()
        });
        assert!(refused.is_err(), "{refused:?}");
    }
}

#[test]
fn optional_client_certificates_leave_the_others_their_keys() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let lines = format!(
        "client_ca = {:?}\nclient_auth = \"optional\"",
        authority.file()
    );
    let gateway = Gateway::start(&secure_site(&provider.url(), &identity, &lines));
    let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
    assert_eq!(client.ask(&chat()).status, 200);
    let unsigned = Request::post(CHAT, openai::chat("m", json!({})));
    assert_eq!(client.ask(&unsigned).status, 401);
}

#[test]
fn sessions_are_resumed_whichever_worker_takes_them_and_after_a_reload() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let site = secure_site(&provider.url(), &identity, "").set("server", "workers", "4");
    let gateway = Gateway::start(&site);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = authority.client_of(None, &[version]);
        for turn in 0..16 {
            if turn == 8 {
                assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
            }
            let mut client = Client::secure(&gateway.url, NAME, &config);
            // Tickets come with the first answer.
            assert_eq!(client.ask(&chat()).status, 200);
            let kind = client.wire().tls().unwrap().handshake_kind();
            let resumed = kind == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, turn > 0, "turn {turn} of {version:?}: {kind:?}");
        }
    }
    let stats = gateway.stats();
    let of_worker = |worker: &serde_json::Value| worker["handshakes_total"].as_u64().unwrap();
    let workers = stats["workers"].as_array().unwrap();
    assert_eq!(workers.iter().map(of_worker).sum::<u64>(), 32);
}

#[test]
fn an_upstream_is_believed_when_its_authority_and_its_name_are_right() {
    let authority = Authority::new();
    let identity = authority.sign("provider", &["127.0.0.1"]);
    let provider = Provider::start_secure(authority.server(&identity, false), |mut peer| {
        while peer.call().is_some() {
            let answer = openai::answer_using(11, 5);
            if peer.send(answer).is_err() {
                return;
            }
        }
    });
    let stranger = Authority::new();
    let ca = |authority: &Authority| format!("ca = {:?}", authority.file());
    let good = Gateway::start(&upstream_site(&provider, &ca(&authority)));
    for _ in 0..2 {
        let answer = good.ask(&chat());
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!(provider.connections(), 1, "it is kept between requests");
    let wrong_name = format!("{}\nserver_name = \"other.test\"", ca(&authority));
    for tls in [ca(&stranger), wrong_name] {
        let bad = Gateway::start(&upstream_site(&provider, &tls));
        let answer = bad.ask(&chat());
        assert_eq!(answer.status, 502, "{}", answer.describe());
        assert_eq!(answer.code(), "upstream_unreachable");
        assert_eq!(bad.bucket_at_rest(ACME, "requests").used, 0);
    }
    assert_eq!(
        provider.calls_total(),
        2,
        "nothing is sent to whom is not believed"
    );
}

#[test]
fn an_upstream_that_asks_is_shown_a_certificate() {
    let authority = Authority::new();
    let identity = authority.sign("provider", &["127.0.0.1"]);
    let us = authority.sign_client("tollring");
    let provider = Provider::start_secure(authority.server(&identity, true), |mut peer| {
        while peer.call().is_some() {
            let answer = openai::answer_using(11, 5);
            if peer.send(answer).is_err() {
                return;
            }
        }
    });
    let ca = format!("ca = {:?}", authority.file());
    let shown = Gateway::start(&upstream_site(&provider, &format!("{ca}\n{}", us.lines())));
    assert_eq!(shown.ask(&chat()).status, 200);
    let silent = Gateway::start(&upstream_site(&provider, &ca));
    assert_eq!(silent.ask(&chat()).status, 502);
    assert_eq!(provider.calls_total(), 1);
}

fn upstream_site(provider: &Provider, tls: &str) -> Site {
    Site::new()
        .provider_with(
            "main",
            &provider.secure_url(),
            &format!("[providers.main.tls]\n{tls}"),
        )
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        // Each worker has connections of its own.
        .set("server", "workers", "1")
}

#[test]
fn an_answer_that_ends_without_the_word_of_tls_is_visibly_cut() {
    let authority = Authority::new();
    let identity = authority.sign("upstream", &["127.0.0.1"]);
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let upstream = Provider::start_secure(authority.server(&identity, false), move |mut peer| {
        if let Some(call) = peer.call() {
            let _ = peer.send(format!("{head}half of it"));
            if call.target.ends_with("/whole") {
                let _ = peer.say_goodbye();
            }
        }
    });
    let tls = format!("[services.s.tls]\nca = {:?}", authority.file());
    let site = Site::new()
        .open_service("s", "/s", &upstream.secure_url())
        .raw(&tls);
    let gateway = Gateway::start(&site);
    let whole = gateway.ask(&Request::get("/s/whole"));
    assert!(whole.whole, "{}", whole.describe());
    assert_eq!(whole.text(), "half of it");
    let cut = gateway.ask(&Request::get("/s/cut"));
    assert!(!cut.whole, "{}", cut.describe());
}

#[test]
fn forty_megabytes_pass_through_tls_on_both_sides() {
    let authority = Authority::new();
    let identity = authority.sign("both", &[NAME, "127.0.0.1"]);
    let upstream = Provider::start_secure(authority.server(&identity, false), |mut peer| {
        let Some(call) = peer.call() else { return };
        let length = call.body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let _ = peer.send(head).and_then(|()| peer.send(&call.body));
        // The gateway keeps the connection; it ends with the test.
        let _ = peer.call();
    });
    let site = Site::new()
        .open_service("s", "/s", &upstream.secure_url())
        .raw(&format!("[services.s.tls]\nca = {:?}", authority.file()))
        .raw(&format!("[server.tls]\n{}", identity.lines()));
    let gateway = Gateway::start(&site);
    let body: Vec<u8> = (0..20_u32 << 20).map(|place| (place % 251) as u8).collect();
    let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
    let answer = client.ask(&Request::post("/s/echo", body.clone()));
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "what came back is not what was sent");
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload_and_a_faulty_one_changes_nothing() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let gateway = start(&authority, &secure_site(&provider.url(), &identity, ""));
    let mut old_client = Client::secure(&gateway.url, NAME, &authority.client(None));
    assert_eq!(old_client.ask(&chat()).status, 200);

    let version = gateway.snapshot_version();
    std::fs::write(&identity.key_file, "not a key").unwrap();
    let refused = gateway.ask_admin("POST", "/api/v1/reload");
    assert_eq!(refused.status, 422, "{}", refused.describe());
    assert_eq!(refused.json()["code"], "keys_unfit");
    assert!(refused.text().contains("gateway.key"), "{}", refused.text());
    assert_eq!(gateway.snapshot_version(), version);
    assert_eq!(shown(&gateway, NAME, &authority), *identity.certificate);

    let renewed = authority.sign("gateway", &[NAME]);
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    assert_eq!(shown(&gateway, NAME, &authority), *renewed.certificate);
    assert_eq!(old_client.ask(&chat()).status, 200, "who was there stays");
}

#[test]
fn what_is_no_handshake_is_closed_and_the_port_stays_well() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let site = secure_site(&provider.url(), &identity, "").set("timeouts", "head", "\"200ms\"");
    let gateway = Gateway::start(&site);
    let address = gateway.url.strip_prefix("https://").unwrap().to_owned();
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8],
        // A hello that never ends: the deadline of heads is its deadline.
        &[0x16, 3, 1, 2, 0, 1, 0, 1],
    ];
    for bytes in garbage {
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.write_all(bytes).unwrap();
        let mut told = Vec::new();
        // A reset is an end as well.
        let _ = socket.read_to_end(&mut told);
        assert!(told.len() < 64, "{told:?}");
    }
    let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
    assert_eq!(client.ask(&chat()).status, 200);
    let failed = || {
        let stats = gateway.stats();
        let workers = stats["workers"].as_array().unwrap().clone();
        let of_worker = |worker: &serde_json::Value| worker["handshakes_failed_total"].as_u64();
        workers.iter().filter_map(of_worker).sum::<u64>()
    };
    eventually("every failure to be counted", || {
        (failed() == 4).then_some(())
    });
}

#[test]
fn more_handshakes_than_the_limit_are_closed_at_once() {
    let provider = answering();
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let site = secure_site(&provider.url(), &identity, "")
        .set("server", "workers", "1")
        .set("limits", "handshakes", "2");
    let gateway = Gateway::start(&site);
    let address = gateway.url.strip_prefix("https://").unwrap().to_owned();
    let slow: Vec<_> = (0..2)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    eventually("the slow ones to be on the way", || {
        (gateway.stats()["workers"][0]["connections"] == 2).then_some(())
    });
    let mut third = TcpStream::connect(&address).unwrap();
    let mut told = Vec::new();
    let _ = third.read_to_end(&mut told);
    assert!(told.is_empty());
    assert_eq!(gateway.stats()["workers"][0]["handshakes_refused_total"], 1);
    drop(slow);
    eventually("the places to be free again", || {
        Client::try_secure(&gateway.url, NAME, &authority.client(None))
            .is_ok_and(|mut client| client.ask(&chat()).status == 200)
            .then_some(())
    });
}

#[test]
fn a_client_that_hangs_up_in_a_sealed_stream_ends_the_upstream_and_pays() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_none() {
            return;
        }
        let first = chunk(&openai::content_event("one"));
        let _ = peer.send(format!("{STREAM_HEAD}{first}"));
        peer.await_hang_up();
    });
    let authority = Authority::new();
    let identity = authority.sign("gateway", &[NAME]);
    let gateway = start(&authority, &secure_site(&provider.url(), &identity, ""));
    let mut client = Client::secure(&gateway.url, NAME, &authority.client(None));
    let stream = Request::post(CHAT, openai::chat("m", json!({ "stream": true }))).key(ACME);
    client.send(stream.bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());
    drop(client);
    let left = gateway.bucket_at_rest(ACME, "tokens");
    assert!(left.used > 0, "{left:?}");
    assert_eq!(left.held, 0);
}

#[test]
fn the_operators_port_speaks_tls_and_picks_up_a_renewed_certificate() {
    let authority = Authority::new();
    let identity = authority.sign("admin", &[NAME]);
    let site =
        Site::with_acme(&Provider::nowhere()).raw(&format!("[admin.tls]\n{}", identity.lines()));
    let gateway = Gateway::start(&site);
    assert!(
        gateway.admin_url.starts_with("https://"),
        "{}",
        gateway.admin_url
    );
    let told = || {
        let config = authority.client(None);
        let mut client = Client::secure(&gateway.admin_url, NAME, &config);
        let reload = Request::post("/api/v1/reload", "").key(ADMIN_TOKEN);
        let answer = client.ask(&reload);
        assert_eq!(answer.status, 200, "{}", answer.describe());
        let tls = client.wire().tls().unwrap();
        tls.peer_certificates().unwrap()[0].to_vec()
    };
    assert_eq!(told(), *identity.certificate);
    let renewed = authority.sign("admin", &[NAME]);
    assert_eq!(
        told(),
        *identity.certificate,
        "this one asked for the reload"
    );
    assert_eq!(told(), *renewed.certificate);
    assert!(Client::try_secure(&gateway.admin_url, "other.test", &authority.client(None)).is_err());
}

/// How many requests the answer to `GET /v1/quota` says were used.
fn gateway_requests(quota: &serde_json::Value) -> String {
    let buckets = quota["buckets"].as_array().unwrap();
    let bucket = buckets.iter().find(|bucket| bucket["unit"] == "requests");
    bucket.unwrap()["used"].as_str().unwrap().to_owned()
}
