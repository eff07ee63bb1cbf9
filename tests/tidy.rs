//! The house rules, as tests: arrows, sizes, names, and the story where it belongs.
//!
//! Here stand the numbers, the lists and their exceptions, each rule as one
//! test that first shows that it can fail. How a rule looks is in `tidy/rules.rs`.
//! Style that rustfmt and clippy can judge is left to them.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/tree.rs"]
mod tree;

use rules::Fault;
use tree::Tree;

/// Who may know whom. Downward only: no row may be reached from a package it names.
const ARROWS: [(&str, &[&str]); 10] = [
    (
        "tollring-fuzz",
        &[
            "tollring-config",
            "tollring-dialects",
            "tollring-http1",
            "tollring-ledger",
        ],
    ),
    (
        "tollring",
        &[
            "tollring-admin",
            "tollring-store",
            "tollring-engine",
            "tollring-loadgen",
            "tollring-config",
        ],
    ),
    ("tollring-admin", &["tollring-store", "tollring-config"]),
    // The store keeps what it is told; it knows the configuration's units, and no socket.
    ("tollring-store", &["tollring-config"]),
    (
        "tollring-engine",
        &[
            "tollring-http1",
            "tollring-dialects",
            "tollring-ledger",
            "tollring-config",
        ],
    ),
    // The ledger counts in the configuration's units; it knows nothing of files.
    ("tollring-ledger", &["tollring-config"]),
    // Bytes are read without knowing who sends or pays for them.
    ("tollring-http1", &[]),
    ("tollring-dialects", &[]),
    // A ruler is not cut from the board it measures.
    ("tollring-loadgen", &[]),
    ("tollring-config", &[]),
];

/// Where monoio and io_uring may be named, so that the runtime can be changed in one room.
const RING_ROOMS: [&str; 2] = ["engine/src/net/", "loadgen/"];

/// Where `unsafe` may be written.
const UNSAFE_ROOMS: [&str; 3] = [
    "engine/src/net/",
    "engine/ledger/src/journal/map.rs",
    "loadgen/src/net/",
];

/// Past this a file holds a second noun.
const FILE_LINES_MAX: usize = 500;

/// What one screen shows.
const FUNCTION_LINES_MAX: usize = 70;

/// The few functions that are longer on purpose: file, name, and the most they may have.
const LONGER_FUNCTIONS: [(&str, &str, usize); 0] = [];

/// What two windows side by side show.
const COLUMNS_MAX: usize = 100;

/// What a finished change has none of.
const BANNED_MACROS: [&str; 4] = ["dbg!", "todo!", "unimplemented!", "#[ignore"];

/// Endings that say nothing.
const BANNED_SUFFIXES: [&str; 6] = ["Manager", "Handler", "Context", "Helper", "Util", "Impl"];

/// Verbs that say nothing.
const BANNED_VERBS: [&str; 4] = ["get", "do", "process", "handle"];

/// The project speaks of itself alone. In pieces, so that this file passes too.
const FOREIGN: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("DEVE", "LOPERS"),
];

/// Shows that the rule finds what is wrong with a sample, then holds the project to it.
#[track_caller]
fn enforce(rule: fn(&Tree) -> Vec<Fault>, sample: &[(&str, &str)], places: &[&str]) {
    let found: Vec<String> = rule(&Tree::of(sample))
        .into_iter()
        .map(|fault| fault.place)
        .collect();
    assert_eq!(
        found, places,
        "the rule does not see what is wrong with its own sample"
    );
    let faults = rule(&Tree::of_the_project());
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| format!("  {}: {}", fault.place, fault.remedy))
        .collect();
    assert!(
        lines.is_empty(),
        "{} to mend:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn packages_know_only_what_is_below_them() {
    let upward = "[package]\nname = \"tollring-http1\"\n[dependencies]\nbytes = \"1\"\n\
                  tollring-engine.workspace = true\n";
    let nested = "[package]\nname = \"tollring-config\"\n[dev-dependencies.tollring-admin]\n\
                  path = \"../admin\"\n";
    let unknown = "[package]\nname = \"tollring-new\"\n";
    let fine = "[workspace.dependencies]\ntollring-engine = \"1\"\n[package]\n\
                name = \"tollring-admin\"\n[dependencies]\ntollring-config = \"1\"\n";
    enforce(
        rules::arrows,
        &[
            ("a/Cargo.toml", upward),
            ("b/Cargo.toml", nested),
            ("c/Cargo.toml", unknown),
            ("d/Cargo.toml", fine),
        ],
        &["a/Cargo.toml:5", "b/Cargo.toml:3", "c/Cargo.toml:1"],
    );
}

#[test]
fn only_the_net_rooms_name_the_ring() {
    let sample = "//! io_uring and monoio in prose are fine.\nuse monoio::spawn;\n\
                  fn a() { let io_uring = 1; io_uring::probe(); }\n";
    enforce(
        rules::rings,
        &[
            ("engine/src/exchange/relay.rs", sample),
            ("engine/src/net/mod.rs", sample),
            (
                "admin/Cargo.toml",
                "[package]\nname = \"tollring-admin\"\n[dependencies]\nmonoio = 1\n",
            ),
        ],
        &[
            "engine/src/exchange/relay.rs:2",
            "engine/src/exchange/relay.rs:3",
            "admin/Cargo.toml:4",
        ],
    );
}

