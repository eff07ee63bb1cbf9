//! What was held, and where an answer was cut: fallbacks that nobody had paid for, answers
//! cut although they fitted, answers not cut in time, and cuts that broke the stream.

use serde_json::{Value, json};

use crate::support::openai::{self, LAST_CHUNK, STREAM_HEAD, chunk};
use crate::support::site::{ACME, AMPLE};
use crate::support::stage::Stage;
use crate::support::{Gate, Gateway, Provider, Request, Site, refused};
use crate::{chat, no_task_panicked, with_limits};

/// What the fallback of [`falling_back`] costs where it has a price: a thousand times as much.
const DEAR: &str = r#"price = { input = "1000", output = "1000" }"#;

/// A provider that has no time, and says so in its own words.
fn busy() -> Provider {
    let body = r#"{"error":{"message":"Not now.","type":"rate_limit","code":"busy"}}"#;
    Provider::answering(move |_| openai::answer("429 Too Many Requests", body))
}

/// Model `m` at `first`, and when that has no time a model of `second` with these lines.
fn falling_back(first: &Provider, second: &Provider, price: &str) -> Site {
    Site::new()
        .provider("first", &first.url())
        .provider("second", &second.url())
        .model_with(
            "m",
            r#"{ provider = "first", model = "a" }"#,
            "fallback = [\"other\"]\nprice = { input = \"1\", output = \"1\" }",
        )
        .model_with(
            "other",
            r#"{ provider = "second", model = "nobody-knows-this-one" }"#,
            price,
        )
}

/// Asserts that the caller was told what the provider of `m` said, and nobody else was asked.
#[track_caller]
fn told_to_wait(gateway: &Gateway, second: &Provider, calls: usize) {
    let answer = gateway.ask(&chat(json!({ "max_tokens": 10 })));
    assert_eq!(answer.status, 429, "{}", answer.describe());
    assert_eq!(answer.code(), "busy", "{}", answer.describe());
    assert_eq!(second.calls_total(), calls, "the fallback was asked");
}

#[test]
fn a_fallback_without_a_price_is_passed_over_where_money_is_limited_and_only_there() {
    let (first, second) = (busy(), Provider::answering(|_| openai::answer_using(11, 7)));
    let site = falling_back(&first, &second, "")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        .key("acme", "free", "tr_free", "");
    let gateway = Gateway::start(&site);
    told_to_wait(&gateway, &second, 0);
    assert_eq!(gateway.bucket_at_rest(ACME, "usd").used, 0);

    let free = Request::post(openai::CHAT, openai::chat("m", json!({}))).key("tr_free");
    assert_eq!(gateway.ask(&free).status, 200);
    assert_eq!(second.calls_total(), 1);
}

#[test]
fn a_fallback_that_the_balance_does_not_cover_is_passed_over() {
    let (first, second) = (busy(), Provider::answering(|_| openai::answer_using(11, 7)));
    let site = falling_back(&first, &second, DEAR)
        .tenant("acme", "balance = \"0.0001\"")
        .key("acme", "bot", ACME, "");
    let gateway = Gateway::start(&site);
    for _ in 0..3 {
        told_to_wait(&gateway, &second, 0);
    }
    let usd = gateway.bucket_at_rest(ACME, "usd");
    assert_eq!((usd.used, usd.remaining), (0, 100_000));
}

#[test]
fn a_fallback_is_held_for_at_its_own_price_and_never_beyond_the_balance() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let first = busy();
    let second = Provider::answering(move |_| {
        gate_of_provider.wait();
        openai::answer_using(11, 7)
    });
    // Enough for one at the fallback's price, and for any number at the first one's.
    let site = falling_back(&first, &second, DEAR)
        .tenant("acme", "balance = \"0.03\"")
        .key("acme", "bot", ACME, "");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(chat(json!({ "max_tokens": 10 })).bytes());
    second.await_calls(1);
    let held = gateway.bucket(ACME, "usd").held;
    assert!(
        held >= 10_000_000,
        "{held} nano-USD held for 10 tokens of output"
    );
    told_to_wait(&gateway, &second, 1);

    gate.open();
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let usd = gateway.bucket_at_rest(ACME, "usd");
    assert_eq!((usd.used, usd.remaining), (18_000_000, 12_000_000));
}

