//! Decides whether a whole body is JSON, and lets a dialect pick members out of it on the way.
//!
//! One pass, no recursion, nothing built. A byte that no JSON reader would take is a fault at its
//! offset, so that nothing is passed on which this gateway and a provider could read differently.
//! Keys come as they are written; which of them matter, and how often, is for the dialect.

use std::fmt;

use super::{DEPTH_MAX, run, text::Text};

/// Why a body is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It stops in the middle of a value.
    Ended,
    /// A byte that the grammar does not allow there.
    Unexpected,
    /// A backslash followed by something that is no escape.
    Escape,
    /// A control character inside a string, where it must be escaped.
    Control,
    /// A string whose bytes are not UTF-8 (RFC 8259 §8.1).
    Encoding,
    /// Containers nest deeper than [`DEPTH_MAX`].
    Depth,
}

/// The first place where a body stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Offset of the byte, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub cause: Cause,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.cause {
            Cause::Ended => "it ends too early",
            Cause::Unexpected => "unexpected byte",
            Cause::Escape => "not an escape",
            Cause::Control => "control character in a string",
            Cause::Encoding => "string is not UTF-8",
            Cause::Depth => "nested too deeply",
        };
        write!(f, "{what} at offset {}", self.at)
    }
}

impl std::error::Error for Fault {}

/// A key or a value met while passing over something larger.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf<'a> {
    /// The key of a member.
    Key(Text<'a>),
    /// A string.
    Text(Text<'a>),
    /// A number, whatever its value.
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// A place in a body, up to which everything was JSON.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Objects that were entered and not yet left.
    depth: u32,
}

/// The containers around the place, innermost in the lowest bit: 1 for an object.
#[derive(Default)]
struct Nest {
    objects: u64,
    depth: u32,
}

impl Nest {
    fn enter(&mut self, object: bool) -> bool {
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
        self.depth <= DEPTH_MAX
    }

    fn leave(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

const _: () = assert!(DEPTH_MAX <= u64::BITS, "a nest is the bits of one word");

impl<'a> Scanner<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    /// The next byte that is not white space, which stays where it is.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Offset of the byte that comes next.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// A fault at this place: too short, or the wrong byte.
    pub(crate) fn fault(&self) -> Fault {
        let ended = self.at >= self.bytes.len();
        self.fault_of(if ended {
            Cause::Ended
        } else {
            Cause::Unexpected
        })
    }

    fn fault_of(&self, cause: Cause) -> Fault {
        Fault { at: self.at, cause }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(())
    }

    /// Steps into an object.
    pub(crate) fn enter_object(&mut self) -> Result<(), Fault> {
        self.expect(b'{')?;
        self.depth += 1;
        Ok(())
    }

    /// Steps to the value of the next member and returns its key, or steps out of the object.
    /// `first` says that the object was only just entered.
    pub(crate) fn member(&mut self, first: bool) -> Result<Option<Text<'a>>, Fault> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                self.depth -= 1;
                return Ok(None);
            }
            Some(b',') if !first => self.at += 1,
            Some(_) if first => {}
            _ => return Err(self.fault()),
        }
        self.key().map(Some)
    }

    fn key(&mut self) -> Result<Text<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault());
        }
        let key = self.text()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Reads a string, whose opening quote is the next byte.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let (mut escaped, mut high) = (false, 0);
        loop {
            let run = run::plain(&self.bytes[self.at..]);
            self.at += run.len;
            high += run.high;
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault_of(Cause::Control)),
                None => return Err(self.fault_of(Cause::Ended)),
            }
            escaped = true;
        }
        let raw = &self.bytes[start..self.at];
        // Only strings can hold such bytes, and few do: the others cost nothing here.
        if high > 0 && std::str::from_utf8(raw).is_err() {
            return Err(Fault {
                at: start,
                cause: Cause::Encoding,
            });
        }
        self.at += 1;
        Ok(Text {
            raw,
            start,
            escaped,
            high,
        })
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let len = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.fault_of(Cause::Escape));
                }
                6
            }
            _ => return Err(self.fault_of(Cause::Escape)),
        };
        self.at += len;
        Ok(())
    }

    /// Reads a number and returns it as written (RFC 8259 §6).
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let start = self.at;
        self.at += usize::from(self.next_is(b"-"));
        if self.next_is(b"0") {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next_is(b".") {
            self.at += 1;
            self.digits()?;
        }
        if self.next_is(b"eE") {
            self.at += 1;
            self.at += usize::from(self.next_is(b"+-"));
            self.digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn next_is(&self, any_of: &[u8]) -> bool {
        self.bytes
            .get(self.at)
            .is_some_and(|byte| any_of.contains(byte))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.fault())
        } else {
            Ok(())
        }
    }

    /// Takes `word` if it comes next; white space before it is passed over either way.
    pub(crate) fn take_literal(&mut self, word: &[u8]) -> bool {
        self.peek();
        let taken = self.bytes[self.at..].starts_with(word);
        self.at += if taken { word.len() } else { 0 };
        taken
    }

    fn leaf(&mut self, first: u8) -> Result<Leaf<'a>, Fault> {
        let word: &[u8] = match first {
            b'"' => return self.text().map(Leaf::Text),
            b'-' | b'0'..=b'9' => return self.number().map(|_| Leaf::Number),
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return Err(self.fault()),
        };
        if self.take_literal(word) {
            Ok(Leaf::Literal)
        } else {
            Err(self.fault())
        }
    }

    /// Passes over one value, however deep, and shows every key and every plain value in it.
    pub(crate) fn pass(&mut self, mut meet: impl FnMut(Leaf<'a>)) -> Result<(), Fault> {
        let outside = self.depth;
        let mut nest = Nest {
            objects: 0,
            depth: outside,
        };
        loop {
            let first = self.peek().ok_or_else(|| self.fault())?;
            if matches!(first, b'{' | b'[') {
                if !nest.enter(first == b'{') {
                    return Err(self.fault_of(Cause::Depth));
                }
                self.at += 1;
                if !self.closes(&mut nest) {
                    if nest.in_object() {
                        meet(Leaf::Key(self.key()?));
                    }
                    continue;
                }
            } else {
                meet(self.leaf(first)?);
            }
            // A value has ended: so may the containers around it.
            while nest.depth > outside && self.closes(&mut nest) {}
            if nest.depth == outside {
                return Ok(());
            }
            self.expect(b',')?;
            if nest.in_object() {
                meet(Leaf::Key(self.key()?));
            }
        }
    }

    fn closes(&mut self, nest: &mut Nest) -> bool {
        let close = if nest.in_object() { b'}' } else { b']' };
        if self.peek() != Some(close) {
            return false;
        }
        self.at += 1;
        nest.leave();
        true
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_some() {
            Err(self.fault())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
