//! The fields of a head, in the order they came.
//!
//! Decides how a field is remembered and which of them go on to the next hop. What the values
//! of the framing fields mean is decided in `framing`, what `Connection` says in `connection`.

use crate::known::is_look_alike;
use crate::{FieldFault, Known, Span};

/// One field line (RFC 9112 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name as it was written; a token.
    pub name: Span,
    /// The value without white space around it; may be empty.
    pub value: Span,
    /// The whole line with its CRLF.
    pub line: Span,
    /// Which field it is.
    pub known: Known,
    /// Not to be passed on: it ends at this hop by its name, it is named in `Connection`, or it
    /// imitates a framing, routing or key field with underscores.
    pub hop_by_hop: bool,
}

/// The fields of one head. Reused: grows to the largest head it has seen and no further than
/// [`crate::HEAD_FIELDS_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    /// Which known fields are there, by [`Known::bit`].
    present: u64,
    /// Which of them are there more than once.
    repeated: u64,
}

impl Fields {
    /// No fields yet, and no memory.
    pub(crate) const fn new() -> Self {
        Self {
            list: Vec::new(),
            present: 0,
            repeated: 0,
        }
    }

    /// The fields in the order they came.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.list.iter()
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the head has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there is a field of that kind; never true for [`Known::Other`] alone.
    #[inline]
    #[must_use]
    pub const fn has(&self, known: Known) -> bool {
        self.present & known.bit() != 0
    }

    /// The first field of that kind.
    #[inline]
    #[must_use]
    pub fn find(&self, known: Known) -> Option<&Field> {
        if !self.has(known) {
            return None;
        }
        self.list.iter().find(|field| field.known == known)
    }

    /// The first field of that name in any case. `bytes` is what the head was parsed from.
    #[must_use]
    pub fn find_name(&self, bytes: &[u8], name: &[u8]) -> Option<&Field> {
        self.list
            .iter()
            .find(|field| field.name.of(bytes).eq_ignore_ascii_case(name))
    }

    /// Whether there is more than one field of that kind.
    pub(crate) const fn is_repeated(&self, known: Known) -> bool {
        self.repeated & known.bit() != 0
    }

    /// Takes over what the tokeniser found in `bytes`, where the empty line begins at `end`.
    pub(crate) fn fill(
        &mut self,
        bytes: &[u8],
        found: &[httparse::Header<'_>],
        end: usize,
    ) -> Result<(), FieldFault> {
        self.list.clear();
        (self.present, self.repeated) = (0, 0);
        self.list.reserve(found.len());
        let mut rest = found;
        while let [header, following @ ..] = rest {
            // Lines follow each other without a gap, so each ends where the next name begins.
            let line_end = match following {
                [next, ..] => offset_in(bytes, next.name.as_bytes()),
                [] => end,
            };
            // The tokeniser also takes a bare LF (RFC 9112 §2.2 lets it); another reader of the
            // same bytes may not, so they are refused.
            if bytes[line_end - 2] != b'\r' {
                return Err(FieldFault::LineEnd);
            }
            self.push(bytes, header, line_end);
            rest = following;
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], header: &httparse::Header<'_>, line_end: usize) {
        let name = header.name.as_bytes();
        let known = Known::of(name);
        self.repeated |= self.present & known.bit();
        self.present |= known.bit();
        self.list.push(Field {
            name: span_in(bytes, name),
            value: span_in(bytes, header.value),
            line: Span::new(offset_in(bytes, name), line_end),
            known,
            hop_by_hop: known.is_hop_by_hop() || (known == Known::Other && is_look_alike(name)),
        });
    }

    /// The value of the field at that place, if it is a `Connection`.
    pub(crate) fn connection_at(&self, at: usize) -> Option<Span> {
        let field = &self.list[at];
        (field.known == Known::Connection).then_some(field.value)
    }

    /// Marks every field called `name` as ending at this hop.
    pub(crate) fn end_here(&mut self, bytes: &[u8], name: &[u8]) {
        for field in &mut self.list {
            if field.name.of(bytes).eq_ignore_ascii_case(name) {
                field.hop_by_hop = true;
            }
        }
    }
}

impl<'f> IntoIterator for &'f Fields {
    type Item = &'f Field;
    type IntoIter = std::slice::Iter<'f, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where `part`, a slice of `bytes`, begins in it.
fn offset_in(bytes: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - bytes.as_ptr() as usize
}

fn span_in(bytes: &[u8], part: &[u8]) -> Span {
    let start = offset_in(bytes, part);
    Span::new(start, start + part.len())
}

/// Appends every end-to-end field that `keep` lets pass, unchanged and in order.
///
/// `bytes` is what the head was parsed from. Neighbours that pass are copied together, so a
/// head of which little is taken away costs few copies. The empty line that ends a head is not
/// written.
pub fn append_fields(
    out: &mut Vec<u8>,
    bytes: &[u8],
    fields: &Fields,
    keep: impl Fn(&Field) -> bool,
) {
    let mut run = Span::default();
    for field in fields {
        if field.hop_by_hop || !keep(field) {
            continue;
        }
        if run.end == field.line.start {
            run.end = field.line.end;
            continue;
        }
        out.extend_from_slice(run.of(bytes));
        run = field.line;
    }
    out.extend_from_slice(run.of(bytes));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::{HeadLimits, Parsed, RequestHead};

    const LIMITS: HeadLimits = HeadLimits {
        head_bytes: 4096,
        head_fields: 100,
        target_bytes: 1024,
    };

    fn head_of(lines: &str) -> (Vec<u8>, RequestHead) {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let mut head = RequestHead::new();
        assert_eq!(head.parse(&bytes, &LIMITS), Ok(Parsed::Done));
        (bytes, head)
    }

    /// Passes every field on that `keep` lets pass.
    #[track_caller]
    fn check_passed(lines: &str, keep: impl Fn(&Field) -> bool, expected: &str) {
        let (bytes, head) = head_of(lines);
        let mut out = b"before|".to_vec();
        append_fields(&mut out, &bytes, &head.fields, keep);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("before|{expected}")
        );
    }