/// Cuts what goes beyond a limit of so many tokens.
fn cutting(provider: &Provider, tokens: u64, hold: &str) -> Gateway {
    let limits = format!("limits = [{{ unit = \"tokens\", amount = {tokens}, per = \"total\" }}]");
    let site = with_limits(&provider.url(), &limits)
        .set("quota", "on_midstream", "\"cut\"")
        .set("quota", "hold", &format!("{hold:?}"));
    Gateway::start(&site)
}

/// A provider that sends these parts of a stream, each for a read of its own.
fn in_parts(parts: Vec<String>) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_none() || peer.send_apart(STREAM_HEAD).is_err() {
            return;
        }
        for part in &parts {
            if peer.send_apart(part).is_err() {
                return;
            }
        }
        peer.await_hang_up();
    })
}

/// Asks for a stream and reads all its events.
#[track_caller]
fn events_of(gateway: &Gateway, extra: Value) -> Vec<String> {
    let mut client = gateway.client();
    client.send(chat(extra).bytes());
    let head = client.head();
    assert_eq!(head.status, 200);
    client.events(&head).collect()
}

/// Asserts that an event says in the caller's dialect that the quota is used up.
#[track_caller]
fn says_the_quota_is_spent(event: Option<&String>) {
    let event = event.expect("the end of the stream says nothing");
    let text = event.strip_prefix("data: ");
    let parsed = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let error = parsed.unwrap_or_else(|| panic!("not an event of JSON: {event:?}"));
    assert_eq!(error["error"]["type"], "insufficient_quota", "{event}");
    assert_eq!(error["error"]["source"], "gateway", "{event}");
}

#[test]
fn an_answer_of_exactly_what_was_held_ends_whole() {
    let words = chunk(&openai::content_event("ab")).repeat(50);
    let rest = [
        openai::finish_event(),
        openai::usage_event(5, 50),
        openai::DONE.to_owned(),
    ];
    let rest = chunk(&rest.concat()) + LAST_CHUNK;
    for hold in ["rolling", "strict"] {
        let provider = in_parts(vec![words.clone(), rest.clone()]);
        let gateway = cutting(&provider, 80, hold);
        let events = events_of(&gateway, json!({ "stream": true, "max_tokens": 50 }));
        let last = events.last().map(String::as_str);
        assert_eq!(last, Some("data: [DONE]"), "{hold}: {events:?}");
        assert_eq!(
            events.len(),
            52,
            "{hold}: fifty words, their finish, their end"
        );
        assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 55, "{hold}");
    }
}

#[test]
fn a_stream_of_large_events_is_cut_within_one_event_of_its_limit() {
    const LIMIT: u64 = 20_000;
    const EVENT_BYTES: usize = 15_000;
    let event = chunk(&openai::content_event(&"x".repeat(EVENT_BYTES)));
    let provider = in_parts(vec![event; 60]);
    let gateway = cutting(&provider, LIMIT, "rolling");
    let events = events_of(&gateway, json!({ "stream": true, "max_tokens": 1_000_000 }));

    says_the_quota_is_spent(events.last());
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    // A token is four bytes of text by our own count; the largest step is one event.
    let most = i128::from(LIMIT) + EVENT_BYTES as i128 / 4;
    assert!(used <= most, "{used} tokens posted on a limit of {LIMIT}");
    let passed: usize = events
        .iter()
        .map(|event| event.matches("xxxx").count())
        .sum();
    assert!(
        used >= passed as i128,
        "{passed} tokens passed, {used} posted"
    );
    assert!(passed > 0, "it was cut before it had reached its limit");
}

#[test]
fn a_stream_cut_inside_an_event_is_still_a_stream_of_events() {
    let event = openai::content_event(&format!("hello{}", "y".repeat(6000)));
    let inside = event.find("hello").unwrap();
    let (first, rest) = event.split_at(inside);
    for include_usage in [true, false] {
        let before = chunk(&openai::content_event("before"));
        let provider = in_parts(vec![before, chunk(first), chunk(rest)]);
        let gateway = cutting(&provider, 1100, "rolling");
        let options = json!({ "include_usage": include_usage });
        let extra = json!({ "stream": true, "max_tokens": 9000, "stream_options": options });
        let events = events_of(&gateway, extra);

        says_the_quota_is_spent(events.last());
        for event in &events {
            let data = event.strip_prefix("data: ");
            let parsed = data.map(serde_json::from_str::<Value>);
            assert!(
                matches!(parsed, Some(Ok(_))),
                "not an event of JSON: {event:.300}"
            );
        }
        assert!(events[0].contains("before"), "{events:?}");
    }
}

