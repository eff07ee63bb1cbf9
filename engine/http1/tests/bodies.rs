//! Bodies under each framing: what is data, where it ends, and what is refused.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use tollring_http1::{
    BodyDecoder, BodyFault, EXTENSION_BYTES_MAX, Framing, LAST_CHUNK, TRAILER_BYTES_MAX,
};

/// What came of a body: its data, the bytes used, and whether it ended.
type Outcome = Result<(Vec<u8>, usize, bool), BodyFault>;

/// Decodes `bytes` in pieces of `piece` bytes.
fn decode(framing: Framing, bytes: &[u8], piece: usize) -> Outcome {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut used) = (Vec::new(), 0);
    for part in bytes.chunks(piece) {
        let mut part = part.to_vec();
        let decoded = decoder.decode(&mut part)?;
        assert!(
            decoded.done || decoded.consumed == part.len(),
            "bytes were left in the middle"
        );
        data.extend_from_slice(&part[decoded.data]);
        used += decoded.consumed;
        if decoded.done {
            break;
        }
    }
    Ok((data, used, decoder.is_done()))
}

/// Decodes `text` as a chunked body, whole and in small pieces.
#[track_caller]
fn check(text: &str, expected: Result<(&str, usize), BodyFault>) {
    let expected = expected.map(|(data, used)| (data.as_bytes().to_vec(), used, true));
    for piece in [usize::MAX, 1, 2, 3, 5, 7] {
        assert_eq!(
            decode(Framing::Chunked, text.as_bytes(), piece),
            expected,
            "{text:?} by {piece}"
        );
    }
}

#[track_caller]
fn check_fault(text: &str, fault: BodyFault) {
    check(text, Err(fault));
}

#[test]
fn a_body_of_known_length_ends_after_it() {
    for piece in [1, 2, 100] {
        let whole = decode(Framing::Length(4), b"bodynext", piece).unwrap();
        assert_eq!(whole, (b"body".to_vec(), 4, true));
        let cut = decode(Framing::Length(9), b"bodynext", piece).unwrap();
        assert_eq!(cut, (b"bodynext".to_vec(), 8, false));
    }
    let mut none = BodyDecoder::new(Framing::Length(0));
    assert!(none.is_done());
    let decoded = none.decode(&mut b"next".to_vec()).unwrap();
    assert_eq!(
        (decoded.data, decoded.consumed, decoded.done),
        (0..0, 0, true)
    );
}

#[test]
fn a_body_until_close_never_ends_by_itself() {
    let all = decode(Framing::UntilClose, b"anything\r\n0\r\n\r\n", 3).unwrap();
    assert_eq!(all, (b"anything\r\n0\r\n\r\n".to_vec(), 15, false));
}

#[test]
fn a_close_is_a_fault_unless_the_body_may_end_there() {
    let close_after = |framing, bytes: &[u8]| {
        let mut decoder = BodyDecoder::new(framing);
        decoder.decode(&mut bytes.to_vec()).unwrap();
        decoder.close()
    };
    assert_eq!(close_after(Framing::UntilClose, b""), Ok(()));
    assert_eq!(close_after(Framing::Length(0), b""), Ok(()));
    assert_eq!(close_after(Framing::Length(2), b"ab"), Ok(()));
    assert_eq!(
        close_after(Framing::Length(2), b"a"),
        Err(BodyFault::CutShort)
    );
    let whole = b"1\r\na\r\n0\r\n\r\n";
    for len in 0..whole.len() {
        assert_eq!(
            close_after(Framing::Chunked, &whole[..len]),
            Err(BodyFault::CutShort)
        );
    }
    assert_eq!(close_after(Framing::Chunked, whole), Ok(()));
}

#[test]
fn chunks_are_joined_and_what_follows_is_left_alone() {
    check("0\r\n\r\n", Ok(("", 5)));
    check("3\r\nabc\r\n0\r\n\r\n", Ok(("abc", 13)));
    check(
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
        Ok(("abcde", 20)),
    );
    check("A\r\n0123456789\r\n0\r\n\r\n", Ok(("0123456789", 20)));
    check("a\r\n0123456789\r\n000\r\n\r\n", Ok(("0123456789", 22)));
    check("0000000000000003\r\nabc\r\n0\r\n\r\n", Ok(("abc", 28)));
    check("4\r\n\r\n\r\n\r\n0\r\n\r\n", Ok(("\r\n\r\n", 14)));
}

#[test]
fn the_data_of_a_single_chunk_stays_where_it_is() {
    let mut bytes = b"4\r\nbody\r\n".to_vec();
    let decoded = BodyDecoder::new(Framing::Chunked)
        .decode(&mut bytes)
        .unwrap();
    assert_eq!(
        (decoded.data, decoded.consumed, decoded.done),
        (3..7, 9, false)
    );
    assert_eq!(bytes, b"4\r\nbody\r\n");
}

#[test]
fn a_size_is_hexadecimal_digits_and_nothing_else() {
    for bad in [
        "\r\n",
        ";a\r\n",
        " 3\r\nabc\r\n",
        "+3\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\t;a\r\nabc\r\n",
        "3_0\r\n",
        "g\r\n",
        "\n",
        "3\nabc\r\n",
        "3h\r\n",
        "\u{663}\r\n",
        "3,3\r\n",
        "3.0\r\n",
        "\0\r\n",
        "3\u{b}\r\n",
    ] {
        check_fault(bad, BodyFault::ChunkSize);
    }
}