    #[test]
    fn fields_pass_unchanged_and_in_order() {
        let lines = "Host: a\r\nA:b\r\nC:  d \t\r\nA:\r\na: \u{e9}\r\n";
        check_passed(lines, |_| true, lines);
        check_passed(lines, |_| false, "");
        let others = |field: &Field| field.known != Known::Host;
        check_passed(lines, others, lines.strip_prefix("Host: a\r\n").unwrap());
    }

    #[test]
    fn fields_that_end_here_leave_their_neighbours_alone() {
        check_passed(
            "A: 1\r\nConnection: x, close\r\nHost: a\r\nX: 2\r\nKeep-Alive: 3\r\nB: 4\r\n\
             x: 5\r\nC: 6\r\n",
            |_| true,
            "A: 1\r\nHost: a\r\nB: 4\r\nC: 6\r\n",
        );
        check_passed(
            "X: 1\r\nHost: a\r\nConnection: X\r\n",
            |_| true,
            "Host: a\r\n",
        );
        check_passed(
            "Content_Length: 1\r\nHost: a\r\nA_B: c\r\n",
            |_| true,
            "Host: a\r\nA_B: c\r\n",
        );
    }

    #[test]
    fn a_field_is_found_by_kind_and_by_name() {
        let (bytes, head) = head_of("Host: a\r\nX-Foo:  1 \r\nACCEPT: b\r\nx-foo: 2\r\n");
        let text = |field: Option<&Field>| field.map(|field| field.value.of(&bytes));
        assert_eq!(text(head.fields.find(Known::Accept)), Some(b"b".as_slice()));
        assert_eq!(text(head.fields.find(Known::Server)), None);
        assert_eq!(
            text(head.fields.find_name(&bytes, b"x-FOO")),
            Some(b"1".as_slice())
        );
        assert_eq!(text(head.fields.find_name(&bytes, b"x-fo")), None);
        assert_eq!(head.fields.len(), 4);
        assert!(!head.fields.is_empty() && head.fields.has(Known::Host));
    }

    #[test]
    fn a_head_of_a_size_seen_before_needs_no_new_memory() {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(40));
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &LIMITS).unwrap();
        let (place, room) = (head.fields.list.as_ptr(), head.fields.list.capacity());
        for _ in 0..10 {
            head.parse(bytes.as_bytes(), &LIMITS).unwrap();
        }
        assert_eq!(
            (head.fields.list.as_ptr(), head.fields.list.capacity()),
            (place, room)
        );
        assert_eq!(head.fields.len(), 41);
    }
}
