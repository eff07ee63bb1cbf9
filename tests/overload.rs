//! Too much of everything: descriptors and memory run out, and come back.
//!
//! What is going on goes on, newcomers wait or are told to come back, the operator still gets
//! in, and afterwards all is as before.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;
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

#[test]
fn a_request_that_finds_no_descriptor_for_its_provider_is_told_to_come_back() {
    // Clients that may be in, by a number of the file's own: then nothing is kept for the
    // connections to a provider that all of them might need at once.
    const CLIENTS: usize = 24;
    let gate = Gate::default();
    let provider = provider(&gate);
    let site = Site::with_acme(&provider.url())
        .set("server", "workers", "1")
        .set("limits", "connections", &CLIENTS.to_string());
    let gateway = start_with(64, &site);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(chat(json!({ "stream": true })).bytes());
    }
    let (mut begun, mut told) = (Vec::new(), 0);
    for mut client in clients {
        let head = client.head();
        if head.status == 200 {
            begun.push((client, head));
            continue;
        }
        assert_eq!((head.status, head.field("retry-after")), (503, Some("1")));
        told += 1;
    }
    assert!(!begun.is_empty(), "nobody was served");
    assert!(told > 0, "there were descriptors for all");
    let stats = gateway.stats();
    let refused = &stats["refusals"]["gateway_overloaded"];
    assert!(refused.as_u64() > Some(0), "{}", stats["refusals"]);
    // It is not the provider's fault, and nothing is held against it.
    assert_eq!(stats["upstreams"][0]["failures_total"], 0, "{stats}");
    assert_eq!(stats["upstreams"][0]["state"], "healthy");

    gate.open();
    for (mut client, head) in begun {
        assert_eq!(client.events(&head).last().as_deref(), Some("data: [DONE]"));
    }
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").held, 0);
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

#[test]
fn idle_connections_to_upstreams_are_closed_when_memory_is_short() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url()).set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    let idle = || gateway.stats()["pools"][0]["idle"].as_u64();
    assert_eq!(gateway.ask(&chat(json!({}))).status, 200);
    eventually("the connection to be kept", || {
        (idle() == Some(1)).then_some(())
    });
    fill(&gateway, &site, 88, "end_keep_alive");
    eventually("the idle connection to be closed", || {
        (idle() == Some(0)).then_some(())
    });
    // Requests go on, each over what it opens; what a process takes moves, so not at once.
    eventually("a request to go on", || {
        let answer = gateway.ask(&chat(json!({})));
        (answer.status == 200).then_some(())
    });
    gateway.rewrite(&site.text());
    assert_eq!(gateway.ask_admin("POST", "/api/v1/reload").status, 200);
    eventually("connections to be kept again", || {
        let answer = gateway.client().ask(&chat(json!({})));
        assert_eq!(answer.status, 200, "{}", answer.describe());
        (idle() == Some(1)).then_some(())
    });
}

/// Memory in which a gateway fits, and not what [`LOAD`] clients send it.
const LITTLE_BYTES: u64 = 64 * 1024 * 1024;
/// Clients that send a long prompt at once.
const LOAD: usize = 150;
/// Bytes of each.
const PROMPT_BYTES: usize = 1024 * 1024;

