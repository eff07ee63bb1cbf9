//! Every way the gateway says no, but for those of a bucket: one test for each, in the shape
//! clients parse.
//!
//! What is asserted is what a program acts on: the status, the code, the fields that tell
//! it whether to come back, and that nothing reached the provider.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::thread;

use serde_json::json;
use support::openai::{self, CHAT};
use support::site::{ACME, AMPLE};
use support::stage::Stage;
use support::{Gateway, Provider, Request, Site, refused};

#[test]
fn a_body_that_is_not_what_it_says_is_400() {
    let stage = Stage::new(|site| site);
    let bodies = [
        ("not JSON", "{\"model\":\"m\""),
        ("not an object", "[1]"),
        ("no model", "{\"messages\":[]}"),
        ("a model that is no string", "{\"model\":7}"),
        ("two models", "{\"model\":\"m\",\"model\":\"dear\"}"),
        (
            "two models, one in disguise",
            "{\"model\":\"m\",\"mod\\u0065l\":\"dear\"}",
        ),
        (
            "a stream that is neither",
            "{\"model\":\"m\",\"stream\":\"yes\"}",
        ),
        ("a negative maximum", "{\"model\":\"m\",\"max_tokens\":-1}"),
    ];
    for (what, body) in bodies {
        let answer = stage.gateway.ask(&Request::post(CHAT, body).key(ACME));
        assert_eq!(answer.status, 400, "{what}: {}", answer.describe());
        let error = &answer.json()["error"];
        assert_eq!(
            error["type"],
            "invalid_request_error",
            "{what}: {}",
            answer.describe()
        );
        assert_eq!(error["source"], "gateway", "{what}");
    }
    stage.nothing_reached_the_provider();
}

#[test]
fn no_key_and_an_unknown_key_are_401() {
    let stage = Stage::new(|site| site);
    let body = || openai::chat("m", json!({}));
    let without = stage.gateway.ask(&Request::post(CHAT, body()));
    refused(&without, 401, "invalid_api_key");
    assert_eq!(without.json()["error"]["type"], "authentication_error");
    // RFC 9110 §11.6.1: a 401 says how to authenticate.
    assert!(
        without.field("www-authenticate").is_some(),
        "{}",
        without.describe()
    );
    let unknown = [
        "tr_nobody".to_owned(),
        "'; DROP TABLE keys; --".to_owned(),
        "%%%%".to_owned(),
        "k".repeat(8000),
    ];
    for key in unknown {
        refused(&stage.chat(&key), 401, "invalid_api_key");
    }
    stage.nothing_reached_the_provider();
}

#[test]
fn a_disabled_key_a_suspended_tenant_and_a_model_not_allowed_are_403() {
    let stage = Stage::new(|site| {
        site.key("acme", "old", "tr_old", "disabled = true")
            .key("acme", "narrow", "tr_narrow", "models = [\"other\"]")
            .model("other", "main")
            .tenant("gone", "suspended = true")
            .key("gone", "bot", "tr_gone", "")
    });
    for (key, code) in [
        ("tr_old", "key_disabled"),
        ("tr_gone", "tenant_suspended"),
        ("tr_narrow", "model_not_allowed"),
    ] {
        let answer = stage.chat(key);
        refused(&answer, 403, code);
        assert_eq!(answer.json()["error"]["type"], "permission_error");
    }
    stage.nothing_reached_the_provider();
}

#[test]
fn a_model_without_a_price_is_403_where_money_is_limited_and_only_there() {
    let unpriced = r#"{ provider = "main", model = "nobody-knows-this-one" }"#;
    let stage = Stage::new(|site| {
        site.model_with("unpriced", unpriced, "")
            .tenant("free", "")
            .key("free", "bot", "tr_free", "")
    });
    let answer = stage.ask(ACME, "unpriced", json!({}));
    refused(&answer, 403, "model_not_priced");
    stage.nothing_reached_the_provider();
    assert_eq!(stage.ask("tr_free", "unpriced", json!({})).status, 200);
}

