//! Request heads: whole or in pieces the same, and what is taken is what an RFC reader sees.
//!
//! Also what leaves: the fields that may go on make a head that is taken again. The input is
//! a line of cuts and the bytes of a connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_fuzz::cut::Cut;
use tollring_fuzz::plain_head::{LIMITS, NARROW, PlainHead, text_of};
use tollring_http1::{
    Field, Framing, HeadFault, HeadLimits, METHOD_BYTES_MAX, Method, Parsed, RequestHead, Version,
    append_fields,
};

fuzz_target!(|input: &[u8]| {
    let cut = Cut::of(input);
    let whole = check(cut, &LIMITS);
    let narrow = check(cut, &NARROW);
    // Limits refuse; they change nothing about what is taken.
    if let Some(head) = whole.as_ref().filter(|head| fits(head, &NARROW)) {
        let narrow = narrow.expect("a head within the limits is taken");
        assert_eq!(facts(head), facts(&narrow));
    } else {
        assert!(narrow.is_none(), "a head beyond the limits was taken");
    }
});

fn fits(head: &RequestHead, limits: &HeadLimits) -> bool {
    head.len <= limits.head_bytes
        && head.fields.len() <= limits.head_fields
        && head.target.len() <= limits.target_bytes
}

/// Parses at once and in pieces; gives the head where it is taken.
fn check(cut: Cut<'_>, limits: &HeadLimits) -> Option<RequestHead> {
    let bytes = cut.message;
    let mut head = RequestHead::new();
    let whole = head.parse(bytes, limits);
    let pieces = in_pieces(cut, limits);
    match whole {
        Ok(Parsed::Done) => {
            let pieces = pieces.expect("what is taken at once is taken in pieces");
            let pieces = pieces.expect("what is whole at once is whole in pieces");
            assert_eq!(facts(&head), facts(&pieces));
            judge(&head, bytes);
            judge_onward(&head, bytes, limits);
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
            assert!((400..=505).contains(&fault.status()) && !fault.sentence().is_empty());
            None
        }
    }
}

/// The head, or nothing yet; a value that was used before, as on a connection.
fn in_pieces(cut: Cut<'_>, limits: &HeadLimits) -> Result<Option<RequestHead>, HeadFault> {
    let mut head = RequestHead::new();
    let before = head.parse(b"PUT /x HTTP/1.1\r\nHost: before\r\nA: b\r\n\r\n", &LIMITS);
    assert_eq!(before, Ok(Parsed::Done));
    for end in cut.ends() {
        if head.parse(&cut.message[..end], limits)? == Parsed::Done {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn facts(head: &RequestHead) -> String {
    let RequestHead {
        method,
        method_text,
        target,
        path,
        query,
        version,
        authority,
        fields,
        framing,
        keep_alive,
        expect_continue,
        len,
        ..
    } = head;
    let fields: Vec<&Field> = fields.iter().collect();
    let line = (method, method_text, target, path, query, version, authority);
    format!(
        "{:?}",
        (line, fields, framing, keep_alive, expect_continue, len)
    )
}

/// Holds a head that was taken against one that was read the plain way.
fn judge(head: &RequestHead, bytes: &[u8]) {
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let plain = PlainHead::read(&bytes[start..head.len]);
    plain.check_fields(&head.fields, bytes);
    judge_line(head, &plain, bytes);
    let is_http11 = head.version == Version::Http11;
    let framing = plain.framing(is_http11).unwrap_or(Framing::Length(0));
    assert_eq!(head.framing, framing);
    assert_eq!(head.keep_alive, plain.persists(is_http11));
    let waits = match plain.values("expect").as_slice() {
        [] => false,
        _ if !is_http11 => false,
        [one] if one.eq_ignore_ascii_case("100-continue") => framing != Framing::Length(0),
        other => panic!("an expectation that cannot be met: {other:?}"),
    };
    assert_eq!(head.expect_continue, waits);
    let upgrades = plain.values("upgrade");
    let ignored = upgrades.iter().all(|to| to.eq_ignore_ascii_case("h2c"));
    assert!(
        ignored || !is_http11 || framing == Framing::Length(0),
        "{upgrades:?}"
    );
}

fn judge_line(head: &RequestHead, plain: &PlainHead, bytes: &[u8]) {
    let words: Vec<&str> = plain.first.split(' ').collect();
    let [method, target, version] = words[..] else {
        panic!("{:?} is no request line", plain.first)
    };
    assert_eq!(method, text_of(head.method_text.of(bytes)));
    assert_eq!(head.method, Method::of(method.as_bytes()));
    assert!(method != "CONNECT" && method != "TRACE" && method.len() <= METHOD_BYTES_MAX);
    assert_eq!(target, text_of(head.target.of(bytes)));
    assert!(
        target
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '#' && c != '\\')
    );
    let expected = match head.version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    };
    assert_eq!(version, expected);
    let hosts = plain.values("host");
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || head.version == Version::Http10));
    let host = hosts.first().copied().unwrap_or_default();
    let (authority, rest) = match target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    {
        None => (host, target),
        Some((scheme, rest)) => {
            assert!(["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()));
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
        }
    };
    assert!(!authority.contains(['@', '/', ',', ' ']), "{authority:?}");
    assert_eq!(text_of(head.authority.of(bytes)), authority);
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    assert!(path.is_empty() || path.starts_with('/') || (path, method) == ("*", "OPTIONS"));
    let path = if path.is_empty() { "/" } else { path };
    assert_eq!(text_of(head.path.of(bytes)), path);
    assert_eq!(
        head.query.map(|query| text_of(query.of(bytes))).as_deref(),
        query
    );
}

/// What goes on is a head that is taken again, with the same fields and nothing of this hop.
fn judge_onward(head: &RequestHead, bytes: &[u8], limits: &HeadLimits) {
    let version = if head.version == Version::Http11 {
        "1.1"
    } else {
        "1.0"
    };
    let mut onward = [head.method_text.of(bytes), b" ", head.target.of(bytes)].concat();
    onward.extend_from_slice(format!(" HTTP/{version}\r\n").as_bytes());
    append_fields(&mut onward, bytes, &head.fields, |_| true);
    onward.extend_from_slice(b"\r\n");
    let mut again = RequestHead::new();
    assert_eq!(again.parse(&onward, limits), Ok(Parsed::Done));
    let lines = |head: &RequestHead, bytes: &[u8], all: bool| -> Vec<Vec<u8>> {
        let fields = head.fields.iter().filter(|field| all || !field.hop_by_hop);
        fields.map(|field| field.line.of(bytes).to_vec()).collect()
    };
    assert_eq!(lines(&again, &onward, true), lines(head, bytes, false));
    assert!(again.fields.iter().all(|field| !field.hop_by_hop));
    let expected = match head.framing {
        Framing::Length(length) => Framing::Length(length),
        Framing::Chunked | Framing::UntilClose => Framing::Length(0),
    };
    assert_eq!(again.framing, expected);
}
