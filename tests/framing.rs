//! Smuggling: every head that two parsers could read differently is refused, and closed.
//!
//! Behind the gateway stands a REST service that takes anything, so that whatever is let
//! through is seen there. RFC 9112 says what is ambiguous; we refuse all of it.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::client::{Client, find};
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Gateway, Provider, Request, Site};

/// A gateway whose service at `/open` passes anything on to a provider that says how much
/// body it got.
fn open_gateway() -> (Gateway, Provider) {
    let provider = Provider::answering(|call| {
        openai::answer("200 OK", &json!({ "got": call.body_bytes }).to_string())
    });
    let site = Site::with_acme(&provider.url()).open_service("open", "/open", &provider.url());
    (Gateway::start(&site), provider)
}

/// Asserts that each head is refused with one of `statuses`, closes its connection and
/// reaches nobody, and that the next caller is served as ever.
#[track_caller]
fn all_refused(heads: &[(&str, &str)], statuses: &[u16]) {
    let (gateway, provider) = open_gateway();
    for (what, head) in heads {
        let mut client = gateway.client();
        // What follows would be a request of its own to whoever misreads the head.
        let smuggled = "GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let _ = client.try_send(format!("{head}{smuggled}"));
        let answer = client.answer();
        assert!(
            statuses.contains(&answer.status),
            "{what}: {}",
            answer.describe()
        );
        assert_eq!(
            answer.field("connection"),
            Some("close"),
            "{what}: {}",
            answer.describe()
        );
        assert!(
            client.is_closed(),
            "{what}: the connection goes on: {:?}",
            client.unread()
        );
        assert_eq!(
            provider.calls_total(),
            0,
            "{what}: something reached the provider"
        );
    }
    assert_eq!(gateway.ask(&Request::get("/open/fine")).status, 200);
}

const POST: &str = "POST /open HTTP/1.1\r\nHost: a\r\n";

/// Heads that begin as [`POST`] does and go on with these fields.
fn posts<'a>(fields: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
    fields
        .iter()
        .map(|(what, rest)| (*what, format!("{POST}{rest}\r\n")))
        .collect()
}

#[track_caller]
fn fields_refused(fields: &[(&str, &str)], statuses: &[u16]) {
    let heads = posts(fields);
    let heads: Vec<(&str, &str)> = heads
        .iter()
        .map(|(what, head)| (*what, head.as_str()))
        .collect();
    all_refused(&heads, statuses);
}

