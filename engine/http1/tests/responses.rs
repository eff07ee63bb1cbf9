//! Heads of answers: status lines, and whether a body follows.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use support::{LIMITS, response, response_byte_by_byte};
use tollring_http1::{
    FieldFault, Framing, HeadLimits, Method, Parsed, ResponseFault, ResponseHead, Version,
};

/// Parses the answer whole and byte by byte, and compares its status.
#[track_caller]
fn check(text: &str, expected: Result<u16, ResponseFault>) {
    let whole = response(text.as_bytes(), Method::Get).map(|head| head.status);
    assert_eq!(whole, expected, "{text:?}");
    let pieces = response_byte_by_byte(text.as_bytes(), Method::Get).map(|head| head.status);
    assert_eq!(pieces, expected, "{text:?} in pieces");
}

#[track_caller]
fn check_framing(status: u16, asked: Method, lines: &str, framing: Framing, keep_alive: bool) {
    let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
    let head = response(text.as_bytes(), asked).unwrap();
    assert_eq!(
        (head.framing, head.keep_alive),
        (framing, keep_alive),
        "{text:?}"
    );
    assert_eq!(head.len, text.len());
}

#[test]
fn a_status_line_is_version_number_and_phrase() {
    check("HTTP/1.1 200 OK\r\n\r\n", Ok(200));
    check("HTTP/1.0 404 Not Found\r\n\r\n", Ok(404));
    check("HTTP/1.1 100 Continue\r\n\r\n", Ok(100));
    check("HTTP/1.1 599 \r\n\r\n", Ok(599));
    check("HTTP/1.1 200\r\n\r\n", Ok(200));
    check("HTTP/1.1 200 \u{e9}t\u{e9}\t!\r\n\r\n", Ok(200));
}

#[test]
fn a_reason_phrase_is_kept_as_it_was_written() {
    let phrase = |text: &str| {
        let head = response(text.as_bytes(), Method::Get).unwrap();
        String::from_utf8(head.reason.of(text.as_bytes()).to_vec()).unwrap()
    };
    assert_eq!(phrase("HTTP/1.1 200 Fine by me\r\n\r\n"), "Fine by me");
    assert_eq!(phrase("HTTP/1.1 200 \u{e9}\r\nA: b\r\n\r\n"), "\u{e9}");
    assert_eq!(phrase("HTTP/1.1 200 \r\n\r\n"), "");
    assert_eq!(phrase("HTTP/1.1 200\r\nA: b\r\n\r\n"), "");
}

#[test]
fn other_versions_statuses_and_protocols_are_refused() {
    check("HTTP/2.0 200 OK\r\n\r\n", Err(ResponseFault::Version));
    check("HTTP/1.2 200 OK\r\n\r\n", Err(ResponseFault::Version));
    for status in [
        "000", "099", "600", "999", "20", "2x0", "-20", " 200", "+20",
    ] {
        check(
            &format!("HTTP/1.1 {status} OK\r\n\r\n"),
            Err(ResponseFault::Status),
        );
    }
    for line in [
        "HTTP/2 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1  OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 2000 OK",
        "\r\nHTTP/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "SSH-2.0-x",
        "<html>",
        "HTTP/1.1 200\tOK",
        "\nHTTP/1.1 200 OK",
        "HTTP 1.1 200 OK",
    ] {
        let fault = match line {
            "HTTP/1.1  OK" => ResponseFault::Status,
            _ => ResponseFault::StatusLine,
        };
        check(&format!("{line}\r\n\r\n"), Err(fault));
    }
    check("HTTP/1.1 200 O\0K\r\n\r\n", Err(ResponseFault::Reason));
    check("HTTP/1.1 200 O\u{7f}\r\n\r\n", Err(ResponseFault::Reason));
}

