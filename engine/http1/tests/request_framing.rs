//! Where the body of a request ends, and what its connection is to do.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use support::{post_with, request};
use tollring_http1::{CONNECTION_OPTIONS_MAX, FieldFault, Framing, HeadFault};

#[track_caller]
fn check(lines: &str, expected: Result<Framing, HeadFault>) {
    let result = post_with(format!("Host: a\r\n{lines}").as_bytes());
    assert_eq!(result.map(|head| head.framing), expected, "{lines:?}");
}

#[track_caller]
fn check_fault(lines: &str, fault: FieldFault) {
    check(lines, Err(HeadFault::Field(fault)));
}

#[test]
fn a_body_has_the_length_that_its_only_length_says() {
    check("", Ok(Framing::Length(0)));
    check("Content-Length: 0\r\n", Ok(Framing::Length(0)));
    check("content-length:  42\t \r\n", Ok(Framing::Length(42)));
    check("Content-Length: 0042\r\n", Ok(Framing::Length(42)));
    check(
        "Content-Length: 9223372036854775807\r\n",
        Ok(Framing::Length(i64::MAX as u64)),
    );
    for bad in [
        "",
        "+1",
        "-1",
        "0x10",
        "1 2",
        "1,1",
        "1, 2",
        "1;a",
        "1.0",
        "1e3",
        "a",
        "٣",
        "\"1\"",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        check_fault(
            &format!("Content-Length: {bad}\r\n"),
            FieldFault::ContentLength,
        );
    }
    for twice in [
        "1\r\nContent-Length: 1",
        "1\r\nContent-Length: 2",
        "1\r\ncONTENT-lENGTH: 1",
    ] {
        let lines = format!("Content-Length: {twice}\r\n");
        check_fault(&lines, FieldFault::ContentLengthRepeated);
    }
}

#[test]
fn a_transfer_encoding_is_chunked_or_refused() {
    check("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked));
    check("transfer-encoding:\t cHuNkEd \t\r\n", Ok(Framing::Chunked));
    for bad in [
        "",
        "identity",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked ,",
        "gzip, chunked",
        "chunked;a=b",
        "\"chunked\"",
        "chunked chunked",
        "chunked\u{a0}",
        "chun\u{212a}ed",
        "identity, chunked",
        "chunked;",
        "'chunked' ",
        "=chunked",
    ] {
        // A quote of this kind may stand in a token, so this one is a coding nobody has.
        let fault = match bad {
            "'chunked' " => FieldFault::TransferEncodingUnknown,
            _ => FieldFault::TransferEncoding,
        };
        check_fault(&format!("Transfer-Encoding: {bad}\r\n"), fault);
    }
    for unknown in ["gzip", "xchunked", "chunkedx", "x-chunked", "deflate"] {
        let lines = format!("Transfer-Encoding: {unknown}\r\n");
        check_fault(&lines, FieldFault::TransferEncodingUnknown);
    }
    for control in ["\u{b}chunked", "chunked\u{c}", "chunked\0", "chun\u{1}ked"] {
        check_fault(
            &format!("Transfer-Encoding: {control}\r\n"),
            FieldFault::Value,
        );
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    check_fault(twice, FieldFault::TransferEncoding);
    assert_eq!(FieldFault::TransferEncoding.status(), 400);
    assert_eq!(FieldFault::TransferEncodingUnknown.status(), 501);
}

#[test]
fn a_body_framed_in_two_ways_is_refused() {
    for lines in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: x\r\nTransfer-Encoding: gzip\r\n",
    ] {
        check_fault(lines, FieldFault::FramedTwice);
    }
    let old = request(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(
        old.unwrap_err(),
        HeadFault::Field(FieldFault::TransferEncodingInHttp10)
    );
}

#[test]
fn a_connection_persists_as_version_and_options_say() {
    let keep_alive = |version: &str, lines: &str| {
        let bytes = format!("GET / {version}\r\nHost: a\r\n{lines}\r\n");
        request(bytes.as_bytes()).unwrap().keep_alive
    };
    assert!(keep_alive("HTTP/1.1", ""));
    assert!(keep_alive("HTTP/1.1", "Connection: keep-alive\r\n"));
    assert!(!keep_alive("HTTP/1.1", "Connection: close\r\n"));
    assert!(!keep_alive("HTTP/1.1", "Connection: keep-alive, CLOSE\r\n"));
    assert!(!keep_alive(
        "HTTP/1.1",
        "Connection: x\r\nConnection: ,close\r\n"
    ));
    assert!(keep_alive("HTTP/1.1", "Connection: closed\r\n"));
    assert!(!keep_alive("HTTP/1.0", ""));
    assert!(keep_alive("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("HTTP/1.0", "Connection: keep-alive, close\r\n"));
    assert!(!keep_alive("HTTP/1.0", "Proxy-Connection: keep-alive\r\n"));
}

#[test]
fn connection_cannot_take_away_what_frames_routes_or_authenticates() {
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Authorization",
        "x-api-key",
        "API-KEY",
        "x-goog-api-key",
        "Content-Type",
        "X-Forwarded-For",
        "Forwarded",
        "keep-alive, host",
    ] {
        let lines = format!("Connection: {name}\r\n");
        check_fault(&lines, FieldFault::ConnectionProtected);
    }
    for bad in ["a b", "\"close\"", "close;q=1", "a=b", "a/b", "close\u{a0}"] {
        check_fault(&format!("Connection: {bad}\r\n"), FieldFault::Connection);
    }
    let options = |count: usize| format!("Connection: {}\r\n", vec!["a"; count].join(","));
    check(&options(CONNECTION_OPTIONS_MAX), Ok(Framing::Length(0)));
    check_fault(&options(CONNECTION_OPTIONS_MAX + 1), FieldFault::Connection);
}

#[test]
fn the_only_expectation_is_to_continue() {
    let expects = |lines: &str| {
        post_with(format!("Host: a\r\n{lines}").as_bytes()).map(|head| head.expect_continue)
    };
    assert_eq!(expects("Content-Length: 1\r\n"), Ok(false));
    assert_eq!(
        expects("Content-Length: 1\r\nExpect: 100-Continue\r\n"),
        Ok(true)
    );
    assert_eq!(
        expects("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
        Ok(true)
    );
    // Nobody waits before a body that is not there.
    assert_eq!(expects("Expect: 100-continue\r\n"), Ok(false));
    for bad in [
        "200-ok",
        "",
        "100-continue, 100-continue",
        "100-continue;a",
        "100",
    ] {
        let lines = format!("Content-Length: 1\r\nExpect: {bad}\r\n");
        assert_eq!(expects(&lines), Err(HeadFault::Expectation), "{bad:?}");
    }
    let twice = "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n";
    assert_eq!(expects(twice), Err(HeadFault::Expectation));
    assert_eq!(HeadFault::Expectation.status(), 417);
    let old = b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    assert!(!request(old).unwrap().expect_continue);
}

#[test]
fn an_upgrade_and_a_body_do_not_go_together() {
    check(
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        Ok(Framing::Length(0)),
    );
    let with_body = "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n";
    check(with_body, Err(HeadFault::UpgradeWithBody));
    check(
        "Upgrade: x\r\nTransfer-Encoding: chunked\r\n",
        Err(HeadFault::UpgradeWithBody),
    );
    // This one is ignored anyway, and clients that offer it send bodies.
    check(
        "Upgrade: h2c\r\nContent-Length: 1\r\n",
        Ok(Framing::Length(1)),
    );
    let old = b"POST / HTTP/1.0\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(request(old).unwrap().framing, Framing::Length(1));
}
