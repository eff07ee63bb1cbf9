//! Requests of the OpenAI dialect: what is read is what serde_json reads, and what is edited is
//! the same request with another model.
//!
//! The input is a line with the target's name for the model, and a body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tollring_dialects::json::{Cause, WHOLE_MAX, escape_json};
use tollring_dialects::openai::{Ask, AskFault, Edits, Endpoint, PIECES_MAX, Piece, read_ask};
use tollring_fuzz::cut::first_line;
use tollring_fuzz::members::{Members, whole};

fuzz_target!(|input: &[u8]| {
    let (target, body) = first_line(input);
    let target = String::from_utf8_lossy(target);
    let target = if target.is_empty() { "t" } else { &*target };
    let endpoints = [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
    ];
    for endpoint in endpoints {
        match read_ask(endpoint, body) {
            Ok(ask) => check_taken(endpoint, body, &ask, target),
            Err(fault) => check_refused(body, &fault),
        }
    }
});

/// A body that is called no JSON is none to another reader either.
fn check_refused(body: &[u8], fault: &AskFault) {
    assert!(!fault.to_string().is_empty() && !fault.code().is_empty());
    match fault {
        // Deeper than anybody nests is JSON all the same.
        AskFault::NotJson(fault) if fault.cause != Cause::Depth => {
            assert!(fault.at <= body.len());
            let read = serde_json::from_slice::<&RawValue>(body);
            assert!(read.is_err(), "{fault}, and yet it is JSON");
        }
        AskFault::NotObject => assert!(Members::of(body).is_none()),
        _ => {}
    }
}

fn check_taken(endpoint: Endpoint, body: &[u8], ask: &Ask, target: &str) {
    let read = Members::of(body).expect("what is taken is a JSON object");
    check_facts(endpoint, &read, ask, body);
    for want_usage in [false, true] {
        let edited = edit(body, ask, target, want_usage);
        let after = Members::of(&edited).expect("an edited body is a JSON object");
        check_members(&read, &after, target, want_usage);
        let again = read_ask(endpoint, &edited).expect("an edited body is taken");
        assert_eq!(again.model_name(&edited).as_deref(), Ok(target));
        assert_eq!(again.include_usage, ask.include_usage || want_usage);
        assert_eq!(
            (
                again.stream,
                again.output_tokens_max,
                again.choices,
                again.input_tokens_estimate
            ),
            (
                ask.stream,
                ask.output_tokens_max,
                ask.choices,
                ask.input_tokens_estimate
            ),
        );
        // What was edited once needs no second edit.
        assert_eq!(edit(&edited, &again, target, want_usage), edited);
    }
}

fn check_facts(endpoint: Endpoint, read: &Members<'_>, ask: &Ask, body: &[u8]) {
    let model = read.only("model").expect("there is one model");
    let model: String = serde_json::from_str(model).expect("the model is text");
    assert_eq!(ask.model_name(body).as_deref(), Ok(model.as_str()));
    assert!(!model.is_empty());
    let number = |key| {
        assert!(read.count(key) < 2, "{key} is there twice");
        let value = read.only(key).filter(|value| *value != "null");
        value.map(|value| whole(value).expect("a number that is taken is whole"))
    };
    let embeds = endpoint == Endpoint::Embeddings;
    let stream = read.only("stream") == Some("true");
    assert!(read.count("stream") < 2 && read.count("stream_options") < 2);
    assert_eq!(ask.stream, stream && !embeds);
    let bounds = (number("max_completion_tokens"), number("max_tokens"));
    let tokens_max = if embeds {
        Some(0)
    } else {
        bounds.0.or(bounds.1)
    };
    assert_eq!(ask.output_tokens_max, tokens_max);
    assert!(tokens_max.is_none_or(|tokens| tokens <= WHOLE_MAX));
    let made = [number("n"), number("best_of")].into_iter().flatten().max();
    if embeds {
        assert_eq!(ask.choices, 1);
    } else {
        let prompts = Some(read).filter(|_| endpoint == Endpoint::Completions);
        let (least, most) = prompts.map_or((1, Some(1)), prompts_of);
        let made = made.unwrap_or(1);
        let of = |prompts: u64| made.saturating_mul(prompts).min(u32::MAX.into());
        let choices = u64::from(ask.choices);
        assert!(
            choices >= of(least),
            "{choices} choices for {least} prompts"
        );
        assert!(
            most.is_none_or(|most| choices <= of(most)),
            "{choices} choices for {most:?}"
        );
    }
    assert_eq!(ask.include_usage, asks_for_usage(read));
}

