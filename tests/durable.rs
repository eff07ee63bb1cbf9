//! What was spent is still spent afterwards: after a restart, a kill, a takeover, a full journal.
//!
//! The truth is held outside the gateway, by the scripted provider and by what clients were told.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::thread;

use serde_json::{Value, json};
use support::binary::{Folder, serve};
use support::openai::{self, CHAT, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Gate, Gateway, Provider, Request, Site, eventually};

/// Limits that no test reaches.
const LIMITS: &str = r#"limits = [
  { unit = "requests", amount = 1_000_000, per = "year" },
  { unit = "tokens", amount = 1_000_000_000, per = "total" },
  { unit = "usd", amount = "1000", per = "month" },
]"#;

/// What the model costs, in nano-USD for 11 tokens in and 7 out.
const CALL_NANO_USD: i128 = 11 * 1_000 + 7 * 2_000;

/// A folder that outlives the gateways which write to it.
struct Kept {
    folder: Folder,
    site: Site,
}

impl Kept {
    fn new(provider: &Provider, change: impl FnOnce(Site) -> Site) -> Self {
        let folder = Folder::new();
        let path = format!("{:?}", folder.file("store"));
        let site = Site::new()
            .provider("main", &provider.url())
            .model("m", "main")
            .tenant("acme", "")
            .key("acme", "bot", ACME, LIMITS)
            .set("store", "path", &path)
            // Room for every test's records, so that none waits for the syncer to make more.
            .set("store", "segment", "\"1MiB\"");
        let site = change(site);
        Self { folder, site }
    }

    fn start(&self) -> Gateway {
        Gateway::start(&self.site)
    }
}

fn chat(extra: Value) -> Request {
    Request::post(CHAT, openai::chat("m", extra)).key(ACME)
}

fn answering() -> Provider {
    Provider::answering(|_| openai::answer_using(11, 7))
}

/// Asserts that so many calls were charged, in every unit.
#[track_caller]
fn charged(gateway: &Gateway, calls: i128) {
    let used = |unit| gateway.bucket_at_rest(ACME, unit).used;
    assert_eq!(used("requests"), calls, "requests");
    assert_eq!(used("tokens"), 18 * calls, "tokens");
    assert_eq!(used("usd"), CALL_NANO_USD * calls, "nano-USD");
}

fn stop(mut gateway: Gateway, signal: &str) -> Gateway {
    gateway.signal(signal);
    gateway.await_exit();
    gateway
}

#[test]
fn what_was_spent_is_still_spent_after_a_restart_and_after_a_kill() {
    let provider = answering();
    let kept = Kept::new(&provider, |site| site);
    let mut calls = 0;
    for signal in ["TERM", "KILL", "QUIT", "KILL", "TERM"] {
        let gateway = kept.start();
        charged(&gateway, calls);
        for _ in 0..300 {
            let answer = gateway.ask(&chat(json!({ "max_tokens": 9 })));
            assert_eq!(answer.status, 200, "{}", answer.describe());
            calls += 1;
        }
        charged(&gateway, calls);
        stop(gateway, signal);
    }
    charged(&kept.start(), calls);
    assert_eq!(provider.calls_total() as i128, calls);
}

