//! Decides what a whole answer cost, while it passes in pieces of any size.
//!
//! It only looks: the bytes are passed on by whoever feeds it, and a body that is no JSON has no
//! usage and no text.

use super::answer::{Answer, tokens_of_text};
use super::usage::Usage;

/// The meter of one answer that is not a stream. Its size is fixed, and it never allocates.
#[derive(Clone, Debug, Default)]
pub struct UnaryMeter {
    answer: Answer,
}

impl UnaryMeter {
    /// A meter at the first byte of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the body, to meter another.
    pub fn reset(&mut self) {
        self.answer.reset();
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, input: &[u8]) {
        self.answer.read(input);
    }

    /// What the provider says was used: the top-level `usage`, once it has passed. None where
    /// there is none, or none to be believed.
    pub fn usage(&self) -> Option<Usage> {
        self.answer.usage()
    }

    /// Whether the provider sent a usage that cannot be believed: it is negative, not whole, past
    /// 2^53, incomplete or no number.
    pub fn usage_implausible(&self) -> bool {
        self.answer.is_implausible()
    }

    /// Whether the body is the provider's word that it failed: it has a top-level `error`.
    pub fn error_seen(&self) -> bool {
        self.answer.is_error()
    }

    /// Output tokens by our own count, for an answer without usage: an estimate of one for every
    /// four bytes of what the model said, thought, refused or called, and at least one for any.
    pub fn output_tokens_counted(&self) -> u64 {
        tokens_of_text(self.answer.text_bytes())
    }
}
