//! The fields of a request: hosts, names, values, line ends and their limits.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use support::{LIMITS, post_with, request, request_byte_by_byte};
use tollring_http1::{FieldFault, HEAD_FIELDS_MAX, HeadFault, HeadLimits, Parsed, RequestHead};

#[track_caller]
fn check_fault(lines: &str, fault: FieldFault) {
    let result = post_with(format!("Host: a\r\n{lines}").as_bytes());
    assert_eq!(result.err(), Some(HeadFault::Field(fault)), "{lines:?}");
}

#[track_caller]
fn check_host(value: &str, valid: bool) {
    let result = post_with(format!("Host: {value}\r\n").as_bytes());
    assert_eq!(
        result.err(),
        (!valid).then_some(HeadFault::Host),
        "{value:?}"
    );
}

#[test]
fn a_host_is_a_name_or_an_address_with_an_optional_port() {
    for valid in [
        "a",
        "a.example",
        "a.example:80",
        "a:",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "[2001:db8::1]:65535",
        "a_b-c.d~e",
        "xn--bcher-kva.example",
        "a%20b",
        "",
    ] {
        check_host(valid, true);
    }
    for bad in [
        "a b",
        "a/b",
        "u@a",
        "a,b",
        "\"a\"",
        "'a'",
        "a[",
        "[a]",
        "[::1",
        "::1",
        "[::1]x",
        "[]",
        "[v1.a]",
        "[::1%25eth0]",
        "a:b",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:80:80",
        "a: 80",
        ":80",
        "a?b",
        "a#b",
        "a\\b",
        "a%",
        "a%2",
        "a%zz",
        "a\tb",
        "\u{e9}",
        "http://a",
        "a|b",
        "<a>",
        "[::1]:",
        "[::1]::1",
    ] {
        check_host(bad, bad == "[::1]:");
    }
}

#[test]
fn there_is_exactly_one_host() {
    assert_eq!(post_with(b"").unwrap_err(), HeadFault::HostMissing);
    assert_eq!(
        post_with(b"Accept: */*\r\n").unwrap_err(),
        HeadFault::HostMissing
    );
    for twice in [
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nX: y\r\nhOST: b\r\n",
        "Host:\r\nHost:\r\n",
    ] {
        assert_eq!(
            post_with(twice.as_bytes()).unwrap_err(),
            HeadFault::HostRepeated,
            "{twice:?}"
        );
    }
    let bytes = b"GET / HTTP/1.0\r\n\r\n";
    assert!(request(bytes).unwrap().authority.is_empty());
    let twice = request(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n");
    assert_eq!(twice.unwrap_err(), HeadFault::HostRepeated);
}

#[test]
fn an_empty_host_contradicts_a_target_with_an_authority() {
    let absolute = |host: &str| format!("GET http://a/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(
        request(absolute("").as_bytes()).unwrap_err(),
        HeadFault::Host
    );
    assert_eq!(
        request(absolute("b c").as_bytes()).unwrap_err(),
        HeadFault::Host
    );
    assert!(request(absolute("other").as_bytes()).is_ok());
}

#[test]
fn a_name_is_a_token_with_its_colon_behind_it() {
    for line in [
        "Content-Length : 1",
        "Transfer-Encoding\t: chunked",
        ": x",
        "a b: c",
        "a",
        "a(b): c",
        "\u{e9}: x",
        "a\0: x",
        "\u{1}: x",
        "a\u{7f}: b",
        "\"a\": b",
        "a/b: c",
        "[a]: b",
        "a@b: c",
    ] {
        check_fault(&format!("{line}\r\n"), FieldFault::Name);
    }
}

#[test]
fn a_folded_field_is_refused() {
    for lines in ["X: a\r\n b\r\n", "X: a\r\n\tb\r\n", "X:\r\n \r\n"] {
        check_fault(lines, FieldFault::Folded);
    }
    let first = post_with(b" Host: a\r\n").unwrap_err();
    assert_eq!(first, HeadFault::Field(FieldFault::Folded));
}

#[test]
fn a_value_has_no_control_byte_but_tab() {
    for byte in (0..=0x1f)
        .chain([0x7f])
        .filter(|byte| !b"\t\r\n".contains(byte))
    {
        let lines = [b"Host: a\r\nX: a", [byte].as_slice(), b"b\r\n"].concat();
        let fault = post_with(&lines).unwrap_err();
        assert_eq!(fault, HeadFault::Field(FieldFault::Value), "byte {byte:#x}");
    }
    for byte in (0x80..=0xff).chain([b'\t', b' ', b'"', b'\\']) {
        let lines = [b"Host: a\r\nX: a", [byte].as_slice(), b"b\r\n"].concat();
        assert!(post_with(&lines).is_ok(), "byte {byte:#x}");
    }
}

#[test]
fn a_line_ends_with_both_its_bytes() {
    for whole in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 3\r\n\r\n",
    ] {
        let expected = HeadFault::Field(FieldFault::LineEnd);
        assert_eq!(
            request(whole.as_bytes()).unwrap_err(),
            expected,
            "{whole:?}"
        );
        assert_eq!(
            request_byte_by_byte(whole.as_bytes()).unwrap_err(),
            expected,
            "{whole:?}"
        );
    }
    // A bare CR is a control byte in a value, and no end of anything.
    for whole in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
    ] {
        assert_eq!(
            request(whole.as_bytes()).unwrap_err().status(),
            400,
            "{whole:?}"
        );
        assert_eq!(
            request_byte_by_byte(whole.as_bytes()).unwrap_err().status(),
            400,
            "{whole:?}"
        );
    }
}

