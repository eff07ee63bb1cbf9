//! Reads a stream of server-sent events only as far as to tell when content came.
//!
//! Events that arrive in one read are taken to have come at the same moment, which is all that a
//! reader can know.

use std::time::Instant;

use memchr::memmem::Finder;

/// Bytes of one line that are kept when it is cut; a longer one is counted but not understood.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// What one line of the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// An event with some of what was asked for.
    Delta,
    /// An event without: a role, a reason, the usage.
    Other,
    Done,
    Error,
    /// Empty, a comment, another field.
    Nothing,
}

/// The place within one stream, and what has been seen of it.
pub(super) struct Events {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// `"content":"` and its like, each with the first byte of the value behind it.
    deltas: [Finder<'static>; 3],
    pub(super) first_delta: Option<Instant>,
    last_delta: Option<Instant>,
    pub(super) done: bool,
    pub(super) error: bool,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            line: Vec::new(),
            deltas: [
                Finder::new("\"content\":\""),
                Finder::new("\"text\":\""),
                Finder::new("\"arguments\":\""),
            ],
            first_delta: None,
            last_delta: None,
            done: false,
            error: false,
        }
    }

    /// Forgets the last stream.
    pub(super) fn restart(&mut self) {
        self.line.clear();
        (self.first_delta, self.last_delta) = (None, None);
        (self.done, self.error) = (false, false);
    }

    /// Reads what came at `now`, and calls `gap` with the moments of each two deltas in a row.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant, mut gap: impl FnMut(Instant)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            let meaning = if self.line.is_empty() {
                self.meaning(line)
            } else {
                self.keep(line);
                self.meaning(&self.line)
            };
            self.line.clear();
            self.note(meaning, now, &mut gap);
            bytes = rest;
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn note(&mut self, line: Line, now: Instant, gap: &mut impl FnMut(Instant)) {
        match line {
            Line::Delta => {
                self.first_delta.get_or_insert(now);
                if let Some(last) = self.last_delta.replace(now) {
                    gap(last);
                }
            }
            Line::Done => self.done = true,
            Line::Error => self.error = true,
            Line::Other | Line::Nothing => {}
        }
    }

    fn meaning(&self, line: &[u8]) -> Line {
        let Some(data) = line.strip_prefix(b"data:") else {
            return Line::Nothing;
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            return Line::Done;
        }
        if data.starts_with(b"{\"error\"") {
            return Line::Error;
        }
        let has_value = |finder: &Finder<'_>| {
            let value = finder
                .find(data)
                .and_then(|at| data.get(at + finder.needle().len()));
            value.is_some_and(|&byte| byte != b'"')
        };
        if self.deltas.iter().any(has_value) {
            Line::Delta
        } else {
            Line::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b": hello\n\
        data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\"}}]}}]}\n\
        \n\
        data: {\"choices\":[{\"delta\":{}}]}\n\n\
        data: [DONE]\n\n";

    #[test]
    fn deltas_are_the_same_wherever_the_stream_is_cut() {
        let now = Instant::now();
        for cut in 0..=STREAM.len() {
            let mut events = Events::new();
            let mut gaps = 0;
            events.read(&STREAM[..cut], now, |_| gaps += 1);
            events.read(&STREAM[cut..], now, |_| gaps += 1);
            assert_eq!(gaps, 2, "cut at {cut}");
            assert!(
                events.first_delta.is_some() && events.done && !events.error,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn the_role_is_not_the_first_delta() {
        let mut events = Events::new();
        let end = memchr::memmem::find(STREAM, b"data: {\"choices\":[{\"delta\":{\"content\"");
        events.read(&STREAM[..end.unwrap_or_default()], Instant::now(), |_| {});
        assert_eq!(events.first_delta, None);
    }

    #[test]
    fn an_error_event_is_an_error() {
        let mut events = Events::new();
        events.read(
            b"data: {\"error\":{\"message\":\"x\"}}\n\n",
            Instant::now(),
            |_| {},
        );
        assert!(events.error);
        events.restart();
        assert!(!events.error);
    }

    #[test]
    fn an_endless_line_takes_no_more_than_its_room() {
        let mut events = Events::new();
        for _ in 0..40 {
            events.read(&[b'x'; 10_000], Instant::now(), |_| {});
        }
        assert_eq!(events.line.len(), LINE_BYTES_MAX);
    }
}
