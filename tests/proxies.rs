//! Upstreams behind an HTTP proxy: the way it opens, what passes through, and every no.
//!
//! The proxies are scripts: they are asked for a name that nobody can resolve, and lead where
//! the test wants them to.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::binary::{BINARY, Folder};
use support::site::{ACME, AMPLE, PROVIDER_KEY};
use support::{
    Authority, Client, Gateway, Peer, Provider, Request, Site, eventually, openai, refused,
};

/// What the upstream is called; only the proxy knows where it is.
const NAME: &str = "upstream.invalid";
/// Who we are at the proxy, as the file writes it and as it is sent.
const USER: &str = "us:p%40ss";
const SHOWN: &str = "Basic dXM6cEBzcw==";
const OPENED: &str = "HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\n";

/// A proxy that leads everybody to one place.
fn leading_to(there: SocketAddr) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_some() && peer.send(OPENED).is_ok() {
            peer.carry(there);
        }
    })
}

/// A proxy that answers with these bytes, and waits for the gateway to leave.
fn answering(bytes: &'static str) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_some() && peer.send(bytes).is_ok() {
            peer.await_hang_up();
        }
    })
}

/// The line of a file that names a proxy.
fn through(proxy: &Provider, user: &str) -> String {
    let at = if user.is_empty() { "" } else { "@" };
    format!("proxy = \"http://{user}{at}{}\"\n", proxy.address())
}

/// One model at a provider with these lines, which is asked by the name of this file.
fn site(lines: &str) -> Site {
    Site::new()
        .provider_with("main", &format!("https://{NAME}"), lines)
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        // Each worker has connections of its own.
        .set("server", "workers", "1")
}

fn chat() -> Request {
    Request::post(openai::CHAT, openai::chat("m", json!({ "max_tokens": 10 }))).key(ACME)
}

/// A provider that is called [`NAME`], who vouches for it, and how the file says so.
fn secure_provider() -> (Authority, Provider, String) {
    let authority = Authority::new();
    let identity = authority.sign("upstream", &[NAME]);
    let provider = Provider::start_secure(authority.server(&identity, false), answer_all);
    let tls = format!("tls = {{ ca = {:?} }}\n", authority.file());
    (authority, provider, tls)
}

fn answer_all(mut peer: Peer) {
    while peer.call().is_some() {
        if peer.send(openai::answer_using(11, 7)).is_err() {
            return;
        }
    }
}

