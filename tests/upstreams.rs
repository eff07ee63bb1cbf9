//! Who answers, and what keeps a sick upstream from hurting anyone.
//!
//! Upstreams refuse, swallow, reset, fail and come back; what is asserted is what the clients
//! got, what each upstream counted itself, and what the operator is shown.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

#[path = "upstreams/busy.rs"]
mod busy;
#[path = "upstreams/choice.rs"]
mod choice;
#[path = "upstreams/fair.rs"]
mod fair;
#[path = "upstreams/local.rs"]
mod local;
#[path = "upstreams/retries.rs"]
mod retries;
#[path = "upstreams/sick.rs"]
mod sick;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use support::{Gateway, Provider, Request, Site, openai};

/// Where the service of these tests is.
const PATH: &str = "/s/x";

/// A site with an open service `s` on these upstreams, and more lines in its table.
fn service(upstreams: &[&str], lines: &str) -> Site {
    let upstreams: Vec<String> = upstreams.iter().map(|url| format!("{url:?}")).collect();
    Site::new().raw(&format!(
        "[services.s]\npath = \"/s\"\nupstreams = [{}]\nauth = \"none\"\nmeter = \"none\"\n{lines}",
        upstreams.join(", ")
    ))
}

/// An upstream that answers everything.
fn good() -> Provider {
    Provider::answering(|_| openai::answer("200 OK", "{}"))
}

/// A flag that a script looks at, and a test turns.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// An upstream that answers 500 while the flag is set, and 200 else.
fn moody(sick: &Flag) -> Provider {
    let sick = sick.clone();
    Provider::answering(move |_| {
        let status = if sick.is_set() {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        openai::answer(status, "{}")
    })
}

/// How many there are at this moment, and the most there have been.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    fn enter(&self) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// What the operator is shown of one upstream.
#[track_caller]
fn upstream(gateway: &Gateway, url: &str) -> Value {
    let stats = gateway.stats();
    let origin = url.trim_start_matches("http://");
    let upstreams = stats["upstreams"].as_array().expect("a list");
    let found = upstreams
        .iter()
        .find(|upstream| upstream["origin"] == origin);
    found
        .unwrap_or_else(|| panic!("no {origin} in {stats}"))
        .clone()
}

/// One number of it.
#[track_caller]
fn count(gateway: &Gateway, url: &str, name: &str) -> u64 {
    let upstream = upstream(gateway, url);
    upstream[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {upstream}"))
}

/// Sends so many GETs, each on a connection of its own; how many were answered 200.
#[track_caller]
fn gets(gateway: &Gateway, count: usize) -> usize {
    let answers = (0..count).map(|_| gateway.ask(&Request::get(PATH)).status);
    answers.filter(|status| *status == 200).count()
}

/// How often a line of the log says this.
fn said(gateway: &Gateway, what: &str) -> usize {
    gateway.log().matches(what).count()
}