#[test]
fn many_prompts_in_one_request_are_held_for_each() {
    let limits = r#"limits = [{ unit = "tokens", amount = 100, per = "total" }]"#;
    let stage = Stage::with_poor(limits);
    let ask = |prompt: Value| {
        let body = json!({ "model": "m", "max_tokens": 50, "prompt": prompt });
        let request = Request::post("/v1/completions", body.to_string()).key("tr_poor");
        stage.gateway.ask(&request)
    };
    for prompt in [json!(vec!["hi"; 20]), json!(vec![[7, 8]; 20])] {
        // A thousand tokens of output can never fit into a hundred.
        refused(&ask(prompt), 400, "request_exceeds_quota_limit");
        stage.nothing_reached_the_provider();
    }
    // Twenty numbers are one prompt of twenty tokens.
    for prompt in [json!(vec![7; 20]), json!("hi"), json!(["hi"])] {
        let answer = ask(prompt);
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
}

#[test]
fn a_key_under_as_many_limits_as_a_file_allows_is_served() {
    const WINDOWS: [&str; 8] = [
        "minute", "hour", "day", "week", "month", "quarter", "year", "total",
    ];
    let limits = |unit: &str| {
        let limit = |per| format!("{{ unit = \"{unit}\", amount = 1_000_000, per = \"{per}\" }}");
        format!("limits = [{}]", WINDOWS.map(limit).join(", "))
    };
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let plan = format!("plan = \"full\"\nbalance = \"100\"\n{}", limits("requests"));
    let site = Site::new()
        .provider("main", &provider.url())
        .model("m", "main")
        .raw(&format!("[plans.full]\n{}", limits("tokens")))
        .tenant("acme", &plan)
        .key("acme", "bot", ACME, &limits("tokens"));
    let gateway = Gateway::start(&site);
    let answer = gateway.ask(&chat(json!({ "max_tokens": 50 })));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    no_task_panicked(&gateway);

    let told = gateway.ask(&Request::get("/v1/quota").key(ACME)).json();
    let buckets = told["buckets"].as_array().expect("buckets are a list");
    assert_eq!(buckets.len(), 3 * WINDOWS.len() + 1, "{told}");
    assert_eq!(gateway.bucket_at_rest(ACME, "usd").used, 11_000 + 14_000);
}

#[test]
fn a_provider_that_writes_more_than_it_was_asked_for_is_cut_at_the_limit_too() {
    const EVENT_BYTES: usize = 15_000;
    let event = chunk(&openai::content_event(&"x".repeat(EVENT_BYTES)));
    let provider = in_parts(vec![event; 20]);
    let gateway = cutting(&provider, 200, "rolling");
    let mut client = gateway.client();
    client.send(chat(json!({ "stream": true, "max_tokens": 50 })).bytes());
    let head = client.head();
    // All of them, or fewer and the no.
    let events: Vec<String> = client.events(&head).take(20).collect();
    says_the_quota_is_spent(events.last());
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    let most = 200 + EVENT_BYTES as i128 / 4;
    assert!(used <= most, "{used} tokens posted on a limit of 200");
}

#[test]
fn a_stream_that_nothing_bounds_but_its_limit_is_cut_within_one_event_of_it() {
    const LIMIT: u64 = 5_000;
    const EVENT_TOKENS: usize = 1_000;
    // A token is four bytes of text by our own count: 20,000 of them.
    let event = chunk(&openai::content_event(&"x".repeat(EVENT_TOKENS * 4)));
    for hold in ["rolling", "strict"] {
        let provider = in_parts(vec![event.clone(); 20]);
        let gateway = cutting(&provider, LIMIT, hold);
        // Neither the caller nor the model says how much may come.
        let mut client = gateway.client();
        client.send(chat(json!({ "stream": true })).bytes());
        let head = client.head();
        assert_eq!(head.status, 200, "{hold}");
        // All of them, or fewer and the no.
        let events: Vec<String> = client.events(&head).take(20).collect();
        says_the_quota_is_spent(events.last());
        let used = gateway.bucket_at_rest(ACME, "tokens").used;
        let near = i128::from(LIMIT) - EVENT_TOKENS as i128..=i128::from(LIMIT) + 1_000;
        assert!(near.contains(&used), "{hold}: {used} posted on {LIMIT}");
    }
}
