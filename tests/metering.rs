//! What was charged is what passed: whole, cut short, retried, hung up, a thousand at once.
//!
//! The truth is held outside the gateway: the scripted provider counts what it served and
//! the clients what they were told; the gateway's own figures are compared with those.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use support::expect::{PATIENCE, refused_for_money};
use support::message::Head;
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Answer, Client, Gate, Gateway, Provider, Request, Site, eventually};

/// What the model of [`Site::with_acme`] costs, in nano-USD a token.
const INPUT_NANO_USD: i128 = 1_000;
/// See [`INPUT_NANO_USD`].
const OUTPUT_NANO_USD: i128 = 2_000;

fn chat(extra: Value) -> Request {
    Request::post(CHAT, openai::chat("m", extra)).key(ACME)
}

/// Asserts what one exchange cost, in every unit, and that nothing is held.
#[track_caller]
fn charged(gateway: &Gateway, requests: i128, input: i128, output: i128) {
    let tokens = gateway.bucket_at_rest(ACME, "tokens");
    assert_eq!(tokens.used, input + output, "tokens");
    assert_eq!(
        tokens.limit,
        tokens.used + tokens.remaining,
        "tokens were lost"
    );
    let usd = gateway.bucket_at_rest(ACME, "usd").used;
    assert_eq!(
        usd,
        input * INPUT_NANO_USD + output * OUTPUT_NANO_USD,
        "nano-USD"
    );
    assert_eq!(
        gateway.bucket_at_rest(ACME, "requests").used,
        requests,
        "requests"
    );
}

#[test]
fn a_whole_answer_costs_what_its_provider_says() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    for count in 1..=3 {
        assert_eq!(gateway.ask(&chat(json!({ "max_tokens": 500 }))).status, 200);
        charged(&gateway, count, 11 * count, 7 * count);
    }
}

#[test]
fn a_whole_stream_costs_what_its_provider_says() {
    let stream = openai::stream_of(&openai::stream_events(&["a", "b"], Some((11, 7))));
    let provider = Provider::answering(move |_| stream.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    for asked in [false, true] {
        let options = json!({ "stream": true, "stream_options": { "include_usage": asked } });
        assert_eq!(gateway.ask(&chat(options)).status, 200);
    }
    charged(&gateway, 2, 22, 14);
}

#[test]
fn input_from_the_providers_cache_costs_its_own_price() {
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010,
        "prompt_tokens_details": { "cached_tokens": 600 },
    });
    let body = openai::completion("Hello.", Some(usage));
    let provider = Provider::answering(move |_| openai::answer("200 OK", &body));
    let site = Site::new()
        .provider("main", &provider.url())
        .model_with(
            "m",
            r#"{ provider = "main", model = "m" }"#,
            r#"price = { input = "1.00", output = "2.00", cached_input = "0.10" }"#,
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, support::site::AMPLE);
    let gateway = Gateway::start(&site);
    assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
    let usd = gateway.bucket_at_rest(ACME, "usd").used;
    assert_eq!(usd, 400 * 1_000 + 600 * 100 + 10 * 2_000);
}

#[test]
fn an_explicit_zero_is_not_missing() {
    let provider = Provider::answering(|_| openai::answer_using(0, 0));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    assert_eq!(gateway.ask(&chat(json!({ "max_tokens": 500 }))).status, 200);
    charged(&gateway, 1, 0, 0);
}

#[test]
fn usage_that_is_missing_or_absurd_is_counted_and_is_never_the_whole_hold() {
    let absurd = |output: Value| {
        let mut usage = openai::usage(5, 0);
        usage["completion_tokens"] = output;
        usage
    };
    for usage in [
        None,
        Some(absurd(json!(-7))),
        Some(absurd(json!(9_223_372_036_854_775_808_u64))),
        Some(absurd(json!("7"))),
        Some(json!("none")),
    ] {
        let body = openai::completion("Four words of text.", usage.clone());
        let provider = Provider::answering(move |_| openai::answer("200 OK", &body));
        let gateway = Gateway::start(&Site::with_acme(&provider.url()));
        assert_eq!(
            gateway.ask(&chat(json!({ "max_tokens": 5000 }))).status,
            200
        );
        let used = gateway.bucket_at_rest(ACME, "tokens").used;
        assert!((1..500).contains(&used), "{used} tokens for {usage:?}");
    }
}

