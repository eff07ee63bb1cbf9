//! What the tests of the configuration share: an environment, and faults in one line each.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod cases;
pub(crate) mod rule_cases;

use tollring_config::{Fault, Faults, Snapshot, parse};

/// A secret of the environment; it must never be seen in a fault.
pub(crate) const SECRET: &str = "sk-from-the-environment";

/// A digest that is one.
pub(crate) const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The environment of the tests.
pub(crate) fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" | "OPENAI_API_KEY" | "TOLLRING_ADMIN_TOKEN" => Some(SECRET.to_owned()),
        "EMPTY" => Some(String::new()),
        "LINE" => Some("sk-with-a-line-end\n".to_owned()),
        "LONG" => Some("x".repeat(100_000)),
        _ => None,
    }
}

/// The faults of a text that must have some.
#[track_caller]
pub(crate) fn faults(text: &str) -> Faults {
    parse("tollring.toml", text, &env).expect_err("this text is faulty")
}

/// The snapshot of a text that must be sound.
#[track_caller]
pub(crate) fn snapshot(text: &str) -> Snapshot {
    parse("tollring.toml", text, &env).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A fault in one line: place, path, message, remedy.
pub(crate) fn line(fault: &Fault) -> String {
    let Fault {
        line, column, path, ..
    } = fault;
    format!(
        "{line}:{column} {path}: {}; {}",
        fault.message(),
        fault.remedy()
    )
}

/// Checks that a text has exactly these faults, in this order; each is the beginning of a line.
#[track_caller]
pub(crate) fn check(text: &str, expected: &[&str]) {
    let found: Vec<_> = faults(text).faults.iter().map(line).collect();
    let same = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(same, "in\n{text}\nexpected {expected:#?}\nfound {found:#?}");
}
