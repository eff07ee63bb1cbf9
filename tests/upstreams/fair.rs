//! Upstreams with a bound and several tenants: one that asks ten times as often waits for itself.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::count;
use super::support::{Client, Gateway, Provider, Request, Site, eventually, openai};

/// An upstream that answers one call for each permission.
struct Paced {
    upstream: Provider,
    permit: Sender<()>,
}

impl Paced {
    fn start() -> Self {
        let (permit, permits) = mpsc::channel();
        let permits = Arc::new(Mutex::new(permits));
        let upstream = Provider::start(move |mut peer| {
            while peer.call().is_some() {
                let permits = permits.lock().unwrap();
                if permits.recv_timeout(Duration::from_secs(60)).is_err() {
                    return;
                }
                drop(permits);
                if peer.send(openai::answer("200 OK", "{}")).is_err() {
                    return;
                }
            }
        });
        Self { upstream, permit }
    }

    fn permit(&self, calls: usize) {
        (0..calls).for_each(|_| self.permit.send(()).unwrap());
    }

    /// Which tenants' calls came, in order: the last letter of their targets.
    fn order(&self) -> String {
        let calls = self.upstream.calls();
        calls
            .iter()
            .filter_map(|call| call.target.chars().last())
            .collect()
    }
}

/// A service on a paced upstream, and tenants `a`, `b` and `c` with keys of the same names.
fn site(paced: &Paced, lines: &str) -> Site {
    let url = paced.upstream.url();
    let service = format!("[services.s]\npath = \"/s\"\nupstreams = [{url:?}]\n{lines}");
    let site = Site::new().raw(&service);
    ["a", "b", "c"].iter().fold(site, |site, name| {
        let key = format!("tr_{name}");
        site.tenant(name, "").key(name, "bot", &key, "")
    })
}

/// Sends a request of a tenant and leaves the answer for later.
fn begin(gateway: &Gateway, tenant: &str) -> Client {
    let mut client = gateway.client();
    let request = Request::get(&format!("/s/{tenant}")).key(&format!("tr_{tenant}"));
    client.send(request.bytes());
    client
}

#[track_caller]
fn await_queued(gateway: &Gateway, paced: &Paced, wanted: u64) {
    let url = paced.upstream.url();
    eventually(&format!("{wanted} in the queue"), || {
        (count(gateway, &url, "queued") == wanted).then_some(())
    });
}

#[test]
fn o2_a_tenant_that_asks_ten_times_as_often_does_not_keep_others_from_their_turn() {
    let paced = Paced::start();
    let lines = "max_in_flight = 1\nqueue = { length = 50, wait = \"1h\" }";
    // Over both workers: whose turn it is does not depend on where they wait.
    let gateway = Gateway::start(&site(&paced, lines));
    let mut clients = vec![begin(&gateway, "a")];
    paced.upstream.await_calls(1);
    for waiting in 1..=20 {
        clients.push(begin(&gateway, "a"));
        await_queued(&gateway, &paced, waiting);
    }
    for (waiting, tenant) in (21..).zip(["b", "c", "b", "c"]) {
        clients.push(begin(&gateway, tenant));
        await_queued(&gateway, &paced, waiting);
    }
    paced.permit(clients.len());
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let order = paced.order();
    let (turns, rest) = order[1..].split_at(6);
    for tenant in ["a", "b", "c"] {
        assert_eq!(turns.matches(tenant).count(), 2, "{order}");
        assert_eq!(turns[..3].matches(tenant).count(), 1, "{order}");
    }
    assert_eq!(rest, "a".repeat(18), "{order}");
}

#[test]
fn o2_a_queue_full_of_one_tenant_makes_room_for_another() {
    let paced = Paced::start();
    let lines = "max_in_flight = 1\nqueue = { length = 6, wait = \"1h\" }";
    let gateway = Gateway::start(&site(&paced, lines));
    let mut first = begin(&gateway, "a");
    paced.upstream.await_calls(1);
    let mut waiting: Vec<Client> = Vec::new();
    for queued in 1..=6 {
        waiting.push(begin(&gateway, "a"));
        await_queued(&gateway, &paced, queued);
    }
    let busy = |client: &mut Client| {
        let answer = client.answer();
        assert_eq!(answer.status, 503, "{}", answer.describe());
        assert_eq!(answer.json()["code"], "upstream_busy");
        assert_eq!(answer.field("retry-after"), Some("1"));
    };
    busy(&mut begin(&gateway, "a"));
    // Whoever came last makes room, while that leaves its tenant no fewer than the other.
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(begin(&gateway, "b"));
        busy(&mut waiting.pop().unwrap());
    }
    busy(&mut begin(&gateway, "b"));
    paced.permit(7);
    for client in [&mut first]
        .into_iter()
        .chain(&mut waiting)
        .chain(&mut others)
    {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(paced.upstream.calls_total(), 7);
}

#[test]
fn o2_a_tenant_whose_requests_take_long_does_not_get_a_second_place_while_others_have_none() {
    let paced = Paced::start();
    let lines = "max_in_flight = 2\nqueue = { length = 50, wait = \"1h\" }";
    let gateway = Gateway::start(&site(&paced, lines));
    let mut clients: Vec<Client> = (0..2).map(|_| begin(&gateway, "a")).collect();
    paced.upstream.await_calls(2);
    for (queued, tenant) in (1..).zip(["a", "a", "b", "b"]) {
        clients.push(begin(&gateway, tenant));
        await_queued(&gateway, &paced, queued);
    }
    for permitted in 1..=2 {
        paced.permit(1);
        paced.upstream.await_calls(2 + permitted);
    }
    let order = paced.order();
    assert!(order.ends_with("ab") || order.ends_with("ba"), "{order}");
    paced.permit(4);
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
}
