//! Where another parser reads a message of ours differently, and the RFC is with us.
//!
//! Each entry is as narrow as it can be: a fault in the other's own words, or a fact that must
//! be there in the message. What none of them covers fails the run.

use crate::Difference;
use crate::reading::{End, Message, Reading, Stream};

/// One known difference.
pub(crate) struct Known {
    pub(crate) peer: &'static str,
    pub(crate) what: &'static str,
    pub(crate) rfc: &'static str,
    /// Whether it explains this one.
    explains: fn(&Seen<'_>) -> bool,
}

/// What there is to judge a difference by.
struct Seen<'a> {
    what: &'a Difference,
    /// Our message at the place where the readings part, if there is one.
    message: Option<&'a Message>,
    /// How the other ended.
    fault: &'a str,
    /// The whole stream.
    bytes: &'a [u8],
}

/// All of them.
pub(crate) const DIFFERENCES: [Known; 8] = [
    Known {
        peer: "llhttp",
        what: "a method that Node.js does not list",
        rfc: "RFC 9110 §9.1: any token",
        explains: |seen| seen.fault.starts_with("HPE_INVALID_METHOD:") && !seen.has_usual_method(),
    },
    Known {
        peer: "llhttp",
        what: "a tab after a length, a coding or `close`, taken for part of it",
        rfc: "RFC 9110 §5.5: white space around a value is not part of it",
        explains: |seen| {
            let names = ["content-length:", "transfer-encoding:", "connection:"];
            names.iter().any(|name| seen.has_tab_behind(name))
        },
    },
    Known {
        peer: "llhttp",
        what: "blanks around the semicolon of a chunk extension",
        rfc: "RFC 9112 §7.1.1: BWS",
        explains: |seen| {
            let is_extension = seen.fault.contains("nvalid_character_in_chunk_");
            is_extension && (seen.raw(b" ;") || seen.raw(b"; "))
        },
    },
    Known {
        peer: "llhttp",
        what: "`Proxy-Connection` taken for `Connection`",
        rfc: "RFC 9112 appendix C.2.2: of no meaning in HTTP/1.1",
        explains: |seen| seen.differs_in("keep-alive") && seen.has_line(b"proxy-connection:"),
    },
    Known {
        peer: "llhttp",
        what: "`keep-alive` that outweighs `close` in HTTP/1.0",
        rfc: "RFC 9112 §9.3: `close` is asked first",
        explains: |seen| {
            // One value each, or both in one.
            seen.differs_in("keep-alive") && seen.is_http10() && seen.has_line(b"connection:")
        },
    },
    Known {
        peer: "llhttp",
        what: "an interim answer that may be the last, or have a body",
        rfc: "RFC 9110 §15.2: it ends with its head and precedes the final one",
        explains: |seen| {
            let interim = seen
                .message
                .is_some_and(|message| message.begin.starts_with(b"1"));
            interim && !seen.differs_in("fields")
        },
    },
    Known {
        peer: "h11",
        what: "an empty line before a request",
        rfc: "RFC 9112 §2.2: to be skipped",
        explains: |seen| seen.fault == "no_request_line_received",
    },
    Known {
        peer: "h11",
        what: "HTTP/1.0 that asked to be kept alive",
        rfc: "RFC 9112 §9.3",
        explains: |seen| {
            let kept = seen.message.is_some_and(|message| message.keep);
            seen.differs_in("keep-alive") && kept && seen.is_http10()
        },
    },
];

/// The methods of the generator that llhttp knows.
const USUAL: [&str; 10] = [
    "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH", "REPORT",
];

impl Seen<'_> {
    fn differs_in(&self, fact: &str) -> bool {
        matches!(self.what, Difference::Other(_, other) if *other == fact)
    }

    fn has_usual_method(&self) -> bool {
        let method = self.message.map(|message| message.begin.as_slice());
        USUAL.iter().any(|usual| method == Some(usual.as_bytes()))
    }

    fn is_http10(&self) -> bool {
        self.message.is_some_and(|message| message.version == "1.0")
    }

    /// Whether a line of our message begins like that; values are compared in small letters.
    fn has_line(&self, begin: &[u8]) -> bool {
        let fields = self
            .message
            .map(|message| message.fields.to_ascii_lowercase());
        fields.is_some_and(|fields| {
            fields
                .split(|&byte| byte == b'\n')
                .any(|line| line.starts_with(begin))
        })
    }

    /// Whether a line of that name has a tab behind its value.
    fn has_tab_behind(&self, name: &str) -> bool {
        self.bytes.split(|&byte| byte == b'\r').any(|line| {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            let value = line.trim_start_matches('\n').strip_prefix(name);
            value.is_some_and(|value| {
                value[value.trim_end_matches([' ', '\t']).len()..].contains('\t')
            })
        })
    }

    /// Whether these bytes are anywhere in the stream.
    fn raw(&self, bytes: &[u8]) -> bool {
        self.bytes
            .windows(bytes.len())
            .any(|window| window == bytes)
    }
}

/// Which of them explains a difference.
pub(crate) fn place_of(
    peer: &str,
    stream: &Stream,
    ours: &Reading,
    theirs: &Reading,
    what: &Difference,
) -> Option<usize> {
    let place = match *what {
        Difference::Missing(place) | Difference::Other(place, _) => Some(place),
        Difference::More => None,
    };
    let seen = Seen {
        what,
        message: place.and_then(|place| ours.messages.get(place)),
        fault: match &theirs.end {
            End::Fault(words) => words,
            End::Whole | End::Partial => "",
        },
        bytes: &stream.bytes,
    };
    DIFFERENCES
        .iter()
        .position(|known| known.peer == peer && (known.explains)(&seen))
}
