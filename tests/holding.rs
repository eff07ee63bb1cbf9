//! How much is held for a call, and what happens when that is more than there is.
//!
//! Prompts here are estimated at the same few tokens, so a limit says how many of output are left.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::message::Answer;
use support::openai::{self, CHAT};
use support::{Gate, Gateway, Provider, Request, Site};

/// A gateway whose tenant `poor` may spend so many tokens.
fn gateway(provider: &Provider, tokens: u64, quota: &[(&'static str, &str)]) -> Gateway {
    let limit = format!(r#"limits = [{{ unit = "tokens", amount = {tokens}, per = "total" }}]"#);
    let site = Site::with_acme(&provider.url())
        .tenant("poor", "")
        .key("poor", "bot", "tr_poor", &limit);
    let set = |site: Site, &(name, value): &(&'static str, &str)| site.set("quota", name, value);
    Gateway::start(&quota.iter().fold(site, set))
}

fn ask(gateway: &Gateway, model: &str, extra: Value) -> Answer {
    gateway.ask(&Request::post(CHAT, openai::chat(model, extra)).key("tr_poor"))
}

fn answering() -> Provider {
    Provider::answering(|_| openai::answer_using(11, 7))
}

#[test]
fn a_call_that_is_clamped_asks_for_what_is_affordable_and_says_so() {
    let provider = answering();
    let gateway = gateway(&provider, 1_000, &[("on_insufficient", "\"clamp\"")]);
    let answer = ask(&gateway, "m", json!({ "max_tokens": 5_000 }));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let told: u64 = answer
        .field("x-tollring-max-tokens")
        .unwrap()
        .parse()
        .unwrap();
    let calls = provider.calls();
    assert_eq!(calls[0].json()["max_tokens"], told);
    assert!(
        (900..1_000).contains(&told),
        "{told} of 1000 with the prompt"
    );
    // One that fits is not touched.
    let answer = ask(&gateway, "m", json!({ "max_tokens": 300 }));
    assert_eq!(answer.field("x-tollring-max-tokens"), None);
    assert_eq!(provider.calls()[1].json()["max_tokens"], 300);
}

#[test]
fn a_call_without_a_bound_is_clamped_by_one() {
    let provider = answering();
    let gateway = gateway(&provider, 1_000, &[("on_insufficient", "\"clamp\"")]);
    let answer = ask(&gateway, "m", json!({ "n": 2 }));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let told: u64 = answer
        .field("x-tollring-max-tokens")
        .unwrap()
        .parse()
        .unwrap();
    assert!((400..500).contains(&told), "{told} for each of two");
    assert_eq!(provider.calls()[0].json()["max_completion_tokens"], told);
}

#[test]
fn a_call_that_could_say_next_to_nothing_is_refused_rather_than_clamped() {
    let provider = answering();
    let gateway = gateway(&provider, 200, &[("on_insufficient", "\"clamp\"")]);
    let answer = ask(&gateway, "m", json!({ "max_tokens": 5_000 }));
    assert_eq!(answer.status, 400, "{}", answer.describe());
    assert_eq!(answer.code(), "request_exceeds_quota_limit");
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn a_call_that_cannot_be_paid_for_is_answered_by_the_cheaper_model() {
    let provider = answering();
    let usd = r#"limits = [{ unit = "usd", amount = "0.002", per = "total" }]"#;
    let targets = |model: &str| format!(r#"{{ provider = "main", model = "{model}" }}"#);
    let site = Site::with_acme(&provider.url())
        .model_with(
            "dear",
            &targets("dear-upstream"),
            "price = { input = \"10\", output = \"20\" }\ndowngrade = \"m\"",
        )
        .tenant("poor", "")
        .key("poor", "bot", "tr_poor", usd)
        .tenant("bound", "")
        .key(
            "bound",
            "bot",
            "tr_bound",
            &format!("{usd}\nmodels = [\"dear\"]"),
        )
        .set("quota", "on_insufficient", "\"downgrade\"");
    let gateway = Gateway::start(&site);
    let answer = ask(&gateway, "dear", json!({ "max_tokens": 500 }));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(answer.field("x-tollring-model"), Some("m"));
    assert_eq!(provider.calls()[0].json()["model"], "m-upstream");
    let used = gateway.bucket_at_rest("tr_poor", "usd").used;
    assert_eq!(
        used,
        11 * 1_000 + 7 * 2_000,
        "by the prices of who answered"
    );
    // What a key may not ask for it does not get this way either.
    let request = Request::post(CHAT, openai::chat("dear", json!({ "max_tokens": 500 })));
    let answer = gateway.ask(&request.key("tr_bound"));
    assert_eq!(answer.status, 400, "{}", answer.describe());
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn what_answers_usually_take_is_held_once_it_is_known_and_never_more_than_was_asked() {
    for (mode, learns) in [("strict", false), ("rolling", true), ("estimate", true)] {
        let mode = format!("{mode:?}");
        let gate = Gate::default();
        let held = gate.clone();
        let provider = Provider::answering(move |call| {
            if call.json()["user"] == "slow" {
                held.wait();
            }
            openai::answer_using(11, 100)
        });
        let gateway = gateway(&provider, 1_000_000, &[("hold", &mode)]);
        let mut client = gateway.client();
        let usual = || chat(json!({ "max_tokens": 10_000 }));
        // Each worker learns for itself: one connection is one worker.
        for _ in 0..40 {
            assert_eq!(client.ask(&usual()).status, 200);
        }
        client.send(chat(json!({ "max_tokens": 10_000, "user": "slow" })).bytes());
        provider.await_calls(41);
        let reserved = gateway.bucket("tr_poor", "tokens").held;
        if learns {
            assert!((100..300).contains(&reserved), "{mode}: {reserved} held");
        } else {
            assert!(reserved > 10_000, "{mode}: {reserved} held");
        }
        gate.open();
        assert_eq!(client.answer().status, 200);
        let used = gateway.bucket_at_rest("tr_poor", "tokens").used;
        assert_eq!(used, 41 * 111, "{mode}");
    }
}

fn chat(extra: Value) -> Request {
    Request::post(CHAT, openai::chat("m", extra)).key("tr_poor")
}

#[test]
fn what_goes_beyond_the_estimate_is_charged_all_the_same() {
    let provider = Provider::answering(|call| {
        let output = if call.json()["user"] == "long" {
            9_000
        } else {
            10
        };
        openai::answer_using(11, output)
    });
    let gateway = gateway(&provider, 1_000_000, &[("hold", "\"estimate\"")]);
    let mut client = gateway.client();
    for _ in 0..40 {
        assert_eq!(client.ask(&chat(json!({}))).status, 200);
    }
    assert_eq!(client.ask(&chat(json!({ "user": "long" }))).status, 200);
    let used = gateway.bucket_at_rest("tr_poor", "tokens").used;
    assert_eq!(used, 40 * 21 + 9_011);
}
