//! A new process takes the listeners over from a running one: nobody is turned away, and if the
//! new one comes to nothing, nothing has happened.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use support::binary::{BINARY, Folder, run_to_end, serve};
use support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use support::site::ACME;
use support::{Client, Gate, Gateway, Provider, Request, Site, StopAtEnd, eventually};

/// A file that every process of a test is started with, and the socket it names.
struct Place {
    folder: Folder,
    site: Site,
}

impl Place {
    fn new(provider: &Provider) -> Self {
        let folder = Folder::new();
        let socket = format!("{:?}", folder.file("takeover.sock"));
        // Each process counts for itself, and none of them reaches this.
        let limits = r#"limits = [{ unit = "requests", amount = 1_000_000_000, per = "total" }]"#;
        let site = Site::new()
            .provider("main", &provider.url())
            .model("m", "main")
            .tenant("acme", "")
            .key("acme", "bot", ACME, limits)
            .set("server", "takeover", &socket);
        Self { folder, site }
    }

    fn socket(&self) -> PathBuf {
        self.folder.file("takeover.sock")
    }

    fn file(&self) -> PathBuf {
        self.folder.file("shared.toml")
    }

    /// The first process, on free ports; those after it find the ports in the file.
    fn first(&mut self) -> Gateway {
        fs::write(self.file(), self.site.text()).unwrap();
        let gateway = Gateway::start_by(serve(&self.file()), Folder::new());
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let listen = format!("[{:?}]", address(&gateway.url));
        let admin = format!("{:?}", address(&gateway.admin_url));
        let site = self.site.clone().set("server", "listen", &listen);
        self.site = site.set("admin", "listen", &admin);
        fs::write(self.file(), self.site.text()).unwrap();
        gateway
    }

    /// A process that takes over from whoever runs.
    fn next(&self) -> Gateway {
        let mut command = serve(&self.file());
        command.arg("--takeover");
        Gateway::start_by(command, Folder::new())
    }
}

fn chat() -> Request {
    Request::post(CHAT, openai::chat("m", json!({ "max_tokens": 10 }))).key(ACME)
}

/// Asks again and again, on connections that are kept as long as the gateway keeps them.
fn ask_until(stop: &AtomicBool, url: &str, keep: bool, answered: &AtomicUsize) {
    let mut kept: Option<Client> = None;
    while !stop.load(Ordering::SeqCst) {
        let mut client = kept.take().unwrap_or_else(|| Client::connect(url));
        let answer = client.ask(&chat());
        assert_eq!(answer.status, 200, "{}", answer.describe());
        answered.fetch_add(1, Ordering::SeqCst);
        if keep && answer.field("connection") != Some("close") {
            kept = Some(client);
        }
    }
}

#[test]
fn ten_takeovers_under_load_fail_not_one_request() {
    const TAKEOVERS: usize = 10;
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let mut place = Place::new(&provider);
    let mut running = place.first();
    let (url, admin_url) = (running.url.clone(), running.admin_url.clone());
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Also when something below fails, or the threads would ask for ever.
        let _stopped = StopAtEnd(&stop);
        for keep in [true, false, true, false] {
            let (stop, url, answered) = (&stop, &url, &answered);
            scope.spawn(move || ask_until(stop, url, keep, answered));
        }
        for takeover in 0..TAKEOVERS {
            // Also with more and with fewer workers than before.
            let workers = [1, 3, 2][takeover % 3].to_string();
            let site = place.site.clone().set("server", "workers", &workers);
            fs::write(place.file(), site.text()).unwrap();
            let next = place.next();
            assert_eq!((&next.url, &next.admin_url), (&url, &admin_url));
            let mut old = std::mem::replace(&mut running, next);
            assert!(old.await_exit().success(), "{}", old.log());
            let before = answered.load(Ordering::SeqCst);
            eventually("requests after a takeover", || {
                (answered.load(Ordering::SeqCst) > before + 8).then_some(())
            });
        }
    });
    assert_eq!(
        provider.calls_total(),
        answered.load(Ordering::SeqCst),
        "each request reached the provider once"
    );
    running.signal("TERM");
    assert!(running.await_exit().success());
    assert!(
        !place.socket().exists(),
        "the socket goes with the last process"
    );
}

