//! How one of several is chosen.

use std::thread;

use super::support::site::{ACME, AMPLE};
use super::support::{Gate, Gateway, Provider, Request, Site, eventually, openai};
use super::{PATH, gets, good, service, upstream};

/// An upstream that answers nothing before the gate opens.
fn stuck(gate: &Gate) -> Provider {
    let gate = gate.clone();
    Provider::start(move |mut peer| {
        while peer.call().is_some() {
            if !gate.wait() || peer.send(openai::answer("200 OK", "{}")).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_service_asks_whoever_has_less_to_do() {
    let gate = Gate::default();
    let (slow, quick) = (stuck(&gate), good());
    let site = service(&[&slow.url(), &quick.url()], "").set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    thread::scope(|scope| {
        // Of some at once, at least one goes to each.
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(gets(&gateway, 1), 1));
        }
        eventually("somebody to be stuck", || {
            let stuck = upstream(&gateway, &slow.url())["in_flight"].as_u64();
            let idle = upstream(&gateway, &quick.url())["in_flight"] == 0;
            (stuck >= Some(1) && idle).then_some(())
        });
        let before = slow.calls_total();
        assert_eq!(gets(&gateway, 50), 50);
        assert_eq!(slow.calls_total(), before, "the stuck one was asked again");
        gate.open();
    });
}

#[test]
fn by_peak_ewma_the_quick_one_gets_nearly_everything() {
    let slow = Provider::start(|mut peer| {
        while peer.call().is_some() {
            // The time of an answer is what is measured here.
            thread::sleep(std::time::Duration::from_millis(1_500));
            if peer.send(openai::answer("200 OK", "{}")).is_err() {
                return;
            }
        }
    });
    let quick = good();
    let lines = "balance = \"peak_ewma\"";
    let site = service(&[&slow.url(), &quick.url()], lines).set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    assert_eq!(gets(&gateway, 60), 60);
    // Asked until it is known, and hardly again: by then it costs as much as a hundred others.
    assert!(slow.calls_total() <= 3, "{} of 60", slow.calls_total());
}

#[test]
fn weights_hold_for_models_and_a_share_may_be_chosen_by_load() {
    let (heavy, light) = (
        Provider::answering(|_| openai::answer_using(1, 1)),
        Provider::answering(|_| openai::answer_using(1, 1)),
    );
    let site = Site::new()
        .provider("heavy", &heavy.url())
        .provider("light", &light.url())
        .model_with(
            "m",
            r#"{ provider = "heavy", model = "a", weight = 3 },
               { provider = "light", model = "b" }"#,
            "balance = \"least_request\"\nprice = { input = \"1\", output = \"2\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        .set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    let body = openai::chat("m", serde_json::json!({}));
    for _ in 0..200 {
        let answer = gateway.ask(&Request::post(openai::CHAT, body.clone()).key(ACME));
        assert_eq!(answer.status, 200, "{}", answer.describe());
        // The answer is here before the gateway has noticed that it has left.
        for url in [heavy.url(), light.url()] {
            eventually("nothing to be under way", || {
                (upstream(&gateway, &url)["in_flight"] == 0).then_some(())
            });
        }
    }
    // Nothing is under way between two requests, so the draw decides: 150 of 200.
    let share = heavy.calls_total();
    assert!((118..=182).contains(&share), "{share} of 200");
}

#[test]
fn the_path_of_a_service_is_the_same_whoever_answers() {
    let (one, other) = (good(), good());
    let gateway = Gateway::start(&service(&[&one.url(), &other.url()], ""));
    assert_eq!(gets(&gateway, 60), 60);
    let (ones, others) = (one.calls(), other.calls());
    assert!(!ones.is_empty() && !others.is_empty(), "only one was asked");
    assert!(ones.iter().chain(&others).all(|call| call.target == PATH));
}
