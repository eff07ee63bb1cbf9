//! Streams as providers send them and as nobody should, split in every way.

use proptest::prelude::*;

use super::super::samples::{STREAMS, Sample};
use super::*;

/// What came out of a meter, and what it says.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    out: String,
    usage: Option<Usage>,
    counted: u64,
    done: bool,
    error: bool,
}

fn read(strip: bool, pieces: &[&[u8]]) -> Reading {
    let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
    meter.reset(strip);
    for piece in pieces {
        meter.feed(piece, &mut out);
        assert!(meter.held.len() <= EVENT_BYTES_MAX);
        assert!(strip || meter.held.is_empty());
    }
    meter.finish(&mut out);
    Reading {
        out: String::from_utf8_lossy(&out).into_owned(),
        usage: meter.usage(),
        counted: meter.output_tokens_counted(),
        done: meter.done_seen(),
        error: meter.error_seen(),
    }
}

/// The stream without its usage chunk, cut out the plain way: as whole events of whole text.
fn stripped(stream: &str) -> String {
    let blank = if stream.contains("\r\n\r\n") {
        "\r\n\r\n"
    } else {
        "\n\n"
    };
    stream
        .split_inclusive(blank)
        .filter(|event| {
            let event = event.replace(' ', "");
            !(event.contains("\"choices\":[],") && event.contains("\"usage\":{"))
        })
        .collect()
}

#[test]
fn real_streams_are_metered_and_stripped() {
    for Sample {
        name,
        bytes,
        usage,
        counted,
    } in STREAMS
    {
        let text = String::from_utf8_lossy(bytes);
        let kept = read(false, &[bytes]);
        assert_eq!(kept.out, text, "{name}");
        assert_eq!((kept.usage, kept.counted), (usage, counted), "{name}");
        assert_eq!(kept.done, name != "streams/error.sse", "{name}");
        assert_eq!(kept.error, name == "streams/error.sse", "{name}");
        let out = stripped(&text);
        assert_eq!(read(true, &[bytes]), Reading { out, ..kept }, "{name}");
    }
}

#[test]
fn exactly_the_chunks_without_choices_are_taken_out() {
    let taken_out = |sample: &&Sample| {
        let text = String::from_utf8_lossy(sample.bytes);
        read(true, &[sample.bytes]).out != text
    };
    let names: Vec<_> = STREAMS
        .iter()
        .filter(taken_out)
        .map(|sample| sample.name)
        .collect();
    let expected = [
        "streams/chat.sse",
        "streams/tools.sse",
        "streams/azure.sse",
        "streams/completion.sse",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_stream_split_at_any_byte_reads_and_leaves_the_same() {
    for Sample { name, bytes, .. } in STREAMS {
        for strip in [false, true] {
            let whole = read(strip, &[bytes]);
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                assert_eq!(read(strip, &[head, tail]), whole, "{name} at {at}");
            }
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(strip, &each), whole, "{name} byte by byte");
        }
    }
}

const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

#[test]
fn a_short_stream_split_at_any_two_bytes_leaves_the_same() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("\u{feff}: hi{end}{end}{USAGE}{end}{end}data:[DONE]{end}{end}");
        let expected = format!("\u{feff}: hi{end}{end}data:[DONE]{end}{end}");
        let bytes = stream.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let reading = read(true, &pieces);
                assert_eq!(reading.out, expected, "{end:?} at {first} and {second}");
                assert!(reading.done && reading.usage.is_some());
            }
        }
    }
}

#[track_caller]
fn check_strips(event: &str, strips: bool) {
    let stream = format!("data: a\n\n{event}\n\ndata: b\n\n");
    let expected = if strips {
        "data: a\n\ndata: b\n\n"
    } else {
        &stream
    };
    assert_eq!(read(true, &[stream.as_bytes()]).out, expected, "{event}");
}