#[test]
fn a_request_in_flight_at_a_kill_is_charged_as_the_operator_says() {
    // (crash_settle, tokens, nano-USD) of a prompt of 15 tokens by our estimate, 100 held.
    for settle in ["input", "void", "hold"] {
        let gate = Gate::default();
        let held = gate.clone();
        let provider = Provider::start(move |mut peer| {
            if peer.call().is_some() {
                held.wait();
            }
        });
        let kept = Kept::new(&provider, |site| {
            site.set("store", "crash_settle", &format!("{settle:?}"))
        });
        let gateway = kept.start();
        let mut client = gateway.client();
        client.send(chat(json!({ "max_tokens": 100 })).bytes());
        provider.await_calls(1);
        let reserved = gateway.bucket(ACME, "tokens").held;
        let input = reserved - 100;
        assert!(input > 0, "{reserved} tokens are held");
        stop(gateway, "KILL");
        gate.open();
        let gateway = kept.start();
        assert!(
            gateway.log().contains(r#""holds_settled":1"#),
            "{}",
            gateway.log()
        );
        let (requests, tokens, usd) = match settle {
            "input" => (1, input, input * 1_000),
            "void" => (0, 0, 0),
            _ => (1, reserved, input * 1_000 + 100 * 2_000),
        };
        let used = |unit| gateway.bucket_at_rest(ACME, unit).used;
        let charged = (used("requests"), used("tokens"), used("usd"));
        assert_eq!(charged, (requests, tokens, usd), "{settle}");
        // Once, however often it is started again.
        stop(gateway, "KILL");
        let gateway = kept.start();
        let used = |unit| gateway.bucket_at_rest(ACME, unit).used;
        let charged = (used("requests"), used("tokens"), used("usd"));
        assert_eq!(charged, (requests, tokens, usd), "{settle}, again");
    }
}

#[test]
fn what_was_extended_for_a_stream_is_charged_after_a_kill_where_holds_are() {
    let gate = Gate::default();
    let held = gate.clone();
    let provider = Provider::start(move |mut peer| {
        while peer.call().is_some() {
            let _ = peer.send(STREAM_HEAD);
            for _ in 0..30 {
                let word = openai::content_event(&"word ".repeat(100));
                let _ = peer.send(chunk(&word));
            }
            held.wait();
        }
    });
    let kept = Kept::new(&provider, |site| {
        site.set("store", "crash_settle", "\"hold\"")
    });
    let gateway = kept.start();
    let mut client = gateway.client();
    let options = json!({ "stream": true, "max_tokens": 50_000 });
    client.send(chat(options).bytes());
    let reserved = eventually("the hold to be extended twice", || {
        let held = gateway.bucket(ACME, "tokens").held;
        (held > 3 * 1024).then_some(held)
    });
    stop(gateway, "KILL");
    gate.open();
    let gateway = kept.start();
    let used = gateway.bucket_at_rest(ACME, "tokens").used;
    assert!(used >= reserved, "{used} of {reserved}");
}

#[test]
fn a_limit_that_is_taken_out_and_put_back_goes_on_where_it_was() {
    let provider = answering();
    let kept = Kept::new(&provider, |site| site);
    let gateway = kept.start();
    for _ in 0..3 {
        assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
    }
    let file = kept.site.text();
    let without = file.replace(LIMITS, "");
    assert_ne!(file, without);
    for text in [without, file] {
        gateway.rewrite(&text);
        let answer = gateway.ask_admin("POST", "/api/v1/reload");
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
    }
    // The one in between was counted by no limit.
    charged(&gateway, 4);
}

#[test]
fn an_answer_that_waits_for_the_disk_comes() {
    let provider = answering();
    let kept = Kept::new(&provider, |site| {
        site.set("store", "durability", "\"sync\"")
            .set("store", "sync_interval", "\"1ms\"")
    });
    let gateway = kept.start();
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.ask(&chat(json!({}))).status, 200);
    }
    charged(&gateway, 20);
}

#[test]
fn what_was_not_synced_yet_is_imported_before_a_process_that_ends_takes_its_journal_away() {
    let provider = answering();
    for (durability, sync_interval) in [("async", "10ms"), ("group", "1s")] {
        let kept = Kept::new(&provider, |site| {
            site.set("store", "durability", &format!("{durability:?}"))
                .set("store", "sync_interval", &format!("{sync_interval:?}"))
        });
        let gateway = kept.start();
        for _ in 0..20 {
            assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
        }
        stop(gateway, "TERM");
        charged(&kept.start(), 20);
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_a_clear_line() {
    let folder = Folder::new();
    std::fs::write(folder.file("taken"), "a file").unwrap();
    let path = format!("{:?}", folder.file("taken"));
    let site = Site::new().set("store", "path", &path);
    std::fs::write(folder.file("t.toml"), site.text()).unwrap();
    let ending = support::binary::run_to_end(&mut serve(&folder.file("t.toml")));
    assert_eq!(ending.status.code(), Some(1), "{}", ending.said);
    assert!(ending.said.contains("taken"), "{}", ending.said);
}

/// Keeps everybody else from writing to a database until it is dropped.
struct Locked(rusqlite::Connection);

impl Locked {
    fn new(folder: &Path) -> Self {
        let connection = rusqlite::Connection::open(folder.join("tollring.db")).unwrap();
        connection.busy_timeout(support::expect::PATIENCE).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

#[test]
fn what_cannot_be_written_down_is_refused_and_is_taken_again_without_a_restart() {
    for mode in ["closed", "open"] {
        let provider = answering();
        let kept = Kept::new(&provider, |site| {
            site.set("store", "journal_max", "\"1MiB\"")
                .set("store", "segment", "\"64KiB\"")
                .set("store", "fail_mode", &format!("{mode:?}"))
                .set("server", "workers", "1")
                .open_service("plain", "/plain", &provider.url())
        });
        let gateway = kept.start();
        let locked = Locked::new(&kept.folder.file("store"));
        let mut client = gateway.client();
        let mut passed = 0;
        // A journal of 1 MiB has room for 4,096 records, and each call takes two.
        let refused = (0..3_000).find_map(|_| {
            let answer = client.ask(&chat(json!({ "max_tokens": 9 })));
            passed += i128::from(answer.status == 200);
            (answer.status != 200).then_some(answer)
        });
        match refused {
            Some(answer) => {
                assert_eq!(mode, "closed", "{}", answer.describe());
                assert_eq!(answer.status, 503, "{}", answer.describe());
                assert_eq!(answer.code(), "quota_unavailable");
                assert_eq!(answer.field("retry-after"), Some("1"));
            }
            None => assert_eq!(mode, "open", "{passed} calls passed"),
        }
        let free = client.ask(&Request::get("/plain"));
        assert_eq!(free.status, 200, "what is not metered goes on");
        assert_eq!(provider.calls_total() as i128, passed + 1);
        charged(&gateway, passed);
        drop(locked);
        if mode == "closed" {
            eventually("calls to be taken again", || {
                let answer = client.ask(&chat(json!({ "max_tokens": 9 })));
                (answer.status == 200).then_some(())
            });
            charged(&gateway, passed + 1);
            stop(gateway, "TERM");
            charged(&kept.start(), passed + 1);
        }
    }
}

#[test]
fn what_the_store_did_not_take_at_once_is_there_when_it_takes_again() {
    let provider = answering();
    let kept = Kept::new(&provider, |site| site);
    let gateway = kept.start();
    let file = kept.folder.file("store").join("tollring.db");
    let store = rusqlite::Connection::open(file).unwrap();
    store
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON usage_rows \
             BEGIN SELECT raise(ABORT, 'not now'); END",
        )
        .unwrap();
    let call = || assert_eq!(gateway.ask(&chat(json!({ "max_tokens": 9 }))).status, 200);
    call();
    eventually("an import to fail", || {
        let log = gateway.log();
        log.contains("waits in the journal").then_some(())
    });
    call();
    store.execute_batch("DROP TRIGGER no").unwrap();
    eventually("an import to succeed", || {
        let log = gateway.log();
        log.contains("takes what was spent again").then_some(())
    });
    stop(gateway, "TERM");
    charged(&kept.start(), 2);
}

#[test]
fn a_thousand_at_once_on_a_budget_of_ten_are_ten_after_a_kill() {
    let provider = answering();
    let kept = Kept::new(&provider, |site| {
        site.tenant("poor", "").key(
            "poor",
            "bot",
            "tr_poor",
            r#"limits = [{ unit = "requests", amount = 10, per = "total" }]"#,
        )
    });
    let gateway = kept.start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let ask = Request::post(CHAT, openai::chat("m", json!({}))).key("tr_poor");
                    let answer = gateway.ask(&ask);
                    assert!(
                        matches!(answer.status, 200 | 402 | 429),
                        "{}",
                        answer.describe()
                    );
                }
            });
        }
    });
    assert_eq!(provider.calls_total(), 10);
    stop(gateway, "KILL");
    let gateway = kept.start();
    let bucket = gateway.bucket_at_rest("tr_poor", "requests");
    assert_eq!((bucket.used, bucket.remaining), (10, 0));
    let ask = Request::post(CHAT, openai::chat("m", json!({}))).key("tr_poor");
    assert_eq!(gateway.ask(&ask).status, 402);
    assert_eq!(provider.calls_total(), 10);
}