#[test]
fn a_stream_without_usage_is_counted_as_it_passes() {
    let words: Vec<&str> = "one two three four five six seven eight nine ten"
        .split(' ')
        .collect();
    let stream = openai::stream_of(&openai::stream_events(&words, None));
    let provider = Provider::answering(move |_| stream.clone());
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    assert_eq!(
        gateway
            .ask(&chat(json!({ "stream": true, "max_tokens": 5000 })))
            .status,
        200
    );
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!((10..500).contains(&used), "{used} tokens for ten words");
}

#[test]
fn an_answer_that_never_began_costs_nothing() {
    let refusals = [
        "400 Bad Request",
        "404 Not Found",
        "500 Internal Server Error",
    ];
    for status in refusals {
        let body = r#"{"error":{"message":"no","type":"x","code":"y"}}"#;
        let provider = Provider::answering(move |_| openai::answer(status, body));
        let gateway = Gateway::start(&Site::with_acme(&provider.url()));
        for stream in [false, true] {
            let answer = gateway.ask(&chat(json!({ "stream": stream })));
            assert!(
                status.starts_with(&answer.status.to_string()),
                "{}",
                answer.describe()
            );
        }
        charged(&gateway, 0, 0, 0);
    }
}

#[test]
fn a_request_nobody_could_take_costs_nothing() {
    let gateway = Gateway::start(&Site::with_acme(&Provider::nowhere()));
    let answer = gateway.ask(&chat(json!({})));
    assert!(matches!(answer.status, 502 | 503), "{}", answer.describe());
    charged(&gateway, 0, 0, 0);
}

#[test]
fn the_caller_pays_for_the_target_that_served_and_for_no_other() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let site = Site::with_acme(&provider.url())
        .provider("down", &Provider::nowhere())
        .model_with(
            "sturdy",
            r#"{ provider = "down", model = "a" }"#,
            "fallback = [\"m\"]\nprice = { input = \"1.00\", output = \"2.00\" }",
        );
    let gateway = Gateway::start(&site);
    let request = Request::post(CHAT, openai::chat("sturdy", json!({}))).key(ACME);
    let answer = gateway.ask(&request);
    assert_eq!(answer.status, 200, "{}", answer.describe());
    charged(&gateway, 1, 11, 7);
    assert_eq!(provider.calls_total(), 1);
}

/// A provider that streams `events` of one word and then does as `after` says.
fn streamer(events: usize, after: impl Fn(support::Peer) + Send + Sync + 'static) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let words = chunk(&openai::content_event("word ")).repeat(events);
        if peer.send(format!("{STREAM_HEAD}{words}")).is_ok() {
            after(peer);
        }
    })
}

/// Begins a stream and reads as many events as the provider has sent so far.
#[track_caller]
fn begin_stream(gateway: &Gateway, events: usize) -> (Client, Head) {
    let mut client = gateway.client();
    client.send(chat(json!({ "stream": true, "max_tokens": 5000 })).bytes());
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(client.events(&head).take(events).count(), events);
    (client, head)
}

fn with_cancel(provider: &Provider, stops: bool) -> Site {
    Site::new()
        .provider_with(
            "main",
            &provider.url(),
            &format!("cancel_stops_billing = {stops}"),
        )
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, support::site::AMPLE)
}