#[test]
fn a_provider_behind_a_proxy_is_reached_by_name_through_tls_over_a_connection_that_is_kept() {
    let (_authority, provider, tls) = secure_provider();
    let proxy = leading_to(provider.address());
    let gateway = Gateway::start(&site(&(tls + &through(&proxy, USER))));
    for _ in 0..3 {
        let answer = gateway.ask(&chat());
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    let asked = proxy.calls();
    assert_eq!(asked.len(), 1, "one way is enough for three requests");
    let target = format!("{NAME}:443");
    let question = (asked[0].method.as_str(), asked[0].target.as_str());
    assert_eq!(question, ("CONNECT", target.as_str()));
    assert_eq!(asked[0].field("host"), Some(&*target));
    assert_eq!(asked[0].field("proxy-authorization"), Some(SHOWN));
    let calls = provider.calls();
    assert_eq!(calls.len(), 3);
    for call in calls {
        assert_eq!(call.field("host"), Some(NAME));
        assert_eq!(
            call.field("authorization"),
            Some(&*format!("Bearer {PROVIDER_KEY}"))
        );
        assert_eq!(call.field("proxy-authorization"), None);
    }
    let stats = gateway.stats();
    let origin = format!("{NAME}:443 via {}", proxy.address());
    assert_eq!(stats["upstreams"][0]["origin"], *origin, "{stats}");
    for told in [stats.to_string(), gateway.log()] {
        assert!(!told.contains("p@ss") && !told.contains("dXM6"), "{told}");
    }
}

#[test]
fn a_rest_upstream_in_the_clear_is_behind_a_way_as_well_and_so_is_a_body_that_still_comes() {
    let upstream =
        Provider::answering(|call| openai::answer("200 OK", &format!("{} bytes", call.body_bytes)));
    let proxy = leading_to(upstream.address());
    let site = Site::new().service_with(
        "s",
        "/s",
        &format!("http://{NAME}"),
        &format!("insecure = true\n{}", through(&proxy, "")),
    );
    let gateway = Gateway::start(&site);
    let answer = gateway.ask(&Request::get("/s/x"));
    assert_eq!((answer.status, &*answer.text()), (200, "0 bytes"));
    let mut client: Client = gateway.client();
    let head = "POST /s/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    client.send(head);
    upstream.await_calls(1);
    client.send("6\r\n world\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, &*answer.text()), (200, "11 bytes"));
    assert!(
        proxy
            .calls()
            .iter()
            .all(|call| call.target == format!("{NAME}:80"))
    );
    let authorization = proxy.calls()[0].field("proxy-authorization").is_some();
    assert!(!authorization, "nobody said who we are");
}

#[test]
fn whoever_a_proxy_leads_to_must_be_who_the_url_says() {
    let (authority, _provider, tls) = secure_provider();
    let identity = authority.sign("other", &["other.invalid"]);
    let other = Provider::start_secure(authority.server(&identity, false), answer_all);
    let proxy = leading_to(other.address());
    let gateway = Gateway::start(&site(&(tls + &through(&proxy, ""))));
    refused(&gateway.ask(&chat()), 502, "upstream_unreachable");
    assert_eq!(other.calls_total(), 0);
}

/// What one answer of a proxy leads to: the refusal, the cause that is counted, and what the log
/// says.
#[track_caller]
fn check_no(proxy: &Provider, user: &str, (status, code): (u16, &str), cause: &str, why: &str) {
    let timeouts = "timeouts = { connect = \"300ms\" }\n";
    let gateway = Gateway::start(&site(&format!("{timeouts}{}", through(proxy, user))));
    let answer = gateway.ask(&chat());
    refused(&answer, status, code);
    // Nothing was sent to the provider: an SDK may try again.
    assert_ne!(answer.field("x-should-retry"), Some("false"));
    assert!(!answer.text().contains("prox"), "{}", answer.describe());
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 0);
    let stats = gateway.stats();
    let failures = &stats["failures"];
    assert_eq!(failures[format!("connect/{cause}")], 1, "{failures}");
    assert!(gateway.log().contains(why), "{}", gateway.log());
    // One with more addresses would be asked no more often: it has said what it thinks.
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn every_no_of_a_proxy_has_a_cause_and_a_sentence_and_costs_nothing() {
    let unreachable = (502, "upstream_unreachable");
    let no = |answer, user, cause, why| check_no(&answering(answer), user, unreachable, cause, why);
    let who = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno";
    no(who, "", "proxy_unauthorized", "wants credentials (407)");
    no(
        who,
        USER,
        "proxy_unauthorized",
        "does not take the user and password",
    );
    let cause = "proxy_refused";
    no(
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "",
        cause,
        "the proxy answered 403",
    );
    no(
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        "",
        cause,
        "the proxy answered 502",
    );
    no(
        "HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n",
        "",
        cause,
        "the proxy answered 302",
    );
    no(
        "HTTP/1.1 101 Hello\r\n\r\n",
        "",
        cause,
        "the proxy answered 101",
    );
    no(
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
        "malformed",
        "what the proxy answered is malformed",
    );
    let glued = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    no(
        glued,
        "",
        "malformed",
        "before the upstream was asked anything",
    );
}

#[test]
fn a_proxy_that_stalls_or_leaves_is_given_up_at_the_deadline_of_connecting() {
    let silent = "a proxy opened no way";
    let timed_out = (504, "upstream_timeout");
    check_no(&answering(""), "", timed_out, "timed_out", silent);
    check_no(
        &answering("HTTP/1.1 200 O"),
        "",
        timed_out,
        "timed_out",
        silent,
    );
    // The way is open, and leads to somebody who does not shake hands.
    check_no(
        &answering("HTTP/1.1 200 OK\r\n\r\n"),
        "",
        timed_out,
        "timed_out",
        "",
    );
    let unreachable = (502, "upstream_unreachable");
    let leaves = Provider::start(|mut peer| drop(peer.call()));
    check_no(&leaves, "", unreachable, "closed", silent);
    let leaves = Provider::start(|mut peer| {
        let _ = peer.call().map(|_| peer.send("HTTP/1.1 200 OK\r\n\r\n"));
    });
    check_no(&leaves, "", unreachable, "untrusted", "");
}

#[test]
fn a_target_whose_proxy_says_no_is_passed_over_for_another() {
    let proxy = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    let free = Provider::answering(|_| openai::answer_using(1, 1));
    let far = format!("https://{NAME}");
    let targets = "{ provider = \"far\", model = \"a\", weight = 1000 }, \
                   { provider = \"free\", model = \"b\" }";
    let site = Site::new()
        .provider_with("far", &far, &through(&proxy, ""))
        .provider("free", &free.url())
        .model_with("m", targets, "price = { input = \"1\", output = \"2\" }")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    assert_eq!(gateway.ask(&chat()).status, 200);
    assert_eq!(free.calls_total(), 1);
}

#[test]
fn other_credentials_after_a_reload_are_shown_over_another_connection() {
    let (_authority, provider, tls) = secure_provider();
    let proxy = leading_to(provider.address());
    let file = |user| site(&format!("{tls}{}", through(&proxy, user)));
    let gateway = Gateway::start(&file(USER));
    assert_eq!(gateway.ask(&chat()).status, 200);
    gateway.rewrite(&file("us:other").text());
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    assert_eq!(gateway.ask(&chat()).status, 200);
    let asked = proxy.calls();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[1].field("proxy-authorization"),
        Some("Basic dXM6b3RoZXI=")
    );
}

#[test]
fn checks_of_health_go_through_the_proxy_too() {
    let shut = Arc::new(AtomicBool::new(false));
    let upstream = Provider::answering(|_| openai::answer("200 OK", "{}"));
    let (there, closed) = (upstream.address(), Arc::clone(&shut));
    let proxy = Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        if closed.load(Ordering::SeqCst) {
            let _ = peer.send("HTTP/1.1 403 Forbidden\r\n\r\n");
        } else if peer.send(OPENED).is_ok() {
            peer.carry(there);
        }
    });
    let health = "health = { path = \"/up\", interval = \"20ms\", healthy = 1, unhealthy = 1 }";
    let lines = format!("insecure = true\n{health}\n{}", through(&proxy, ""));
    let site = Site::new().service_with("s", "/s", &format!("http://{NAME}"), &lines);
    let gateway = Gateway::start(&site);
    upstream.await_calls(2);
    assert!(upstream.calls().iter().all(|call| call.target == "/up"));
    let state = |wanted: &str| {
        eventually(wanted, || {
            (gateway.stats()["upstreams"][0]["state"] == wanted).then_some(())
        });
    };
    shut.store(true, Ordering::SeqCst);
    state("unhealthy");
    shut.store(false, Ordering::SeqCst);
    state("healthy");
}