#[test]
fn what_the_process_before_still_spends_counts_in_the_one_that_took_over() {
    let gate = Gate::default();
    let held = gate.clone();
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            if call.json()["stream"] == true {
                held.wait();
                let events = openai::stream_events(&["late"], Some((500, 300)));
                let _ = peer.send(openai::stream_of(&events));
            } else {
                let _ = peer.send(openai::answer_using(11, 7));
            }
        }
    });
    let mut kept = Kept::new(&provider, |site| site);
    let socket = format!("{:?}", kept.folder.file("takeover.sock"));
    kept.site = kept.site.set("server", "takeover", &socket);
    let mut first = kept.start();
    let address = |url: &str| format!("{:?}", url.trim_start_matches("http://"));
    let listen = format!("[{}]", address(&first.url));
    let admin = address(&first.admin_url);
    kept.site = kept.site.set("server", "listen", &listen);
    kept.site = kept.site.set("admin", "listen", &admin);
    for _ in 0..20 {
        assert_eq!(first.ask(&chat(json!({}))).status, 200);
    }
    let mut streaming = first.client();
    let options = json!({ "stream": true, "max_tokens": 400 });
    streaming.send(chat(options).bytes());
    provider.await_calls(21);

    std::fs::write(kept.folder.file("next.toml"), kept.site.text()).unwrap();
    let mut command = serve(&kept.folder.file("next.toml"));
    command.arg("--takeover");
    let second = Gateway::start_by(command, Folder::new());
    let used = |unit| second.bucket(ACME, unit).used;
    assert_eq!(used("requests"), 21, "the one in flight is one");
    assert!(used("tokens") > 20 * 18, "its input counts until it ends");
    for _ in 0..30 {
        assert_eq!(second.ask(&chat(json!({}))).status, 200);
    }
    gate.open();
    let head = streaming.head();
    assert_eq!(head.status, 200);
    let _all = streaming.events(&head).count();
    drop(streaming);
    first.await_exit();
    let tokens = 50 * 18 + 800;
    eventually("what the first process spent", || {
        (used("tokens") == tokens).then_some(())
    });
    assert_eq!(used("requests"), 51);
    assert_eq!(used("usd"), 50 * CALL_NANO_USD + 500 * 1_000 + 300 * 2_000);
    let second = stop(second, "KILL");
    let third = Gateway::start(&kept.site);
    assert_eq!(third.bucket_at_rest(ACME, "tokens").used, tokens);
    drop(second);
}
