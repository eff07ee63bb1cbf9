//! The first line of a request: what is taken, what is refused, and how early.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use support::{LIMITS, request, request_byte_by_byte};
use tollring_http1::{
    FieldFault, HeadFault, HeadLimits, METHOD_BYTES_MAX, Method, Parsed, RequestHead, Version,
};

/// Parses `line` with a host after it, whole and byte by byte.
#[track_caller]
fn check(line: &str, expected: Result<Method, HeadFault>) {
    let bytes = format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
    assert_eq!(
        request(&bytes).map(|head| head.method),
        expected,
        "{line:?}"
    );
    assert_eq!(
        request_byte_by_byte(&bytes).map(|head| head.method),
        expected,
        "{line:?} in pieces"
    );
}

/// Parses `line` and compares authority, path and query.
#[track_caller]
fn check_parts(line: &str, authority: &str, path: &str, query: Option<&str>) {
    let bytes = format!("{line}\r\nHost: from.host:1\r\n\r\n").into_bytes();
    let head = request(&bytes).unwrap();
    let text = |span: tollring_http1::Span| String::from_utf8(span.of(&bytes).to_vec()).unwrap();
    assert_eq!(text(head.authority), authority, "authority of {line:?}");
    assert_eq!(text(head.path), path, "path of {line:?}");
    assert_eq!(head.query.map(text).as_deref(), query, "query of {line:?}");
}

/// What `bytes` give before their end has come.
#[track_caller]
fn check_at_once(bytes: &[u8], expected: Result<Parsed, HeadFault>) {
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(
        RequestHead::new().parse(bytes, &LIMITS),
        expected,
        "{shown:?}"
    );
}

#[test]
fn every_method_is_known_by_its_exact_name() {
    check("GET / HTTP/1.1", Ok(Method::Get));
    check("HEAD / HTTP/1.1", Ok(Method::Head));
    check("POST / HTTP/1.1", Ok(Method::Post));
    check("PUT / HTTP/1.1", Ok(Method::Put));
    check("DELETE / HTTP/1.1", Ok(Method::Delete));
    check("PATCH / HTTP/1.1", Ok(Method::Patch));
    check("OPTIONS / HTTP/1.1", Ok(Method::Options));
    check("get / HTTP/1.1", Ok(Method::Other));
    check("PROPFIND / HTTP/1.1", Ok(Method::Other));
    check("M-SEARCH / HTTP/1.1", Ok(Method::Other));
}

#[test]
fn methods_that_are_never_served_have_a_status_each() {
    check("CONNECT a:443 HTTP/1.1", Err(HeadFault::Connect));
    check("TRACE / HTTP/1.1", Err(HeadFault::Trace));
    check(
        &format!("{} / HTTP/1.1", "M".repeat(METHOD_BYTES_MAX)),
        Ok(Method::Other),
    );
    let long = format!("{} / HTTP/1.1", "M".repeat(METHOD_BYTES_MAX + 1));
    check(&long, Err(HeadFault::MethodTooLong));
    assert_eq!(HeadFault::Connect.status(), 405);
    assert_eq!(HeadFault::Trace.status(), 501);
    assert_eq!(HeadFault::MethodTooLong.status(), 501);
}

