//! One test for each defect that was found and mended, named for what is right.
//!
//! Filed by what had gone wrong: what was charged, what was held and cut, who was let in
//! and told what, what became of a provider's no, whose bytes went over which connection,
//! and who was given up too soon. The tests that a rule was built with are in the file of
//! that rule; these are for what they had missed.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

#[path = "regression/charged.rs"]
mod charged;
#[path = "regression/connections.rs"]
mod connections;
#[path = "regression/declined.rs"]
mod declined;
#[path = "regression/doors.rs"]
mod doors;
#[path = "regression/held.rs"]
mod held;
#[path = "regression/slow.rs"]
mod slow;

use serde_json::Value;
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Gateway, Request, Site};

/// Enough for a prompt of many megabytes, and no limit on money beside it.
const TOKENS_WITHOUT_END: &str =
    r#"limits = [{ unit = "tokens", amount = 1_000_000_000_000, per = "total" }]"#;

/// A chat request to model `m` with the key of `acme`.
fn chat(extra: Value) -> Request {
    Request::post(CHAT, openai::chat("m", extra)).key(ACME)
}

/// Provider `main`, its model `m`, and `acme` with these lines for its key.
fn with_limits(provider_url: &str, lines: &str) -> Site {
    Site::new()
        .provider("main", provider_url)
        .model("m", "main")
        .tenant("acme", "")
        .key("acme", "bot", ACME, lines)
}

/// A service at `path` that wants a key, metered as `lines` say.
fn keyed_service(site: Site, path: &str, upstream: &str, lines: &str) -> Site {
    let name = path.trim_start_matches('/');
    site.raw(&format!(
        "[services.{name}]\npath = \"{path}\"\nupstreams = [\"{upstream}\"]\n\
         auth = \"key\"\n{lines}"
    ))
}

/// Asserts that no task of any worker ended in a panic, which would be seen as a close.
#[track_caller]
fn no_task_panicked(gateway: &Gateway) {
    let stats = gateway.stats();
    let workers = stats["workers"].as_array().expect("workers are a list");
    let panics: Vec<_> = workers
        .iter()
        .map(|worker| worker["panics_total"].as_u64())
        .collect();
    assert!(
        panics.iter().all(|&count| count == Some(0)),
        "panics of each worker: {panics:?}"
    );
}
