//! The rest of what the scripted provider answers: an echo, bytes by the number, a sum of what was
//! sent. For tests of gateways in front of plain REST services.

use super::openai::{number, string};
use crate::http::RequestHead;

/// One turn of the pattern that `/bytes/{n}` sends.
pub(super) const PATTERN: &[u8; 64 * 1024] = &pattern();

const fn pattern() -> [u8; 64 * 1024] {
    let mut bytes = [0; 64 * 1024];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 256).to_le_bytes()[0];
        at += 1;
    }
    bytes
}

/// A sum over a body, by which a test knows that every byte came through (FNV-1a, 64 bits).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    hash: u64,
    bytes: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            bytes: 0,
        }
    }
}

impl Sum {
    /// The sum with more bytes behind.
    pub(super) fn add(mut self, bytes: &[u8]) -> Self {
        self.bytes += bytes.len() as u64;
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self
    }

    /// The hash of the bytes so far.
    pub(super) const fn value(self) -> u64 {
        self.hash
    }
}

/// Replaces `out` by the first half of an echo: method, target and fields, in their order.
pub(super) fn echo_head(out: &mut Vec<u8>, head: &RequestHead<'_, '_>) {
    out.clear();
    out.extend_from_slice(b"{\"method\":");
    string(out, head.method);
    out.extend_from_slice(b",\"target\":");
    string(out, head.target);
    out.extend_from_slice(b",\"fields\":[");
    for (index, field) in head.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'[');
        string(out, field.name);
        out.push(b',');
        string(out, &String::from_utf8_lossy(field.value));
        out.push(b']');
    }
    out.push(b']');
}

/// Appends the second half of an echo.
pub(super) fn echo_body(out: &mut Vec<u8>, body: Sum) {
    out.push(b',');
    sum_members(out, body);
}

/// Appends what `/sink` answers.
pub(super) fn sink(out: &mut Vec<u8>, body: Sum) {
    out.push(b'{');
    sum_members(out, body);
}

fn sum_members(out: &mut Vec<u8>, body: Sum) {
    use std::io::Write;

    out.extend_from_slice(b"\"body_bytes\":");
    number(out, body.bytes);
    write!(out, ",\"body_fnv1a\":\"{:016x}\"}}", body.hash).expect("a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_published_vectors_and_does_not_mind_cuts() {
        assert_eq!(Sum::default().value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Sum::default().add(b"a").value(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(
            Sum::default().add(b"foo").add(b"bar").value(),
            0x8594_4171_f739_67e8
        );
    }
}