#[test]
fn an_unknown_model_and_an_unknown_path_are_404() {
    let stage = Stage::new(|site| site);
    let answer = stage.ask(ACME, "gpt-9", json!({}));
    refused(&answer, 404, "model_not_found");
    assert_eq!(
        answer.json()["error"]["param"],
        "model",
        "{}",
        answer.describe()
    );
    let nowhere = stage.gateway.ask(&Request::get("/v2/else").key(ACME));
    assert_eq!(nowhere.status, 404, "{}", nowhere.describe());
    stage.nothing_reached_the_provider();
}

#[test]
fn an_address_that_nobody_may_call_from_is_403_before_any_key_is_looked_at() {
    let stage = Stage::new(|site| site.set("server", "deny", r#"["127.0.0.0/8"]"#));
    let answer = stage.chat("tr_nobody");
    refused(&answer, 403, "ip_denied");
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    refused(&stage.chat(ACME), 403, "ip_denied");
    stage.nothing_reached_the_provider();
}

#[test]
fn a_path_that_becomes_none_and_a_host_read_in_two_ways_are_400() {
    let stage = Stage::new(|site| {
        let upstream = Provider::nowhere();
        site.service_with(
            "cut",
            "/cut",
            &upstream,
            "rewrite = { from = \"^/cut/\", to = \"\" }\nhosts = [\"gateway.test\"]",
        )
    });
    let unfit = stage.gateway.ask(&Request::get("/cut/x"));
    assert_eq!(unfit.status, 400, "{}", unfit.describe());
    assert_eq!(unfit.json()["code"], "invalid_request");
    let ambiguous = stage.raw("GET /cut HTTP/1.1\r\nHost: gatewa%79.test\r\n\r\n");
    assert_eq!(ambiguous.status, 400, "{}", ambiguous.describe());
    assert_eq!(ambiguous.json()["code"], "invalid_request");
}

#[test]
fn a_method_a_path_does_not_know_is_405_and_says_which_it_does() {
    let stage = Stage::new(|site| site);
    let answer = stage.gateway.ask(&Request::get(CHAT).key(ACME));
    assert_eq!(answer.status, 405, "{}", answer.describe());
    // RFC 9110 §15.5.6: a 405 lists what is allowed.
    assert_eq!(answer.field("allow"), Some("POST"), "{}", answer.describe());
    let tunnel = stage.raw("CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n");
    assert_eq!(tunnel.status, 405, "{}", tunnel.describe());
    stage.nothing_reached_the_provider();
}

#[test]
fn a_body_too_long_to_inspect_is_413_however_it_is_framed() {
    let stage = Stage::new(|site| site.set("limits", "body_bytes", "4096"));
    let long = "x".repeat(5000);
    let body = openai::chat("m", json!({ "user": long }));
    let answer = stage
        .gateway
        .ask(&Request::post(CHAT, body.clone()).key(ACME));
    assert_eq!(answer.status, 413, "{}", answer.describe());

    let request = Request::new("POST", CHAT)
        .key(ACME)
        .field("Transfer-Encoding", "chunked");
    let mut client = stage.gateway.client();
    client.send(request.bytes());
    // The refusal may come, and the connection go, while this is still being sent.
    let _ = client.try_send(openai::chunk(&String::from_utf8(body).unwrap()));
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{}", answer.describe());
    stage.nothing_reached_the_provider();
}

#[test]
fn a_target_too_long_is_414_and_a_head_too_long_is_431() {
    let stage = Stage::new(|site| site);
    let long = "a".repeat(20_000);
    let target = stage.raw(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(target.status, 414, "{}", target.describe());
    let many: String = (0..120)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    let fields = stage.raw(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"));
    assert_eq!(fields.status, 431, "{}", fields.describe());
    // Refused while it is being read: the end of this head never comes.
    let endless = "b".repeat(70_000);
    let head = stage.raw(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {endless}"));
    assert_eq!(head.status, 431, "{}", head.describe());
    stage.nothing_reached_the_provider();
}

#[test]
fn an_expectation_nobody_knows_is_417() {
    let stage = Stage::new(|site| site);
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
    let answer = stage.gateway.ask(&request.field("Expect", "a-miracle"));
    assert_eq!(answer.status, 417, "{}", answer.describe());
    stage.nothing_reached_the_provider();
}

#[test]
fn a_coding_and_a_version_we_do_not_have_are_501_and_505() {
    let stage = Stage::new(|site| site);
    let coding = format!("POST {CHAT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_eq!(stage.raw(&coding).status, 501);
    assert_eq!(stage.raw("GET / HTTP/2.0\r\nHost: a\r\n\r\n").status, 505);
    let method = "M".repeat(40);
    assert_eq!(
        stage
            .raw(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
            .status,
        501
    );
    stage.nothing_reached_the_provider();
}

#[test]
fn a_provider_that_talks_nonsense_is_502() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhey",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ] {
        let provider = Provider::start(move |mut peer| {
            if peer.call().is_some() && peer.send(nonsense).is_ok() {
                peer.await_hang_up();
            }
        });
        let gateway = Gateway::start(&Site::with_acme(&provider.url()));
        let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 502, "{nonsense:?}: {}", answer.describe());
        assert_eq!(answer.json()["error"]["source"], "gateway", "{nonsense:?}");
        assert_eq!(gateway.bucket_at_rest(ACME, "tokens").held, 0);
    }
}

#[test]
fn our_own_account_without_money_is_503_and_never_the_callers_402() {
    let provider = Provider::answering(|_| {
        let body = r#"{"error":{"message":"top up","type":"insufficient_quota","code":"x"}}"#;
        openai::answer("402 Payment Required", body)
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let answer = gateway.ask(&Request::post(CHAT, openai::chat("m", json!({}))).key(ACME));
    refused(&answer, 503, "upstream_unavailable");
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 0);
}

#[test]
fn a_provider_with_no_place_left_is_503_and_says_when_to_come_back() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            peer.await_hang_up();
        }
    });
    let bound = "max_in_flight = 1\nqueue = { length = 0 }";
    let site = Site::new()
        .provider_with("main", &provider.url(), bound)
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
    let mut first = gateway.client();
    first.send(request.bytes());
    provider.await_calls(1);
    let answer = gateway.ask(&request);
    refused(&answer, 503, "upstream_busy");
    assert_eq!(answer.json()["error"]["type"], "server_error");
    assert_eq!(answer.field("retry-after"), Some("1"));
}

#[test]
fn a_provider_that_does_not_answer_in_time_is_504() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            peer.await_hang_up();
        }
    });
    let site = Site::with_acme(&provider.url()).set("timeouts", "first_byte", "\"300ms\"");
    let gateway = Gateway::start(&site);
    let answer = gateway.ask(&Request::post(CHAT, openai::chat("m", json!({}))).key(ACME));
    assert_eq!(answer.status, 504, "{}", answer.describe());
    assert_eq!(answer.json()["error"]["source"], "gateway");
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn refusals_cost_nothing_and_a_rest_route_has_them_as_problem_details() {
    let stage = Stage::new(|site| {
        let upstream = Provider::nowhere();
        site.raw(&format!(
            "[services.weather]\npath = \"/weather\"\nupstreams = [\"{upstream}\"]"
        ))
    });
    let answer = stage.gateway.ask(&Request::get("/weather/today"));
    assert_eq!(answer.status, 401, "{}", answer.describe());
    let content_type = answer.field("content-type").unwrap_or_default();
    assert!(
        content_type.starts_with("application/problem+json"),
        "{}",
        answer.describe()
    );
    let problem = answer.json();
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["code"], "invalid_api_key");
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| refused(&stage.ask(ACME, "gpt-9", json!({})), 404, "model_not_found"));
        }
    });
    assert_eq!(stage.gateway.bucket_at_rest(ACME, "requests").used, 0);
}
