//! The house rules, each a function from a tree to what is wrong with it.
//!
//! Every fault says where, and what to do. The numbers and lists that the rules
//! go by stand in `tests/tidy.rs`, where an exception has to be argued for.

use crate::tree::{File, Part, Tree, words};
use crate::{
    ARROWS, BANNED_MACROS, BANNED_SUFFIXES, BANNED_VERBS, COLUMNS_MAX, FILE_LINES_MAX, FOREIGN,
    FUNCTION_LINES_MAX, LONGER_FUNCTIONS, RING_ROOMS, UNSAFE_ROOMS,
};

/// One broken rule: where, and the remedy.
pub(crate) struct Fault {
    /// `file:line`.
    pub(crate) place: String,
    pub(crate) remedy: String,
}

fn fault(file: &File, line: usize, remedy: impl Into<String>) -> Fault {
    Fault {
        place: format!("{}:{line}", file.path),
        remedy: remedy.into(),
    }
}

/// A package's name and its own dependencies, dev ones too, with their lines.
fn manifest(file: &File) -> (String, Vec<(usize, String)>) {
    let (mut package, mut table, mut dependencies) = (String::new(), "", Vec::new());
    for (line, text) in (1..).zip(file.text.lines()) {
        if let Some(header) = text.trim().strip_prefix('[') {
            table = header.trim_end_matches(']');
            if let Some((kind, name)) = table.rsplit_once('.')
                && kind.ends_with("dependencies")
            {
                dependencies.push((line, name.to_owned()));
            }
            continue;
        }
        let Some((key, value)) = text.split_once('=') else {
            continue;
        };
        let name = key.split('.').next().unwrap_or(key).trim();
        if table == "package" && name == "name" {
            value.trim().trim_matches('"').clone_into(&mut package);
        } else if table.ends_with("dependencies") && table != "workspace.dependencies" {
            dependencies.push((line, name.to_owned()));
        }
    }
    (package, dependencies)
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files
        .iter()
        .filter(|file| file.path.rsplit('/').next() == Some("Cargo.toml"))
}

pub(crate) fn arrows(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in manifests(tree) {
        let (package, dependencies) = manifest(file);
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == package) else {
            faults.push(fault(
                file,
                1,
                format!("give `{package}` its row in ARROWS"),
            ));
            continue;
        };
        for (line, name) in dependencies {
            if name.starts_with("tollring") && !allowed.contains(&name.as_str()) {
                let remedy = format!("`{package}` may not know `{name}`; pass it in from above");
                faults.push(fault(file, line, remedy));
            }
        }
    }
    faults
}

fn is_in(path: &str, rooms: &[&str]) -> bool {
    rooms
        .iter()
        .any(|room| path == *room || room.ends_with('/') && path.starts_with(room))
}

pub(crate) fn rings(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust().filter(|file| !is_in(&file.path, &RING_ROOMS)) {
        for (line, code) in file.lines_of(Part::Code) {
            let names_ring = code.contains("io_uring::") || code.contains("use io_uring");
            if names_ring || words(&code).any(|word| word == "monoio") {
                faults.push(fault(
                    file,
                    line,
                    "go through the small types of engine/src/net",
                ));
            }
        }
    }
    for file in manifests(tree) {
        let (package, dependencies) = manifest(file);
        if !matches!(package.as_str(), "tollring-engine" | "tollring-loadgen") {
            let rings = dependencies
                .iter()
                .filter(|(_, name)| name == "monoio" || name == "io-uring");
            faults.extend(
                rings.map(|&(line, _)| fault(file, line, "only engine and loadgen need it")),
            );
        }
    }
    faults
}

pub(crate) fn unsafe_rooms(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust().filter(|file| !is_in(&file.path, &UNSAFE_ROOMS)) {
        for (line, code) in file.lines_of(Part::Code) {
            if words(&code).any(|word| word == "unsafe" || word == "unsafe_code") {
                let rooms = UNSAFE_ROOMS.join(", ");
                faults.push(fault(file, line, format!("`unsafe` lives in {rooms} only")));
            }
        }
    }
    faults
}

