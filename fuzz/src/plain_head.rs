//! A head read the plain way: as text, line by line, by someone who has only read the RFC.
//!
//! Decides what anything that was taken for a head must look like, and panics where it does
//! not. It takes more than our parser does, and never less.

use tollring_http1::{Field, Fields, Framing, HeadLimits, Span};

/// The limits of the configuration's defaults.
pub const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    head_fields: 100,
    target_bytes: 16 * 1024,
};

/// Limits that a short input can reach.
pub const NARROW: HeadLimits = HeadLimits {
    head_bytes: 160,
    head_fields: 4,
    target_bytes: 24,
};

/// Fields that end at this hop by their name (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
];

/// Fields that frame, route or authenticate; with underscores they must not go on either.
const IMITATED: [&str; 12] = [
    "content-length",
    "transfer-encoding",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "content-type",
    "content-encoding",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "request-id",
];

/// A head as text; each byte is one character of it.
#[derive(Debug)]
pub struct PlainHead {
    /// The first line without its end.
    pub first: String,
    /// Names in lower case and values without the white space around them, in order.
    pub fields: Vec<(String, String)>,
}

/// The bytes as text, each byte a character.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

impl PlainHead {
    /// Reads a whole head.
    ///
    /// # Panics
    ///
    /// Where a line does not end with CRLF, holds a control byte, or is no field.
    #[must_use]
    pub fn read(head: &[u8]) -> Self {
        let text = text_of(head);
        let text = text
            .strip_suffix("\r\n\r\n")
            .expect("a head ends with an empty line");
        let mut lines = text.split("\r\n");
        let first = lines.next().expect("a split has a first part").to_owned();
        let fields: Vec<_> = lines.map(read_field).collect();
        let is_clean = |text: &str| !text.chars().any(|c| c.is_ascii_control() && c != '\t');
        assert!(is_clean(&first), "{first:?}");
        for (_, value) in &fields {
            assert!(is_clean(value), "{value:?}");
        }
        Self { first, fields }
    }

    /// The values of every field of that name.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.fields.iter().filter(|field| field.0 == name);
        of_name.map(|field| field.1.as_str()).collect()
    }

    /// The options of every `Connection`, in lower case.
    #[must_use]
    pub fn connection_options(&self) -> Vec<String> {
        let values = self.values("connection").join(",").to_ascii_lowercase();
        let options = values
            .split(',')
            .map(|option| option.trim_matches([' ', '\t']));
        options.map(str::to_owned).collect()
    }

    /// Whether another message may follow (RFC 9112 §9.3).
    #[must_use]
    pub fn persists(&self, is_http11: bool) -> bool {
        let options = self.connection_options();
        let says = |what: &str| options.iter().any(|option| option == what);
        !says("close") && (is_http11 || says("keep-alive"))
    }

    /// What the fields say about the body (RFC 9112 §6.3).
    ///
    /// # Panics
    ///
    /// Where they say it twice, or in a way that two readers could take differently.
    #[must_use]
    pub fn framing(&self, is_http11: bool) -> Option<Framing> {
        let lengths = self.values("content-length");
        let codings = self.values("transfer-encoding");
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => None,
            ([length], []) => {
                assert!(
                    length.bytes().all(|byte| byte.is_ascii_digit()),
                    "{length:?}"
                );
                let length: i64 = length.parse().expect("a length fits 63 bits");
                Some(Framing::Length(length.unsigned_abs()))
            }
            ([], [coding]) => {
                assert!(
                    is_http11 && coding.eq_ignore_ascii_case("chunked"),
                    "{coding:?}"
                );
                Some(Framing::Chunked)
            }
            both => panic!("framed more than once: {both:?}"),
        }
    }

    /// Holds our fields against these: their places, and which of them end here.
    ///
    /// # Panics
    ///
    /// Where they differ.
    pub fn check_fields(&self, fields: &Fields, bytes: &[u8]) {
        assert_eq!(fields.len(), self.fields.len());
        let options = self.connection_options();
        for (ours, (name, value)) in fields.iter().zip(&self.fields) {
            assert_eq!(&text_of(ours.name.of(bytes)).to_ascii_lowercase(), name);
            assert_eq!(&text_of(ours.value.of(bytes)), value);
            let hyphened = name.replace('_', "-");
            let ends = HOP_BY_HOP.contains(&name.as_str())
                || hyphened != *name && IMITATED.contains(&hyphened.as_str())
                || name != "close" && options.contains(name);
            assert_eq!(ours.hop_by_hop, ends, "{name}");
        }
        check_lines(fields, bytes);
    }
}

fn read_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("a field has a colon");
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    assert!(!name.is_empty() && name.chars().all(is_token), "{line:?}");
    let value = value.trim_matches([' ', '\t']);
    (name.to_ascii_lowercase(), value.to_owned())
}

/// Lines follow each other without a gap, and each holds its own name and value.
fn check_lines(fields: &Fields, bytes: &[u8]) {
    let mut last: Option<&Field> = None;
    for field in fields {
        assert!(last.is_none_or(|last| last.line.end == field.line.start));
        assert!(field.line.of(bytes).ends_with(b"\r\n"));
        let inside = |part: Span| field.line.start <= part.start && part.end <= field.line.end;
        assert!(inside(field.name) && inside(field.value));
        last = Some(field);
    }
}
