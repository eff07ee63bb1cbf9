//! Decides which bytes of a request change on its way to a target: the model's name, and the
//! usage option of a stream. All other bytes pass as the caller wrote them.
//!
//! The body is never copied to be changed: the pieces are written one after another, those that
//! are kept from where they are. Whether a target needs these changes is decided elsewhere.

use std::ops::Range;

use super::ask::{Ask, UsageOption};
use crate::Span;

/// The most pieces that an edited body falls into: two that are new, and three around them.
pub const PIECES_MAX: usize = 5;

/// A part of the body to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes of the caller's body.
    Kept(Range<usize>),
    /// These bytes instead of, or between, the caller's.
    New(&'a [u8]),
}

/// What changes in one request for one target.
#[derive(Clone, Copy, Debug)]
pub struct Edits<'a> {
    model: Edit<'a>,
    usage: Option<Edit<'static>>,
}

/// New bytes for a place, which may be empty.
#[derive(Clone, Copy, Debug)]
struct Edit<'a> {
    place: Span,
    new: &'a [u8],
}

impl<'a> Edits<'a> {
    /// Works out the changes: the model becomes `target_model_json`, which is escaped and without
    /// quotes (see [`escape_json`](crate::json::escape_json)), and the usage chunk is asked for
    /// where `want_usage` says so and the caller did not.
    pub fn new(ask: &Ask, target_model_json: &'a [u8], want_usage: bool) -> Self {
        let usage = if want_usage {
            usage_edit(ask.usage_option)
        } else {
            None
        };
        Self {
            model: Edit {
                place: ask.model,
                new: target_model_json,
            },
            usage,
        }
    }

    /// The length of the edited body, in bytes, when the caller's has `body_len`.
    pub fn len_after(&self, body_len: usize) -> usize {
        let grown = |len: usize, edit: &Edit<'_>| len - edit.place.len() + edit.new.len();
        let len = grown(body_len, &self.model);
        self.usage.as_ref().map_or(len, |usage| grown(len, usage))
    }

    /// The edited body as pieces, in order; at most [`PIECES_MAX`], none of them empty. `body` is
    /// the one that was asked with; it is one piece where nothing changes.
    pub fn pieces(&self, body: &[u8]) -> Pieces<'a> {
        let renames = self.model.place.of(body) != Some(self.model.new);
        let mut pieces = Pieces::default();
        let mut kept_from = 0;
        let mut edits = [renames.then_some(self.model), self.usage];
        edits.sort_by_key(|edit| edit.map(|edit| edit.place.start));
        for edit in edits.into_iter().flatten() {
            let place = edit.place.range();
            pieces.push(Piece::Kept(kept_from..place.start));
            pieces.push(Piece::New(edit.new));
            kept_from = place.end;
        }
        pieces.push(Piece::Kept(kept_from..body.len()));
        pieces
    }

    /// Appends the edited body to `out`.
    pub fn append(&self, body: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.len_after(body.len()));
        for piece in self.pieces(body) {
            match piece {
                Piece::Kept(range) => out.extend_from_slice(&body[range]),
                Piece::New(bytes) => out.extend_from_slice(bytes),
            }
        }
    }
}

/// How to make a body ask for the usage chunk, if it does not already.
fn usage_edit(option: UsageOption) -> Option<Edit<'static>> {
    let at = |offset| Span {
        start: offset,
        end: offset,
    };
    let (place, new): (Span, &'static [u8]) = match option {
        // An object with a `model` has members, so a comma is right.
        UsageOption::Absent(close) => (at(close), br#","stream_options":{"include_usage":true}"#),
        UsageOption::Null(place) => (place, br#"{"include_usage":true}"#),
        UsageOption::Empty(inside) => (at(inside), br#""include_usage":true"#),
        UsageOption::Unsaid(inside) => (at(inside), br#""include_usage":true,"#),
        UsageOption::Off(place) => (place, b"true"),
        UsageOption::On => return None,
    };
    Some(Edit { place, new })
}

/// The pieces of one edited body.
#[derive(Clone, Debug, Default)]
pub struct Pieces<'a> {
    pieces: [Option<Piece<'a>>; PIECES_MAX],
    len: usize,
    taken: usize,
}

impl<'a> Pieces<'a> {
    fn push(&mut self, piece: Piece<'a>) {
        let empty = match &piece {
            Piece::Kept(range) => range.is_empty(),
            Piece::New(bytes) => bytes.is_empty(),
        };
        if !empty {
            self.pieces[self.len] = Some(piece);
            self.len += 1;
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let piece = self.pieces.get_mut(self.taken)?.take();
        self.taken += 1;
        piece
    }
}

#[cfg(test)]
mod tests;