/// A client that reads twenty events and leaves; the provider says nothing more meanwhile.
#[track_caller]
fn hang_up(leave: impl FnOnce(Client)) {
    let (told, hung_up) = mpsc::channel();
    let provider = streamer(20, move |mut peer| {
        let _ = told.send(peer.await_hang_up());
    });
    let gateway = Gateway::start(&with_cancel(&provider, true));
    let (client, _) = begin_stream(&gateway, 20);
    leave(client);

    assert!(
        hung_up.recv().unwrap(),
        "the provider was left talking to nobody"
    );
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!((21..500).contains(&used), "{used} tokens for twenty words");
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 1);
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn a_client_that_crashes_pays_for_what_was_produced_and_the_provider_is_told() {
    hang_up(Client::reset);
}

#[test]
fn a_client_that_closes_pays_for_what_was_produced_and_the_provider_is_told() {
    hang_up(drop);
}

#[test]
fn a_client_gone_before_the_answer_began_leaves_no_provider_running() {
    let (told, hung_up) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let _ = told.send(peer.await_hang_up());
        }
    });
    let gateway = Gateway::start(&with_cancel(&provider, true));
    let mut client = gateway.client();
    client.send(chat(json!({ "stream": true, "max_tokens": 5000 })).bytes());
    provider.await_calls(1);
    drop(client);
    assert!(
        hung_up.recv().unwrap(),
        "the provider was left working for nobody"
    );
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!(used < 500, "{used} tokens for an answer that never began");
}

#[test]
fn where_hanging_up_does_not_stop_the_bill_the_providers_own_figure_is_posted() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = streamer(5, move |mut peer| {
        gate_of_provider.wait();
        let rest = [
            openai::finish_event(),
            openai::usage_event(11, 40),
            openai::DONE.to_owned(),
        ];
        let rest: String = rest.iter().map(|event| chunk(event)).collect();
        let _ = peer.send(rest + LAST_CHUNK);
    });
    let gateway = Gateway::start(&with_cancel(&provider, false));
    let (client, _) = begin_stream(&gateway, 5);
    client.reset();
    gate.open();
    charged(&gateway, 1, 11, 40);
}

#[test]
fn a_stream_its_provider_cuts_is_seen_to_be_cut_and_costs_what_came() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = streamer(20, move |peer| {
        gate_of_provider.wait();
        peer.reset();
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let (mut client, head) = begin_stream(&gateway, 20);
    gate.open();

    let rest: Vec<String> = client.events(&head).collect();
    let error = rest.last().and_then(|event| event.strip_prefix("data: "));
    let error: Value = serde_json::from_str(error.expect("an error event")).unwrap();
    assert!(error["error"]["message"].is_string(), "{error}");
    assert!(
        !rest.iter().any(|event| event.contains("[DONE]")),
        "a broken stream looks whole"
    );
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!((21..500).contains(&used), "{used} tokens for twenty words");
    assert_eq!(
        provider.calls_total(),
        1,
        "a stream that began was asked for again"
    );
}

/// Sends the same request on `count` connections at once and reads every answer; `between`
/// runs once all but `late` of them have one.
fn all_at_once(
    gateway: &Gateway,
    request: &Request,
    count: usize,
    late: usize,
    between: impl FnOnce(),
) -> Vec<Answer> {
    const THREADS: usize = 8;
    let (sender, answers) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let sender = sender.clone();
            scope.spawn(move || {
                let mut clients: Vec<Client> =
                    (0..count / THREADS).map(|_| gateway.client()).collect();
                for client in &mut clients {
                    client.send(request.bytes());
                }
                // Each on a thread of its own: the first to be read may be the last answered.
                thread::scope(|scope| {
                    for mut client in clients {
                        let sender = sender.clone();
                        scope.spawn(move || sender.send(client.answer()));
                    }
                });
            });
        }
        let next = || {
            answers
                .recv_timeout(PATIENCE)
                .expect("every client gets an answer")
        };
        let mut all: Vec<Answer> = (late..count).map(|_| next()).collect();
        between();
        all.extend((0..late).map(|_| next()));
        all
    })
}

