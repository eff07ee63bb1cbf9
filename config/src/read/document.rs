//! The text of a file, its environment, and what has been found wrong with it so far.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Faults, Problem, Snippet};
use crate::interpolate::Environment;
use crate::limits::{FAULTS_MAX, SHOWN_CHARS_MAX};
use crate::read::{Place, secrecy};

/// Stands for a value that must not be shown.
const HIDDEN_VALUE: &str = "the value";

/// A file being read.
pub(crate) struct Document<'t> {
    text: &'t str,
    pub(super) env: Environment<'t>,
    /// What is wrong, in the order of finding it.
    found: RefCell<Vec<(Place, Problem)>>,
    /// Found beyond the bound.
    left_out: Cell<usize>,
    /// Bytes that no fault may show.
    hidden: RefCell<Vec<Range<usize>>>,
}

impl<'t> Document<'t> {
    /// Parses the text; what is not TOML is reported at once, as one fault.
    pub(crate) fn open(text: &'t str, env: Environment<'t>) -> (Self, Option<DeTable<'t>>) {
        let document = Self {
            text,
            env,
            found: RefCell::default(),
            left_out: Cell::new(0),
            hidden: RefCell::default(),
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        // A slip in the grammar brings others after it: the first is the one to mend.
        let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
        let first = errors.iter().min_by_key(|error| place(error).start);
        if let Some(error) = first {
            let span = place(error);
            document.hide(secrecy::near_slip(text, span.start));
            let message = error.message().to_owned();
            document.report(
                &Place {
                    span,
                    path: String::new(),
                },
                Problem::Syntax { message },
            );
            return (document, None);
        }
        let root = root.into_inner();
        secrecy::of_table(&root, &mut document.hidden.borrow_mut());
        (document, Some(root))
    }

    /// Adds a fault.
    pub(crate) fn report(&self, place: &Place, problem: Problem) {
        let mut found = self.found.borrow_mut();
        if found.len() < FAULTS_MAX {
            found.push((place.clone(), problem));
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
    }

    /// Keeps these bytes out of every fault, those already found among them.
    pub(super) fn hide(&self, span: Range<usize>) {
        self.hidden.borrow_mut().push(span);
    }

    /// Keeps a value that nobody asked for out of every fault.
    pub(super) fn hide_stranger(&self, value: &Spanned<DeValue<'_>>) {
        let hidden = &mut self.hidden.borrow_mut();
        secrecy::of_stranger(value.get_ref(), value.span(), hidden);
    }

    /// Whether a fault more would be kept; guessing for one that is not would be in vain.
    pub(crate) fn has_room(&self) -> bool {
        self.found.borrow().len() < FAULTS_MAX
    }

    /// Whether nothing has been found wrong so far.
    pub(crate) fn is_sound(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Everything found, in the order of the file.
    pub(crate) fn into_faults(self, file: &str) -> Faults {
        let mut found = self.found.take();
        debug_assert!(
            !found.is_empty(),
            "a value is only withheld after its fault was reported"
        );
        // Stable, so that faults of one value stay in the order of the checks.
        found.sort_by_key(|(place, _)| place.span.start);
        found.dedup();
        let lines = Lines::of(self.text);
        let hidden = self.hidden.take();
        let faults = found
            .into_iter()
            .map(|(place, problem)| {
                let shown = Shown {
                    text: self.text,
                    lines: &lines,
                    hidden: &hidden,
                };
                shown.fault(place, problem)
            })
            .collect();
        Faults {
            file: file.to_owned(),
            faults,
            left_out: self.left_out.get(),
        }
    }
}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let after_each_feed = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after_each_feed).collect())
    }

    /// The line of a byte, from 0, and the byte that line begins with.
    fn of_byte(&self, at: usize) -> (usize, usize) {
        let line = self
            .0
            .partition_point(|start| *start <= at)
            .saturating_sub(1);
        (line, self.0[line])
    }
}

/// The text as it may be shown.
struct Shown<'s> {
    text: &'s str,
    lines: &'s Lines,
    hidden: &'s [Range<usize>],
}

impl Shown<'_> {
    fn fault(&self, place: Place, problem: Problem) -> Fault {
        let start = floor_boundary(self.text, place.span.start);
        let end = floor_boundary(self.text, place.span.end).max(start);
        let (line, line_start) = self.lines.of_byte(start);
        let rest = &self.text[line_start..];
        let whole = rest
            .split('\n')
            .next()
            .unwrap_or(rest)
            .trim_end_matches('\r');
        let column = self.text[line_start..start].chars().count();
        let meant = self.text[start..end]
            .lines()
            .next()
            .unwrap_or("")
            .chars()
            .count();
        Fault {
            line: line + 1,
            column: column + 1,
            path: place.path,
            value: self.value(start..end),
            problem,
            snippet: self.snippet(whole, line_start, column, meant),
        }
    }

    /// The text of a value, shortened, in one line; or words that stand for it.
    fn value(&self, span: Range<usize>) -> String {
        let touches = |hidden: &Range<usize>| hidden.start < span.end && span.start < hidden.end;
        if span.is_empty() || self.hidden.iter().any(touches) {
            return HIDDEN_VALUE.to_owned();
        }
        let mut shown: String = self.text[span].chars().take(SHOWN_CHARS_MAX + 1).collect();
        if shown.chars().count() > SHOWN_CHARS_MAX {
            shown.pop();
            shown.push('…');
        }
        shown.replace(|letter: char| letter.is_control(), " ")
    }

    /// A window of the line round what is meant, with hidden bytes masked.
    fn snippet(&self, line: &str, line_start: usize, column: usize, meant: usize) -> Snippet {
        // A long line is cut so that what is meant is in view.
        let skip = if column < SHOWN_CHARS_MAX * 2 / 3 {
            0
        } else {
            column - SHOWN_CHARS_MAX / 3
        };
        let line_end = line_start + line.len();
        let here = |hidden: &&Range<usize>| hidden.start < line_end && line_start < hidden.end;
        let hidden: Vec<_> = self.hidden.iter().filter(here).collect();
        let masked = |(at, letter): (usize, char)| {
            let byte = line_start + at;
            let is_hidden = hidden.iter().any(|hidden| hidden.contains(&byte));
            if letter.is_control() {
                ' '
            } else if is_hidden && (letter.is_alphanumeric() || !letter.is_ascii()) {
                '·'
            } else {
                letter
            }
        };
        let shown: String = line
            .char_indices()
            .skip(skip)
            .take(SHOWN_CHARS_MAX)
            .map(masked)
            .collect();
        let room = shown.chars().count().saturating_sub(column - skip).max(1);
        Snippet {
            line: shown,
            caret_start: column - skip,
            caret_length: meant.clamp(1, room),
        }
    }
}

/// The last boundary of a character at or before a byte.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
