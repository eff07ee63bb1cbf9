//! Every way a bucket says no: 402 for money, 429 for pace, 400 for what can never fit.
//!
//! The three are told apart because programs act on them apart: official clients retry a 429
//! and never a 402, so the wrong one is either a storm or a caller turned away.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::expect::{refused_for_money, refused_for_pace};
use support::openai::{self, CHAT};
use support::stage::Stage;
use support::{Gate, Gateway, Provider, Request, Site, refused};

#[test]
fn a_request_that_can_never_fit_its_limit_is_400_and_not_a_matter_of_money() {
    let stage = Stage::with_poor(r#"limits = [{ unit = "tokens", amount = 100, per = "total" }]"#);
    let answer = stage.ask("tr_poor", "m", json!({ "max_tokens": 5000 }));
    refused(&answer, 400, "request_exceeds_quota_limit");
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    stage.nothing_reached_the_provider();
}

#[test]
fn an_empty_balance_is_402_balance_exhausted() {
    let stage = Stage::new(|site| {
        site.tenant("thrifty", "balance = \"0.01\"")
            .key("thrifty", "bot", "tr_thrifty", "")
            .model_with(
                "dear",
                r#"{ provider = "main", model = "dear" }"#,
                r#"price = { input = "0", output = "0", request = "0.01" }"#,
            )
    });
    assert_eq!(stage.ask("tr_thrifty", "dear", json!({})).status, 200);
    assert_eq!(
        stage.gateway.bucket_at_rest("tr_thrifty", "usd").remaining,
        0
    );

    let answer = stage.ask("tr_thrifty", "dear", json!({}));

    refused_for_money(&answer, "balance_exhausted");
    let quota = &answer.json()["error"]["quota"];
    assert_eq!(quota["unit"], "usd", "{}", answer.describe());
    assert_eq!(quota["scope"], "tenant", "{}", answer.describe());
    assert_eq!(stage.provider.calls_total(), 1);
}

#[test]
fn a_spent_window_is_402_quota_exhausted_and_says_when_it_starts_again() {
    let stage = Stage::with_poor(r#"limits = [{ unit = "requests", amount = 1, per = "year" }]"#);
    assert_eq!(stage.chat("tr_poor").status, 200);
    assert_eq!(stage.gateway.bucket_at_rest("tr_poor", "requests").used, 1);

    let answer = stage.chat("tr_poor");

    refused_for_money(&answer, "quota_exhausted");
    let quota = answer.json()["error"]["quota"].clone();
    for (name, value) in [
        ("scope", "key"),
        ("unit", "requests"),
        ("window", "year"),
        ("limit", "1"),
        ("used", "1"),
        ("held", "0"),
        ("remaining", "0"),
        ("requested", "1"),
    ] {
        assert_eq!(quota[name], value, "{name}: {}", answer.describe());
    }
    let resets_at = quota["resets_at"].as_str().unwrap();
    assert!(
        resets_at.ends_with("-01-01T00:00:00Z"),
        "not the next year: {resets_at}"
    );
    assert_eq!(stage.provider.calls_total(), 1);
}

#[test]
fn something_left_but_less_than_needed_is_402_and_says_what_is_affordable() {
    let stage = Stage::with_poor(r#"limits = [{ unit = "tokens", amount = 1000, per = "year" }]"#);
    assert_eq!(stage.chat("tr_poor").status, 200);
    assert_eq!(stage.gateway.bucket_at_rest("tr_poor", "tokens").used, 18);

    let answer = stage.ask("tr_poor", "m", json!({ "max_tokens": 985 }));

    refused_for_money(&answer, "quota_insufficient_for_request");
    let affordable = answer.json()["error"]["quota"]["affordable_max_tokens"]
        .as_u64()
        .unwrap();
    assert!(
        (1..985).contains(&affordable),
        "{affordable} is not a useful answer"
    );
    let again = stage.ask("tr_poor", "m", json!({ "max_tokens": affordable }));
    assert_eq!(
        again.status,
        200,
        "affordable was not: {}",
        again.describe()
    );
}

#[test]
fn the_operator_chooses_the_number_and_nothing_else() {
    let limits = r#"limits = [{ unit = "requests", amount = 1, per = "total" }]"#;
    let stage = Stage::new(|site| {
        site.tenant("poor", "")
            .key("poor", "bot", "tr_poor", limits)
            .set("errors", "exhausted_status", "429")
            .set("errors", "top_up_url", "\"https://pay.example/top-up\"")
    });
    stage.chat("tr_poor");
    stage.gateway.bucket_at_rest("tr_poor", "requests");

    let answer = stage.chat("tr_poor");

    refused(&answer, 429, "quota_exhausted");
    assert_eq!(answer.json()["error"]["type"], "insufficient_quota");
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    assert_eq!(answer.field("retry-after"), None);
    assert_eq!(
        answer.field("link"),
        Some("<https://pay.example/top-up>; rel=\"payment\"")
    );
}

#[test]
fn a_caller_does_not_see_its_tenants_amounts_unless_told_so() {
    let stage = Stage::new(|site| {
        site.tenant(
            "shy",
            r#"limits = [{ unit = "requests", amount = 1, per = "year" }]"#,
        )
        .key("shy", "bot", "tr_shy", "")
        .set("errors", "expose_parent_amounts", "false")
    });
    stage.chat("tr_shy");
    let answer = support::eventually("the first request to be posted", || {
        let answer = stage.chat("tr_shy");
        (answer.code() != "quota_held_in_flight").then_some(answer)
    });
    refused_for_money(&answer, "quota_exhausted");
    let quota = answer.json()["error"]["quota"].clone();
    assert_eq!(quota["scope"], "tenant", "{}", answer.describe());
    assert!(quota["resets_at"].is_string(), "{}", answer.describe());
    for hidden in ["limit", "used", "held", "remaining"] {
        assert!(
            quota[hidden].is_null(),
            "{hidden} is shown: {}",
            answer.describe()
        );
    }
}

#[test]
fn a_pace_too_fast_is_429_and_says_how_long_to_wait() {
    let stage = Stage::with_poor(r#"limits = [{ unit = "requests", amount = 2, per = "minute" }]"#);
    // The minute may turn between two of these, so it takes the third or the one after.
    let answer = support::eventually("a request too many in a minute", || {
        let answer = stage.chat("tr_poor");
        (answer.status != 200).then_some(answer)
    });
    let seconds = refused_for_pace(&answer, "requests_per_minute");
    assert!(
        (1..=60).contains(&seconds),
        "{seconds} s is not what is left of a minute"
    );
    let calls = stage.provider.calls_total();
    assert!((2..=4).contains(&calls), "{calls} calls on a limit of 2");
}

#[test]
fn more_at_once_than_agreed_is_429_concurrency() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::answering(move |_| {
        gate_of_provider.wait();
        openai::answer_using(1, 1)
    });
    let site = Site::with_acme(&provider.url()).tenant("poor", "").key(
        "poor",
        "bot",
        "tr_poor",
        "limits = [{ concurrent = 1 }]",
    );
    let gateway = Gateway::start(&site);
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key("tr_poor");

    let mut first = gateway.client();
    first.send(request.bytes());
    provider.await_calls(1);
    let second = gateway.ask(&request);
    gate.open();

    let seconds = refused_for_pace(&second, "concurrency");
    assert_eq!(seconds, 1);
    assert_eq!(first.answer().status, 200);
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn units_held_by_requests_in_flight_are_429_and_not_402() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::answering(move |_| {
        gate_of_provider.wait();
        openai::answer_using(1, 1)
    });
    let limits = r#"limits = [{ unit = "requests", amount = 1, per = "total" }]"#;
    let site = Site::with_acme(&provider.url())
        .tenant("poor", "")
        .key("poor", "bot", "tr_poor", limits);
    let gateway = Gateway::start(&site);
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key("tr_poor");

    let mut first = gateway.client();
    first.send(request.bytes());
    provider.await_calls(1);
    let blocked = gateway.ask(&request);
    gate.open();

    assert_eq!(refused_for_pace(&blocked, "quota_held_in_flight"), 1);
    assert_eq!(first.answer().status, 200);
    gateway.bucket_at_rest("tr_poor", "requests");
    refused_for_money(&gateway.ask(&request), "quota_exhausted");
}
