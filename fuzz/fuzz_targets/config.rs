//! The configuration's text: a sound snapshot or faults that can be shown, never a panic, and
//! never a secret.
//!
//! The input is the text of a file.

#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollring_config::limits::{FAULTS_MAX, SHOWN_CHARS_MAX};
use tollring_config::{Faults, Snapshot, parse};

/// What the environment has under names that are asked for a secret.
const SECRET: &str = "sk-from-the-environment";

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let asked = Cell::new(0);
    let env = |name: &str| {
        asked.set(asked.get() + 1);
        match name {
            "SECRET" | "OPENAI_API_KEY" | "TOLLRING_ADMIN_TOKEN" => Some(SECRET.to_owned()),
            "EMPTY" => Some(String::new()),
            "LONG" => Some("x".repeat(20_000)),
            _ => None,
        }
    };
    let read = parse("tollring.toml", &text, &env);
    // A file that names the secret itself may show it.
    let shown = match &read {
        Ok(snapshot) => check_snapshot(snapshot),
        Err(faults) => check_faults(faults, &text),
    };
    let is_told = text.contains("sk-") || asked.get() == 0;
    assert!(
        is_told || !shown.contains(SECRET),
        "a secret is shown:\n{shown}"
    );
    match (read, parse("tollring.toml", &text, &env)) {
        (Ok(first), Ok(second)) => assert_eq!(first.describe_json(), second.describe_json()),
        (Err(first), Err(second)) => assert_eq!(first, second),
        _ => panic!("the same text is sound once and faulty once"),
    }
});

/// Checks what a sound file came to, and gives all that can be seen of it.
fn check_snapshot(snapshot: &Snapshot) -> String {
    let described = snapshot.describe_json();
    let json: Value = serde_json::from_str(&described).expect("a description is JSON");
    assert!(json.is_object());
    assert_eq!(snapshot.version, 0, "the caller numbers it");
    format!("{described}{snapshot:?}")
}

/// Checks that faults point into the text and can be printed, and gives all that can be seen.
fn check_faults(faults: &Faults, text: &str) -> String {
    assert!(faults.count() > 0 && faults.faults.len() <= FAULTS_MAX);
    let lines: Vec<&str> = text.split('\n').collect();
    for fault in &faults.faults {
        let line = lines[fault.line - 1];
        assert!(fault.column > 0 && fault.column <= line.chars().count() + 1);
        assert!(!fault.message().is_empty() && !fault.remedy().is_empty());
        let shown = fault.snippet.line.chars().count();
        assert!(shown <= SHOWN_CHARS_MAX);
        // Carriage returns at the end are not shown, and may be what is meant.
        let is_cut = line.ends_with('\r');
        let caret_max = if is_cut { SHOWN_CHARS_MAX } else { shown };
        assert!(fault.snippet.caret_length > 0 && fault.snippet.caret_start <= caret_max);
        assert!(fault.value.chars().count() <= SHOWN_CHARS_MAX + 1);
    }
    let places = |pair: &[tollring_config::Fault]| {
        (pair[0].line, pair[0].column) <= (pair[1].line, pair[1].column)
    };
    assert!(
        faults.faults.windows(2).all(places),
        "faults come in the order of the file"
    );
    let json: Value = serde_json::from_str(&faults.render_json()).expect("faults are JSON");
    let listed = json["faults"].as_array().map(Vec::len);
    assert_eq!(listed, Some(faults.faults.len()));
    let rendered = faults.render_text();
    assert!(rendered.ends_with('\n'));
    let is_shown_safely = |c: char| c == '\n' || !c.is_control();
    assert!(
        rendered.chars().all(is_shown_safely),
        "a terminal would obey this: {rendered:?}"
    );
    format!("{rendered}{json}{faults:?}")
}