#[test]
fn too_many_fields_are_refused_while_they_arrive() {
    let fields = |count: usize| {
        let lines = "X-Name: value\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}").into_bytes()
    };
    let too_many = Err(HeadFault::Field(FieldFault::TooMany));
    let whole = [fields(100), b"\r\n".to_vec()].concat();
    assert_eq!(request(&whole).unwrap().fields.len(), 100);
    assert_eq!(request_byte_by_byte(&whole).unwrap().fields.len(), 100);
    assert_eq!(RequestHead::new().parse(&fields(101), &LIMITS), too_many);
    assert_eq!(
        request_byte_by_byte(&fields(101)).map(|_| Parsed::Done),
        too_many
    );
    assert_eq!(FieldFault::TooMany.status(), 431);
    // An operator's limit beyond the hard one is cut to it.
    let limits = HeadLimits {
        head_fields: 10_000,
        ..LIMITS
    };
    let parsed = RequestHead::new().parse(&fields(HEAD_FIELDS_MAX + 1), &limits);
    assert_eq!(parsed, too_many);
}

#[test]
fn a_head_is_refused_as_soon_as_it_is_longer_than_the_limit() {
    let limits = HeadLimits {
        head_bytes: 64,
        ..LIMITS
    };
    let head = |pad: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "y".repeat(pad)
        )
    };
    let fitting = 64 - head(0).len();
    assert_eq!(
        RequestHead::new().parse(head(fitting).as_bytes(), &limits),
        Ok(Parsed::Done)
    );
    let too_long = Err(HeadFault::Field(FieldFault::HeadTooLong));
    assert_eq!(
        RequestHead::new().parse(head(fitting + 1).as_bytes(), &limits),
        too_long
    );
    let mut dripping = RequestHead::new();
    let bytes = head(1_000).into_bytes();
    for len in 0..64 {
        assert_eq!(dripping.parse(&bytes[..len], &limits), Ok(Parsed::Partial));
    }
    assert_eq!(dripping.parse(&bytes[..64], &limits), too_long);
    assert_eq!(FieldFault::HeadTooLong.status(), 431);
}
