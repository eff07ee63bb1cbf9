//! Decides which bytes of a request change on its way to a target: the model's name, the usage
//! option of a stream, and the bound on the output where the caller can pay for less. All other
//! bytes pass as the caller wrote them.
//!
//! The body is never copied to be changed: the pieces are written one after another, those that
//! are kept from where they are. Whether a target needs these changes is decided elsewhere.

use std::ops::Range;

use super::Endpoint;
use super::ask::{Ask, UsageOption};
use crate::Span;

/// Places of a body that may change: the model, the usage option, and two bounds.
const EDITS_MAX: usize = 4;

/// The most pieces that an edited body falls into: each that is new, and those around them.
pub const PIECES_MAX: usize = 2 * EDITS_MAX + 1;

/// Bytes of a bound with its name: of the longer name, and of any number.
const CAP_BYTES_MAX: usize = 48;

/// A bound on the output, lower than what the caller wrote.
#[derive(Clone, Copy, Debug)]
pub struct Cap {
    /// `,"max_tokens":100`, in front.
    text: [u8; CAP_BYTES_MAX],
    len: usize,
    /// Where the number begins.
    number: usize,
}

impl Cap {
    /// So many tokens for each choice of a request to `endpoint`.
    pub fn new(endpoint: Endpoint, tokens: u64) -> Self {
        let name: &[u8] = match endpoint {
            // Models that reason know no other (OpenAI, "Create chat completion").
            Endpoint::ChatCompletions => br#","max_completion_tokens":"#,
            Endpoint::Completions | Endpoint::Embeddings => br#","max_tokens":"#,
        };
        let mut cap = Self {
            text: [0; CAP_BYTES_MAX],
            len: name.len(),
            number: name.len(),
        };
        cap.text[..name.len()].copy_from_slice(name);
        let digits = tokens.checked_ilog10().unwrap_or(0) as usize + 1;
        let mut rest = tokens;
        for place in (name.len()..name.len() + digits).rev() {
            cap.text[place] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        cap.len += digits;
        cap
    }

    /// The changes that put it into a body.
    fn edits(&self, ask: &Ask) -> [Option<Edit<'_>>; 2] {
        let number = &self.text[self.number..self.len];
        match ask.output_bounds {
            [None, None] => {
                let close = Span {
                    start: ask.close,
                    end: ask.close,
                };
                let new = &self.text[..self.len];
                [Some(Edit { place: close, new }), None]
            }
            bounds => bounds.map(|place| {
                Some(Edit {
                    place: place?,
                    new: number,
                })
            }),
        }
    }
}

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
    others: [Option<Edit<'a>>; EDITS_MAX - 1],
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
    /// where `want_usage` says so and the caller did not. With a `cap` that is what bounds the
    /// output.
    pub fn new(
        ask: &Ask,
        target_model_json: &'a [u8],
        want_usage: bool,
        cap: Option<&'a Cap>,
    ) -> Self {
        let usage = if want_usage {
            usage_edit(ask.usage_option)
        } else {
            None
        };
        let [bound, other] = cap.map_or([None, None], |cap| cap.edits(ask));
        Self {
            model: Edit {
                place: ask.model,
                new: target_model_json,
            },
            others: [usage, bound, other],
        }
    }

    /// The length of the edited body, in bytes, when the caller's has `body_len`.
    pub fn len_after(&self, body_len: usize) -> usize {
        let grown = |len: usize, edit: &Edit<'_>| len - edit.place.len() + edit.new.len();
        let len = grown(body_len, &self.model);
        self.others.iter().flatten().fold(len, grown)
    }

    /// The edited body as pieces, in order; at most [`PIECES_MAX`], none of them empty. `body` is
    /// the one that was asked with; it is one piece where nothing changes.
    pub fn pieces(&self, body: &[u8]) -> Pieces<'a> {
        let renames = self.model.place.of(body) != Some(self.model.new);
        let mut pieces = Pieces::default();
        let mut kept_from = 0;
        let [usage, bound, other] = self.others;
        let mut edits = [renames.then_some(self.model), usage, bound, other];
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