/// How often each status and code was answered.
fn tally(answers: &[Answer]) -> BTreeMap<(u16, String), usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry((answer.status, answer.code())).or_default() += 1;
    }
    tally
}

/// Lets this process have a few thousand sockets where the shell it came from allows fewer.
fn raise_descriptors() {
    let pid = std::process::id().to_string();
    // Best effort: where it is not to be had, connecting says so.
    let _ = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=4096:"])
        .status();
}

/// A tenant with these lines and a model that costs a cent a request and nothing else.
fn with_budget(provider: &Provider, tenant: &str, limits: &str) -> Site {
    let price = r#"price = { input = "0", output = "0", request = "0.01" }"#;
    Site::new()
        .provider("main", &provider.url())
        .model_with("m", r#"{ provider = "main", model = "m" }"#, price)
        .tenant("acme", tenant)
        .key("acme", "bot", ACME, limits)
}

/// A thousand at once where `whole` is what ten requests cost and the limit allows.
#[track_caller]
fn ten_of_a_thousand(unit: &str, limits: &str, whole: i128) {
    raise_descriptors();
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::answering(move |_| {
        gate_of_provider.wait();
        openai::answer_using(11, 7)
    });
    let gateway = Gateway::start(&with_budget(&provider, "", limits));
    let request = chat(json!({ "max_tokens": 10 }));

    let answers = all_at_once(&gateway, &request, 1000, 10, || {
        // Ten wait at the provider and hold the whole budget: every other one is a matter
        // of patience, not of money.
        assert_eq!(provider.calls_total(), 10);
        let reading = gateway.bucket(ACME, unit);
        assert_eq!(
            (reading.used, reading.held, reading.remaining),
            (0, whole, 0)
        );
        gate.open();
    });

    let held = (429, "quota_held_in_flight".to_owned());
    let expected = BTreeMap::from([((200, String::new()), 10), (held, 990)]);
    assert_eq!(tally(&answers), expected);
    let reading = gateway.bucket_at_rest(ACME, unit);
    assert_eq!((reading.used, reading.remaining), (whole, 0));
    refused_for_money(&gateway.ask(&request), "quota_exhausted");
    assert_eq!(provider.calls_total(), 10);
}

#[test]
fn a_thousand_at_once_on_a_budget_of_ten_requests_are_ten_and_990_refusals() {
    let limits = r#"limits = [{ unit = "requests", amount = 10, per = "total" }]"#;
    ten_of_a_thousand("requests", limits, 10);
}

#[test]
fn a_thousand_at_once_on_the_money_for_ten_are_ten_and_990_refusals() {
    let limits = r#"limits = [{ unit = "usd", amount = "0.10", per = "total" }]"#;
    ten_of_a_thousand("usd", limits, 100_000_000);
}

#[test]
fn exactly_as_many_of_256_pass_as_a_prepaid_balance_pays_for() {
    raise_descriptors();
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    // A nano-dollar short of the eighth request.
    let site = with_budget(&provider, "balance = \"0.079999999\"", "");
    let gateway = Gateway::start(&site);
    let request = chat(json!({ "max_tokens": 10 }));

    let answers = all_at_once(&gateway, &request, 256, 0, || {});
    let mut passed = answers.iter().filter(|answer| answer.status == 200).count();
    // Those that came while others were in flight were asked to come back; they do.
    eventually("the balance to be spent", || {
        let answer = gateway.ask(&request);
        passed += usize::from(answer.status == 200);
        (answer.status == 402).then_some(())
    });

    assert_eq!(passed, 7);
    assert_eq!(provider.calls_total(), 7);
    let usd = gateway.bucket_at_rest(ACME, "usd");
    assert_eq!((usd.used, usd.remaining), (70_000_000, 9_999_999));
}
