//! Decides what a stream of chunks cost, and takes the usage chunk out for a caller that did not
//! ask for it.
//!
//! A stream that is only looked at is never delayed. One that is stripped is held back from an
//! event's first byte to its last, as only then it is known whether the caller may have it; what
//! leaves is byte for byte what came. What is done when a stream ends too early is not for here.

use super::answer::{Answer, tokens_of_text};
use super::usage::Usage;
use crate::sse::{Part, Splitter};

/// The most of one event that is held back, in bytes. A usage chunk has about 500; what is larger
/// is content, and passes.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// How the data of the last event begins.
const DONE: [u8; 6] = *b"[DONE]";

/// The meter of one stream of events. It keeps at most [`EVENT_BYTES_MAX`] bytes of it.
#[derive(Clone, Debug)]
pub struct StreamMeter {
    splitter: Splitter,
    event: Event,
    tail: Tail,
    /// The usage chunk shall be taken out.
    strips: bool,
    /// Bytes of the present event that came with earlier pieces. Empty unless stripping.
    held: Vec<u8>,
    usage: Option<Usage>,
    implausible: bool,
    done: bool,
    error: bool,
    text_bytes: u64,
    text_events: u64,
}

/// The event that is being read.
#[derive(Clone, Debug, Default)]
struct Event {
    answer: Answer,
    /// It has had a data line.
    has_data: bool,
    /// The first bytes of its data.
    beginning: [u8; DONE.len()],
    data_bytes: usize,
    /// It was too large to be held back, and its first part is gone already.
    passing: bool,
}

/// What becomes of a line feed that turns out to belong to an event's last line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Kept,
    Dropped,
}

impl Event {
    fn reset(&mut self) {
        self.answer.reset();
        self.has_data = false;
        self.data_bytes = 0;
        self.passing = false;
    }

    fn line(&mut self) -> u64 {
        // Lines of data are joined by a line feed.
        if std::mem::replace(&mut self.has_data, true) {
            self.read(b"\n")
        } else {
            0
        }
    }

    fn read(&mut self, data: &[u8]) -> u64 {
        if let Some(room) = self.beginning.get_mut(self.data_bytes..) {
            room.iter_mut()
                .zip(data)
                .for_each(|(room, byte)| *room = *byte);
        }
        self.data_bytes = self.data_bytes.saturating_add(data.len());
        self.answer.read(data)
    }

    fn is_done(&self) -> bool {
        self.data_bytes >= DONE.len() && self.beginning == DONE
    }
}

impl Default for StreamMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamMeter {
    /// A meter at the first byte of a stream, which strips nothing.
    pub fn new() -> Self {
        Self {
            splitter: Splitter::new(),
            event: Event::default(),
            tail: Tail::Kept,
            strips: false,
            held: Vec::new(),
            usage: None,
            implausible: false,
            done: false,
            error: false,
            text_bytes: 0,
            text_events: 0,
        }
    }

    /// Forgets the stream, to meter another; `strip_usage` takes the usage chunk out of it.
    pub fn reset(&mut self, strip_usage: bool) {
        self.splitter = Splitter::new();
        self.event.reset();
        self.tail = Tail::Kept;
        self.strips = strip_usage;
        self.held.clear();
        self.usage = None;
        self.implausible = false;
        self.done = false;
        self.error = false;
        self.text_bytes = 0;
        self.text_events = 0;
    }

