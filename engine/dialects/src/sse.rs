//! Decides where a server-sent event begins and ends, when the stream is split at any byte.
//!
//! The rules are those of the HTML standard (§9.2.6, "Interpreting an event stream"): lines end
//! with CR, LF or both, a byte order mark may come first, a blank line ends an event, a colon
//! first makes a comment, one space after a field's colon is not data. Every byte is accounted
//! for, so that a stream can be passed on as it came.
//!
//! What the data means, and whether an event is passed on, is for the dialect.

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DATA_FIELD: &[u8] = b"data";

/// How nearly all lines begin that are not blank; those that come whole need not be spelt out.
const DATA_START: &[u8] = b"data: ";

/// One step through a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A `data` field begins, its bytes follow. A second one in an event is a further line.
    DataLine,
    /// Some bytes of the field.
    Data(&'a [u8]),
    /// A blank line: the event is whole.
    End,
    /// The second half of the line end whose first half was the last byte of an [`Part::End`].
    EndTail,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The byte order mark, of which so many bytes have been seen.
    Mark(usize),
    /// The first byte of a line.
    LineStart,
    /// The same, or the LF of a line end whose CR has been seen. That may have ended an event.
    AfterReturn { ended: bool },
    /// The name of a field, which is `data` for so many bytes.
    Name(usize),
    /// Just after the colon of `data:`.
    Colon,
    /// The data.
    Data,
    /// A comment or another field, up to its line's end.
    Other,
}

/// A place in a stream that has been read so far.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    at: At,
    /// A line has been begun since the last blank one.
    in_event: bool,
}

impl Splitter {
    /// At the first byte of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            at: At::Mark(0),
            in_event: false,
        }
    }

    /// Whether some of an event, or of a comment, has been read and no blank line after it.
    pub(crate) fn in_event(&self) -> bool {
        self.in_event
    }

    /// Reads up to the next part, and takes what it has read off the front of `input`. None when
    /// `input` is used up.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Part<'a>> {
        while let Some((&byte, after)) = input.split_first() {
            match self.at {
                At::Data | At::Other if !is_line_end(byte) => {
                    let len = memchr2(b'\n', b'\r', input).unwrap_or(input.len());
                    let (line, after) = input.split_at(len);
                    *input = after;
                    if self.at == At::Data {
                        return Some(Part::Data(line));
                    }
                }
                At::LineStart if input.starts_with(DATA_START) => {
                    *input = &input[DATA_START.len()..];
                    self.at = At::Data;
                    self.in_event = true;
                    return Some(Part::DataLine);
                }
                // The byte is the first of the data, and is read again as such.
                At::Colon if byte != b' ' => self.at = At::Data,
                At::AfterReturn { ended } => {
                    self.at = At::LineStart;
                    let tail = byte == b'\n';
                    *input = if tail { after } else { input };
                    if tail && ended {
                        return Some(Part::EndTail);
                    }
                }
                _ => {
                    *input = after;
                    let ends = is_line_end(byte);
                    let part = if ends {
                        self.end_line(byte)
                    } else {
                        self.begin_line(byte)
                    };
                    if part.is_some() {
                        return part;
                    }
                }
            }
        }
        None
    }

    /// A line has ended, which may have been blank, or `data` without a colon.
    fn end_line<'a>(&mut self, by: u8) -> Option<Part<'a>> {
        let ended = matches!(self.at, At::LineStart | At::Mark(0));
        let bare = self.at == At::Name(DATA_FIELD.len());
        self.at = if by == b'\r' {
            At::AfterReturn { ended }
        } else {
            At::LineStart
        };
        self.in_event = !ended;
        match (ended, bare) {
            (true, _) => Some(Part::End),
            (_, true) => Some(Part::DataLine),
            _ => None,
        }
    }

    /// A byte of a line, before it is known what the line is.
    fn begin_line<'a>(&mut self, byte: u8) -> Option<Part<'a>> {
        if let At::Mark(seen) = self.at
            && BYTE_ORDER_MARK.get(seen) == Some(&byte)
        {
            let whole = seen + 1 == BYTE_ORDER_MARK.len();
            self.at = if whole {
                At::LineStart
            } else {
                At::Mark(seen + 1)
            };
            return None;
        }
        self.in_event = true;
        let seen = match self.at {
            At::LineStart | At::Mark(0) => 0,
            At::Name(seen) => seen,
            // The one space that is not data.
            At::Colon => {
                self.at = At::Data;
                return None;
            }
            // Half a byte order mark: some other field.
            _ => usize::MAX,
        };
        if seen == DATA_FIELD.len() && byte == b':' {
            self.at = At::Colon;
            return Some(Part::DataLine);
        }
        let goes_on = DATA_FIELD.get(seen) == Some(&byte);
        self.at = if goes_on {
            At::Name(seen + 1)
        } else {
            At::Other
        };
        None
    }
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a stream as one line of text, with the bytes of a field joined.
    fn parts(pieces: &[&[u8]]) -> String {
        let (mut splitter, mut line) = (Splitter::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while let Some(part) = splitter.next(&mut rest) {
                match part {
                    Part::DataLine => line.push(b'<'),
                    Part::Data(data) => line.extend_from_slice(data),
                    Part::End => line.push(b'|'),
                    Part::EndTail => line.push(b'\''),
                }
            }
            assert!(rest.is_empty());
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    #[track_caller]
    fn check(stream: &str, expected: &str) {
        for at in 0..=stream.len() {
            let (head, tail) = stream.as_bytes().split_at(at);
            assert_eq!(parts(&[head, tail]), expected, "{stream:?} at {at}");
        }
    }

    #[test]
    fn events_end_at_a_blank_line_however_lines_end() {
        check("data: a\n\ndata: b\n\n", "<a|<b|");
        check("data: a\r\rdata: b\r\r", "<a|<b|");
        check("data: a\r\n\r\ndata: b\r\n\r\n", "<a|'<b|'");
        check("data: a\r\n\ndata: b\n\r\n", "<a|<b|'");
        check("\n\n", "||");
        check("data: a\n", "<a");
    }

    #[test]
    fn data_is_what_follows_the_colon_and_one_space() {
        check("data:a\ndata: b\ndata:  c\n", "<a<b< c");
        check("data\ndata:\ndata: \n", "<<<");
        check("data:\u{e9}:x\n", "<\u{e9}:x");
    }

    #[test]
    fn other_fields_and_comments_are_passed_over() {
        check(
            ": data: a\nevent: data\ndatax: a\ndat: a\n data: a\nid\n:\n\n",
            "|",
        );
        check("DATA: a\ndata : a\n\n", "|");
    }

    #[test]
    fn a_byte_order_mark_may_come_first_and_only_there() {
        check("\u{feff}data: a\n\n", "<a|");
        check("\u{feff}\n", "|");
        check("data: a\n\u{feff}data: b\n\n", "<a|");
        check("\u{feff}\u{feff}data: b\n\n", "|");
    }

    #[test]
    fn it_knows_whether_an_event_has_been_begun() {
        let mut splitter = Splitter::new();
        for (piece, begun) in [("\n", false), (":", true), ("\n", true), ("\r", false)] {
            while splitter
                .next(&mut piece.as_bytes())
                .is_some_and(|part| part == Part::EndTail)
            {}
            assert_eq!(splitter.in_event(), begun, "after {piece:?}");
        }
    }
}