#[test]
fn two_framings_in_one_head_are_a_refusal_and_not_a_choice() {
    fields_refused(
        &[
            (
                "length, then chunked",
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "chunked, then length",
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            ),
            (
                "length 0 and chunked",
                "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            ),
            ("two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n"),
            ("two lengths in a list", "Content-Length: 3, 4\r\n"),
            (
                "chunked twice",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            ),
        ],
        &[400],
    );
}

#[test]
fn a_length_that_is_not_plain_digits_is_refused() {
    fields_refused(
        &[
            ("plus", "Content-Length: +3\r\n"),
            ("minus", "Content-Length: -3\r\n"),
            ("hexadecimal", "Content-Length: 0x3\r\n"),
            ("a space inside", "Content-Length: 1 2\r\n"),
            ("empty", "Content-Length:\r\n"),
            ("empty element", "Content-Length: 3,\r\n"),
            ("too large", "Content-Length: 99999999999999999999\r\n"),
            ("underscored digits", "Content-Length: 1_000\r\n"),
            ("vertical tab", "Content-Length: \x0b3\r\n"),
        ],
        &[400],
    );
}

#[test]
fn a_transfer_coding_that_is_not_chunked_alone_is_refused() {
    fields_refused(
        &[
            ("a list", "Transfer-Encoding: gzip, chunked\r\n"),
            (
                "chunked in a list with itself",
                "Transfer-Encoding: chunked, chunked\r\n",
            ),
            ("identity", "Transfer-Encoding: identity\r\n"),
            ("quoted", "Transfer-Encoding: \"chunked\"\r\n"),
            ("a parameter", "Transfer-Encoding: chunked;q=1\r\n"),
            ("an empty element", "Transfer-Encoding: ,chunked\r\n"),
            ("vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
            ("form feed", "Transfer-Encoding: chunked\x0c\r\n"),
            ("no-break space", "Transfer-Encoding: \u{a0}chunked\r\n"),
            (
                "a look-alike letter",
                "Transfer-Encoding: chun\u{212a}ed\r\n",
            ),
            ("empty", "Transfer-Encoding:\r\n"),
        ],
        &[400, 501],
    );
}

#[test]
fn a_head_whose_lines_could_be_read_two_ways_is_refused() {
    fields_refused(
        &[
            ("a folded line", "X-A: 1\r\n folded\r\n"),
            ("a folded first line", " X-A: 1\r\n"),
            ("space before the colon", "Content-Length : 3\r\n"),
            ("tab before the colon", "Transfer-Encoding\t: chunked\r\n"),
            ("no colon", "X-A\r\n"),
            ("an empty name", ": 1\r\n"),
            ("a bare line feed", "X-A: 1\nX-B: 2\r\n"),
            ("a bare carriage return", "X-A: 1\rX-B: 2\r\n"),
            ("NUL in a value", "X-A: \0\r\n"),
            ("a high byte in a name", "X-\u{e9}: 1\r\n"),
            ("a control byte in a value", "X-A: \x01\r\n"),
            (
                "length hidden behind Connection",
                "Connection: content-length\r\n",
            ),
            ("Host hidden behind Connection", "Connection: host\r\n"),
            ("a second Host", "Host: b\r\n"),
            ("the same Host again", "Host: a\r\n"),
        ],
        &[400],
    );
}

#[test]
fn a_request_line_that_is_not_exactly_one_is_refused() {
    all_refused(
        &[
            ("two spaces", "GET  /open HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a tab", "GET\t/open HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "a space at the end",
                "GET /open HTTP/1.1 \r\nHost: a\r\n\r\n",
            ),
            ("lower case", "GET /open http/1.1\r\nHost: a\r\n\r\n"),
            ("HTTP/0.9", "GET /open\r\n\r\n"),
            ("a bare line feed", "GET /open HTTP/1.1\nHost: a\n\n"),
            ("a fragment", "GET /open#x HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a backslash", "GET /open\\x HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "a high byte",
                "GET /open/\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("no Host", "GET /open HTTP/1.1\r\n\r\n"),
            (
                "Host with a slash",
                "GET /open HTTP/1.1\r\nHost: a/b\r\n\r\n",
            ),
            (
                "Host with userinfo",
                "GET /open HTTP/1.1\r\nHost: u@a\r\n\r\n",
            ),
            (
                "userinfo in the target",
                "GET http://u@a/open HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
            ("an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ],
        &[400, 505],
    );
}

#[test]
fn a_chunk_that_does_not_say_its_size_plainly_ends_the_request() {
    let (gateway, provider) = open_gateway();
    let head = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    for (what, body) in [
        ("a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a sign", "+3\r\nabc\r\n0\r\n\r\n"),
        ("a space", "3 \r\nabc\r\n0\r\n\r\n"),
        ("an underscore", "1_0\r\nabc\r\n0\r\n\r\n"),
        ("no digits", "\r\nabc\r\n0\r\n\r\n"),
        ("a bare line feed", "3\nabc\r\n0\r\n\r\n"),
        ("seventeen digits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("more data than said", "3\r\nabcd\r\n0\r\n\r\n"),
        ("an endless size", "ffffffffffffffffff\r\n"),
    ] {
        let mut client = gateway.client();
        let _ = client.try_send(format!("{head}{body}"));
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{what}: {}", answer.describe());
        assert!(client.is_closed(), "{what}: the connection goes on");
    }
    assert_eq!(
        provider.calls_total(),
        0,
        "a broken body reached the provider as whole"
    );
    assert_eq!(gateway.ask(&Request::get("/open/fine")).status, 200);
}

#[test]
fn a_body_cut_short_by_its_client_is_never_forwarded_as_whole() {
    let (gateway, provider) = open_gateway();
    for body in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!("{POST}{body}"));
        client.finish_sending();
        // Either an answer that says so or none at all; the connection ends.
        if let Ok(Some(head)) = client.try_head() {
            assert_eq!(head.status, 400, "{body:?}");
        }
    }
    assert_eq!(gateway.ask(&Request::get("/open/fine")).status, 200);
    let calls = provider.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (gateway, provider) = open_gateway();
    let mut all = Vec::new();
    for count in 0..10 {
        all.extend(
            Request::new("POST", "/open")
                .body(vec![b'x'; count])
                .bytes(),
        );
    }
    let mut client = gateway.client();
    client.send(all);
    for count in 0..10 {
        assert_eq!(client.answer().json()["got"], count);
    }
    assert_eq!(provider.calls_total(), 10);
}

#[test]
fn what_follows_a_close_is_ignored() {
    let (gateway, provider) = open_gateway();
    let mut client = gateway.client();
    let last = Request::get("/open/last")
        .field("Connection", "close")
        .bytes();
    client.send([last, Request::get("/open/after").bytes()].concat());
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.field("connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed());
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let (gateway, _provider) = open_gateway();
    let mut client = gateway.client();
    client.send(Request::new("POST", "/open").body("abc").bytes());
    client.finish_sending();
    assert_eq!(client.answer().json()["got"], 3);
    assert!(client.is_closed());
}

#[test]
fn an_old_client_is_served_and_its_connection_closed() {
    let (gateway, _provider) = open_gateway();
    let mut client = gateway.client();
    client.send("GET /open HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_waits_for_100_gets_it_or_its_refusal_instead() {
    let (gateway, provider) = open_gateway();
    let body = openai::chat("m", json!({}));
    let head = |key: &str| {
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = gateway.client();
    client.send(head(ACME));
    assert_eq!(client.head().status, 100);
    client.send(&body);
    assert_eq!(client.answer().status, 200);

    // A caller nobody knows is spared its upload.
    let mut client = gateway.client();
    client.send(head("tr_nobody"));
    let first = client.head();
    assert_eq!(first.status, 401);
    assert_eq!(provider.calls_total(), 1);
}

/// Reads answers until the connection ends, and gives their statuses.
fn statuses(client: &mut Client) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Ok(Some(head)) = client.try_head() {
        statuses.push(head.status);
        let mut framing = head.framing("POST");
        while let support::client::Piece::Data(_) = client.piece(&mut framing) {}
    }
    statuses
}

#[test]
fn a_refused_body_is_never_taken_for_the_next_request() {
    let (gateway, provider) = open_gateway();
    let inner = "POST /open/smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    for key in ["tr_nobody", ACME] {
        // One is refused for its key with the body unread, one for what its body says.
        let mut client = gateway.client();
        client.send(Request::post(CHAT, inner).key(key).bytes());
        client.finish_sending();
        let statuses = statuses(&mut client);
        assert_eq!(
            statuses.len(),
            1,
            "{key}: answers to one request: {statuses:?}"
        );
        assert!(matches!(statuses[0], 400 | 401), "{key}: {statuses:?}");
    }
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn a_refused_upload_larger_than_the_bound_ends_the_connection_and_not_the_answer() {
    let (gateway, provider) = open_gateway();
    let mut client = gateway.client();
    let upload = vec![b'x'; 16 * 1024 * 1024];
    // The gateway may stop reading long before the end; the answer is still to be read.
    let _ = client.try_send(Request::post(CHAT, upload).key("tr_nobody").bytes());
    assert_eq!(client.head().status, 401);
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn fields_between_two_hops_stay_between_them() {
    let provider = Provider::answering(|call| {
        assert!(find(call.target.as_bytes(), b"open").is_some());
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-secret, keep-alive\r\n\
                    keep-alive: timeout=5\r\nx-secret: 1\r\nx-kept: 2\r\n\r\nok";
        head.as_bytes().to_vec()
    });
    let site = Site::new().open_service("open", "/open", &provider.url());
    let gateway = Gateway::start(&site);
    let request = Request::get("/open")
        .field("Connection", "X-Mine, keep-alive")
        .field("Keep-Alive", "timeout=5")
        .field("X-Mine", "1")
        .field("TE", "trailers")
        .field("Proxy-Authorization", "Basic eDp5")
        .field("Content_Length", "7")
        .field("X-Kept", "2");
    let answer = gateway.ask(&request);

    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(
        (answer.field("x-secret"), answer.field("keep-alive")),
        (None, None)
    );
    assert_eq!(answer.field("x-kept"), Some("2"));
    assert!(answer.field("via").is_some(), "{}", answer.describe());
    let call = provider.calls().pop().unwrap();
    for gone in [
        "x-mine",
        "keep-alive",
        "te",
        "proxy-authorization",
        "content_length",
    ] {
        assert_eq!(call.field(gone), None, "{gone} went through: {call:?}");
    }
    assert_eq!(call.field("x-kept"), Some("2"));
}
