//! The path of one case, and how tables come to name it.
//!
//! Every case has a path of its own behind which its own upstream stands. Tables write it as
//! `/case`; it has the same length, so that lengths in the bytes around it stay true.

use super::message::find;

const WRITTEN: &[u8] = b"/case";

/// The path of one case.
#[derive(Clone, Debug)]
pub struct Place(String);

impl Place {
    /// The path of the case with this number; below 1,000.
    pub fn of(number: usize) -> Self {
        let path = format!("/c{number:03}");
        assert_eq!(
            path.len(),
            WRITTEN.len(),
            "a topic has fewer than 1,000 cases"
        );
        Self(path)
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The path without its slash.
    pub fn name(&self) -> &str {
        &self.0[1..]
    }

    /// Bytes of a table as they are sent.
    pub fn put_in(&self, bytes: &[u8]) -> Vec<u8> {
        replaced(bytes, WRITTEN, self.0.as_bytes())
    }

    /// Bytes that were seen as a table would write them.
    pub fn take_out(&self, bytes: &[u8]) -> Vec<u8> {
        replaced(bytes, self.0.as_bytes(), WRITTEN)
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
