//! Upstreams that refuse, swallow, fail and come back: put aside, asked after, left alone.

use std::time::{Duration, Instant};

use super::support::{Answer, Gateway, Provider, Request, eventually, openai};
use super::{Flag, PATH, count, gets, good, moody, said, service, upstream};

#[test]
fn f1_an_upstream_that_refuses_is_passed_over_by_any_method_and_soon_not_asked_at_all() {
    let (dead, alive) = (Provider::nowhere(), good());
    let site = service(&[&dead, &alive.url()], "eject = { base = \"1h\" }");
    let gateway = Gateway::start(&site);
    for round in 0..30 {
        let method = ["POST", "GET", "PATCH", "DELETE"][round % 4];
        let answer = gateway.ask(&Request::new(method, PATH).field("Content-Length", "0"));
        assert_eq!(answer.status, 200, "{method}: {}", answer.describe());
    }
    assert_eq!(alive.calls_total(), 30);
    eventually("the dead one to be put aside", || {
        gets(&gateway, 1);
        (upstream(&gateway, &dead)["state"] == "ejected").then_some(())
    });
    let attempts = count(&gateway, &dead, "attempts_total");
    assert_eq!(attempts, 5, "it takes five failures in a row");
    assert_eq!(gets(&gateway, 30), 30);
    assert_eq!(count(&gateway, &dead, "attempts_total"), attempts);
    assert_eq!(said(&gateway, "is put aside"), 1, "{}", gateway.log());
}

#[test]
fn f1_where_nobody_is_there_the_client_is_told_soon_and_every_time() {
    let (one, other) = (Provider::nowhere(), Provider::nowhere());
    let gateway = Gateway::start(&service(&[&one, &other], ""));
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = gateway.ask(&Request::get(PATH));
        assert_eq!(answer.status, 502, "{}", answer.describe());
        // The bound on an idle machine is 50 ms; this leaves room for a busy one.
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    let states = [one, other].map(|url| upstream(&gateway, &url)["state"].clone());
    let aside = states.iter().filter(|state| **state == "ejected").count();
    assert_eq!(aside, 1, "the last one stays: {states:?}");
}

#[test]
fn f2_an_upstream_that_swallows_connections_costs_one_deadline_and_no_more() {
    // A listener whose queue is full drops what comes next, as a black hole would.
    let blackhole = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let blackhole = blackhole.unwrap();
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    blackhole.bind(&loopback.into()).unwrap();
    blackhole.listen(0).unwrap();
    let address = blackhole.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(100);
    let _fill: Vec<_> = (0..4)
        .filter_map(|_| std::net::TcpStream::connect_timeout(&address, patience).ok())
        .collect();
    let (hole, alive) = (format!("http://{address}"), good());
    let site = service(
        &[&hole, &alive.url()],
        "eject = { failures = 1, base = \"1h\" }\ntimeouts = { connect = \"200ms\" }",
    );
    let gateway = Gateway::start(&site);
    assert_eq!(gets(&gateway, 40), 40);
    assert_eq!(alive.calls_total(), 40);
    assert_eq!(count(&gateway, &hole, "attempts_total"), 1);
    assert_eq!(upstream(&gateway, &hole)["state"], "ejected");
}

#[test]
fn an_upstream_that_fails_is_put_aside_and_comes_back_by_itself() {
    let sick = Flag::default();
    let (bad, other) = (moody(&sick), good());
    let lines =
        "eject = { on = [\"5xx\"], failures = 3, base = \"300ms\", slow_start = \"100ms\" }";
    let gateway = Gateway::start(&service(&[&bad.url(), &other.url()], lines));
    sick.set(true);
    eventually("it to be put aside", || {
        gets(&gateway, 1);
        (said(&gateway, "is put aside") > 0).then_some(())
    });
    sick.set(false);
    let before = bad.calls_total();
    eventually("it to be asked again, and to be as good as before", || {
        let healthy = upstream(&gateway, &bad.url())["state"] == "healthy";
        let answered = gets(&gateway, 1) == 1 && bad.calls_total() > before;
        (healthy && answered).then_some(())
    });
    assert!(said(&gateway, "is tried again") >= 1, "{}", gateway.log());
}

#[test]
fn what_comes_back_begins_with_a_small_share() {
    let sick = Flag::default();
    let (bad, other) = (moody(&sick), good());
    let lines = "balance = \"weighted\"\n\
         eject = { on = [\"5xx\"], failures = 3, base = \"50ms\", slow_start = \"24h\" }";
    let gateway = Gateway::start(&service(&[&bad.url(), &other.url()], lines));
    sick.set(true);
    eventually("it to be put aside", || {
        gets(&gateway, 1);
        (said(&gateway, "is put aside") > 0).then_some(())
    });
    sick.set(false);
    eventually("it to be back", || {
        (upstream(&gateway, &bad.url())["state"] == "slow_start").then_some(())
    });
    let before = bad.calls_total();
    assert_eq!(gets(&gateway, 300), 300);
    let share = bad.calls_total() - before;
    // A tenth against a whole is 27 of 300; a fair draw leaves this range once in a million times.
    assert!((5..=60).contains(&share), "{share} of 300");
}

