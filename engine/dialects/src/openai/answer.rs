//! Decides what matters in one answer or one chunk of a stream, while it passes in pieces.
//!
//! Both have the same shape, with `message` in the one and `delta` in the other: usage at the
//! top, text at a few places inside `choices`, perhaps an error. The same names inside strings or
//! elsewhere mean nothing.
//!
//! It keeps nothing of the text but its length.

use super::usage::{Count, Draft, Usage};
use crate::json::DEPTH_MAX;
use crate::json::walk::{Token, Walker};

/// Bytes of output text to one token, where the provider does not tell: English has 4.5 and code
/// 3.5 with the vocabularies in use, and most other scripts come to about 4 in UTF-8.
const TEXT_BYTES_PER_TOKEN: u64 = 4;

/// A place in an answer, by what may be found there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Somewhere that does not matter, and so is all that is in it.
    #[default]
    Elsewhere,
    /// The answer itself.
    Top,
    Error,
    Usage,
    InputDetails,
    OutputDetails,
    Count(Count),
    Choices,
    Choice,
    /// A `message`, or a `delta`.
    Message,
    ToolCalls,
    ToolCall,
    Function,
    /// Text that the model has made, or an array of parts of it.
    Text,
    /// A part of text, where a provider sends it in parts.
    TextPart,
}

impl Place {
    /// The place of a member.
    fn member(self, key: &[u8]) -> Self {
        match (self, key) {
            (Self::Top, b"usage") => Self::Usage,
            (Self::Top, b"choices") => Self::Choices,
            (Self::Top, b"error") => Self::Error,
            (Self::Usage, b"prompt_tokens") => Self::Count(Count::Input),
            (Self::Usage, b"completion_tokens") => Self::Count(Count::Output),
            (Self::Usage, b"total_tokens") => Self::Count(Count::Total),
            (Self::Usage, b"prompt_tokens_details") => Self::InputDetails,
            (Self::Usage, b"completion_tokens_details") => Self::OutputDetails,
            (Self::InputDetails, b"cached_tokens") => Self::Count(Count::Cached),
            (Self::OutputDetails, b"reasoning_tokens") => Self::Count(Count::Reasoning),
            (Self::Choice, b"message" | b"delta") => Self::Message,
            (Self::Choice, b"text") => Self::Text,
            (Self::Message, b"content" | b"refusal") => Self::Text,
            (Self::Message, b"reasoning" | b"reasoning_content") => Self::Text,
            (Self::Message, b"tool_calls") => Self::ToolCalls,
            (Self::Message, b"function_call") | (Self::ToolCall, b"function") => Self::Function,
            (Self::Function, b"name" | b"arguments") => Self::Text,
            (Self::TextPart, b"text" | b"thinking") => Self::Text,
            _ => Self::Elsewhere,
        }
    }

    /// The place of an element.
    fn element(self) -> Self {
        match self {
            Self::Choices => Self::Choice,
            Self::ToolCalls => Self::ToolCall,
            Self::Text => Self::TextPart,
            _ => Self::Elsewhere,
        }
    }
}

/// Whether an answer has choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Choices {
    /// Not said, or not yet.
    #[default]
    Unsaid,
    /// An array, and nothing in it so far.
    Empty,
    /// At least one.
    Some,
}

/// One answer, or one chunk of a stream, as far as it has been read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    walker: Walker,
    /// The containers around the next value, outermost first. Written before it is read.
    around: [Place; DEPTH_MAX as usize],
    /// Where the next value belongs.
    next: Place,
    draft: Draft,
    usage: Option<Usage>,
    /// A `usage` was there and could not be believed.
    implausible: bool,
    choices: Choices,
    error: bool,
    text_bytes: u64,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            walker: Walker::default(),
            around: [Place::Elsewhere; DEPTH_MAX as usize],
            next: Place::Top,
            draft: Draft::default(),
            usage: None,
            implausible: false,
            choices: Choices::Unsaid,
            error: false,
            text_bytes: 0,
        }
    }
}

