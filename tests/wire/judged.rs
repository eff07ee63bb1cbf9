//! That the judge can say no: cases whose outcome is made up, and what it says to them.
//!
//! A table of three hundred passes is worth what its judge is; here he is put to the test.

use crate::wire::case::{Allowed, Case, Check, NEXT, OK};
use crate::wire::client::{End, Heard};
use crate::wire::judge::{Verdict, judge};
use crate::wire::message::shown;
use crate::wire::upstream::Taken;

const ASKED: &[u8] = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n";
const NO: &[u8] = b"HTTP/1.1 400 Bad\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The verdict on a case where the client heard this and the upstream took that.
fn verdict(allowed: Allowed, heard: &[&[u8]], taken: &[&[u8]]) -> Verdict {
    let case = Case {
        name: "a case",
        rfc: "RFC 9112",
        client: Vec::new(),
        upstream: Vec::new(),
        allowed,
    };
    let heard = Heard {
        bytes: heard.concat(),
        end: End::Closed,
    };
    let taken = Taken {
        bytes: taken.concat(),
        hung_up: false,
    };
    judge(&case, &heard, &[taken])
}

#[test]
fn a_refusal_that_lets_a_byte_through_is_none() {
    let refused = Allowed::Refused(&[400]);
    assert!(verdict(refused, &[NO], &[]).is_ok());
    assert!(verdict(refused, &[NO], &[b"G"]).is_err());
    assert!(verdict(refused, &[NO, NO], &[]).is_err());
    assert!(verdict(refused, &[OK], &[]).is_err());
    let open = b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
    assert!(verdict(refused, &[open], &[]).is_err());
}

#[test]
fn a_request_is_accepted_when_both_sides_agree_where_the_next_begins() {
    let accepted = Allowed::Accepted(&[Check::Line("GET /case HTTP/1.1")]);
    assert!(verdict(accepted, &[OK, OK], &[ASKED, NEXT]).is_ok());
    assert!(verdict(accepted, &[OK, OK], &[NEXT, ASKED]).is_err());
    assert!(verdict(accepted, &[OK, OK], &[ASKED, ASKED, NEXT]).is_err());
    assert!(verdict(accepted, &[OK], &[ASKED]).is_err());
}

#[test]
fn an_answer_is_cut_when_its_own_framing_says_so() {
    let cut = Allowed::CutVisibly;
    let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    assert!(verdict(cut, &[begun], &[ASKED]).is_ok());
    assert!(verdict(cut, &[begun, b"0\r\n\r\n"], &[ASKED]).is_err());
    assert!(verdict(cut, &[begun, b"0x3\r\nabc\r\n"], &[ASKED]).is_err());
}

#[test]
fn what_is_malformed_is_wrong_whatever_is_allowed() {
    let anything = Allowed::All(&[]);
    assert!(verdict(anything, &[OK], &[ASKED]).is_ok());
    for request in [
        &b"GET /case HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET /case HTTP/1.1\r\nX : 1\r\n\r\n",
        b"GET /case HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /case HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
    ] {
        assert!(
            verdict(anything, &[OK], &[request]).is_err(),
            "{}",
            shown(request)
        );
    }
    let ended = b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n";
    assert!(verdict(anything, &[ended], &[ASKED]).is_err());
}
