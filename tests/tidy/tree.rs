//! The project's files as text, and what a rule wants to see of them.
//!
//! Decides which files belong to the project, and tells code from comments and
//! from literals, so that a rule may name what it forbids. It judges nothing.

use std::fs;
use std::path::Path;

/// Folders that are made, not written.
const MADE: [&str; 5] = ["target", "node_modules", "__pycache__", ".venv", ".cache"];

/// Files, each with its path from the root of the project.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// One file.
pub(crate) struct File {
    /// From the root of the project, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a character of a Rust file is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Code,
    Comment,
    Literal,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// From there to its closing brace.
    pub(crate) lines: usize,
}

impl Tree {
    /// Every text file of the project.
    pub(crate) fn of_the_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        collect(root, root, &mut files);
        files.sort_by(|a: &File, b| a.path.cmp(&b.path));
        assert!(
            files.len() > 20,
            "the walk found only {} files",
            files.len()
        );
        Self { files }
    }

    /// A few files that were made up.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|&(path, text)| File {
            path: path.into(),
            text: text.into(),
        });
        Self {
            files: files.collect(),
        }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read") {
        let entry = entry.expect("an entry of a folder can be read");
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().expect("an entry has a kind");
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci";
            // Somebody may have put a build's output anywhere; cargo marks what it made.
            let made = MADE.contains(&&*name) || path.join("CACHEDIR.TAG").exists();
            if !hidden && !made {
                collect(root, &path, files);
            }
        } else if kind.is_file() {
            // What is no text has no lines to judge.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let path = path
                .strip_prefix(root)
                .expect("the walk stays inside the project");
            files.push(File {
                path: path.to_string_lossy().into_owned(),
                text,
            });
        }
    }
}

impl File {
    /// The lines with everything blanked that is not `part`, numbered from 1.
    pub(crate) fn lines_of(&self, part: Part) -> Vec<(usize, String)> {
        let view = self.view(part);
        (1..).zip(view.lines().map(str::to_owned)).collect()
    }

    /// The text with everything blanked that is not `part`; lines and columns stay.
    fn view(&self, part: Part) -> String {
        let chars: Vec<char> = self.text.chars().collect();
        let mut view = String::with_capacity(self.text.len());
        let mut at = 0;
        while at < chars.len() {
            let (kind, end) = piece(&chars, at);
            let shown = |&c: &char| if c == '\n' || kind == part { c } else { ' ' };
            view.extend(chars[at..end].iter().map(shown));
            at = end;
        }
        view
    }

    /// Its functions, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let code: Vec<char> = self.view(Part::Code).chars().collect();
        let mut functions = Vec::new();
        for at in 0..code.len() {
            let starts_word = at == 0 || !is_word(code[at - 1]);
            if !starts_word || !code[at..].starts_with(&['f', 'n', ' ']) {
                continue;
            }
            let name: String = code[at + 3..].iter().take_while(|&&c| is_word(c)).collect();
            if let (false, Some(end)) = (name.is_empty(), end_of_body(&code, at)) {
                let line = 1 + newlines(&code[..at]);
                functions.push(Function {
                    name,
                    line,
                    lines: 1 + newlines(&code[at..end]),
                });
            }
        }
        functions
    }
}

/// The words of a line of code.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn newlines(code: &[char]) -> usize {
    code.iter().filter(|&&c| c == '\n').count()
}

/// Where the body of the function ends whose `fn` is at `at`; a declaration has none.
fn end_of_body(code: &[char], at: usize) -> Option<usize> {
    let (mut nested, mut braces) = (0, 0);
    for (place, c) in code.iter().enumerate().skip(at) {
        match c {
            '(' | '[' if braces == 0 => nested += 1,
            ')' | ']' if braces == 0 => nested -= 1,
            ';' if nested == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(place),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// What begins at `at`, and where it ends.
fn piece(chars: &[char], at: usize) -> (Part, usize) {
    let rest = &chars[at..];
    let after_word = at > 0 && is_word(chars[at - 1]);
    let length = match rest {
        ['/', '/', ..] => return (Part::Comment, at + until(rest, |rest| rest[0] == '\n')),
        ['/', '*', ..] => return (Part::Comment, at + block_comment(rest)),
        ['"', ..] => quoted(rest, '"'),
        ['b' | 'c', 'r', '"' | '#', ..] if !after_word => raw(rest, 2),
        ['r', '"' | '#', ..] if !after_word => raw(rest, 1),
        ['\'', '\\', ..] => Some(quoted(rest, '\'').unwrap_or(2)),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    };
    length.map_or((Part::Code, at + 1), |length| (Part::Literal, at + length))
}

fn until(chars: &[char], stop: impl Fn(&[char]) -> bool) -> usize {
    (0..chars.len())
        .find(|&at| stop(&chars[at..]))
        .unwrap_or(chars.len())
}

/// Block comments nest.
fn block_comment(chars: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn quoted(chars: &[char], quote: char) -> Option<usize> {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// A raw string whose hashes begin at `hashes_at`; a raw identifier is none.
fn raw(chars: &[char], hashes_at: usize) -> Option<usize> {
    let hashes = chars[hashes_at..].iter().take_while(|&&c| c == '#').count();
    let opened_at = hashes_at + hashes;
    if chars.get(opened_at) != Some(&'"') {
        return None;
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest[1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    Some(opened_at + 1 + until(&chars[opened_at + 1..], closes) + 1 + hashes)
}

#[test]
fn code_is_told_from_comments_and_from_literals() {
    let text = r##"
let a = "one // \" two"; // three
let b = r#"four " five"#; /* six /* seven */ eight */ let c = 'n'; let d: &'a str = '\'';
"##;
    let tree = Tree::of(&[("a.rs", text)]);
    let seen = |part| {
        let lines = tree.files[0].lines_of(part);
        let seen: Vec<String> = lines
            .iter()
            .flat_map(|(_, line)| words(line))
            .map(str::to_owned)
            .collect();
        seen.join(" ")
    };
    assert_eq!(seen(Part::Code), "let a let b let c let d a str");
    assert_eq!(seen(Part::Comment), "three six seven eight");
    assert_eq!(seen(Part::Literal), "one two r four five n");
}

#[test]
fn a_function_is_measured_from_its_name_to_its_last_brace() {
    let text = "trait T {\n    fn declared(&self) -> [u8; 2];\n}\n\
                pub async fn outer(\n    f: fn(u8) -> u8,\n) -> u8\nwhere\n    u8: Copy,\n{\n\
                    fn inner() { '}'; }\n    \"}\"\n}\n";
    let tree = Tree::of(&[("a.rs", text)]);
    let functions = tree.files[0].functions();
    let seen: Vec<_> = functions
        .iter()
        .map(|f| (f.name.as_str(), f.line, f.lines))
        .collect();
    assert_eq!(seen, [("outer", 4, 9), ("inner", 10, 1)]);
}