impl Answer {
    /// Forgets the answer, to read another.
    pub(super) fn reset(&mut self) {
        self.walker.reset();
        self.next = Place::Top;
        self.usage = None;
        self.implausible = false;
        self.choices = Choices::Unsaid;
        self.error = false;
        self.text_bytes = 0;
    }

    /// Reads on. Returns how many bytes of text the model has made in these bytes.
    pub(super) fn read(&mut self, mut input: &[u8]) -> u64 {
        let before = self.text_bytes;
        while let Some(token) = self.walker.next(&mut input) {
            match token {
                Token::Key(key) => self.next = self.container().member(key),
                Token::KeyKept => self.next = self.container().member(self.walker.word()),
                Token::Text(text) => {
                    self.text(text);
                    self.text_end();
                }
                Token::TextPart(text) => self.text(text),
                Token::TextEnd => self.text_end(),
                Token::Atom => self.atom(),
                Token::Object => self.enter(true),
                Token::Array => self.enter(false),
                Token::Close => self.leave(),
            }
        }
        self.text_bytes - before
    }

    /// The innermost container.
    fn container(&self) -> Place {
        let inner = (self.walker.depth() as usize).checked_sub(1);
        inner.map_or(Place::Elsewhere, |inner| self.around[inner])
    }

    fn enter(&mut self, object: bool) {
        let place = self.next;
        self.around[self.walker.depth() as usize - 1] = place;
        self.next = if object {
            Place::Elsewhere
        } else {
            place.element()
        };
        match place {
            Place::Usage => self.draft = Draft::default(),
            Place::Choices if !object && self.choices == Choices::Unsaid => {
                self.choices = Choices::Empty;
            }
            Place::Choice => self.choices = Choices::Some,
            Place::Error => self.error = true,
            Place::Count(_) => self.draft.note_implausible(),
            Place::Elsewhere if !object => self.walker.skip_flat(),
            _ => {}
        }
    }

    fn leave(&mut self) {
        // The walker is out already: what it left is one level further in.
        let left = self.around[self.walker.depth() as usize];
        let outer = self.container();
        self.next = if self.walker.in_array() {
            outer.element()
        } else {
            Place::Elsewhere
        };
        if left == Place::Usage {
            match self.draft.finish() {
                // Where there are two the later one stands: providers that tell the usage more
                // than once tell the sum so far.
                Some(usage) => self.usage = Some(usage),
                None => self.implausible = true,
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        if self.next == Place::Text {
            self.text_bytes += text.len() as u64;
        }
    }

    fn atom(&mut self) {
        match self.next {
            Place::Count(count) => self.draft.note(count, self.walker.word()),
            Place::Choice => self.choices = Choices::Some,
            Place::Error => self.error |= self.walker.word() != b"null",
            _ => {}
        }
    }

    fn text_end(&mut self) {
        match self.next {
            Place::Count(_) => self.draft.note_implausible(),
            Place::Choice => self.choices = Choices::Some,
            Place::Error => self.error = true,
            _ => {}
        }
    }

    /// What the provider counted, if it has said so.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether there was a usage that cannot be believed.
    pub(super) fn is_implausible(&self) -> bool {
        self.implausible
    }

    /// Whether it is an error, or has become one.
    pub(super) fn is_error(&self) -> bool {
        self.error
    }

    /// Bytes of text that the model has made.
    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Whether this is the extra chunk that only tells the usage: it is whole, its `choices` are
    /// an empty array, and it has a usage. A usage beside a choice is part of an answer.
    pub(super) fn is_usage_chunk(&self) -> bool {
        let told = self.usage.is_some() || self.implausible;
        told && self.choices == Choices::Empty && !self.error && self.walker.is_whole()
    }
}

/// How many tokens some text may have been: rounded up, so that any text is at least one.
pub(super) fn tokens_of_text(bytes: u64) -> u64 {
    bytes.div_ceil(TEXT_BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests;
