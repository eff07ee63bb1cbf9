//! Few clients with long connections find all workers at work, not some.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::site::ACME;
use support::{Authority, Client, Gateway, Provider, Request, Site, eventually};

const CLIENTS: usize = 64;
const WORKERS: usize = 8;

fn site() -> Site {
    Site::with_acme(&Provider::nowhere()).set("server", "workers", "8")
}

fn connections(gateway: &Gateway) -> Vec<u64> {
    let stats = gateway.stats();
    let workers = stats["workers"].as_array().unwrap();
    let of = |worker: &Value| worker["connections"].as_u64().unwrap();
    workers.iter().map(of).collect()
}

/// Asserts what is promised of the spread.
fn assert_even(gateway: &Gateway) {
    let counts = eventually("every client to have arrived", || {
        let counts = connections(gateway);
        (counts.iter().sum::<u64>() == CLIENTS as u64).then_some(counts)
    });
    let mean = (CLIENTS / WORKERS) as u64;
    let busiest = *counts.iter().max().unwrap();
    assert!(busiest * 4 <= mean * 5, "{counts:?}");
}

#[test]
fn the_busiest_of_eight_workers_has_at_most_a_quarter_more_than_the_mean() {
    let gateway = Gateway::start(&site());
    let clients: Vec<_> = (0..CLIENTS).map(|_| gateway.client()).collect();
    assert_even(&gateway);
    // Each of them is served where it went.
    for mut client in clients {
        let answer = client.ask(&Request::get("/v1/models").key(ACME));
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
}

#[test]
fn whoever_was_passed_on_may_have_sent_its_request_already_or_speak_tls() {
    let authority = Authority::new();
    let identity = authority.sign("gateway", &["gateway.test"]);
    let site = site().raw(&format!("[server.tls]\n{}", identity.lines()));
    let gateway = Gateway::start(&site);
    let config = authority.client(None);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = Client::secure(&gateway.url, "gateway.test", &config);
            client.send(Request::get("/v1/models").key(ACME).bytes());
            client
        })
        .collect();
    assert_even(&gateway);
    for mut client in clients {
        assert_eq!(client.answer().status, 200);
    }
}