#[test]
fn an_ejection_outlasts_a_reload() {
    let (dead, alive) = (Provider::nowhere(), good());
    let site = service(
        &[&dead, &alive.url()],
        "eject = { failures = 1, base = \"1h\" }",
    );
    let gateway = Gateway::start(&site);
    eventually("the dead one to be put aside", || {
        gets(&gateway, 1);
        (upstream(&gateway, &dead)["state"] == "ejected").then_some(())
    });
    gateway.rewrite(&site.set("timeouts", "head", "\"9s\"").text());
    let reload = gateway.ask_admin("POST", "/api/v1/reload");
    assert_eq!(reload.status, 200, "{}", reload.describe());
    assert_eq!(gets(&gateway, 20), 20);
    assert_eq!(upstream(&gateway, &dead)["state"], "ejected");
    assert_eq!(count(&gateway, &dead, "attempts_total"), 1);
}

#[track_caller]
fn left_alone(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.describe());
    assert_eq!(answer.json()["code"], "upstream_unavailable");
    assert!(answer.field("retry-after").is_some());
}

#[test]
fn an_open_circuit_asks_nothing_and_closes_after_trials_that_pass() {
    let sick = Flag::default();
    let only = moody(&sick);
    let lines = "breaker = { failures = 50, requests = 10, window = \"24h\", open = \"300ms\", \
                 trials = 2 }";
    let gateway = Gateway::start(&service(&[&only.url()], lines));
    assert_eq!(gets(&gateway, 5), 5);
    sick.set(true);
    for _ in 0..5 {
        assert_eq!(gateway.ask(&Request::get(PATH)).status, 500);
    }
    left_alone(&gateway.ask(&Request::get(PATH)));
    assert_eq!(
        only.calls_total(),
        10,
        "an open circuit lets nothing through"
    );
    assert_eq!(upstream(&gateway, &only.url())["state"], "open");
    // A trial that fails opens it again.
    eventually("a trial", || {
        gateway.ask(&Request::get(PATH));
        (only.calls_total() == 11).then_some(())
    });
    left_alone(&gateway.ask(&Request::get(PATH)));
    sick.set(false);
    eventually("the circuit to close", || {
        gets(&gateway, 1);
        (upstream(&gateway, &only.url())["state"] == "healthy").then_some(())
    });
    assert_eq!(gets(&gateway, 5), 5);
    assert_eq!(said(&gateway, "circuit closes"), 1, "{}", gateway.log());
}

#[test]
fn an_upstream_that_fails_its_checks_is_not_asked_until_it_passes_them() {
    let sick = Flag::default();
    let checked = |name: &'static str, sick: Flag| {
        Provider::answering(move |call| {
            let fails = sick.is_set() && call.target == "/up";
            let status = if fails { "503 Ill" } else { "200 OK" };
            openai::answer(status, &format!("{{\"name\":{name:?}}}"))
        })
    };
    let (one, other) = (
        checked("one", sick.clone()),
        checked("other", Flag::default()),
    );
    let lines = "health = { path = \"/up\", interval = \"20ms\", timeout = \"5s\", healthy = 2, \
                 unhealthy = 2 }";
    let gateway = Gateway::start(&service(&[&one.url(), &other.url()], lines));
    let state = |wanted: &str| {
        eventually(&format!("the first to be {wanted}"), || {
            (upstream(&gateway, &one.url())["state"] == wanted).then_some(())
        });
    };
    sick.set(true);
    state("unhealthy");
    for _ in 0..30 {
        let answer = gateway.ask(&Request::get(PATH));
        assert_eq!(answer.json()["name"], "other", "{}", answer.describe());
    }
    sick.set(false);
    state("healthy");
    eventually("the first to be asked again", || {
        let answer = gateway.ask(&Request::get(PATH));
        (answer.json()["name"] == "one").then_some(())
    });
    let lines = ["fails its checks", "passes its checks"].map(|what| said(&gateway, what));
    assert_eq!(lines, [1, 1], "{}", gateway.log());
    let check = one.calls().into_iter().find(|call| call.target == "/up");
    let host = check.unwrap().field("host").unwrap().to_owned();
    assert_eq!(format!("http://{host}"), one.url());
}

#[test]
fn where_every_upstream_fails_its_checks_they_are_asked_all_the_same() {
    let only = Provider::answering(|call| {
        let status = if call.target == "/up" {
            "500 No"
        } else {
            "200 OK"
        };
        openai::answer(status, "{}")
    });
    let lines = "health = { path = \"/up\", interval = \"20ms\", unhealthy = 1 }";
    let gateway = Gateway::start(&service(&[&only.url()], lines));
    eventually("it to fail its checks", || {
        (upstream(&gateway, &only.url())["state"] == "unhealthy").then_some(())
    });
    assert_eq!(gets(&gateway, 5), 5);
}