#[test]
fn a_size_has_at_most_sixteen_digits_that_count() {
    let largest = decode(Framing::Chunked, b"ffffffffffffffff\r\nab", 1).unwrap();
    assert_eq!(largest, (b"ab".to_vec(), 20, false));
    let padded = format!("{}ffffffffffffffff\r\nab", "0".repeat(16));
    assert_eq!(
        decode(Framing::Chunked, padded.as_bytes(), 1).unwrap().0,
        b"ab"
    );
    check_fault("10000000000000000\r\n", BodyFault::ChunkSizeTooLong);
    check_fault("fffffffffffffffff\r\n", BodyFault::ChunkSizeTooLong);
    check_fault(&"0".repeat(17), BodyFault::ChunkSizeTooLong);
}

#[test]
fn only_crlf_ends_a_line_a_chunk_and_the_body() {
    check_fault("3\rabc\r\n", BodyFault::ChunkLineEnd);
    check_fault("3\r\rabc", BodyFault::ChunkLineEnd);
    check_fault("3;a\rb", BodyFault::ChunkLineEnd);
    for after in [
        "0\r\n\r\n",
        "\n0\r\n\r\n",
        "\r0",
        "d\r\n0\r\n\r\n",
        " \r\n",
        "\r\r\n",
    ] {
        check_fault(&format!("3\r\nabc{after}"), BodyFault::ChunkDataEnd);
    }
    for end in ["\n", "\r\r", "\r ", "\rGET"] {
        check_fault(&format!("0\r\n{end}"), BodyFault::Trailer);
    }
}

#[test]
fn extensions_are_checked_and_dropped() {
    for good in [
        ";a",
        ";a=b",
        ";a;b;c",
        ";a=\"b\"",
        ";a=\"b;c\\\"\"",
        "; a",
        ";a =b",
        ";a= b",
        ";a = \"b c\" ; d",
        ";a=\"\"",
        ";a=\"\u{e9}\\\\\"",
        ";a ;b",
    ] {
        let body = format!("3{good}\r\nabc\r\n0{good}\r\n\r\n");
        check(&body, Ok(("abc", body.len())));
    }
    for bad in [
        ";",
        ";;",
        ";a=",
        ";=b",
        ";a=b=c",
        ";a b",
        ";a=\"b",
        ";a=\"b\"c",
        ";a ",
        ";a=b ",
        "; ",
        ";a=\"\\",
        ";\u{e9}",
        ";a=\0",
        ";a\0",
        ";a=b\u{7f}",
        ";a=\"\u{1}\"",
        ";a=\"b\" ",
    ] {
        check_fault(&format!("3{bad}\r\nabc\r\n"), BodyFault::ChunkExtension);
    }
    // A bare LF would end the line for a reader less strict than this one.
    check_fault("3;a\nabc\r\n0\r\n\r\n", BodyFault::ChunkExtension);
}

#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let max = usize::from(EXTENSION_BYTES_MAX);
    let one = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len - 1));
    let fitting = one(max);
    check(&fitting, Ok(("a", fitting.len())));
    check_fault(&one(max + 1), BodyFault::ChunkExtensionsTooLong);
    // Many small ones are one large one.
    check_fault(
        &"1;xxx\r\na\r\n".repeat(max / 4 + 1),
        BodyFault::ChunkExtensionsTooLong,
    );
}

#[test]
fn trailers_are_checked_and_dropped() {
    for trailers in [
        "A: b\r\n",
        "A:\r\n",
        "A: b\r\nC: \u{e9}\r\n",
        "X-Checksum: 9\r\nServer-Timing: a\r\n",
        "X-Request-Id: 9\r\n",
        "Content-Lengthy: 9\r\n",
        "A-Name-That-Is-Longer-Than-Any-Known: 9\r\n",
    ] {
        let body = format!("1\r\na\r\n0\r\n{trailers}\r\n");
        check(&format!("{body}next"), Ok(("a", body.len())));
    }
    for bad in [
        ":b\r\n",
        "A b\r\n",
        "A : b\r\n",
        " A: b\r\n",
        "A\r\n",
        "A: b\n",
        "A: \0\r\n",
        "A: b\rc\r\n",
        "A: b\r\n c\r\n",
        "\u{e9}: b\r\n",
    ] {
        check_fault(&format!("0\r\n{bad}\r\n"), BodyFault::Trailer);
    }
}

#[test]
fn a_trailer_that_frames_routes_or_authenticates_is_a_fault() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Authorization",
        "x-api-key",
        "X-Goog-Api-Key",
        "Proxy-Authorization",
        "X-Forwarded-For",
        "Forwarded",
        "Connection",
        "Upgrade",
        "Trailer",
        "Content-Encoding",
        "Expect",
    ] {
        for before in ["", "X-Fine: 1\r\n"] {
            let body = format!("1\r\na\r\n0\r\n{before}{name}: 9\r\n\r\n");
            check_fault(&body, BodyFault::TrailerForbidden);
        }
    }
    assert_eq!(BodyFault::TrailerForbidden.status(), 400);
}

#[test]
fn trailers_are_bounded() {
    let max = usize::from(TRAILER_BYTES_MAX);
    let body = |len: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(len - 4));
    check(&body(max), Ok(("", body(max).len())));
    check_fault(&body(max + 1), BodyFault::TrailersTooLong);
    assert_eq!(BodyFault::TrailersTooLong.status(), 431);
}

#[test]
fn a_body_that_broke_stays_broken() {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    assert_eq!(
        decoder.decode(&mut b"x".to_vec()),
        Err(BodyFault::ChunkSize)
    );
    assert_eq!(
        decoder.decode(&mut LAST_CHUNK.to_vec()),
        Err(BodyFault::ChunkSize)
    );
    assert!(!decoder.is_done());
    assert_eq!(decoder.close(), Err(BodyFault::ChunkSize));
}
