//! Upstreams with a bound: who waits, who is told to come back, who leaves.

use std::thread;

use serde_json::json;

use super::support::site::{ACME, AMPLE};
use super::support::{Client, Gate, Gateway, Provider, Request, Site, eventually, openai, refused};
use super::{Gauge, PATH, count, gets, service};

/// An upstream that answers when the gate opens, and knows how many asked at a time.
fn gated(gate: &Gate, gauge: &Gauge) -> Provider {
    let (gate, gauge) = (gate.clone(), gauge.clone());
    Provider::start(move |mut peer| {
        while peer.call().is_some() {
            gauge.enter();
            let opened = gate.wait();
            gauge.leave();
            if !opened || peer.send(openai::answer("200 OK", "{}")).is_err() {
                return;
            }
        }
    })
}

/// Waits until so many requests wait for a place at the upstream.
#[track_caller]
fn await_queued(gateway: &Gateway, url: &str, wanted: u64) {
    eventually(&format!("{wanted} in the queue"), || {
        (count(gateway, url, "queued") == wanted).then_some(())
    });
}

/// Sends a GET and leaves the answer for later.
fn begin(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(Request::get(PATH).bytes());
    client
}

#[test]
fn beyond_the_bound_requests_wait_and_beyond_the_queue_they_are_told_to_come_back() {
    let (gate, gauge) = (Gate::default(), Gauge::default());
    let provider = gated(&gate, &gauge);
    let url = provider.url();
    let lines = "max_in_flight = 2\nqueue = { length = 1, wait = \"1h\" }";
    let gateway = Gateway::start(&service(&[&url], lines));
    let mut clients: Vec<Client> = (0..2).map(|_| begin(&gateway)).collect();
    provider.await_calls(2);
    clients.push(begin(&gateway));
    await_queued(&gateway, &url, 1);
    let refused = gateway.ask(&Request::get(PATH));
    assert_eq!(refused.status, 503, "{}", refused.describe());
    assert_eq!(refused.json()["code"], "upstream_busy");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(count(&gateway, &url, "in_flight"), 2);
    gate.open();
    for mut client in clients {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!((provider.calls_total(), gauge.most()), (3, 2));
    await_queued(&gateway, &url, 0);
}

#[test]
fn whoever_waits_too_long_is_told_to_come_back_and_pays_nothing() {
    let (gate, gauge) = (Gate::default(), Gauge::default());
    let provider = gated(&gate, &gauge);
    let lines = "max_in_flight = 1\nqueue = { wait = \"100ms\" }";
    let site = Site::new()
        .provider_with("main", &provider.url(), lines)
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    let request = Request::post(openai::CHAT, openai::chat("m", json!({}))).key(ACME);
    let mut first = gateway.client();
    first.send(request.bytes());
    provider.await_calls(1);
    let answer = gateway.ask(&request);
    refused(&answer, 503, "upstream_busy");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_ne!(answer.field("x-should-retry"), Some("false"));
    gate.open();
    assert_eq!(first.answer().status, 200);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 1);
}

