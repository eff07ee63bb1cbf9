//! The meter of whole answers: in pieces the same, and the usage is the one serde_json finds.
//!
//! The input is a line of cuts and a body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_dialects::openai::{UnaryMeter, Usage};
use tollring_fuzz::cut::Cut;
use tollring_fuzz::plain_usage::{self, Said};

fuzz_target!(|input: &[u8]| {
    let cut = Cut::of(input);
    let whole = read(&mut UnaryMeter::new(), &[cut.message]);
    let mut used = UnaryMeter::new();
    used.feed(br#"{"usage":{"prompt_tokens":-1},"choices":[{"text":"left over"#);
    used.reset();
    let pieces = read(&mut used, &cut.pieces_of(cut.message));
    assert_eq!(
        whole,
        pieces,
        "the cuts of {:?}",
        cut.pieces_of(cut.message)
    );
    if let Some(usage) = whole.usage {
        assert!(usage.cached_input <= usage.input && usage.reasoning <= usage.output);
        assert!(usage.input < 1 << 53 && usage.output < 1 << 54);
    }
    match plain_usage::read(cut.message) {
        Said::Usage(usage) => assert_eq!((whole.usage, whole.implausible), (Some(usage), false)),
        Said::Nothing => assert_eq!((whole.usage, whole.implausible), (None, false)),
        Said::Doubtful => {}
    }
});

/// What a meter says.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    usage: Option<Usage>,
    implausible: bool,
    counted: u64,
}

fn read(meter: &mut UnaryMeter, pieces: &[&[u8]]) -> Reading {
    let (mut counted, mut bytes) = (0, 0);
    for piece in pieces {
        meter.feed(piece);
        bytes += piece.len() as u64;
        assert!(
            meter.output_tokens_counted() >= counted,
            "the count went back"
        );
        counted = meter.output_tokens_counted();
        assert!(counted <= bytes.div_ceil(4), "more text than bytes");
    }
    Reading {
        usage: meter.usage(),
        implausible: meter.usage_implausible(),
        counted,
    }
}
