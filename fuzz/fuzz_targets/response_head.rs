//! Heads of answers: whole or in pieces the same, and what is taken is what an RFC reader sees.
//!
//! The input is a line of cuts and the bytes of a connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_fuzz::cut::Cut;
use tollring_fuzz::plain_head::{LIMITS, NARROW, PlainHead, text_of};
use tollring_http1::{
    Field, Framing, HeadLimits, Method, Parsed, ResponseFault, ResponseHead, Version,
};

fuzz_target!(|input: &[u8]| {
    let cut = Cut::of(input);
    let whole = check(cut, Method::Get, &LIMITS);
    let to_head = check(cut, Method::Head, &LIMITS);
    // What was asked decides about the body, and about nothing else.
    assert_eq!(whole.is_some(), to_head.is_some());
    let narrow = check(cut, Method::Get, &NARROW);
    let fits = |head: &&ResponseHead| {
        head.len <= NARROW.head_bytes && head.fields.len() <= NARROW.head_fields
    };
    match whole.as_ref().filter(fits) {
        Some(head) => {
            let narrow = narrow.expect("a head within the limits is taken");
            assert_eq!(facts(head), facts(&narrow));
        }
        None => assert!(narrow.is_none(), "a head beyond the limits was taken"),
    }
});

/// Parses at once and in pieces; gives the head where it is taken.
fn check(cut: Cut<'_>, asked: Method, limits: &HeadLimits) -> Option<ResponseHead> {
    let mut head = ResponseHead::new();
    let whole = head.parse(cut.message, asked, limits);
    let pieces = in_pieces(cut, asked, limits);
    match whole {
        Ok(Parsed::Done) => {
            let pieces = pieces.expect("what is taken at once is taken in pieces");
            let pieces = pieces.expect("what is whole at once is whole in pieces");
            assert_eq!(facts(&head), facts(&pieces));
            judge(&head, cut.message, asked);
            Some(head)
        }
        Ok(Parsed::Partial) => {
            assert!(
                matches!(pieces, Ok(None)),
                "partial at once, not so in pieces"
            );
            None
        }
        Err(fault) => {
            assert!(!matches!(pieces, Ok(Some(_))), "{fault:?}, taken in pieces");
            assert!(!fault.sentence().is_empty());
            None
        }
    }
}

/// The head, or nothing yet; a value that was used before, as on a connection.
fn in_pieces(
    cut: Cut<'_>,
    asked: Method,
    limits: &HeadLimits,
) -> Result<Option<ResponseHead>, ResponseFault> {
    let mut head = ResponseHead::new();
    let before = head.parse(b"HTTP/1.1 404 No\r\nA: b\r\n\r\n", asked, &LIMITS);
    assert_eq!(before, Ok(Parsed::Done));
    for end in cut.ends() {
        if head.parse(&cut.message[..end], asked, limits)? == Parsed::Done {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn facts(head: &ResponseHead) -> String {
    let fields: Vec<&Field> = head.fields.iter().collect();
    let line = (head.status, head.reason, head.version);
    format!(
        "{:?}",
        (line, fields, head.framing, head.keep_alive, head.len)
    )
}

/// Holds a head that was taken against one that was read the plain way.
fn judge(head: &ResponseHead, bytes: &[u8], asked: Method) {
    let plain = PlainHead::read(&bytes[..head.len]);
    plain.check_fields(&head.fields, bytes);
    let (version, rest) = plain.first.split_at("HTTP/1.1".len());
    let is_http11 = version == "HTTP/1.1";
    assert!(is_http11 || version == "HTTP/1.0", "{version:?}");
    assert_eq!(is_http11, head.version == Version::Http11);
    let (status, reason) = rest.split_at(" 200".len());
    assert_eq!(status, format!(" {}", head.status));
    assert!((100..=599).contains(&head.status));
    let reason = if reason.is_empty() { "" } else { &reason[1..] };
    assert_eq!(text_of(head.reason.of(bytes)), reason);
    let declared = plain.framing(is_http11);
    let framing = match head.status {
        101 => Framing::UntilClose,
        100..=199 | 204 | 304 => Framing::Length(0),
        _ if asked == Method::Head => Framing::Length(0),
        _ => declared.unwrap_or(Framing::UntilClose),
    };
    assert_eq!(head.framing, framing);
    let persists = plain.persists(is_http11) && framing != Framing::UntilClose;
    assert_eq!(head.keep_alive, persists);
}