#[test]
fn a_full_provider_is_passed_over_for_one_that_has_a_place() {
    let (gate, gauge) = (Gate::default(), Gauge::default());
    let full = gated(&gate, &gauge);
    let free = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::new()
        .provider_with("full", &full.url(), "max_in_flight = 1")
        .provider("free", &free.url())
        .model_with(
            "m",
            r#"{ provider = "full", model = "a", weight = 1000 },
               { provider = "free", model = "b" }"#,
            "price = { input = \"1\", output = \"2\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    let request = Request::post(openai::CHAT, openai::chat("m", json!({}))).key(ACME);
    let mut first = gateway.client();
    first.send(request.bytes());
    full.await_calls(1);
    for _ in 0..10 {
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!((full.calls_total(), free.calls_total()), (1, 10));
    gate.open();
    first.answer();
}

#[test]
fn o8_a_client_that_leaves_the_queue_frees_its_place_in_it() {
    let (gate, gauge) = (Gate::default(), Gauge::default());
    let provider = gated(&gate, &gauge);
    let url = provider.url();
    let lines = "max_in_flight = 1\nqueue = { length = 1, wait = \"1h\" }";
    let gateway = Gateway::start(&service(&[&url], lines));
    let mut first = begin(&gateway);
    provider.await_calls(1);
    for leaves in [Client::reset, drop::<Client>] {
        let queued = begin(&gateway);
        await_queued(&gateway, &url, 1);
        leaves(queued);
        await_queued(&gateway, &url, 0);
    }
    let mut last = begin(&gateway);
    await_queued(&gateway, &url, 1);
    gate.open();
    let answers = [first.answer().status, last.answer().status];
    assert_eq!(answers, [200, 200]);
    assert_eq!(provider.calls_total(), 2, "nobody asked for those who left");
}

#[test]
fn the_bound_holds_over_all_workers_and_everyone_gets_a_turn() {
    let gauge = Gauge::default();
    let seen = gauge.clone();
    let provider = Provider::start(move |mut peer| {
        while peer.call().is_some() {
            seen.enter();
            thread::yield_now();
            seen.leave();
            if peer.send(openai::answer("200 OK", "{}")).is_err() {
                return;
            }
        }
    });
    let lines = "max_in_flight = 3\nqueue = { length = 1000, wait = \"1h\" }";
    let site = service(&[&provider.url()], lines).set("server", "workers", "4");
    let gateway = Gateway::start(&site);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..20 {
                    assert_eq!(client.ask(&Request::get(PATH)).status, 200);
                }
            });
        }
    });
    assert_eq!(provider.calls_total(), 480);
    assert!(gauge.most() <= 3, "{} at a time", gauge.most());
    assert_eq!(gets(&gateway, 3), 3, "every place was given back");
}

#[test]
fn connections_keep_to_their_bound_over_all_workers() {
    let gauge = Gauge::default();
    let seen = gauge.clone();
    let provider = Provider::start(move |mut peer| {
        while peer.call().is_some() {
            seen.enter();
            thread::yield_now();
            seen.leave();
            if peer.send(openai::answer("200 OK", "{}")).is_err() {
                return;
            }
        }
    });
    let lines = "max_connections = 2\ntimeouts = { connect = \"1h\" }";
    let site = service(&[&provider.url()], lines).set("server", "workers", "4");
    let gateway = Gateway::start(&site);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(gets(&gateway, 5), 5));
        }
    });
    assert_eq!(provider.calls_total(), 60);
    // A connection carries one request at a time.
    assert!(gauge.most() <= 2, "{} at a time", gauge.most());
}

#[test]
fn o8_a_client_that_leaves_while_it_waits_for_a_connection_is_waited_for_no_longer() {
    let (gate, gauge) = (Gate::default(), Gauge::default());
    let provider = gated(&gate, &gauge);
    let url = provider.url();
    let lines = "max_connections = 1\ntimeouts = { connect = \"1h\" }";
    let gateway = Gateway::start(&service(&[&url], lines));
    let in_flight = |wanted: u64| {
        eventually(&format!("{wanted} in flight"), || {
            (count(&gateway, &url, "in_flight") == wanted).then_some(())
        });
    };
    let mut first = begin(&gateway);
    provider.await_calls(1);
    for leaves in [Client::reset, drop::<Client>] {
        let waiting = begin(&gateway);
        in_flight(2);
        leaves(waiting);
        in_flight(1);
    }
    let mut last = begin(&gateway);
    in_flight(2);
    gate.open();
    assert_eq!([first.answer().status, last.answer().status], [200, 200]);
    assert_eq!(provider.calls_total(), 2, "nobody asked for those who left");
}

#[test]
fn an_idle_connection_is_given_up_for_whoever_waits_with_another_worker() {
    let provider = Provider::answering(|_| openai::answer("200 OK", "{}"));
    let lines = "max_connections = 1\ntimeouts = { connect = \"1h\" }";
    let site = service(&[&provider.url()], lines).set("server", "workers", "4");
    let gateway = Gateway::start(&site);
    // Each on a connection of its own, with whichever worker took it, one after the other.
    assert_eq!(gets(&gateway, 40), 40);
    assert_eq!(provider.calls_total(), 40);
}