/// What the doctor says of the upstream, and the one word for it.
#[track_caller]
fn examine(site: &Site) -> (String, Value) {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    std::fs::write(&file, site.text()).unwrap();
    let mut command = Command::new(BINARY);
    let output = command
        .args(["doctor", "--json", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap().iter();
    let of_upstreams: Vec<_> = findings
        .filter(|finding| finding["check"].as_str().unwrap().starts_with("upstream"))
        .collect();
    (told.to_string(), json!(of_upstreams))
}

#[test]
fn the_doctor_asks_the_proxy_and_shakes_hands_behind_it() {
    let (_authority, provider, tls) = secure_provider();
    let proxy = leading_to(provider.address());
    let (told, found) = examine(&site(&(tls + &through(&proxy, USER))));
    let verdicts = [&found[0]["verdict"], &found[1]["verdict"]];
    assert_eq!(verdicts, ["ok", "ok"], "{found}");
    let place = format!("main at {NAME}:443 via {}", proxy.address());
    assert!(
        found[0]["found"].as_str().unwrap().starts_with(&place),
        "{found}"
    );
    assert!(!told.contains("p%40ss") && !told.contains("p@ss"), "{told}");
    assert_eq!(provider.calls_total(), 0, "it sent a request");

    let refusing = answering("HTTP/1.1 407 Who\r\n\r\n");
    let (_, found) = examine(&site(&through(&refusing, "")));
    assert_eq!(found[0]["verdict"], "fail", "{found}");
    assert!(
        found[0]["found"]
            .as_str()
            .unwrap()
            .contains("wants credentials (407)")
    );
    assert!(
        found[0]["remedy"].as_str().unwrap().contains("`proxy`"),
        "{found}"
    );
}
