//! Bodies: the decoder yields what was sent, however it is split, and makes nothing up.
//!
//! The input is a line of cuts and a body. It is read as every framing, and as data that is
//! put into chunks and taken out again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_fuzz::cut::Cut;
use tollring_http1::{BodyDecoder, BodyFault, ChunkHead, Framing, LAST_CHUNK};

fuzz_target!(|input: &[u8]| {
    let cut = Cut::of(input);
    check_chunked(cut);
    check_lengths(cut);
    check_round_trip(cut);
});

/// What came out of a decoder.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    data: Vec<u8>,
    /// Bytes of the body, as far as it went well.
    used: usize,
    is_done: bool,
    fault: Option<BodyFault>,
}

fn decode(framing: Framing, pieces: &[&[u8]]) -> Read {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut used, mut fault) = (Vec::new(), 0, None);
    for piece in pieces {
        if decoder.is_done() {
            break;
        }
        let mut bytes = piece.to_vec();
        let decoded = match decoder.decode(&mut bytes) {
            Ok(decoded) => decoded,
            Err(broken) => {
                assert_eq!(decoder.decode(&mut bytes), Err(broken), "a fault stays");
                assert_eq!(decoder.close(), Err(broken));
                fault = Some(broken);
                break;
            }
        };
        assert!(decoded.consumed <= piece.len(), "more used than given");
        assert!(decoded.data.start <= decoded.data.end && decoded.data.end <= decoded.consumed);
        assert!(
            decoded.done || decoded.consumed == piece.len(),
            "something was left over"
        );
        assert_eq!(decoded.done, decoder.is_done());
        // What follows the message is the next one's, and untouched.
        assert_eq!(bytes[decoded.consumed..], piece[decoded.consumed..]);
        data.extend_from_slice(&bytes[decoded.data]);
        used += decoded.consumed;
    }
    let is_done = decoder.is_done();
    if fault.is_none() {
        let may_end = is_done || framing == Framing::UntilClose;
        assert_eq!(decoder.close().is_ok(), may_end);
    }
    Read {
        data,
        used,
        is_done,
        fault,
    }
}

fn check_chunked(cut: Cut<'_>) {
    let whole = decode(Framing::Chunked, &[cut.message]);
    let pieces = decode(Framing::Chunked, &cut.pieces_of(cut.message));
    let plain = dechunk(cut.message);
    assert_eq!(whole.fault, pieces.fault);
    assert_eq!(whole.is_done, pieces.is_done);
    if let Some(fault) = pieces.fault {
        assert!((400..=431).contains(&fault.status()) && !fault.sentence().is_empty());
        assert!(plain.0.starts_with(&pieces.data), "data before a fault");
        return;
    }
    assert_eq!(whole, pieces);
    assert_eq!(plain.0, whole.data);
    assert_eq!(plain.1, whole.is_done.then_some(whole.used));
}

/// The data of a chunked body as far as it goes, and how long the body is if it is whole. Reads
/// whole lines, and is lenient: what it does not understand of them it passes over.
fn dechunk(body: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut data = Vec::new();
    let mut at = 0;
    while let Some(line) = line_at(body, at) {
        at += line.len() + 2;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let digits = String::from_utf8_lossy(&line[..digits]);
        let Ok(size) = u64::from_str_radix(&digits, 16) else {
            return (data, None);
        };
        if size == 0 {
            while let Some(line) = line_at(body, at) {
                at += line.len() + 2;
                if line.is_empty() {
                    return (data, Some(at));
                }
            }
            return (data, None);
        }
        let left = &body[at..];
        let len = usize::try_from(size).unwrap_or(usize::MAX).min(left.len());
        data.extend_from_slice(&left[..len]);
        at += len;
        if !body[at..].starts_with(b"\r\n") {
            return (data, None);
        }
        at += 2;
    }
    (data, None)
}

fn line_at(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = &body[at..];
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    Some(&rest[..end])
}

fn check_lengths(cut: Cut<'_>) {
    let message = cut.message;
    let pieces = cut.pieces_of(message);
    let open = decode(Framing::UntilClose, &pieces);
    assert_eq!(
        (open.data.as_slice(), open.is_done, open.fault),
        (message, false, None)
    );
    // A length within the message, its own, and one that it does not reach.
    for length in [message.len() / 2, message.len(), message.len() + 1] {
        let read = decode(Framing::Length(length as u64), &pieces);
        let end = length.min(message.len());
        assert_eq!((read.data.as_slice(), read.used), (&message[..end], end));
        assert_eq!((read.is_done, read.fault), (length == end, None));
    }
}

/// What was put into chunks comes out of them, in whatever pieces it comes.
fn check_round_trip(cut: Cut<'_>) {
    let mut body = Vec::new();
    for chunk in cut.pieces_of(cut.message) {
        body.extend_from_slice(ChunkHead::new(chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(LAST_CHUNK);
    let len = body.len();
    body.extend_from_slice(b"GET / HTTP/1.1\r\n");
    let read = decode(Framing::Chunked, &cut.pieces_of(&body));
    let expected = Read {
        data: cut.message.to_vec(),
        used: len,
        is_done: true,
        fault: None,
    };
    assert_eq!(read, expected);
}