/// How many prompts there are at least, and at most. A list with objects in it is none that a
/// provider takes; counting it high does no harm.
fn prompts_of(read: &Members<'_>) -> (u64, Option<u64>) {
    assert!(read.count("prompt") < 2, "prompt is there twice");
    let prompt = read.only("prompt").unwrap_or("null");
    let list: Vec<&RawValue> = serde_json::from_str(prompt).unwrap_or_default();
    let is = |value: &&RawValue, first: &[char]| value.get().starts_with(first);
    match list.first() {
        Some(first) if is(first, &['"', '[']) => {
            let len = list.len() as u64;
            let has_objects = list.iter().any(|value| is(value, &['{']));
            (len, (!has_objects).then_some(len))
        }
        _ => (1, Some(1)),
    }
}

fn asks_for_usage(read: &Members<'_>) -> bool {
    let options = read
        .only("stream_options")
        .and_then(|text| Members::of(text.as_bytes()));
    options.is_some_and(|options| options.only("include_usage") == Some("true"))
}

/// The edited body; its pieces, its length and the whole must agree.
fn edit(body: &[u8], ask: &Ask, target: &str, want_usage: bool) -> Vec<u8> {
    let target = escape_json(target);
    let edits = Edits::new(ask, &target, want_usage, None);
    let mut edited = Vec::new();
    edits.append(body, &mut edited);
    assert_eq!(edited.len(), edits.len_after(body.len()));
    let (mut joined, mut kept_to, mut count) = (Vec::new(), 0, 0);
    for piece in edits.pieces(body) {
        count += 1;
        let piece = match piece {
            Piece::Kept(range) => {
                assert!(kept_to <= range.start, "pieces of the body come in order");
                kept_to = range.end;
                &body[range]
            }
            Piece::New(bytes) => bytes,
        };
        assert!(!piece.is_empty());
        joined.extend_from_slice(piece);
    }
    assert!(count <= PIECES_MAX);
    assert_eq!(joined, edited);
    edited
}

/// Every member is as it was but for the model and, where it is wanted, the usage option.
fn check_members(before: &Members<'_>, after: &Members<'_>, target: &str, want_usage: bool) {
    let keys = |members: &Members<'_>| -> Vec<Vec<u8>> {
        members.0.iter().map(|(key, _)| key.0.clone()).collect()
    };
    let mut expected = keys(before);
    if want_usage && before.count("stream_options") == 0 {
        expected.push(b"stream_options".to_vec());
    }
    assert_eq!(keys(after), expected);
    for ((key, after), (_, before)) in after.0.iter().zip(&before.0) {
        match key.0.as_slice() {
            b"model" => {
                let model: String = serde_json::from_str(after.get()).expect("a model is text");
                assert_eq!(model, target);
            }
            b"stream_options" if want_usage => {}
            _ => assert_eq!(after.get(), before.get()),
        }
    }
    if !want_usage {
        return;
    }
    let others = |members: &Members<'_>| -> Vec<(Vec<u8>, String)> {
        let text = members.only("stream_options").unwrap_or("{}");
        let options = Members::of(text.as_bytes());
        let others = options
            .iter()
            .flat_map(|options| options.without("include_usage"));
        others
            .map(|(key, value)| (key.to_vec(), value.to_owned()))
            .collect()
    };
    assert_eq!(others(after), others(before));
    assert!(asks_for_usage(after));
}
