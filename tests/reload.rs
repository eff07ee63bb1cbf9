//! A snapshot changes under a request that does not notice.
//!
//! A reload is asked for by SIGHUP or through the operator's port. It is done when the
//! version in the stats has risen; one that fails changes nothing and says why.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::{ACME, AMPLE};
use support::{Gate, Gateway, Provider, Request, Site, StopAtEnd, eventually, refused};

fn chat(key: &str) -> Request {
    Request::post(CHAT, openai::chat("m", json!({ "max_tokens": 10 }))).key(key)
}

/// Puts a file in force and waits until it is.
#[track_caller]
fn reload_by_signal(gateway: &Gateway, text: &str) {
    let before = gateway.snapshot_version();
    gateway.rewrite(text);
    gateway.signal("HUP");
    eventually("a newer snapshot", || {
        (gateway.snapshot_version() > before).then_some(())
    });
}

#[test]
fn a_hundred_reloads_under_load_fail_not_one_request() {
    const RELOADS: usize = 100;
    let stream = openai::stream_of(&openai::stream_events(&["a", "b"], Some((11, 2))));
    let provider = Provider::answering(move |call| {
        let is_stream = !call.body.is_empty() && call.json()["stream"] == true;
        if is_stream {
            stream.clone()
        } else {
            openai::answer_using(11, 7)
        }
    });
    let limits = r#"limits = [{ unit = "tokens", amount = 1_000_000_000, per = "total" }]"#;
    let site = Site::new()
        .provider("main", &provider.url())
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, limits);
    let gateway = Gateway::start(&site);
    let (stop, passed) = (AtomicBool::new(false), AtomicUsize::new(0));

    let passed = thread::scope(|scope| {
        // Also when something below fails, or the threads would ask for ever.
        let _stopped = StopAtEnd(&stop);
        for worker in 0..4 {
            let (gateway, stop, passed) = (&gateway, &stop, &passed);
            scope.spawn(move || {
                let body = openai::chat("m", json!({ "stream": worker % 2 == 0 }));
                let request = Request::post(CHAT, body).key(ACME);
                let mut client = gateway.client();
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.ask(&request);
                    assert_eq!(answer.status, 200, "{}", answer.describe());
                    assert!(answer.whole, "{}", answer.describe());
                    passed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for reload in 0..RELOADS {
            // A model and a service come and go; whoever talks to another notices nothing.
            let changed = match reload % 2 {
                0 => site.clone().model("extra", "main"),
                _ => site.clone().open_service("open", "/open", &provider.url()),
            };
            reload_by_signal(&gateway, &changed.text());
        }
        let at_the_end = passed.load(Ordering::SeqCst);
        eventually("a request after the last reload", || {
            (passed.load(Ordering::SeqCst) > at_the_end + 4).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
        at_the_end
    });
    assert!(
        passed > RELOADS,
        "only {passed} requests met {RELOADS} reloads"
    );
    let unary_and_streams = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!(unary_and_streams >= 13 * i128::try_from(passed).unwrap());
    assert_eq!(gateway.ask(&Request::get("/open/x")).status, 200);
}

#[test]
fn the_operators_port_reloads_too_and_says_which_version_is_in_force() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url());
    let gateway = Gateway::start(&site);
    refused(&gateway.ask(&chat("tr_new")), 401, "invalid_api_key");

    gateway.rewrite(&site.key("acme", "new", "tr_new", "").text());
    let before = gateway.snapshot_version();
    let answer = gateway.ask_admin("POST", "/api/v1/reload");

    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(gateway.snapshot_version(), before + 1);
    assert_eq!(gateway.ask(&chat("tr_new")).status, 200);
}

#[test]
fn a_bad_file_changes_nothing_and_the_answer_says_what_is_wrong_with_it() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url());
    let gateway = Gateway::start(&site);
    let before = gateway.snapshot_version();

    gateway.rewrite(&site.model("lost", "nobody").text());
    let answer = gateway.ask_admin("POST", "/api/v1/reload");

    assert_eq!(answer.status, 422, "{}", answer.describe());
    let content_type = answer.field("content-type").unwrap_or_default();
    assert!(
        content_type.starts_with("application/problem+json"),
        "{content_type}"
    );
    assert!(answer.text().contains("nobody"), "{}", answer.describe());
    assert!(
        answer.text().contains("models.lost"),
        "{}",
        answer.describe()
    );
    assert_eq!(gateway.snapshot_version(), before);
    assert_eq!(gateway.ask(&chat(ACME)).status, 200);
}