#[test]
fn unsafe_is_written_only_where_it_is_allowed() {
    let sample = "//! \"unsafe\" in prose is fine.\n#![allow(unsafe_code)]\n\
                  fn a() { unsafe { b() } }\nconst C: &str = \"unsafe\";\n";
    enforce(
        rules::unsafe_rooms,
        &[
            ("engine/src/engine.rs", sample),
            ("engine/src/net/ring.rs", sample),
            ("engine/ledger/src/journal/map.rs", sample),
            ("engine/ledger/src/journal/tail.rs", "unsafe fn a() {}"),
        ],
        &[
            "engine/src/engine.rs:2",
            "engine/src/engine.rs:3",
            "engine/ledger/src/journal/tail.rs:1",
        ],
    );
}

#[test]
fn a_file_has_one_noun() {
    let long = "\n".repeat(FILE_LINES_MAX + 1);
    let sample = [
        ("a.rs", long.as_str()),
        ("b.rs", &long[1..]),
        ("c.md", long.as_str()),
    ];
    enforce(rules::file_lengths, &sample, &["a.rs:501"]);
}

#[test]
fn a_function_fits_one_screen() {
    let body = "\n".repeat(FUNCTION_LINES_MAX - 1);
    let sample = format!("fn fits() {{{body}}}\n\nfn does_not() {{\n{body}}}\n");
    enforce(rules::function_lengths, &[("a.rs", &sample)], &["a.rs:72"]);
}

#[test]
fn a_line_fits_a_hundred_columns() {
    let long = "é".repeat(COLUMNS_MAX);
    let row = format!("//! | {long} |");
    enforce(
        rules::columns,
        &[("a.rs", &format!("{long}\n{long}é\n{row}\n"))],
        &["a.rs:2"],
    );
}

#[test]
fn every_file_opens_with_what_it_decides() {
    let sample = [
        ("a.rs", "fn main() {}\n"),
        ("b.rs", "//! Decides.\n"),
        ("c.rs", "\n//! Late.\n"),
    ];
    enforce(rules::opening_words, &sample, &["a.rs:1", "c.rs:1"]);
}

#[test]
fn nothing_is_left_for_later() {
    let sample = "//! dbg! in prose is fine.\nfn a() { dbg!(1); }\n// FIXME later\n\
                  #[ignore = \"slow\"]\nfn b() { todo!() }\nconst C: &str = \"FIXME todo!\";\n";
    enforce(
        rules::leftovers,
        &[("a.rs", sample)],
        &["a.rs:2", "a.rs:4", "a.rs:5", "a.rs:3"],
    );
}

#[test]
fn names_say_what_things_are() {
    let sample = "struct PoolManager;\nenum Context {}\npub(crate) trait Carry {}\n\
                  fn get_key() {}\nfn process() {}\nfn doing() {}\nfn getter() {}\n";
    enforce(
        rules::names,
        &[("a.rs", sample)],
        &["a.rs:1", "a.rs:2", "a.rs:4", "a.rs:5"],
    );
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let sample = format!("fine\nsee {}main\n// as {} says\n", FOREIGN[0], FOREIGN[2]);
    enforce(
        rules::foreign_places,
        &[("a.md", &sample)],
        &["a.md:2", "a.md:3"],
    );
}

#[test]
fn every_limit_is_explained_to_the_operator() {
    let limits = "//! Limits.\npub const TOLD_MAX: u32 = 1;\npub const UNTOLD_MAX: u32 = 2;\n\
                  pub const fn told() {}\nconst _: () = ();\nconst PRIVATE: u32 = 3;\n";
    enforce(
        rules::limits_in_docs,
        &[
            ("config/src/limits.rs", limits),
            ("README.md", "At `TOLD_MAX` it says no."),
        ],
        &["config/src/limits.rs:3"],
    );
}

#[test]
fn the_walk_names_the_rooms_of_its_folder_and_no_others() {
    let story = "//! | step | room |\n//! | 2 | `exchange/intake.rs` over `http1` |\n\
                 //! | 3 | `auth` |\n//! | 6 | `gone.rs`, `upstream/pool.rs` |\nmod intake;\n";
    enforce(
        rules::walk,
        &[
            ("engine/src/exchange/auth.rs", ""),
            ("engine/src/exchange/intake.rs", ""),
            ("engine/src/exchange/mod.rs", story),
            ("engine/src/exchange/quota.rs", ""),
            ("engine/src/exchange/tests.rs", ""),
        ],
        &[
            "engine/src/exchange/quota.rs:1",
            "engine/src/exchange/mod.rs:4",
        ],
    );
}

#[test]
fn a_walk_without_its_story_is_a_fault() {
    let rooms = [("engine/src/exchange/auth.rs", "")];
    let faults = rules::walk(&Tree::of(&rooms));
    assert_eq!(faults.len(), 1);
}

#[test]
fn the_map_and_the_engine_state_the_same_invariants() {
    let map = "# Map\n\n- not one\n\n## Invariants\n\n- In both.\n- In one.\n\n## Next\n\n- no\n";
    let engine = "//! The path.\n//!\n//! - In\n//!   both.\n";
    enforce(
        rules::invariants,
        &[("ARCHITECTURE.md", map), ("engine/src/lib.rs", engine)],
        &["ARCHITECTURE.md:8"],
    );
}