#[test]
fn only_a_whole_usage_chunk_is_taken_out() {
    check_strips(USAGE, true);
    check_strips(
        "event: message\nid: 7\ndata:{\"usage\":{},\ndata:\"choices\" : [ ]}",
        true,
    );
    check_strips(r#"data: {"choices":[],"usage":{"prompt_tokens":-1}}"#, true);
    let twice = r#"data: {"choices":[{}],"usage":{"total_tokens":2},"choices":[]}"#;
    check_strips(twice, false);
    check_strips(r#"data: {"choices":[],"usage":null}"#, false);
    check_strips(r#"data: {"choices":[],"prompt_filter_results":[]}"#, false);
    check_strips(
        r#"data: {"choices":[{}],"usage":{"prompt_tokens":1,"total_tokens":2}}"#,
        false,
    );
    check_strips(
        r#"data: {"choices":[7],"usage":{"prompt_tokens":1,"total_tokens":2}}"#,
        false,
    );
    check_strips(
        r#"data: {"choices":null,"usage":{"prompt_tokens":1,"total_tokens":2}}"#,
        false,
    );
    check_strips(
        r#"data: {"usage":{"prompt_tokens":1,"total_tokens":2}}"#,
        false,
    );
    check_strips(
        r#"data: {"choices":[],"usage":{"prompt_tokens":1},"error":{}}"#,
        false,
    );
    check_strips(
        r#"data: {"choices":[],"usage":{"prompt_tokens":1,"total_tokens":2}"#,
        false,
    );
    check_strips(
        r#"data: {"choices":[],"usage":{"prompt_tokens":1,"total_tokens":2}} x"#,
        false,
    );
    check_strips(
        r#"x-data: {"choices":[],"usage":{"total_tokens":2}}"#,
        false,
    );
    check_strips(
        r#"data: {"x":{"choices":[],"usage":{"total_tokens":2}}}"#,
        false,
    );
}

#[test]
fn a_whole_event_leaves_at_its_last_byte_and_not_before() {
    for end in ["\n", "\r", "\r\n"] {
        let event = format!("data: {{}}{end}{end}");
        // A CR ends a line by itself; what may follow it is waited for by nobody.
        let last = if end == "\r\n" {
            event.len() - 1
        } else {
            event.len()
        };
        let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
        meter.reset(true);
        for (at, byte) in event.bytes().enumerate() {
            meter.feed(&[byte], &mut out);
            let expected = if at + 1 < last { 0 } else { at + 1 };
            assert_eq!(out.len(), expected, "{event:?} at {at}");
        }
        assert!(meter.between_events());
    }
}

#[test]
fn a_stream_that_is_not_stripped_is_never_held_back() {
    let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
    for byte in USAGE.bytes() {
        let len = out.len();
        meter.feed(&[byte], &mut out);
        assert_eq!(out.len(), len + 1);
    }
    assert!(!meter.between_events());
}

#[test]
fn only_what_has_left_decides_whether_it_was_whole_events() {
    let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
    for strip in [false, true] {
        meter.reset(strip);
        assert!(meter.between_events());
        meter.feed(b"data: a\n\n", &mut out);
        assert!(meter.between_events());
        meter.feed(b"data: b", &mut out);
        assert_eq!(
            meter.between_events(),
            strip,
            "half an event is held back when stripping"
        );
        meter.feed(&[b'x'; EVENT_BYTES_MAX], &mut out);
        assert!(!meter.between_events());
        meter.feed(b"\n\n", &mut out);
        assert!(meter.between_events());
    }
}

#[test]
fn an_event_past_the_bound_passes_and_is_no_usage_chunk() {
    for (pad, strips) in [(EVENT_BYTES_MAX / 2, true), (EVENT_BYTES_MAX, false)] {
        let pad = "x".repeat(pad);
        let event = format!("data: {{\"pad\":\"{pad}\",{}\n\n", &USAGE[7..]);
        let stream = format!("data: a\n\n{event}data: b\n\n");
        let pieces: Vec<&[u8]> = stream.as_bytes().chunks(1_000).collect();
        let reading = read(true, &pieces);
        assert_eq!(read(true, &[stream.as_bytes()]), reading);
        let pieces: Vec<&[u8]> = stream.as_bytes().chunks(7).collect();
        assert_eq!(read(true, &pieces), reading);
        assert_eq!(reading.out == stream, !strips);
        assert_eq!(reading.out.len(), if strips { 18 } else { stream.len() });
        assert_eq!(reading.usage.map(|usage| usage.output), Some(2));
    }
}

#[test]
fn a_tail_that_is_cut_short_is_passed_on_as_it_is() {
    let cut = &USAGE[..USAGE.len() - 1];
    assert_eq!(
        read(true, &[b"data: a\n\n", cut.as_bytes()]).out,
        format!("data: a\n\n{cut}")
    );
    // Whole but for its blank line: it is the usage chunk, and nobody asked for it.
    let reading = read(true, &[b"data: a\n\n", USAGE.as_bytes()]);
    assert_eq!(reading.out, "data: a\n\n");
    assert_eq!(reading.usage.map(|usage| usage.output), Some(2));
}

#[test]
fn what_an_event_without_its_blank_line_says_is_known() {
    let mut meter = StreamMeter::new();
    meter.observe(USAGE.as_bytes());
    assert_eq!(meter.usage().map(|usage| usage.output), Some(2));
    meter.reset(false);
    meter.observe(b"data: [DONE]\n");
    assert!(meter.done_seen());
    meter.reset(false);
    meter.observe(b"data: {\"error\":{\"usage\":1}");
    assert!(meter.error_seen());
    meter.reset(false);
    assert!(!meter.done_seen() && !meter.error_seen() && meter.usage().is_none());
}

#[test]
fn the_count_grows_with_every_event_that_has_text() {
    let mut meter = StreamMeter::new();
    for (text, counted) in [
        ("", 0),
        ("a", 1),
        ("bc", 2),
        ("", 2),
        (&*"x".repeat(37), 10),
    ] {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        meter.observe(event.as_bytes());
        assert_eq!(meter.output_tokens_counted(), counted);
    }
    // What a caller has seen of an event counts before the event is whole.
    meter.observe(b"data: {\"choices\":[{\"delta\":{\"content\":\"and more");
    assert_eq!(meter.output_tokens_counted(), 12);
}

#[test]
fn usage_in_every_chunk_is_the_last_one() {
    let chunk = |output: &str| {
        format!("data: {{\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":{output}}}}}\n\n")
    };
    let stream = chunk("1") + &chunk("2") + &chunk("3") + "data: {\"usage\":null}\n\n";
    assert_eq!(
        read(false, &[stream.as_bytes()])
            .usage
            .map(|usage| usage.output),
        Some(3)
    );
    let mut meter = StreamMeter::new();
    meter.observe((stream + &chunk("-4")).as_bytes());
    assert_eq!(meter.usage().map(|usage| usage.output), Some(3));
    assert!(meter.usage_implausible());
}