#[test]
fn a_bad_file_on_a_signal_changes_nothing_and_the_log_says_why() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url());
    let gateway = Gateway::start(&site);
    let before = gateway.snapshot_version();

    gateway.rewrite(&format!("{}\n[tenants.acme\n", site.text()));
    gateway.signal("HUP");

    eventually("a line in the log that names the file", || {
        gateway.log().contains("tollring.toml").then_some(())
    });
    assert_eq!(gateway.snapshot_version(), before);
    assert_eq!(gateway.ask(&chat(ACME)).status, 200);
    // And once the file is right again, it is taken.
    reload_by_signal(&gateway, &site.text());
}

#[test]
fn a_raised_limit_acts_at_once_and_a_lowered_one_refunds_nothing() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let with_limit = |amount: u32| {
        let limits =
            format!("limits = [{{ unit = \"requests\", amount = {amount}, per = \"total\" }}]");
        Site::new()
            .provider("main", &provider.url())
            .model("m", "main")
            .tenant("acme", "")
            .key("acme", "bot", ACME, &limits)
            .text()
    };
    let gateway = Gateway::start(&Site::new());
    reload_by_signal(&gateway, &with_limit(1));
    let spend = |passes: usize, used: i128| {
        for _ in 0..passes {
            assert_eq!(gateway.ask(&chat(ACME)).status, 200);
        }
        assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, used);
        refused(&gateway.ask(&chat(ACME)), 402, "quota_exhausted");
    };

    spend(1, 1);
    reload_by_signal(&gateway, &with_limit(3));
    spend(2, 3);
    reload_by_signal(&gateway, &with_limit(2));
    spend(0, 3);
    reload_by_signal(&gateway, &with_limit(4));
    spend(1, 4);
}

#[test]
fn a_stream_ends_as_it_began_though_its_key_and_model_are_gone() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let first = chunk(&openai::content_event("one"));
        let _ = peer.send(format!("{STREAM_HEAD}{first}"));
        gate_of_provider.wait();
        let rest = [openai::usage_event(11, 1), openai::DONE.to_owned()];
        let rest: String = rest.iter().map(|event| chunk(event)).collect();
        let _ = peer.send(rest + LAST_CHUNK);
    });
    let tenants = |site: Site| {
        site.tenant("acme", AMPLE)
            .key("acme", "bot", ACME, "")
            .key("acme", "new", "tr_new", "")
    };
    let gateway = Gateway::start(&tenants(
        Site::new()
            .provider("main", &provider.url())
            .model("m", "main"),
    ));
    let mut client = gateway.client();
    client.send(
        Request::post(CHAT, openai::chat("m", json!({ "stream": true })))
            .key(ACME)
            .bytes(),
    );
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    let without = Site::new()
        .tenant("acme", AMPLE)
        .key("acme", "new", "tr_new", "");
    reload_by_signal(&gateway, &without.text());
    refused(&gateway.ask(&chat(ACME)), 401, "invalid_api_key");
    gate.open();

    assert_eq!(client.events(&head).last().as_deref(), Some("data: [DONE]"));
    // What it cost is posted to the tenant, whose limit lives on.
    assert_eq!(gateway.bucket_at_rest("tr_new", "tokens").used, 12);
}
