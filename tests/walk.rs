//! One request, end to end, through the binary: the first test to read.
//!
//! A client, the gateway and a provider on one machine. What goes wrong on the way is for
//! the other files; this one says what a good request looks like on both sides.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use serde_json::json;
use support::binary::{BINARY, Folder};
use support::client::Piece;
use support::openai::{self, CHAT, DONE};
use support::site::{ACME, PROVIDER_KEY};
use support::{Answer, Gateway, Provider, Request, Site, refused};

#[test]
fn a_chat_request_goes_through_and_its_answer_comes_back_untouched() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));

    let body = openai::chat("m", json!({ "temperature": 0.25, "max_tokens": 50 }));
    let answer = gateway.ask(&Request::post(CHAT, body).key(ACME));

    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert!(answer.whole);
    assert_eq!(
        answer.text(),
        openai::completion("Hello.", Some(openai::usage(11, 7)))
    );
    let request_id = answer.field("x-request-id").unwrap();
    assert!(!request_id.is_empty());
    assert_eq!(answer.field("request-id"), Some(request_id));
    assert_eq!(answer.field("x-ratelimit-limit-requests"), Some("1000"));
    assert_eq!(answer.field("x-ratelimit-limit-tokens"), Some("1000000"));

    let calls = provider.calls();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", CHAT));
    assert_eq!(
        call.field("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}").as_str())
    );
    assert_eq!(
        call.field("host"),
        Some(provider.url().trim_start_matches("http://"))
    );
    assert_eq!(call.field("content-type"), Some("application/json"));
    assert!(call.field("via").is_some(), "no Via towards the provider");
    assert!(
        !format!("{call:?}").contains(ACME),
        "the caller's key left the house"
    );
}

#[test]
fn only_the_model_name_is_changed_in_what_is_asked() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));

    // Odd spacing, an escape, a number no float holds and a member nobody knows.
    let body = "{ \"seed\":12345678901234567890,\n\t\"model\" : \"m\", \"x-new\":[1e-7, null],\
                \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 \\/ \\\"model\\\"\"}]}";
    let answer = gateway.ask(&Request::post(CHAT, body).key(ACME));

    assert_eq!(answer.status, 200, "{}", answer.describe());
    let sent = String::from_utf8(provider.calls()[0].body.clone()).unwrap();
    assert_eq!(sent, body.replacen("\"m\"", "\"m-upstream\"", 1));
}

#[test]
fn a_stream_arrives_as_it_was_sent_without_the_usage_nobody_asked_for() {
    let events = openai::stream_events(&["Hel", "lo."], Some((11, 2)));
    let stream = openai::stream_of(&events);
    let provider = Provider::answering(move |_| stream.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));

    let body = openai::chat("m", json!({ "stream": true }));
    let answer = gateway.ask(&Request::post(CHAT, body).key(ACME));

    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert!(answer.whole);
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let without_usage: String = events
        .iter()
        .filter(|event| !event.contains("prompt_tokens"))
        .cloned()
        .collect();
    assert_eq!(answer.text(), without_usage);
    let asked = provider.calls()[0].json();
    assert_eq!(
        asked["stream_options"]["include_usage"], true,
        "usage was not asked for"
    );
}

#[test]
fn a_stream_keeps_the_usage_its_client_asked_for() {
    let events = openai::stream_events(&["Hi"], Some((11, 1)));
    let stream = openai::stream_of(&events);
    let provider = Provider::answering(move |_| stream.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));

    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let answer = gateway.ask(&Request::post(CHAT, openai::chat("m", options)).key(ACME));

    assert_eq!(answer.text(), events.concat());
    assert!(answer.text().ends_with(DONE));
}

