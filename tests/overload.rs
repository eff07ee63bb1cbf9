//! Too much of everything: descriptors and memory run out, and come back.
//!
//! What is going on goes on, newcomers wait or are told to come back, the operator still gets
//! in, and afterwards all is as before.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::binary::{BINARY, Folder};
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Client, Gate, Gateway, Provider, Request, Site, eventually, refused};

/// Far more than fit in the descriptors the test allows.
const CROWD: usize = 100;

/// Starts a gateway that may open `descriptors` and has as many clients as fit.
fn start_with(descriptors: usize, site: &Site) -> Gateway {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    let text = site.text().replace("connections = 4000\n", "");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors} && exec \"$0\" serve --json -c \"$1\"");
    command.args(["-c", &script, BINARY]).arg(&file);
    Gateway::start_by(command, folder)
}

/// A provider that begins a stream at once, ends it once the gate is open, and answers whatever
/// is no stream.
fn provider(gate: &Gate) -> Provider {
    let gate = gate.clone();
    Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            if call.json()["stream"] != true {
                if peer.send(openai::answer_using(1, 1)).is_err() {
                    return;
                }
                continue;
            }
            let first = chunk(&openai::content_event("one"));
            if peer.send(format!("{STREAM_HEAD}{first}")).is_ok() && gate.wait() {
                let rest = [openai::usage_event(11, 1), openai::DONE.to_owned()];
                let rest: String = rest.iter().map(|event| chunk(event)).collect();
                let _ = peer.send(rest + LAST_CHUNK);
            }
        }
    })
}

fn chat(extra: Value) -> Request {
    Request::post(CHAT, openai::chat("m", extra)).key(ACME)
}

#[test]
fn descriptors_run_out_and_come_back() {
    let gate = Gate::default();
    let provider = provider(&gate);
    let site = Site::with_acme(&provider.url()).set("server", "workers", "1");
    let gateway = start_with(64, &site);
    let mut old = gateway.client();
    old.send(chat(json!({ "stream": true })).bytes());
    let head = old.head();
    assert!(old.events(&head).next().is_some());

    // The kernel completes every one of these, whether or not there is a descriptor for it.
    let crowd: Vec<Client> = (0..CROWD).map(|_| gateway.client()).collect();
    let turned_away = || gateway.stats()["workers"][0]["turned_away_total"].as_u64();
    eventually("somebody to be turned away", || {
        turned_away().filter(|&count| count > 0)
    });

    // The operator gets in: the port has descriptors of its own.
    assert_eq!(gateway.ask_admin("GET", "/readyz").status, 200);
    let connections = gateway.stats()["connections"].as_u64().unwrap();
    assert!(
        connections < 60,
        "{connections} connections of 64 descriptors"
    );
    // What was going on goes on.
    gate.open();
    assert_eq!(old.events(&head).last().as_deref(), Some("data: [DONE]"));
    // Whoever is in is served, whoever is not is told so or still waits.
    let mut served = 0;
    let mut told = 0;
    for mut client in crowd {
        let sent = client.try_send(Request::get("/v1/models").key(ACME).bytes());
        match sent.and_then(|()| client.try_head()) {
            Ok(Some(head)) if head.status == 200 => served += 1,
            Ok(Some(head)) => {
                assert_eq!(head.status, 503);
                assert_eq!(head.field("retry-after"), Some("1"));
                told += 1;
            }
            _ => {}
        }
    }
    assert!(served > 0, "nobody was served");
    assert!(told > 0, "nobody was told");

    eventually("room again", || {
        let mut client = Client::try_connect(&gateway.url).ok()?;
        client.try_send(chat(json!({})).bytes()).ok()?;
        let head = client.try_head().ok()??;
        (head.status == 200).then_some(())
    });
    assert_eq!(gateway.stats()["workers"][0]["panics_total"], 0);
}

/// Puts a bound on memory in force that this much percent of is in use.
fn fill(gateway: &Gateway, site: &Site, percent: u64, expected: &str) {
    eventually(&format!("pressure {expected}"), || {
        // What is in use moves a little, so the bound follows it.
        let used = gateway.stats()["memory"]["used_bytes"].as_u64().unwrap();
        let bound = used * 100 / percent;
        gateway.rewrite(
            &site
                .clone()
                .set("limits", "memory", &bound.to_string())
                .text(),
        );
        assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
        (pressure_soon(gateway, bound) == expected).then_some(())
    });
}

/// What is given up once memory was held against this bound.
fn pressure_soon(gateway: &Gateway, bound: u64) -> String {
    eventually("a look at memory", || {
        let memory = gateway.stats()["memory"].clone();
        (memory["bound_bytes"] == bound).then(|| memory["pressure"].as_str().unwrap().to_owned())
    })
}

#[test]
fn memory_gives_up_keep_alive_then_requests_then_clients_and_takes_them_back() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url()).set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    let mut kept = gateway.client();
    let answer = kept.ask(&chat(json!({})));
    assert_eq!((answer.status, answer.field("connection")), (200, None));
    let bound = 1_u64 << 40;
    gateway.rewrite(
        &site
            .clone()
            .set("limits", "memory", &bound.to_string())
            .text(),
    );
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    assert_eq!(pressure_soon(&gateway, bound), "none");

    fill(&gateway, &site, 88, "end_keep_alive");
    let mut other = gateway.client();
    // A worker learns of it with its next tick.
    eventually("connections not to be kept", || {
        let answer = gateway.client().ask(&chat(json!({})));
        assert_eq!(answer.status, 200, "{}", answer.describe());
        (answer.field("connection") == Some("close")).then_some(())
    });
    assert_eq!(other.ask(&chat(json!({}))).status, 200);
    assert!(other.is_closed());

    fill(&gateway, &site, 93, "refuse_requests");
    eventually("requests to be refused", || {
        let answer = gateway.client().ask(&chat(json!({})));
        (answer.status == 503).then_some(())
    });
    let answer = kept.ask(&chat(json!({})));
    refused(&answer, 503, "gateway_overloaded");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert!(kept.is_closed());

    fill(&gateway, &site, 99, "stop_accepting");
    let mut crowd = Vec::new();
    eventually("clients to wait in the queue", || {
        crowd.push(gateway.client());
        (queued(&gateway) >= 3).then_some(())
    });
    let mut waits = gateway.client();
    waits.send(chat(json!({})).bytes());

    gateway.rewrite(&site.text());
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    assert_eq!(waits.answer().status, 200, "whoever waited is served");
    let answer = gateway.client().ask(&chat(json!({})));
    assert_eq!((answer.status, answer.field("connection")), (200, None));
}

/// Clients that the kernel has connected and nobody has taken.
fn queued(gateway: &Gateway) -> u64 {
    let port: u16 = gateway.url.rsplit(':').next().unwrap().parse().unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    // Of a socket that listens (0A), the second of the two queues counts clients.
    let counts = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&local) && *fields.get(3)? == "0A";
        let (_, count) = fields.get(4)?.split_once(':')?;
        listens.then(|| u64::from_str_radix(count, 16).unwrap())
    });
    counts.sum()
}