#[test]
fn fields_of_answers_obey_the_rules_of_requests() {
    for (lines, fault) in [
        ("A : b\r\n", FieldFault::Name),
        ("A: b\r\n c\r\n", FieldFault::Folded),
        ("A: \0\r\n", FieldFault::Value),
        ("A: b\nC: d\r\n", FieldFault::LineEnd),
        (
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            FieldFault::ContentLengthRepeated,
        ),
        ("Content-Length: 1, 1\r\n", FieldFault::ContentLength),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            FieldFault::FramedTwice,
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            FieldFault::TransferEncoding,
        ),
        (
            "Transfer-Encoding: gzip\r\n",
            FieldFault::TransferEncodingUnknown,
        ),
        (
            "Connection: content-length\r\n",
            FieldFault::ConnectionProtected,
        ),
        ("Connection: @\r\n", FieldFault::Connection),
    ] {
        check(
            &format!("HTTP/1.1 200 OK\r\n{lines}\r\n"),
            Err(ResponseFault::Field(fault)),
        );
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(
        old,
        Err(ResponseFault::Field(FieldFault::TransferEncodingInHttp10)),
    );
    check(
        "HTTP/1.1 200 OK\n\n",
        Err(ResponseFault::Field(FieldFault::LineEnd)),
    );
    check(
        "HTTP/1.1 200\n\n",
        Err(ResponseFault::Field(FieldFault::LineEnd)),
    );
}

#[test]
fn a_body_ends_where_the_head_says() {
    use Framing::{Chunked, Length, UntilClose};
    let (get, head) = (Method::Get, Method::Head);
    check_framing(200, get, "Content-Length: 5\r\n", Length(5), true);
    check_framing(200, get, "Transfer-Encoding: Chunked\r\n", Chunked, true);
    check_framing(
        200,
        get,
        "Content-Length: 5\r\nConnection: close\r\n",
        Length(5),
        false,
    );
    check_framing(200, get, "", UntilClose, false);
    check_framing(200, get, "Connection: keep-alive\r\n", UntilClose, false);
    // None of these has a body, whatever its fields say.
    for status in [100, 103, 199, 204, 304] {
        check_framing(status, get, "Content-Length: 5\r\n", Length(0), true);
        check_framing(
            status,
            get,
            "Transfer-Encoding: chunked\r\n",
            Length(0),
            true,
        );
        check_framing(status, get, "", Length(0), true);
    }
    check_framing(200, head, "Content-Length: 5\r\n", Length(0), true);
    check_framing(200, head, "Transfer-Encoding: chunked\r\n", Length(0), true);
    check_framing(404, head, "", Length(0), true);
    check_framing(205, get, "Content-Length: 0\r\n", Length(0), true);
    // After this one the connection no longer speaks HTTP.
    check_framing(
        101,
        get,
        "Upgrade: websocket\r\nConnection: upgrade\r\n",
        UntilClose,
        false,
    );
}

#[test]
fn an_old_answer_closes_unless_it_says_otherwise() {
    let keep_alive = |lines: &str| {
        let text = format!("HTTP/1.0 200 OK\r\n{lines}\r\n");
        let head = response(text.as_bytes(), Method::Get).unwrap();
        assert_eq!(head.version, Version::Http10);
        head.keep_alive
    };
    assert!(!keep_alive("Content-Length: 1\r\n"));
    assert!(keep_alive(
        "Content-Length: 1\r\nConnection: keep-alive\r\n"
    ));
    assert!(!keep_alive("Connection: keep-alive\r\n"));
}

#[test]
fn answers_have_the_limits_of_heads() {
    let limits = HeadLimits {
        head_bytes: 64,
        head_fields: 2,
        ..LIMITS
    };
    let parse = |text: &str| ResponseHead::new().parse(text.as_bytes(), Method::Get, &limits);
    let two = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n";
    assert_eq!(parse(two), Ok(Parsed::Partial));
    assert_eq!(parse(&format!("{two}\r\n")), Ok(Parsed::Done));
    let too_many = Err(ResponseFault::Field(FieldFault::TooMany));
    assert_eq!(parse(&format!("{two}E: f\r\n")), too_many);
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(64));
    assert_eq!(
        parse(&long),
        Err(ResponseFault::Field(FieldFault::HeadTooLong))
    );
}

#[test]
fn an_interim_answer_is_followed_by_the_next_head() {
    let text = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody";
    let mut head = ResponseHead::new();
    assert_eq!(head.parse(text, Method::Get, &LIMITS), Ok(Parsed::Done));
    assert_eq!((head.status, head.fields.len()), (103, 1));
    let rest = &text[head.len..];
    assert_eq!(head.parse(rest, Method::Get, &LIMITS), Ok(Parsed::Done));
    assert_eq!((head.status, head.fields.len()), (200, 0));
    assert_eq!(&rest[head.len..], b"body");
}