#[test]
fn a_key_is_taken_from_any_of_the_five_places_clients_put_it() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let request = |target: &str| Request::post(target, openai::chat("m", json!({})));

    let places = [
        ("Authorization", request(CHAT).key(ACME)),
        ("x-api-key", request(CHAT).field("x-api-key", ACME)),
        ("api-key", request(CHAT).field("api-key", ACME)),
        (
            "x-goog-api-key",
            request(CHAT).field("x-goog-api-key", ACME),
        ),
        ("?key=", request(&format!("{CHAT}?key={ACME}"))),
    ];
    for (place, request) in &places {
        let answer = gateway.ask(request);
        assert_eq!(answer.status, 200, "from {place}: {}", answer.describe());
    }
    for call in provider.calls() {
        assert!(
            !format!("{call:?}").contains(ACME),
            "the caller's key left: {call:?}"
        );
    }
}

#[test]
fn the_models_a_key_may_ask_for_are_listed_and_looked_up() {
    let site = Site::with_acme(&Provider::nowhere())
        .model("org/other:latest", "main")
        .key("acme", "narrow", "tr_narrow", "models = [\"m\"]");
    let gateway = Gateway::start(&site);
    let ids = |answer: &Answer| -> Vec<String> {
        let body = answer.json();
        assert_eq!(body["object"], "list");
        let models = body["data"].as_array().unwrap().iter();
        let mut ids: Vec<String> = models
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };

    let all = gateway.ask(&Request::get("/v1/models").key(ACME));
    assert_eq!(ids(&all), ["m", "org/other:latest"]);
    let narrow = gateway.ask(&Request::get("/v1/models").key("tr_narrow"));
    assert_eq!(ids(&narrow), ["m"]);

    let one = gateway.ask(&Request::get("/v1/models/m").key(ACME));
    assert_eq!((one.status, &one.json()["object"]), (200, &json!("model")));
    // Clients escape the slash in a model's name.
    let escaped = gateway.ask(&Request::get("/v1/models/org%2Fother:latest").key(ACME));
    assert_eq!(
        escaped.json()["id"],
        "org/other:latest",
        "{}",
        escaped.describe()
    );
    let none = gateway.ask(&Request::get("/v1/models/nothing").key(ACME));
    assert_eq!(none.status, 404, "{}", none.describe());
}

#[test]
fn completions_and_embeddings_take_the_same_walk() {
    let provider = Provider::answering(|_| openai::answer_using(3, 0));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));

    for (target, body) in [
        (
            "/v1/completions",
            r#"{"model":"m","prompt":"Once","max_tokens":5}"#,
        ),
        ("/v1/embeddings", r#"{"model":"m","input":["one","two"]}"#),
    ] {
        let answer = gateway.ask(&Request::post(target, body).key(ACME));
        assert_eq!(answer.status, 200, "{target}: {}", answer.describe());
        let call = provider.calls().pop().unwrap();
        assert_eq!(call.target, target);
        assert_eq!(call.json()["model"], "m-upstream");
    }
}

#[test]
fn one_connection_carries_many_requests_in_order_and_the_provider_sees_one_too() {
    let provider = Provider::answering(|call| {
        let seed = call.json()["seed"].clone();
        openai::answer(
            "200 OK",
            &json!({ "seed": seed, "usage": openai::usage(1, 1) }).to_string(),
        )
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()).set("server", "workers", "1"));

    let mut client = gateway.client();
    for seed in 0..20 {
        let body = openai::chat("m", json!({ "seed": seed }));
        let answer = client.ask(&Request::post(CHAT, body).key(ACME));
        assert_eq!(answer.json()["seed"], seed);
    }
    assert_eq!(provider.connections(), 1);
}

