//! Decides where the values of a JSON body are when it comes in pieces, split at any byte.
//!
//! A provider's answer is passed on whatever it holds, so this reader is no judge: it follows
//! strings and brackets, and where they make no sense it falls silent until it is reset. It keeps
//! one short word and two words of nesting, however long the body.
//!
//! What the values mean is for the dialect that pulls the tokens.

use super::{DEPTH_MAX, run};

/// Bytes of a key or number that are kept, to be looked at once they are whole. The longest name
/// that anyone asks for has 25; what is longer is some other key and matches nothing.
const WORD_BYTES_MAX: usize = 32;

/// One step through a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The innermost object or array ends.
    Close,
    /// A key, as it is written.
    Key(&'a [u8]),
    /// A key that came in pieces; it is [`Walker::word`].
    KeyKept,
    /// A number, `true`, `false` or `null` has been read; it is [`Walker::word`].
    Atom,
    /// All of a string value, which has no escapes.
    Text(&'a [u8]),
    /// Some bytes of a string value, escapes read as one byte of text (four for `\u`).
    TextPart(&'a [u8]),
    /// A string value that came in parts ends.
    TextEnd,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Nothing yet: white space and punctuation.
    #[default]
    Between,
    /// A key, whose bytes are kept.
    Key,
    /// A key, after a backslash.
    KeyEscape,
    /// A string value, whose bytes are shown and not kept.
    Text,
    /// A string value, after a backslash.
    TextEscape,
    /// A number or a literal.
    Atom,
    /// An array whose numbers and literals shall not be seen, up to a quote or a bracket.
    Flat,
    /// Not in JSON any more: nothing is seen until the next reset.
    Lost,
}

/// A place in a body that has been read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walker {
    at: At,
    /// The next string is a key.
    key_next: bool,
    /// The first value has been read to its end.
    whole: bool,
    /// The containers around the place, innermost in the lowest bit: 1 for an object.
    objects: u64,
    depth: u32,
    word: [u8; WORD_BYTES_MAX],
    /// Bytes of the word; more than fit when it was too long to keep.
    word_len: usize,
}

impl Walker {
    /// Forgets the body, to read another.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The kept key or the atom of the last token; empty where it was too long to be any that
    /// matters.
    pub(crate) fn word(&self) -> &[u8] {
        self.word.get(..self.word_len).unwrap_or_default()
    }

    /// Containers around the next value.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// Whether the next value is an element of an array.
    pub(crate) fn in_array(&self) -> bool {
        self.depth > 0 && self.objects & 1 == 0
    }

    /// Whether one object or array has been read from its first byte to its last, and nothing
    /// but white space after it.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole && self.at == At::Between
    }

    /// Says that the numbers and literals at the beginning of the array that was just entered do
    /// not matter. They are passed over without tokens, and much faster.
    pub(crate) fn skip_flat(&mut self) {
        debug_assert!(
            self.in_array() && self.at == At::Between,
            "an array was just entered"
        );
        self.at = At::Flat;
    }

    /// Reads up to the next token, and takes what it has read off the front of `input`. None
    /// when `input` is used up.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        while let Some((&byte, after)) = input.split_first() {
            let token = match self.at {
                At::Between => {
                    *input = after;
                    if byte == b'"' {
                        self.begin_string(input)
                    } else {
                        self.step(byte)
                    }
                }
                At::Atom => self.atom(input),
                At::Flat => {
                    let len = run::flat(input);
                    *input = &input[len..];
                    if !input.is_empty() {
                        self.at = At::Between;
                    }
                    None
                }
                At::Text => self.text(input),
                At::TextEscape => {
                    let (escape, after) = input.split_at(1);
                    *input = after;
                    self.at = At::Text;
                    // `\uXXXX`: the digits that follow are the four bytes of text.
                    (byte != b'u').then_some(Token::TextPart(escape))
                }
                At::Key => self.key(input),
                At::KeyEscape => {
                    *input = after;
                    self.at = At::Key;
                    self.keep(&[byte]);
                    None
                }
                At::Lost => {
                    *input = &[];
                    None
                }
            };
            if token.is_some() {
                return token;
            }
        }
        None
    }

    /// The quote before a key or a value. Nearly all of them are whole in one piece and without
    /// escapes, and those are shown from where they are.
    fn begin_string<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        if self.whole {
            return self.lose();
        }
        let (string, after) = input.split_at(run::plain(input).len);
        let key = std::mem::take(&mut self.key_next);
        if let Some((b'"', after)) = after.split_first() {
            *input = after;
            return Some(if key {
                Token::Key(string)
            } else {
                Token::Text(string)
            });
        }
        self.word_len = 0;
        self.at = if key { At::Key } else { At::Text };
        None
    }

    /// A byte between values.
    fn step<'a>(&mut self, byte: u8) -> Option<Token<'a>> {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b':' => None,
            b',' if self.depth > 0 => {
                self.key_next = !self.in_array();
                None
            }
            _ if self.whole => self.lose(),
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => self.close(byte == b'}'),
            _ => {
                self.word_len = 0;
                self.keep(&[byte]);
                self.at = At::Atom;
                None
            }
        }
    }

    fn lose<'a>(&mut self) -> Option<Token<'a>> {
        self.at = At::Lost;
        None
    }

    fn open<'a>(&mut self, object: bool) -> Option<Token<'a>> {
        if self.depth == DEPTH_MAX {
            return self.lose();
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
        self.key_next = object;
        Some(if object { Token::Object } else { Token::Array })
    }

    fn close<'a>(&mut self, object: bool) -> Option<Token<'a>> {
        if self.depth == 0 || object == self.in_array() {
            return self.lose();
        }
        self.depth -= 1;
        self.objects >>= 1;
        self.key_next = false;
        self.whole = self.depth == 0;
        Some(Token::Close)
    }

    fn text<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        match input[0] {
            b'"' => {
                *input = &input[1..];
                self.at = At::Between;
                Some(Token::TextEnd)
            }
            b'\\' => {
                *input = &input[1..];
                self.at = At::TextEscape;
                None
            }
            _ => {
                // A bare control character is no JSON, but its string goes on for all that.
                let len = run::plain(input).len.max(1);
                let (text, after) = input.split_at(len);
                *input = after;
                Some(Token::TextPart(text))
            }
        }
    }

    fn key<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        match input[0] {
            b'"' => {
                *input = &input[1..];
                self.at = At::Between;
                return Some(Token::KeyKept);
            }
            b'\\' => {
                // No provider escapes the names that are looked for. The backslash is kept, so
                // that what was escaped is never taken for a name.
                self.keep(b"\\");
                *input = &input[1..];
                self.at = At::KeyEscape;
            }
            _ => {
                let len = run::plain(input).len.max(1);
                let (part, after) = input.split_at(len);
                *input = after;
                self.keep(part);
            }
        }
        None
    }

    fn atom<'a>(&mut self, input: &mut &'a [u8]) -> Option<Token<'a>> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        let end = input.iter().position(ends);
        let (part, after) = input.split_at(end.unwrap_or(input.len()));
        *input = after;
        self.keep(part);
        end.map(|_| {
            self.at = At::Between;
            Token::Atom
        })
    }

    /// Adds to the word, or notes that it is too long to be kept.
    fn keep(&mut self, part: &[u8]) {
        let end = self.word_len.saturating_add(part.len());
        if let Some(room) = self.word.get_mut(self.word_len..end) {
            room.copy_from_slice(part);
        }
        self.word_len = end;
    }
}

#[cfg(test)]
mod tests;
