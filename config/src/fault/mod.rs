//! What is wrong with a file: every fault at once, each with its place and its remedy.
//!
//! A [`Fault`] owns all of its text, and that text was masked before it came
//! here: a secret cannot be read out of a fault, a log line made of one, or its
//! `Debug`. What the faults are is [`Problem`]'s to say, how they look is in
//! `render`; nothing here reads TOML.

mod limit;
mod problem;
mod render;
mod rule;
mod words;

use std::fmt;

pub use limit::LimitFault;
pub use problem::{IdleReason, NotYet, Problem, UrlPart};
pub use rule::RuleFault;

/// Everything that is wrong with one file, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The file as the operator named it.
    pub file: String,
    /// What is wrong, by line and column.
    pub faults: Vec<Fault>,
    /// Faults beyond [`crate::limits::FAULTS_MAX`], counted and not kept.
    pub left_out: usize,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1; 0 where the file itself is the fault.
    pub line: usize,
    /// The column in characters, from 1; 0 where the file itself is the fault.
    pub column: usize,
    /// The dotted path, as in `tenants.acme.limits[0].amount`; empty for the whole file.
    pub path: String,
    /// The offending value as it stands in the file; "the value" where it is secret.
    pub value: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// The line it stands in.
    pub snippet: Snippet,
}

/// A line of the file with secrets masked, and the part of it that is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The line without its end.
    pub line: String,
    /// Characters before the part that is meant.
    pub caret_start: usize,
    /// Characters of the part that is meant; at least 1 where there is a line.
    pub caret_length: usize,
}

impl Fault {
    /// What is wrong, as a sentence without its full stop.
    pub fn message(&self) -> String {
        self.problem.message(&self.value)
    }

    /// What to do about it, as a sentence without its full stop.
    pub fn remedy(&self) -> String {
        self.problem.remedy()
    }
}

impl Faults {
    /// How many there are, those left out among them.
    pub fn count(&self) -> usize {
        self.faults.len() + self.left_out
    }

    /// The faults of a file that could not be read at all.
    pub(crate) fn of_file(file: &str, problem: Problem) -> Self {
        let fault = Fault {
            line: 0,
            column: 0,
            path: String::new(),
            value: file.to_owned(),
            problem,
            snippet: Snippet::default(),
        };
        Self {
            file: file.to_owned(),
            faults: vec![fault],
            left_out: 0,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render_text())
    }
}

impl std::error::Error for Faults {}