    /// Reads the next bytes of the stream, and appends to `out` those that may go on to the
    /// caller: all of them, or all whole events but the usage chunk.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if !self.strips {
            self.observe(input);
            out.extend_from_slice(input);
            return;
        }
        // Invariant: `gone <= event <= input.len() - rest.len()`. Before `gone`, bytes are in
        // `out` or dropped; from there to `event` they may go; from `event` on they are held.
        let (mut gone, mut event) = (0, 0);
        let mut rest = input;
        while let Some(part) = self.splitter.next(&mut rest) {
            let at = input.len() - rest.len();
            match part {
                Part::DataLine | Part::Data(_) => self.read(part),
                Part::End => {
                    // As one that came in one piece, or in many: its size decides, not its pieces.
                    let fits = self.held.len() + (at - event) <= EVENT_BYTES_MAX;
                    let drop = fits && !self.event.passing && self.event.answer.is_usage_chunk();
                    self.tail = if drop { Tail::Dropped } else { Tail::Kept };
                    if drop {
                        out.extend_from_slice(&input[gone..event]);
                        gone = at;
                    } else {
                        out.extend_from_slice(&self.held);
                    }
                    self.held.clear();
                    self.end_event();
                    event = at;
                }
                Part::EndTail => {
                    gone = if self.tail == Tail::Dropped { at } else { gone };
                    event = at;
                }
            }
        }
        out.extend_from_slice(&input[gone..event]);
        self.hold(&input[event..], out);
    }

    /// Reads the next bytes of a stream that is passed on untouched by the caller of this. For a
    /// meter that strips nothing.
    pub fn observe(&mut self, input: &[u8]) {
        debug_assert!(!self.strips, "a stripped stream goes through feed");
        let mut rest = input;
        while let Some(part) = self.splitter.next(&mut rest) {
            match part {
                Part::DataLine | Part::Data(_) => self.read(part),
                Part::End => self.end_event(),
                Part::EndTail => {}
            }
        }
    }

    /// The stream has ended as its framing said: appends what is held back of an event that has no
    /// blank line, unless it is the usage chunk. There is none but when stripping.
    ///
    /// A stream that was cut short is not finished, so that half an event does not leave.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.event.answer.is_usage_chunk() {
            out.extend_from_slice(&self.held);
        }
        self.held.clear();
        self.end_event();
    }

    /// Keeps the beginning of an event, or lets it pass where it is too large to be kept.
    fn hold(&mut self, tail: &[u8], out: &mut Vec<u8>) {
        if !self.event.passing && self.held.len() + tail.len() <= EVENT_BYTES_MAX {
            self.held.extend_from_slice(tail);
            return;
        }
        self.event.passing = true;
        out.extend_from_slice(&self.held);
        out.extend_from_slice(tail);
        self.held.clear();
    }

    fn read(&mut self, part: Part<'_>) {
        self.text_bytes += match part {
            Part::DataLine => self.event.line(),
            Part::Data(data) => self.event.read(data),
            Part::End | Part::EndTail => 0,
        };
    }

    /// Takes over what the event has told.
    fn end_event(&mut self) {
        if !self.event.has_data {
            self.event.passing = false;
            return;
        }
        let answer = &self.event.answer;
        self.usage = answer.usage().or(self.usage);
        self.implausible |= answer.is_implausible();
        self.error |= answer.is_error();
        self.done |= self.event.is_done();
        self.text_events += u64::from(answer.text_bytes() > 0);
        self.event.reset();
    }

    /// What the provider says was used: the last `usage` that has passed. None where there was
    /// none so far, or none to be believed.
    pub fn usage(&self) -> Option<Usage> {
        self.event.answer.usage().or(self.usage)
    }

    /// Whether the provider sent a usage that cannot be believed: it is negative, not whole, past
    /// 2^53, incomplete or no number.
    pub fn usage_implausible(&self) -> bool {
        self.implausible || self.event.answer.is_implausible()
    }

    /// Output tokens by our own count so far, for a caller that hangs up or a stream without
    /// usage. An estimate: one for every event with text in it, as most providers send a token at
    /// a time, or one for every four bytes of the text where that is more. Text is what the model
    /// said, thought, refused or called. It only ever grows.
    pub fn output_tokens_counted(&self) -> u64 {
        let events = self.text_events + u64::from(self.event.answer.text_bytes() > 0);
        tokens_of_text(self.text_bytes).max(events)
    }

    /// Whether the stream has ended as a good one does, with `data: [DONE]`.
    pub fn done_seen(&self) -> bool {
        self.done || self.event.is_done()
    }

    /// Whether the provider has sent an error in the middle of the stream.
    pub fn error_seen(&self) -> bool {
        self.error || self.event.answer.is_error()
    }

    /// Whether what has gone to the caller so far is whole events. Where it is not, there must be a
    /// blank line before anything of ours is said in the stream.
    pub fn between_events(&self) -> bool {
        if self.strips {
            !self.event.passing
        } else {
            !self.splitter.in_event()
        }
    }
}

#[cfg(test)]
mod tests;