#[test]
fn what_the_old_process_began_it_finishes_while_the_new_one_serves() {
    let gate = Gate::default();
    let until = gate.clone();
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            if call.json()["stream"] != true {
                let _ = peer.send(openai::answer_using(1, 1));
                continue;
            }
            let first = chunk(&openai::content_event("one"));
            if peer.send(format!("{STREAM_HEAD}{first}")).is_ok() && until.wait() {
                let rest = [openai::usage_event(11, 1), openai::DONE.to_owned()];
                let rest: String = rest.iter().map(|event| chunk(event)).collect();
                let _ = peer.send(rest + LAST_CHUNK);
            }
        }
    });
    let mut place = Place::new(&provider);
    let mut old = place.first();
    let mut client = old.client();
    let request = Request::post(CHAT, openai::chat("m", json!({ "stream": true }))).key(ACME);
    client.send(request.bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    let new = place.next();
    assert_eq!(new.ask(&chat()).status, 200);
    assert_eq!(new.ask_admin("GET", "/readyz").status, 200);
    let requests = new.stats()["requests_total"].as_u64();
    assert_eq!(
        requests,
        Some(1),
        "the new process is asked, not the old one"
    );

    gate.open();
    assert_eq!(client.events(&head).last().as_deref(), Some("data: [DONE]"));
    assert!(old.await_exit().success(), "{}", old.log());
}

#[test]
fn a_new_process_that_dies_during_the_handover_changes_nothing() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut place = Place::new(&provider);
    let running = place.first();
    // It asks, is given everything, and dies before it says that it serves.
    let mut dying = UnixStream::connect(place.socket()).unwrap();
    dying.write_all(b"1").unwrap();
    let mut given = Vec::new();
    while given.last() != Some(&b'e') {
        let mut word = [0];
        dying.read_exact(&mut word).unwrap();
        given.push(word[0]);
    }
    assert_eq!(
        given, b"ddae",
        "two workers' listeners, the admin port's, the end"
    );
    drop(dying);
    eventually("the failure to be told", || {
        running.log().contains("nobody took over").then_some(())
    });
    assert_eq!(running.ask(&chat()).status, 200);

    // One that cannot start at all says why, and the socket still leads to the old one.
    fs::write(place.file(), place.site.text() + "[sevrer]\n").unwrap();
    let ending = run_to_end(serve(&place.file()).arg("--takeover"));
    assert_eq!(ending.status.code(), Some(1), "{}", ending.said);
    assert_eq!(running.ask(&chat()).status, 200);
    assert_eq!(running.ask_admin("GET", "/readyz").status, 200);

    // And one that can takes over after all.
    fs::write(place.file(), place.site.text()).unwrap();
    let next = place.next();
    assert_eq!(next.ask(&chat()).status, 200);
}

#[test]
fn only_who_runs_the_gateway_may_ask_for_its_listeners() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut place = Place::new(&provider);
    let _running = place.first();
    let mode = fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_the_option_a_second_process_leaves_the_first_alone() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut place = Place::new(&provider);
    let running = place.first();
    let ending = run_to_end(&mut serve(&place.file()));
    assert_eq!(ending.status.code(), Some(1), "{}", ending.said);
    assert!(ending.said.contains("--takeover"), "{}", ending.said);
    assert_eq!(running.ask(&chat()).status, 200);
    assert!(place.socket().exists());
}

#[test]
fn taking_over_from_nobody_is_an_ordinary_start() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let place = Place::new(&provider);
    fs::write(place.file(), place.site.text()).unwrap();
    let first = place.next();
    assert_eq!(first.ask(&chat()).status, 200);
    let without = Site::with_acme(&provider.url());
    fs::write(place.file(), without.text()).unwrap();
    let ending = run_to_end(serve(&place.file()).arg("--takeover"));
    assert!(ending.said.contains("server.takeover"), "{}", ending.said);
}

#[test]
fn sigusr2_starts_the_program_again_to_take_over() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let mut place = Place::new(&provider);
    let mut old = place.first();
    let url = old.url.clone();
    old.signal("USR2");
    assert!(old.await_exit().success(), "{}", old.log());
    let log = old.log();
    let line = log
        .lines()
        .find(|line| line.contains("is started to take over"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    let successor = line["pid"].to_string();
    // It is no child of this test, so it is ended whatever becomes of the rest.
    let end = EndedByPid(successor);
    let mut client = Client::connect(&url);
    assert_eq!(client.ask(&chat()).status, 200);
    drop(end);
    eventually("the socket to go with the last process", || {
        (!place.socket().exists()).then_some(())
    });
}

/// A process that was started by one that is gone.
struct EndedByPid(String);

impl Drop for EndedByPid {
    fn drop(&mut self) {
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.0)])
            .status();
    }
}

#[test]
fn the_binary_says_how_to_take_over() {
    let help = Command::new(BINARY)
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("--takeover") && help.contains("SIGUSR2"),
        "{help}"
    );
}