pub(crate) fn file_lengths(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let remedy = format!("{lines} lines; find the second noun and give it a file");
            faults.push(fault(file, lines, remedy));
        }
    }
    faults
}

pub(crate) fn function_lengths(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut used = Vec::new();
    for file in tree.rust() {
        for function in file.functions() {
            let exception = LONGER_FUNCTIONS
                .iter()
                .find(|(path, name, _)| *path == file.path && *name == function.name);
            let lines_max = exception.map_or(FUNCTION_LINES_MAX, |&(_, _, lines_max)| lines_max);
            used.extend(exception.filter(|_| function.lines > FUNCTION_LINES_MAX));
            if function.lines > lines_max {
                let remedy = format!(
                    "`{}` has {} lines, {lines_max} is the most; name its second half",
                    function.name, function.lines
                );
                faults.push(fault(file, function.line, remedy));
            }
        }
    }
    // The list only shrinks: an exception that nobody needs is taken off it.
    let unused = LONGER_FUNCTIONS.iter().filter(|row| !used.contains(row));
    faults.extend(
        unused
            .filter(|(path, ..)| tree.file(path).is_some())
            .map(|(path, name, _)| {
                let remedy =
                    format!("`{name}` of {path} is short now; take it off LONGER_FUNCTIONS");
                Fault {
                    place: "tests/tidy.rs:1".into(),
                    remedy,
                }
            }),
    );
    faults
}

pub(crate) fn columns(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (line, text) in (1..).zip(file.text.lines()) {
            let columns = text.chars().count();
            // A row of a table cannot be broken.
            let is_row = text.trim_start().starts_with("//! |");
            if columns > COLUMNS_MAX && !is_row {
                faults.push(fault(
                    file,
                    line,
                    format!("{columns} columns; break the line"),
                ));
            }
        }
    }
    faults
}

pub(crate) fn opening_words(tree: &Tree) -> Vec<Fault> {
    let silent = tree.rust().filter(|file| !file.text.starts_with("//! "));
    silent
        .map(|file| fault(file, 1, "open with `//!`: what this file decides"))
        .collect()
}

pub(crate) fn leftovers(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (line, code) in file.lines_of(Part::Code) {
            if let Some(found) = BANNED_MACROS.iter().find(|name| code.contains(**name)) {
                faults.push(fault(
                    file,
                    line,
                    format!("`{found}` is not for keeps; finish it"),
                ));
            }
        }
        for (line, comment) in file.lines_of(Part::Comment) {
            if words(&comment).any(|word| word == "FIXME") {
                faults.push(fault(
                    file,
                    line,
                    "fix it, or say in a sentence why it stays",
                ));
            }
        }
    }
    faults
}

pub(crate) fn names(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (line, code) in file.lines_of(Part::Code) {
            let words: Vec<&str> = words(&code).collect();
            for pair in words.windows(2) {
                let (what, name) = (pair[0], pair[1]);
                let declares = matches!(what, "struct" | "enum" | "trait" | "type" | "union");
                if declares && BANNED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                    let remedy = format!("`{name}` could hold anything; name it for what it does");
                    faults.push(fault(file, line, remedy));
                }
                // A map's `get` and a client's `get` are what everyone calls them.
                let is_bare_get = name == "get";
                if what == "fn" && !is_bare_get && BANNED_VERBS.contains(&first_word(name)) {
                    let remedy = format!("`{name}` hides its verb; use one of the domain's");
                    faults.push(fault(file, line, remedy));
                }
            }
        }
    }
    faults
}

fn first_word(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

pub(crate) fn foreign_places(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        for (line, text) in (1..).zip(file.text.lines()) {
            if let Some(found) = FOREIGN.iter().find(|place| text.contains(**place)) {
                let remedy = format!("`{found}` is nothing of this project; say it without");
                faults.push(fault(file, line, remedy));
            }
        }
    }
    faults
}

