//! Every dependency may be used in an Apache-2.0 program, by what it says of itself.
//!
//! Asks cargo for the packages of this platform and reads their SPDX expressions.
//! It does not look for advisories: their database is a repository that is not
//! served by any package registry, so a build that has only registries cannot
//! fetch it, and a copy kept here would be out of date without anybody noticing.
//! Whoever has a network should run `cargo audit` beside this.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than their notice, or only concern their own files.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn every_dependency_has_a_licence_that_this_program_may_carry() {
    let packages = packages();
    assert!(
        packages.len() > 50,
        "cargo named only {} packages",
        packages.len()
    );
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_allowed(&package.licence))
        .map(|package| {
            format!(
                "  {} {}: {:?}",
                package.name, package.version, package.licence
            )
        })
        .collect();
    assert!(
        refused.is_empty(),
        "replace these, or argue for their licence in ALLOWED:\n{}",
        refused.join("\n")
    );
}

#[test]
fn two_versions_of_one_package_are_named() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions
            .entry(package.name)
            .or_default()
            .push(package.version);
    }
    // Worth knowing, and not ours to end: two dependencies may want different ones.
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        eprintln!("more than once: {name} {}", versions.join(", "));
    }
    assert!(
        versions.contains_key("tollring"),
        "cargo does not know this package"
    );
}

struct Package {
    name: String,
    version: String,
    licence: String,
}

/// What this platform's build is made of, tests included.
fn packages() -> Vec<Package> {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let asked = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo is there, for it built this test");
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(
        asked.status.success(),
        "`cargo fetch --locked` may help:\n{said}"
    );
    let metadata: Value = serde_json::from_slice(&asked.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("metadata lists packages");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |package: &Value| Package {
        name: text(&package["name"]),
        version: text(&package["version"]),
        licence: text(&package["license"]),
    };
    packages.iter().map(read).collect()
}

/// Whether an SPDX expression leaves a choice that is allowed; `/` is the old way to write `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`; none when the words make no sense.
fn any(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = all(rest)?;
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        allowed |= all(rest)?;
    }
    Some(allowed)
}

/// `a AND b`, which binds closer.
fn all(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(rest)?;
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        allowed &= one(rest)?;
    }
    Some(allowed)
}

/// A name, a name with an exception, or an expression in parentheses.
fn one(rest: &mut &[&str]) -> Option<bool> {
    let words = *rest;
    match words {
        ["(", after @ ..] => {
            *rest = after;
            let allowed = any(rest)?;
            *rest = rest.strip_prefix(&[")"])?;
            Some(allowed)
        }
        [")" | "OR" | "AND" | "WITH", ..] | [] => None,
        [name, "WITH", exception, after @ ..] => {
            *rest = after;
            let whole = format!("{name} WITH {exception}");
            Some(ALLOWED.contains(name) || ALLOWED.contains(&whole.as_str()))
        }
        [name, after @ ..] => {
            *rest = after;
            Some(ALLOWED.contains(name))
        }
    }
}

#[test]
fn an_expression_is_allowed_when_a_choice_of_it_is() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT/Apache-2.0", true),
        ("(GPL-2.0 OR MIT) AND Unicode-3.0", true),
        ("GPL-2.0 OR MIT AND AGPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("", false),
        ("MIT OR", false),
        ("(MIT", false),
        ("MIT MIT", false),
    ] {
        assert_eq!(is_allowed(expression), expected, "{expression}");
    }
}