#[test]
fn a_caller_is_told_its_quota_and_asking_costs_nothing() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    gateway.ask(&Request::post(CHAT, openai::chat("m", json!({}))).key(ACME));
    let requests = gateway.bucket_at_rest(ACME, "requests");
    assert_eq!((requests.used, requests.remaining), (1, 999));

    let answer = gateway.ask(&Request::get("/v1/quota").key(ACME));

    let body = answer.json();
    let tokens = body["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|b| b["unit"] == "tokens");
    let tokens = tokens.unwrap();
    assert_eq!(tokens["scope"], "key");
    assert_eq!(tokens["window"], "total");
    assert_eq!(tokens["limit"], "1000000");
    assert_eq!(tokens["used"], "18");
    assert_eq!(tokens["held"], "0");
    assert_eq!(tokens["remaining"], "999982");
    assert_eq!(gateway.bucket(ACME, "requests"), requests);
}

#[test]
fn an_estimate_tells_what_would_be_held_and_holds_nothing() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let estimate =
        |body: Vec<u8>| gateway.ask(&Request::post("/v1/quota/estimate", body).key(ACME));

    let small = estimate(openai::chat("m", json!({ "max_tokens": 10 })));
    assert_eq!(small.status, 200, "{}", small.describe());
    assert_eq!(small.json()["allowed"], true, "{}", small.describe());
    let large = estimate(openai::chat("m", json!({ "max_tokens": 2_000_000 })));
    assert_eq!(large.json()["allowed"], false, "{}", large.describe());

    assert_eq!(gateway.bucket(ACME, "tokens").held, 0);
    assert_eq!(gateway.bucket(ACME, "tokens").used, 0);
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn the_demo_needs_no_file_and_has_one_tenant_with_money_and_one_without() {
    let mut command = Command::new(BINARY);
    let ephemeral = "127.0.0.1:0";
    command.args(["serve", "--demo", "--json"]);
    command.args(["--listen", ephemeral, "--admin-listen", ephemeral]);
    let gateway = Gateway::start_by(command, Folder::new());
    let key = |name: &str| gateway.ready["keys"][name].as_str().unwrap().to_owned();
    let models = gateway.ask(&Request::get("/v1/models").key(&key("acme")));
    let model = models.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let request = || Request::post(CHAT, openai::chat(&model, json!({})));

    let answer = gateway.ask(&request().key(&key("acme")));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(answer.json()["object"], "chat.completion");
    let answer = gateway.ask(&request().key(&key("broke")));
    refused(&answer, 402, "balance_exhausted");
}

#[test]
fn the_operator_sees_live_figures_and_nobody_else_does() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    gateway.ask(&Request::post(CHAT, openai::chat("m", json!({}))).key(ACME));
    gateway.bucket_at_rest(ACME, "tokens");

    let stats = gateway.stats();
    assert_eq!(stats["workers"].as_array().unwrap().len(), 2, "{stats}");
    assert!(stats["requests_total"].as_u64().unwrap() >= 1, "{stats}");
    assert_eq!(
        stats["tokens"],
        json!({ "input": 11, "output": 7 }),
        "{stats}"
    );
    let metrics = gateway.ask_admin("GET", "/metrics");
    assert!(
        metrics.text().contains("tollring_requests_total"),
        "{}",
        metrics.describe()
    );
    assert!(
        !metrics.text().contains(PROVIDER_KEY),
        "a secret among the figures"
    );

    let mut stranger = support::Client::connect(&gateway.admin_url);
    let host = gateway.admin_url.trim_start_matches("http://");
    stranger.send(format!(
        "GET /api/v1/stats HTTP/1.1\r\nhost: {host}\r\n\r\n"
    ));
    assert_eq!(stranger.answer().status, 401);
}

#[test]
fn a_head_answer_has_no_body_and_the_connection_goes_on() {
    let provider = Provider::answering(|call| match call.method.as_str() {
        "HEAD" => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec(),
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();

    let head = client.ask(&Request::new("HEAD", "/files/a"));
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("5"))
    );
    client.send(Request::get("/files/a").bytes());
    let get = client.head();
    assert_eq!(
        client.piece(&mut get.framing("GET")),
        Piece::Data(b"hello".to_vec())
    );
}