/// Has a crowd send long prompts to a provider that holds them all, and asserts that whoever is not
/// served is told to come back, and that afterwards all is as before.
fn shed(gateway: &Gateway, gate: &Gate) {
    let prompt = "a b ".repeat(PROMPT_BYTES / 4);
    let request = chat(json!({ "messages": [{ "role": "user", "content": prompt }] })).bytes();
    let mut crowd: Vec<Client> = (0..LOAD).map(|_| gateway.client()).collect();
    std::thread::scope(|scope| {
        for client in &mut crowd {
            // Whoever is refused early is closed early.
            scope.spawn(|| client.try_send(&request));
        }
    });
    let refused = || gateway.stats()["refusals"]["gateway_overloaded"].as_u64();
    eventually("somebody to be refused", || {
        refused().filter(|&count| count > 0)
    });
    gate.open();
    let mut statuses = std::collections::BTreeMap::new();
    let mut unanswered = 0;
    for client in &mut crowd {
        // The sockets' own memory counts in a control group, and a kernel that has none left
        // for them resets some.
        let Ok(Some(head)) = client.try_head() else {
            unanswered += 1;
            continue;
        };
        if head.status == 503 {
            assert_eq!(head.field("retry-after"), Some("1"));
        }
        *statuses.entry(head.status).or_insert(0) += 1;
    }
    let others = statuses.keys().any(|status| ![200, 503].contains(status));
    assert!(!others && statuses.contains_key(&503), "{statuses:?}");
    assert!(unanswered * 20 <= LOAD, "{unanswered} of {LOAD} unanswered");
    drop(crowd);
    eventually("memory to be had again", || {
        let answer = gateway.ask(&chat(json!({})));
        (answer.status == 200 && gateway.stats()["memory"]["pressure"] == "none").then_some(())
    });
    // Asked by the operator's port, which is not refused when memory moves once more.
    eventually("nothing to be held", || {
        (gateway.stats()["buckets"][0]["held"] == "0").then_some(())
    });
}

/// A provider that answers once the gate is open.
fn holding(gate: &Gate) -> Provider {
    let gate = gate.clone();
    Provider::start(move |mut peer| {
        while peer.call_without_body().is_some() && gate.wait() {
            if peer.send(openai::answer_using(1, 1)).is_err() {
                return;
            }
        }
    })
}

#[test]
fn f14_long_prompts_beyond_the_memory_there_is_are_refused_and_it_is_not_exceeded() {
    let gate = Gate::default();
    let provider = holding(&gate);
    let memory = LITTLE_BYTES.to_string();
    let site = roomy(&provider.url()).set("limits", "memory", &memory);
    let gateway = Gateway::start(&site);
    shed(&gateway, &gate);
    // The pages of the binary are among these, and more of them where it is not optimised.
    let most = gateway.memory_kib("VmHWM") * 1024;
    assert!(
        most <= LITTLE_BYTES / 4 * 5,
        "{most} bytes of {LITTLE_BYTES}"
    );
}

#[test]
fn f14_in_a_control_group_with_little_memory_it_sheds_and_is_never_killed() {
    // Only root may make one, and not on every machine; the test above goes by the same steps.
    let Some(group) = MemoryGroup::new(LITTLE_BYTES) else {
        return;
    };
    let gate = Gate::default();
    let provider = holding(&gate);
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(&file, roomy(&provider.url()).text()).unwrap();
    let mut command = Command::new("sh");
    let script = "echo $$ > \"$2/cgroup.procs\" && exec \"$0\" serve --json -c \"$1\"";
    command
        .args(["-c", script, BINARY])
        .arg(&file)
        .arg(&group.0);
    let gateway = Gateway::start_by(command, folder);
    eventually("the bound of the group to be found", || {
        (gateway.stats()["memory"]["bound_bytes"] == LITTLE_BYTES).then_some(())
    });
    shed(&gateway, &gate);
    assert_eq!(gateway.stats()["workers"][0]["panics_total"], 0);
}

/// A control group with a bound on memory; gone when dropped, behind whoever was in it.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// None where the system or our rights have none for us.
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("tollring-test-{}", std::process::id());
        let bounds = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        bounds.iter().find_map(|(root, bound)| {
            let group = Self(PathBuf::from(root).join(&name));
            fs::create_dir(&group.0).ok()?;
            // Else it is dropped, and gone again.
            let bounded = fs::write(group.0.join(bound), bytes.to_string());
            bounded.is_ok().then_some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Tokens for every prompt of the crowd.
fn roomy(url: &str) -> Site {
    Site::new()
        .provider("main", url)
        .model("m", "main")
        .tenant("acme", "")
        .key(
            "acme",
            "bot",
            ACME,
            "limits = [{ unit = \"tokens\", amount = 1_000_000_000, per = \"total\" }]",
        )
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
