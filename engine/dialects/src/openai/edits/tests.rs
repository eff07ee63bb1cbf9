//! What leaves for a target, against the body that a reader who builds values would make.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::json::escape_json;
use crate::openai::{Endpoint, read_ask};

fn edit(body: &str, target: &str, want_usage: bool) -> String {
    let ask = read_ask(Endpoint::ChatCompletions, body.as_bytes()).expect("the body is a request");
    let target = escape_json(target);
    let edits = Edits::new(&ask, &target, want_usage, None);
    let mut out = Vec::new();
    edits.append(body.as_bytes(), &mut out);
    assert_eq!(out.len(), edits.len_after(body.len()), "{body}");
    let pieces: Vec<_> = edits.pieces(body.as_bytes()).collect();
    assert!(pieces.len() <= PIECES_MAX);
    String::from_utf8(out).expect("text stays text")
}

#[track_caller]
fn check(body: &str, want_usage: bool, expected: &str) {
    assert_eq!(edit(body, "t", want_usage), expected, "{body}");
}

#[test]
fn only_the_name_changes_where_only_the_name_must() {
    check(
        r#" {"x" : 1.50,"model":"m" }"#,
        false,
        r#" {"x" : 1.50,"model":"t" }"#,
    );
    check(
        r#"{"m\u006fdel":"\u006d","x":"\/"}"#,
        false,
        r#"{"m\u006fdel":"t","x":"\/"}"#,
    );
}

#[test]
fn a_body_that_needs_no_change_is_one_piece() {
    for body in [
        r#"{"model":"t"}"#,
        r#"{"model":"t","stream_options":{"include_usage":true}}"#,
    ] {
        let ask = read_ask(Endpoint::ChatCompletions, body.as_bytes()).expect("it is a request");
        let want_usage = ask.include_usage;
        let pieces = Edits::new(&ask, b"t", want_usage, None).pieces(body.as_bytes());
        assert_eq!(pieces.collect::<Vec<_>>(), [Piece::Kept(0..body.len())]);
    }
}

#[test]
fn the_usage_chunk_is_asked_for_in_every_form_of_the_option() {
    for (option, expected) in [
        ("", r#","stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":null"#,
            r#","stream_options":{"include_usage":true}"#,
        ),
        (
            r#","stream_options":{}"#,
            r#","stream_options":{"include_usage":true}"#,
        ),
        (
            r#","stream_options":{ }"#,
            r#","stream_options":{"include_usage":true }"#,
        ),
        (
            r#","stream_options":{"a":{}}"#,
            r#","stream_options":{"include_usage":true,"a":{}}"#,
        ),
        (
            r#","stream_options":{"a":1,"include_usage": false ,"b":2}"#,
            r#","stream_options":{"a":1,"include_usage": true ,"b":2}"#,
        ),
        (
            r#","stream_options":{"include_usage":null}"#,
            r#","stream_options":{"include_usage":true}"#,
        ),
        (
            r#","stream_options":{"include_usage":true,"a":1}"#,
            r#","stream_options":{"include_usage":true,"a":1}"#,
        ),
    ] {
        let body = format!(r#"{{"model":"m"{option}}}"#);
        check(&body, true, &format!(r#"{{"model":"t"{expected}}}"#));
        check(&body, false, &format!(r#"{{"model":"t"{option}}}"#));
        // The option before the model.
        let turned = format!(r#"{{"x":0{option},"model":"m"}}"#);
        if !option.is_empty() {
            check(
                &turned,
                true,
                &format!(r#"{{"x":0{expected},"model":"t"}}"#),
            );
        }
    }
    check(
        " {\"model\":\"m\" \n} ",
        true,
        " {\"model\":\"t\" \n,\"stream_options\":{\"include_usage\":true}} ",
    );
}

proptest! {
    #[test]
    fn an_edited_body_is_the_same_values_with_the_new_ones(
        before in prop::collection::btree_map("[a-c]{1,3}", any::<u32>(), 0..4),
        after in prop::collection::btree_map("[x-z]{1,3}", any::<Option<bool>>(), 0..4),
        (model, target) in (".{1,12}", ".{1,12}"),
        option in prop::option::of(prop::option::of(prop::collection::btree_map(
            "[a-c]|include_usage", any::<Option<bool>>(), 0..4,
        ))),
        want_usage: bool,
        pretty: bool,
    ) {
        let mut body = json!(before);
        body["model"] = json!(model);
        for (key, value) in after {
            body[key] = json!(value);
        }
        if let Some(option) = option {
            body["stream_options"] = json!(option);
        }
        let text = if pretty { format!("{body:#}") } else { body.to_string() };
        let edited = edit(&text, &target, want_usage);
        body["model"] = json!(target);
        if want_usage {
            body["stream_options"]["include_usage"] = json!(true);
        }
        let edited: Value = serde_json::from_str(&edited).map_err(|fault| {
            TestCaseError::fail(format!("{fault}: {edited}"))
        })?;
        prop_assert_eq!(edited, body);
    }
}

#[test]
fn a_cap_takes_the_place_of_every_bound_or_stands_behind_the_rest() {
    let capped = |endpoint, body: &str, tokens| {
        let ask = read_ask(endpoint, body.as_bytes()).expect("it is a request");
        let cap = Cap::new(endpoint, tokens);
        let edits = Edits::new(&ask, b"t", ask.stream, Some(&cap));
        let mut out = Vec::new();
        edits.append(body.as_bytes(), &mut out);
        assert_eq!(out.len(), edits.len_after(body.len()), "{body}");
        let reread = read_ask(endpoint, &out).expect("it still is one");
        assert_eq!(reread.output_tokens_max, Some(tokens));
        String::from_utf8(out).expect("text stays text")
    };
    let chat = Endpoint::ChatCompletions;
    let both = r#"{"max_tokens": 4096,"model":"m","max_completion_tokens":4096}"#;
    assert_eq!(
        capped(chat, both, 300),
        r#"{"max_tokens": 300,"model":"t","max_completion_tokens":300}"#
    );
    assert_eq!(
        capped(chat, r#"{"model":"m","max_tokens":null}"#, 0),
        r#"{"model":"t","max_tokens":0}"#
    );
    assert_eq!(
        capped(chat, r#"{"model":"m","stream":true}"#, u64::from(u32::MAX)),
        concat!(
            r#"{"model":"t","stream":true,"stream_options":{"include_usage":true},"#,
            r#""max_completion_tokens":4294967295}"#
        )
    );
    let old = Endpoint::Completions;
    assert_eq!(
        capped(old, r#"{"model":"m","prompt":"p"}"#, 256),
        r#"{"model":"t","prompt":"p","max_tokens":256}"#
    );
}