pub(crate) fn limits_in_docs(tree: &Tree) -> Vec<Fault> {
    let Some(limits) = tree.file("config/src/limits.rs") else {
        return Vec::new();
    };
    let is_doc = |file: &&File| {
        let path = file.path.as_str();
        matches!(path, "README.md" | "ARCHITECTURE.md")
            || path.starts_with("docs/") && path.ends_with(".md")
    };
    let docs: Vec<&File> = tree.files.iter().filter(is_doc).collect();
    let mut faults = Vec::new();
    for (line, code) in limits.lines_of(Part::Code) {
        let Some(rest) = code.trim_start().strip_prefix("pub const ") else {
            continue;
        };
        let Some(name) = words(rest).find(|word| *word != "fn") else {
            continue;
        };
        let is_limit = name.chars().all(|c| !c.is_lowercase()) && name != "_";
        let mentioned = docs
            .iter()
            .any(|doc| words(&doc.text).any(|word| word == name));
        if is_limit && !mentioned {
            let remedy = format!("say in ARCHITECTURE.md or docs/ what happens at `{name}`");
            faults.push(fault(limits, line, remedy));
        }
    }
    faults
}

const WALK: &str = "engine/src/exchange/";

/// The steps that the walk names against the rooms that its folder has.
pub(crate) fn walk(tree: &Tree) -> Vec<Fault> {
    let rooms: Vec<&File> = tree
        .rust()
        .filter(|file| file.path.starts_with(WALK))
        .collect();
    let Some(first) = rooms.first() else {
        return Vec::new();
    };
    let Some(story) = tree.file(&format!("{WALK}mod.rs")) else {
        return vec![fault(first, 1, format!("tell the walk in {WALK}mod.rs"))];
    };
    let mut faults = Vec::new();
    let told = told_rooms(story);
    for room in &rooms {
        let name = room.path[WALK.len()..]
            .split('/')
            .next()
            .unwrap_or_default();
        let stem = name.trim_end_matches(".rs");
        let is_room = !matches!(stem, "mod" | "tests");
        // A folder is told once, by its name; the files in it are its own story.
        if is_room
            && !told
                .iter()
                .any(|(_, told)| told.trim_end_matches(".rs") == stem)
        {
            let remedy = format!("give `{stem}` its row in the walk of mod.rs");
            faults.push(fault(room, 1, remedy));
        }
    }
    for (line, name) in told.iter().filter(|(_, name)| name.ends_with(".rs")) {
        if tree.file(&format!("{WALK}{name}")).is_none() {
            let remedy = format!("there is no {name} here; tell the walk as it is");
            faults.push(fault(story, *line, remedy));
        }
    }
    faults
}

/// What stands in backquotes in a file's opening words and could be a room beside it.
fn told_rooms(story: &File) -> Vec<(usize, &str)> {
    let mut told = Vec::new();
    for (line, text) in (1..).zip(
        story
            .text
            .lines()
            .take_while(|text| text.starts_with("//!")),
    ) {
        let quoted = text.split('`').skip(1).step_by(2);
        let names = quoted.map(|name| name.trim_start_matches("exchange/").trim_end_matches('/'));
        told.extend(
            names
                .filter(|name| !name.contains('/'))
                .map(|name| (line, name)),
        );
    }
    told
}

/// The bullets under `## Invariants` against what the engine says of itself.
pub(crate) fn invariants(tree: &Tree) -> Vec<Fault> {
    let (Some(map), Some(engine)) = (tree.file("ARCHITECTURE.md"), tree.file("engine/src/lib.rs"))
    else {
        return Vec::new();
    };
    let said: Vec<&str> = engine
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    let said = one_line(&said.join(" "));
    let mut faults = Vec::new();
    let mut inside = false;
    for (line, text) in (1..).zip(map.text.lines()) {
        if text.starts_with("## ") {
            inside = text == "## Invariants";
        }
        let Some(invariant) = text.strip_prefix("- ").filter(|_| inside) else {
            continue;
        };
        if !said.contains(&one_line(invariant)) {
            faults.push(fault(
                map,
                line,
                "engine/src/lib.rs does not say so; make the two agree",
            ));
        }
    }
    faults
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
