//! Decides how our own JSON is written: members in the order given, text escaped, no white space.
//!
//! It writes straight into the caller's buffer, a `Display` included, so that a refusal costs no
//! allocation. What is written, and under which names, is for the dialects.

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;

use super::run;

/// The bytes of `name` as they stand between the quotes of a JSON string.
pub fn escape_json(name: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    append_escaped(&mut escaped, name);
    escaped
}

/// Appends `text` with everything escaped that RFC 8259 §7 asks for, and nothing else.
pub(crate) fn append_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, after) = rest.split_at(run::plain(rest).len);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else {
            return;
        };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 0xf)]);
            }
        }
        rest = after;
    }
}

/// Escapes what a `Display` writes, as it writes it.
struct Escaping<'o>(&'o mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        append_escaped(self.0, text);
        Ok(())
    }
}

/// Appends `value` as a JSON string.
pub(crate) fn append_text(out: &mut Vec<u8>, value: &dyn Display) {
    out.push(b'"');
    // Writing to memory does not fail. A `Display` that says it did has written what it could,
    // and half a sentence for the caller is better than half a body.
    let _ = write!(Escaping(out), "{value}");
    out.push(b'"');
}

/// An object being written. It is closed by the function that opened it.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

/// Appends an object with the members that `fill` writes.
pub(crate) fn append_object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, empty: true });
    out.push(b'}');
}

impl Object<'_> {
    /// Writes a key, which is one of ours and needs no escaping.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string member.
    pub(crate) fn text(&mut self, key: &str, value: &dyn Display) {
        append_text(self.key(key), value);
    }

    /// A string member, or `null`.
    pub(crate) fn text_or_null(&mut self, key: &str, value: Option<&dyn Display>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.key(key).extend_from_slice(b"null"),
        }
    }

    /// A number member, or `null`.
    pub(crate) fn number_or_null(&mut self, key: &str, value: Option<u64>) {
        let out = self.key(key);
        match value {
            Some(value) => write!(out, "{value}").expect("writing to memory does not fail"),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// A member that is an object itself.
    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        append_object(self.key(key), fill);
    }
}
