//! Faults as people read them on a terminal, and as programs read them.
//!
//! The text is for eyes and may change; the JSON is a contract of
//! `tollring check --format json` and only gains fields. Neither looks at the
//! file again: a fault carries all it needs.

use std::fmt::Write;

use serde::Serialize;

use super::{Fault, Faults};

/// The JSON of [`Faults`].
#[derive(Serialize)]
struct FaultsJson<'f> {
    file: &'f str,
    faults: Vec<FaultJson<'f>>,
    left_out: usize,
}

/// The JSON of one [`Fault`].
#[derive(Serialize)]
struct FaultJson<'f> {
    line: usize,
    column: usize,
    path: &'f str,
    message: String,
    remedy: String,
    snippet: &'f str,
}

impl Faults {
    /// A headline, then each fault in one line with the line of the file below it.
    ///
    /// Ends with a line feed; has no colours.
    pub fn render_text(&self) -> String {
        let mut text = String::new();
        let count = self.count();
        let noun = if count == 1 { "problem" } else { "problems" };
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(text, "{}: {count} {noun}, nothing changed", self.file);
        let path_width = self
            .faults
            .iter()
            .map(|fault| fault.path.chars().count())
            .max()
            .unwrap_or(0);
        for fault in &self.faults {
            fault.render(&mut text, path_width);
        }
        if self.left_out > 0 {
            let _ = writeln!(text, "  … and {} more", self.left_out);
        }
        text
    }

    /// `{"file","faults":[{"line","column","path","message","remedy","snippet"}],"left_out"}`.
    pub fn render_json(&self) -> String {
        let faults = self.faults.iter().map(Fault::json).collect();
        let whole = FaultsJson {
            file: &self.file,
            faults,
            left_out: self.left_out,
        };
        serde_json::to_string(&whole).expect("texts and numbers always have a JSON form")
    }
}

impl Fault {
    fn render(&self, text: &mut String, path_width: usize) {
        let (message, remedy) = (self.message(), self.remedy());
        if self.line == 0 {
            let _ = writeln!(text, "  {message}; {remedy}");
            return;
        }
        let place = format!("{}:{}", self.line, self.column);
        let path = &self.path;
        let _ = writeln!(
            text,
            "  {place:<7} {path:<path_width$}  {message}; {remedy}"
        );
        let number = self.line;
        let _ = writeln!(text, "{number:>7} | {}", self.snippet.line);
        let before = " ".repeat(self.snippet.caret_start);
        let carets = "^".repeat(self.snippet.caret_length);
        let _ = writeln!(text, "        | {before}{carets}");
    }

    fn json(&self) -> FaultJson<'_> {
        FaultJson {
            line: self.line,
            column: self.column,
            path: &self.path,
            message: self.message(),
            remedy: self.remedy(),
            snippet: &self.snippet.line,
        }
    }
}
