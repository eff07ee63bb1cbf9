//! Trying again: what may be repeated, how often, and when time is up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;

use super::support::site::{ACME, AMPLE};
use super::support::{Gateway, Peer, Provider, Request, Site, openai};
use super::{PATH, count, gets, service};

/// Retries that the budget allows beyond its share: what each of two workers begins with, and
/// one a second.
fn floor(since: Instant) -> u64 {
    2 * (10 + since.elapsed().as_secs() + 1)
}

#[test]
fn f3_an_upstream_that_resets_connections_is_no_failure_for_whoever_may_ask_again() {
    // Three of ten connections are reset at once; the others close after ten requests.
    let provider = Provider::start(|mut peer: Peer| {
        if peer.number % 10 < 3 {
            return peer.reset();
        }
        for left in (0..10).rev() {
            if peer.call().is_none() {
                return;
            }
            let close = if left == 0 {
                "connection: close\r\n"
            } else {
                ""
            };
            let answer = format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\n{{}}");
            if peer.send(answer).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(&service(&[&provider.url()], ""));
    let begun = Instant::now();
    assert_eq!(gets(&gateway, 300), 300);
    let retries = count(&gateway, &provider.url(), "retries_total");
    assert!(provider.connections() > 30, "too few to show anything");
    assert!(retries > 0 && retries <= 60 + floor(begun), "{retries}");
}

#[test]
fn o5_upstreams_that_break_half_of_everything_get_a_fifth_more_and_no_storm() {
    let breaking = || {
        let calls = AtomicUsize::new(0);
        Provider::start(move |mut peer| {
            while peer.call().is_some() {
                if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                    return peer.reset();
                }
                if peer.send(openai::answer("200 OK", "{}")).is_err() {
                    return;
                }
            }
        })
    };
    let (one, other) = (breaking(), breaking());
    let gateway = Gateway::start(&service(&[&one.url(), &other.url()], ""));
    let begun = Instant::now();
    let answered = gets(&gateway, 600);
    let calls = (one.calls_total() + other.calls_total()) as u64;
    assert!(
        calls <= 720 + floor(begun),
        "{calls} calls for 600 requests"
    );
    assert!(answered > 300 && answered < 600, "{answered} of 600");
    let refused = [&one, &other].map(|one| count(&gateway, &one.url(), "retries_refused_total"));
    assert!(refused.iter().sum::<u64>() > 0, "the budget never said no");
}

#[test]
fn what_may_not_be_repeated_is_not() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            peer.reset();
        }
    });
    let gateway = Gateway::start(&service(&[&provider.url()], ""));
    let answer = gateway.ask(&Request::post(PATH, "{}"));
    assert_eq!(answer.status, 502, "{}", answer.describe());
    assert_eq!(provider.calls_total(), 1);
    // What may be is, as often as the file allows: four times, besides the first.
    let answer = gateway.ask(&Request::get(PATH));
    assert_eq!(answer.status, 502, "{}", answer.describe());
    assert_eq!(provider.calls_total(), 1 + 5);
}

#[test]
fn the_file_says_how_often() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            peer.reset();
        }
    });
    for (lines, calls) in [
        ("retries = { max = 0 }", 1),
        ("retries = { max = 2 }", 3),
        ("retries = { budget = 0 }", 1),
    ] {
        let before = provider.calls_total();
        let gateway = Gateway::start(&service(&[&provider.url()], lines));
        assert_eq!(gateway.ask(&Request::get(PATH)).status, 502);
        assert_eq!(provider.calls_total() - before, calls, "{lines}");
    }
}

/// A model `m` on these providers, one that declines first, and a fallback to another.
fn declining(lines: &str, second: &Provider) -> (Provider, Site) {
    let busy = r#"{"error":{"message":"slow down","type":"rate_limit","code":null}}"#;
    let first = Provider::answering(move |_| openai::answer("429 Too Many Requests", busy));
    let site = Site::new()
        .provider_with("first", &first.url(), "eject = { on = [] }")
        .provider("second", &second.url())
        .model("backup", "second")
        .model_with(
            "m",
            r#"{ provider = "first", model = "a" }"#,
            &format!("{lines}\nprice = {{ input = \"1\", output = \"2\" }}"),
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    (first, site)
}

#[test]
fn a_fallback_is_what_the_operator_wrote_and_no_retry() {
    let second = Provider::answering(|_| openai::answer_using(1, 1));
    let lines = "fallback = [\"backup\"]\nretries = { max = 0, budget = 0 }";
    let (first, site) = declining(lines, &second);
    let gateway = Gateway::start(&site);
    let body = openai::chat("m", json!({}));
    for _ in 0..40 {
        let answer = gateway.ask(&Request::post(openai::CHAT, body.clone()).key(ACME));
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!((first.calls_total(), second.calls_total()), (40, 40));
}

#[test]
fn a_provider_that_declines_again_and_again_is_put_aside_where_another_can_answer() {
    let second = Provider::answering(|_| openai::answer_using(1, 1));
    let (first, site) = declining("fallback = [\"backup\"]", &second);
    let text = site
        .text()
        .replace("eject = { on = [] }", "eject = { base = \"1h\" }");
    let gateway = Gateway::start(&Site::new());
    gateway.rewrite(&text);
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    let body = openai::chat("m", json!({}));
    for _ in 0..40 {
        let answer = gateway.ask(&Request::post(openai::CHAT, body.clone()).key(ACME));
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!((first.calls_total(), second.calls_total()), (5, 40));
}

#[test]
fn all_attempts_together_have_a_deadline() {
    let stalls = || {
        Provider::start(|mut peer| {
            if peer.call().is_some() {
                peer.await_hang_up();
            }
        })
    };
    let (one, other) = (stalls(), stalls());
    let lines = "timeouts = { total = \"300ms\", first_byte = \"1h\" }";
    let gateway = Gateway::start(&service(&[&one.url(), &other.url()], lines));
    let answer = gateway.ask(&Request::get(PATH));
    assert_eq!(answer.status, 504, "{}", answer.describe());
    assert_eq!(answer.json()["code"], "upstream_timeout");
    assert_eq!(one.calls_total() + other.calls_total(), 1);
}

#[test]
fn an_upload_that_never_ends_has_the_same_deadline() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            peer.await_hang_up();
        }
    });
    let lines = "timeouts = { total = \"300ms\", first_byte = \"1h\" }";
    let gateway = Gateway::start(&service(&[&provider.url()], lines));
    let mut client = gateway.client();
    client.send(format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello"
    ));
    assert_eq!(client.answer().status, 504);
}
