//! What a service does with hosts, paths and fields, as its upstream and its client see it.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use support::openai;
use support::provider::Call;
use support::{Gateway, Provider, Request, Site};

fn upstream() -> Provider {
    Provider::answering(|_| openai::answer("200 OK", "{}"))
}

/// What reaches the upstream of a service under `/s` with these lines.
#[track_caller]
fn reaches(lines: &str, request: &Request) -> Call {
    let provider = upstream();
    let site = Site::new().service_with("s", "/s", &provider.url(), lines);
    let answer = Gateway::start(&site).ask(request);
    assert_eq!(answer.status, 200, "{lines}: {}", answer.describe());
    provider.calls().remove(0)
}

#[test]
fn the_most_specific_host_wins_and_then_the_longest_path() {
    let (exact, wide, wider, any) = (upstream(), upstream(), upstream(), upstream());
    let site = Site::new()
        .service_with("exact", "/", &exact.url(), r#"hosts = ["a.api.test"]"#)
        .service_with("wide", "/", &wide.url(), r#"hosts = ["*.api.test"]"#)
        .service_with("wider", "/x", &wider.url(), r#"hosts = ["*.test"]"#)
        .open_service("any", "/x/y", &any.url());
    let gateway = Gateway::start(&site);
    let calls = || [&exact, &wide, &wider, &any].map(Provider::calls_total);
    for (host, path, expected) in [
        ("a.api.test", "/x/y", [1, 0, 0, 0]),
        ("A.Api.TEST:8080", "/x/y", [1, 0, 0, 0]),
        ("a.api.test.", "/", [1, 0, 0, 0]),
        ("b.api.test", "/x/y", [0, 1, 0, 0]),
        ("c.test", "/x/y", [0, 0, 1, 0]),
        ("api.test", "/x/y", [0, 0, 1, 0]),
        ("elsewhere", "/x/y", [0, 0, 0, 1]),
        ("elsewhere", "/x", [0, 0, 0, 0]),
        ("", "/x/y", [0, 0, 0, 1]),
    ] {
        let before = calls();
        let mut client = gateway.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let status = client.answer().status;
        let after = calls();
        let gained: Vec<usize> = (0..4).map(|at| after[at] - before[at]).collect();
        assert_eq!(gained, expected, "{host}{path}");
        assert_eq!(
            status == 200,
            gained.iter().sum::<usize>() == 1,
            "{host}{path}"
        );
    }
}

#[test]
fn the_authority_of_the_target_decides_over_the_host_field_for_key_and_route_alike() {
    let (secret, open) = (upstream(), upstream());
    let url = secret.url();
    let site = Site::with_acme(&Provider::nowhere())
        .raw(&format!(
            "[services.secret]\npath = \"/\"\nupstreams = [\"{url}\"]\nhosts = [\"secret.test\"]"
        ))
        .service_with("open", "/", &open.url(), r#"hosts = ["open.test"]"#);
    let gateway = Gateway::start(&site);
    for (target, host, status) in [
        ("http://secret.test/x", "open.test", 401),
        ("http://open.test/x", "secret.test", 200),
        ("/x", "secret.test", 401),
    ] {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(
            answer.status,
            status,
            "{target} {host}: {}",
            answer.describe()
        );
    }
    assert_eq!((secret.calls_total(), open.calls_total()), (0, 1));
}

#[test]
fn a_path_goes_on_stripped_and_rewritten_and_the_query_as_it_was() {
    let check = |lines: &str, target: &str, expected: &str| {
        assert_eq!(
            reaches(lines, &Request::get(target)).target,
            expected,
            "{lines}"
        );
    };
    check("", "/s/a?b=c", "/s/a?b=c");
    check("strip_path = true", "/s/a/b?c=%2F", "/a/b?c=%2F");
    check("strip_path = true", "/s?c", "/?c");
    let rewrite = "rewrite = { from = '^/s/v1/([a-z]+)/(\\d+)$', to = '/v2/$${2}_$1' }";
    check(rewrite, "/s/v1/cat/7?x=1", "/v2/7_cat?x=1");
    check(rewrite, "/s/v1/cat/x", "/s/v1/cat/x");
    let both = format!("strip_path = true\n{}", rewrite.replace("^/s", "^"));
    check(&both, "/s/v1/cat/7", "/v2/7_cat");
}

#[test]
fn a_rewritten_path_stands_behind_the_path_of_the_upstreams_url() {
    let provider = upstream();
    let base = format!("{}/base", provider.url());
    let site = Site::new().service_with("s", "/s", &base, "strip_path = true");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    // Twice on one connection: what one request left must not reach the next.
    for target in ["/s/long/path", "/s"] {
        assert_eq!(client.ask(&Request::get(target)).status, 200);
    }
    let targets: Vec<String> = provider
        .calls()
        .into_iter()
        .map(|call| call.target)
        .collect();
    assert_eq!(targets, ["/base/long/path", "/base/"]);
}

#[test]
fn a_rewritten_path_may_not_climb() {
    let provider = upstream();
    let rewrite = "rewrite = { from = '^/s/(.)(.)/', to = '/s/$1$2/../' }";
    let site = Site::new().service_with("s", "/s", &provider.url(), rewrite);
    let answer = Gateway::start(&site).ask(&Request::get("/s/ab/c"));
    assert_eq!(answer.status, 400, "{}", answer.describe());
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn the_upstream_is_told_the_host_that_was_chosen_for_it() {
    let request = Request::get("/s/a");
    assert_eq!(
        reaches("host = 'client'", &request).field("host"),
        Some("gateway.test")
    );
    assert_eq!(
        reaches("host = 'Internal:81'", &request).field("host"),
        Some("internal:81")
    );
    let upstream = reaches("", &request);
    assert!(upstream.field("host").unwrap().starts_with("127.0.0.1:"));
    for lines in ["", "host = 'client'"] {
        let call = reaches(lines, &request);
        let hosts = call
            .fields
            .iter()
            .filter(|(name, _)| name == "host")
            .count();
        assert_eq!(hosts, 1, "{lines}");
    }
}

#[test]
fn fields_of_a_request_are_set_added_and_removed() {
    let lines = "request_headers = { set = { Authorization = 'Bearer upstreams', X-A = 'ours' }, \
                 add = { X-B = 'ours' }, remove = ['Cookie'] }";
    let request = Request::get("/s")
        .field("x-a", "theirs")
        .field("X-A", "theirs again")
        .field("X-B", "theirs")
        .field("Cookie", "secret")
        .field("X-C", "kept");
    let call = reaches(lines, &request);
    let values = |name: &str| -> Vec<String> {
        let named = call.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(values("authorization"), ["Bearer upstreams"]);
    assert_eq!(values("x-a"), ["ours"]);
    assert_eq!(values("x-b"), ["theirs", "ours"]);
    assert_eq!(values("cookie"), [""; 0]);
    assert_eq!(values("x-c"), ["kept"]);
}

#[test]
fn fields_of_an_answer_are_set_added_and_removed_and_its_framing_is_not() {
    let provider = Provider::answering(|_| {
        b"HTTP/1.1 200 OK\r\nServer: secret/1.2\r\nCache-Control: private\r\nX-B: theirs\r\n\
          Content-Length: 2\r\n\r\nok"
            .to_vec()
    });
    let lines = "response_headers = { set = { Cache-Control = 'no-store' }, \
                 add = { X-B = 'ours' }, remove = ['server'] }";
    let site = Site::new().service_with("s", "/s", &provider.url(), lines);
    let answer = Gateway::start(&site).ask(&Request::get("/s"));
    let values = |name: &str| -> Vec<&str> {
        let named = answer.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("server"), [""; 0]);
    assert_eq!(values("cache-control"), ["no-store"]);
    assert_eq!(values("x-b"), ["theirs", "ours"]);
    assert_eq!(answer.text(), "ok");
    assert!(answer.whole);
}

#[test]
fn a_body_in_a_coding_passes_as_it_came() {
    let coded = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let provider = Provider::answering(move |call| {
        assert_eq!(call.field("accept-encoding"), Some("gzip, br, zstd"));
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            coded.len()
        )
        .into_bytes();
        answer.extend_from_slice(&coded);
        answer
    });
    let gateway = Gateway::start(&Site::new().open_service("s", "/s", &provider.url()));
    let request = Request::get("/s").field("Accept-Encoding", "gzip, br, zstd");
    let answer = gateway.ask(&request);
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    assert_eq!(answer.body, coded);
}