#[test]
fn only_two_versions_are_spoken() {
    check("GET / HTTP/1.1", Ok(Method::Get));
    check("GET / HTTP/1.0", Ok(Method::Get));
    for line in [
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / HTTP/0.9",
        "PRI * HTTP/2.0",
    ] {
        check(line, Err(HeadFault::Version));
    }
    assert_eq!(HeadFault::Version.status(), 505);
    let head = request(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(head.version, Version::Http10);
}

#[test]
fn anything_else_than_three_words_and_two_spaces_is_malformed() {
    for line in [
        "GET /",
        "GET",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / Http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.x",
        "GET / HTTP 1.1",
        "GET / HTTPS/1.1",
        "GET / XHTTP/1.1",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET: / HTTP/1.1",
    ] {
        check(line, Err(HeadFault::RequestLine));
    }
    assert_eq!(HeadFault::RequestLine.status(), 400);
}

#[test]
fn a_target_has_only_the_bytes_of_a_uri() {
    for target in [
        "/a#b", "/#", "/a\\b", "/\u{e9}", "/\u{7f}", "/\u{1}", "/\0", "/a\tb", "/\u{b}",
    ] {
        check(
            &format!("GET {target} HTTP/1.1"),
            Err(HeadFault::TargetByte),
        );
    }
    // Encoded bytes are not decoded here, so they are nothing but text.
    for target in [
        "/%00",
        "/%0d%0aX:y",
        "/a%2fb",
        "/a|b{}[]\"<>^`",
        "//a",
        "/?",
        "/?a?b",
        "/;=",
    ] {
        check(&format!("GET {target} HTTP/1.1"), Ok(Method::Get));
    }
}

#[test]
fn a_target_has_one_of_three_forms() {
    check("OPTIONS * HTTP/1.1", Ok(Method::Options));
    for line in [
        "GET * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a.example:80 HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET ws://a/ HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http:a HTTP/1.1",
        "GET http HTTP/1.1",
    ] {
        check(line, Err(HeadFault::TargetForm));
    }
    for line in [
        "GET http:/// HTTP/1.1",
        "GET http://:80/ HTTP/1.1",
        "GET http://a:b/ HTTP/1.1",
    ] {
        check(line, Err(HeadFault::Host));
    }
    for line in [
        "GET http://u@a/ HTTP/1.1",
        "GET http://u:p@a/ HTTP/1.1",
        "GET http://@a HTTP/1.1",
    ] {
        check(line, Err(HeadFault::TargetUser));
    }
}

#[test]
fn a_target_is_cut_into_its_parts_and_its_authority_wins_over_host() {
    check_parts("GET /a/b?c=d HTTP/1.1", "from.host:1", "/a/b", Some("c=d"));
    check_parts("GET / HTTP/1.1", "from.host:1", "/", None);
    check_parts("GET /? HTTP/1.1", "from.host:1", "/", Some(""));
    check_parts("GET /a?b?c HTTP/1.1", "from.host:1", "/a", Some("b?c"));
    check_parts("OPTIONS * HTTP/1.1", "from.host:1", "*", None);
    check_parts("GET http://x.y:8/a?b HTTP/1.1", "x.y:8", "/a", Some("b"));
    check_parts("GET HTTPS://[::1]:8/a HTTP/1.1", "[::1]:8", "/a", None);
    check_parts("GET http://x HTTP/1.1", "x", "/", None);
    check_parts("GET http://x?q HTTP/1.1", "x", "/", Some("q"));
    check_parts(
        "GET http://x/?u=http://y@z HTTP/1.1",
        "x",
        "/",
        Some("u=http://y@z"),
    );
    check_parts("GET //x/y HTTP/1.1", "from.host:1", "//x/y", None);
}

#[test]
fn other_protocols_are_refused_by_their_first_bytes() {
    check_at_once(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(HeadFault::Version));
    check_at_once(b"PRI * HTTP/2.0", Err(HeadFault::Version));
    check_at_once(b"\x16\x03\x01\x02\x00\x01", Err(HeadFault::RequestLine));
    check_at_once(b"\x80", Err(HeadFault::RequestLine));
    check_at_once(b"SSH-2.0-OpenSSH_9.2\r\n", Err(HeadFault::RequestLine));
    check_at_once(b"\0\0\0\0", Err(HeadFault::RequestLine));
    check_at_once(b"EHLO example.org\r\n", Err(HeadFault::RequestLine));
    check_at_once(b"*1\r\n$4\r\nPING\r\n", Err(HeadFault::RequestLine));
    check_at_once(b"GET / http", Err(HeadFault::RequestLine));
    check_at_once(b"GET /\r", Err(HeadFault::RequestLine));
    check_at_once(b"GET /a\x01", Err(HeadFault::TargetByte));
    check_at_once(b"CONNECT ", Err(HeadFault::Connect));
    check_at_once(&[b'A'; METHOD_BYTES_MAX + 1], Err(HeadFault::MethodTooLong));
    check_at_once(
        b"GET / HTTP/1.1\r\nHost: a\n",
        Err(HeadFault::Field(FieldFault::LineEnd)),
    );
    check_at_once(
        b"GET / HTTP/1.1\n",
        Err(HeadFault::Field(FieldFault::LineEnd)),
    );
}

#[test]
fn the_beginning_of_a_good_request_is_partial() {
    let whole = b"\r\n\r\nOPTIONS http://a:1/b?c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
    for len in 0..whole.len() {
        check_at_once(&whole[..len], Ok(Parsed::Partial));
    }
    check_at_once(whole, Ok(Parsed::Done));
}

#[test]
fn a_few_empty_lines_are_skipped_and_no_more() {
    let after = |empty: &str| format!("{empty}GET / HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    for count in 0..=tollring_http1::EMPTY_LINES_MAX {
        let bytes = after(&"\r\n".repeat(count));
        let head = request(&bytes).unwrap();
        assert_eq!(head.len, bytes.len());
        assert_eq!(head.target.of(&bytes), b"/");
        assert_eq!(request_byte_by_byte(&bytes).unwrap().len, bytes.len());
    }
    let over = after(&"\r\n".repeat(tollring_http1::EMPTY_LINES_MAX + 1));
    assert_eq!(request(&over).unwrap_err(), HeadFault::EmptyLines);
    for bad in ["\n", "\r", "\r\r\n", "\r\n\n"] {
        let fault = request(&after(bad)).unwrap_err();
        assert_eq!(fault, HeadFault::Field(FieldFault::LineEnd), "{bad:?}");
    }
}

#[test]
fn a_target_is_refused_as_soon_as_it_is_longer_than_the_limit() {
    let limits = HeadLimits {
        target_bytes: 8,
        ..LIMITS
    };
    let parse = |text: &str| RequestHead::new().parse(text.as_bytes(), &limits);
    assert_eq!(
        parse("GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n"),
        Ok(Parsed::Done)
    );
    let whole = parse("GET /23456789 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(whole, Err(HeadFault::TargetTooLong));
    assert_eq!(parse("GET /2345678"), Ok(Parsed::Partial));
    assert_eq!(parse("GET /23456789"), Err(HeadFault::TargetTooLong));
    assert_eq!(HeadFault::TargetTooLong.status(), 414);
    // A line without end is a target without end, even where the head's own limit is nearer.
    let limits = HeadLimits {
        head_bytes: 64,
        ..LIMITS
    };
    let parsed = RequestHead::new().parse(&[b"GET /", [b'a'; 99].as_slice()].concat(), &limits);
    assert_eq!(parsed, Err(HeadFault::TargetTooLong));
}

#[test]
fn eight_thousand_bytes_of_target_are_taken_by_default() {
    check(
        &format!("GET /{} HTTP/1.1", "a".repeat(8_000)),
        Ok(Method::Get),
    );
}
