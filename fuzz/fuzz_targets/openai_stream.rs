//! The meter of streams: in pieces the same, and what leaves is what came, but for the usage
//! chunk where it is to be taken out.
//!
//! The input is a line of cuts and a stream. In the stream a `~` stands for 16 KiB of text, so
//! that a short input can reach the largest event that is held back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_dialects::openai::{EVENT_BYTES_MAX, StreamMeter, Usage};
use tollring_fuzz::cut::Cut;
use tollring_fuzz::plain_usage;

/// What a `~` stands for.
const LONG_TEXT: [u8; 16 * 1024] = [b'~'; 16 * 1024];

/// How many of them do: enough for an event beyond the bound, and for one after it.
const LONG_TEXTS_MAX: usize = 6;

fuzz_target!(|input: &[u8]| {
    let cut = Cut::of(input);
    let pieces = lengthen(&cut.pieces_of(cut.message));
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let stream = pieces.concat();
    let kept = read(false, &[&stream]);
    assert!(
        kept.out == stream,
        "what is only looked at leaves as it came"
    );
    check_same(&kept, &read(false, &pieces));
    let stripped = read(true, &[&stream]);
    check_same(&stripped, &read(true, &pieces));
    assert_eq!(stripped.said, kept.said);
    check_stripped(&stream, &stripped.out);
    let text = String::from_utf8_lossy(&stream);
    assert!(!kept.said.done || text.contains("[DONE]"));
    assert!(!kept.said.error || text.contains("\"error\""));
});

/// The pieces with every `~` in them made long. The cuts stay at the bytes of the input: byte by
/// byte through the long text would be most of the time and find nothing.
fn lengthen(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut left = LONG_TEXTS_MAX;
    let mut long = |&byte: &u8| {
        let is_long = byte == b'~' && left > 0;
        left -= usize::from(is_long);
        if is_long {
            LONG_TEXT.to_vec()
        } else {
            vec![byte]
        }
    };
    let pieces = pieces.iter();
    pieces
        .map(|piece| piece.iter().flat_map(&mut long).collect())
        .collect()
}

/// What a meter says when the stream has ended.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    usage: Option<Usage>,
    implausible: bool,
    counted: u64,
    done: bool,
    error: bool,
}

struct Reading {
    out: Vec<u8>,
    said: Said,
}

fn read(strip: bool, pieces: &[&[u8]]) -> Reading {
    let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
    // A meter that was used before must remember nothing.
    meter.reset(!strip);
    meter.feed(
        b"data: {\"error\":1}\n\ndata: [DONE]\n\ndata: {\"usage\":{}}\r",
        &mut out,
    );
    meter.reset(strip);
    out.clear();
    let (mut given, mut counted) = (0, 0);
    for piece in pieces {
        let before = out.len();
        meter.feed(piece, &mut out);
        given += piece.len();
        assert!(out.len() <= given, "more left than came");
        assert!(
            strip || out.len() - before == piece.len(),
            "a piece was delayed"
        );
        assert!(
            meter.output_tokens_counted() >= counted,
            "the count went back"
        );
        counted = meter.output_tokens_counted();
    }
    meter.finish(&mut out);
    let said = Said {
        usage: meter.usage(),
        implausible: meter.usage_implausible(),
        counted: meter.output_tokens_counted(),
        done: meter.done_seen(),
        error: meter.error_seen(),
    };
    Reading { out, said }
}

fn check_same(whole: &Reading, pieces: &Reading) {
    assert_eq!(whole.said, pieces.said, "the cuts change what is said");
    assert!(whole.out == pieces.out, "the cuts change what leaves");
}

/// What left is the stream's events, whole and in order, and only usage chunks are missing.
fn check_stripped(stream: &[u8], mut out: &[u8]) {
    for (at, event) in events(stream).into_iter().enumerate() {
        let left = out.strip_prefix(event);
        let data = data_of(event, at == 0);
        let is_short = event.len() <= EVENT_BYTES_MAX;
        match left {
            Some(rest) => {
                let is_usage = plain_usage::is_usage_chunk(&data) == Some(true);
                assert!(!is_usage || !is_short, "a usage chunk has left");
                out = rest;
            }
            None => {
                let says = |word: &str| String::from_utf8_lossy(&data).contains(word);
                assert!(
                    is_short && says("\"usage\"") && says("\"choices\""),
                    "an event is lost"
                );
                assert_ne!(plain_usage::is_usage_chunk(&data), Some(false));
            }
        }
    }
    assert!(out.is_empty(), "something was made up");
}

/// The stream cut behind every blank line; the last event may lack its own.
fn events(stream: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut is_first = true;
    while at < stream.len() {
        let line = line_at(stream, at, is_first);
        is_first = false;
        at = line.end;
        if line.is_ended && line.text.is_empty() {
            events.push(&stream[start..at]);
            start = at;
        }
    }
    if start < at {
        events.push(&stream[start..at]);
    }
    events
}

/// The data lines of an event, joined. Only the first of a stream may begin with a mark.
fn data_of(event: &[u8], is_first: bool) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < event.len() {
        let line = line_at(event, at, is_first && at == 0);
        at = line.end;
        match line.text.strip_prefix(b"data") {
            Some([]) => lines.push(&b""[..]),
            Some([b':', b' ', data @ ..] | [b':', data @ ..]) => lines.push(data),
            _ => {}
        }
    }
    lines.join(&b"\n"[..])
}

struct Line<'s> {
    text: &'s [u8],
    is_ended: bool,
    /// After its end, CRLF taken as one.
    end: usize,
}

fn line_at(stream: &[u8], at: usize, is_first: bool) -> Line<'_> {
    let rest = &stream[at..];
    let len = rest.iter().position(|byte| b"\r\n".contains(byte));
    let text = &rest[..len.unwrap_or(rest.len())];
    let end_len = match rest[text.len()..] {
        [] => 0,
        [b'\r', b'\n', ..] => 2,
        _ => 1,
    };
    let mark: &[u8] = if is_first { b"\xef\xbb\xbf" } else { b"" };
    Line {
        text: text.strip_prefix(mark).unwrap_or(text),
        is_ended: len.is_some(),
        end: at + text.len() + end_len,
    }
}