#[test]
fn a_meter_that_was_reset_remembers_nothing() {
    let (mut meter, mut out) = (StreamMeter::new(), Vec::new());
    for Sample { name, bytes, .. } in STREAMS {
        meter.reset(true);
        meter.feed(
            b"data: {\"error\":1}\n\ndata: [DONE]\n\ndata: {\"choices\":[{\"te\r",
            &mut out,
        );
        out.clear();
        meter.reset(true);
        meter.feed(bytes, &mut out);
        meter.finish(&mut out);
        let fresh = read(true, &[bytes]);
        let out = String::from_utf8_lossy(&out).into_owned();
        let (usage, counted) = (meter.usage(), meter.output_tokens_counted());
        let (done, error) = (meter.done_seen(), meter.error_seen());
        assert_eq!(
            Reading {
                out,
                usage,
                counted,
                done,
                error
            },
            fresh,
            "{name}"
        );
    }
}

/// An event of a random stream, and whether it is the usage chunk.
fn event() -> impl Strategy<Value = (String, bool)> {
    let end = prop::sample::select(vec!["\n", "\r", "\r\n"]);
    let lines = prop::sample::select(vec![
        (vec![USAGE], true),
        (vec!["data:{\"choices\":[],", "data: \"usage\":{}}"], true),
        (vec!["id: 1", USAGE, ": comment"], true),
        (vec![": keepalive"], false),
        (vec![], false),
        (vec!["data: [DONE]"], false),
        (vec!["data", "data:", "data: x"], false),
        (
            vec!["data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\"}}],\"usage\":null}"],
            false,
        ),
        (vec!["dat", USAGE, "data: {}"], false),
    ]);
    (lines, end).prop_map(|((lines, usage), end)| {
        (
            lines
                .iter()
                .map(|line| format!("{line}{end}"))
                .collect::<String>()
                + end,
            usage,
        )
    })
}

proptest! {
    #[test]
    fn a_stream_leaves_as_it_came_but_for_its_usage_chunks(
        events in prop::collection::vec(event(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        // A CR at the end of one event and a LF at the start of the next are one line end.
        let mut events = events;
        events.dedup_by(|next, last| last.0.ends_with('\r') && next.0.starts_with('\n'));
        let stream: String = events.iter().map(|(text, _)| text.as_str()).collect();
        let kept = events.iter().filter(|(_, usage)| !usage).map(|(text, _)| text.as_str());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|two| &stream.as_bytes()[two[0]..two[1]]).collect();
        let reading = read(true, &pieces);
        prop_assert_eq!(&reading.out, &kept.collect::<String>());
        let untouched = read(false, &pieces);
        prop_assert_eq!(&untouched.out, &stream);
        prop_assert_eq!(reading.counted, untouched.counted);
    }

    #[test]
    fn no_bytes_upset_the_meter(bytes: Vec<u8>, at: prop::sample::Index) {
        let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
        for strip in [false, true] {
            prop_assert_eq!(read(strip, &[head, tail]), read(strip, &[&bytes]));
        }
        prop_assert_eq!(read(false, &[&bytes]).out, String::from_utf8_lossy(&bytes));
    }
}
