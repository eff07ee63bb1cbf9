//! Where text and usage are looked for, through the meter of whole answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::samples::{ANSWERS, Sample};
use super::super::{UnaryMeter, Usage};

type Reading = (Option<Usage>, bool, u64);

fn read(pieces: &[&[u8]]) -> Reading {
    let mut meter = UnaryMeter::new();
    for piece in pieces {
        meter.feed(piece);
    }
    (
        meter.usage(),
        meter.usage_implausible(),
        meter.output_tokens_counted(),
    )
}

#[track_caller]
fn check(body: &str, usage: Option<[u64; 2]>, implausible: bool, counted: u64) {
    let usage = usage.map(|[input, output]| Usage {
        input,
        output,
        ..Usage::default()
    });
    assert_eq!(
        read(&[body.as_bytes()]),
        (usage, implausible, counted),
        "{body}"
    );
}

#[test]
fn real_answers_are_metered() {
    for Sample {
        name,
        bytes,
        usage,
        counted,
    } in ANSWERS
    {
        assert_eq!(read(&[bytes]), (usage, false, counted), "{name}");
    }
}

#[test]
fn an_answer_split_at_any_byte_is_metered_the_same() {
    for Sample {
        name,
        bytes,
        usage,
        counted,
    } in ANSWERS
    {
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(
                read(&[head, tail]),
                (usage, false, counted),
                "{name} at {at}"
            );
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&each), (usage, false, counted), "{name} byte by byte");
    }
}

#[test]
fn a_short_answer_split_at_any_two_bytes_is_metered_the_same() {
    let body = br#"{"a":"\"usage\":{","choices":[{"text":"\u00e9\\"}],
        "usage":{"prompt_tokens":1,"completion_tokens":23}}"#;
    let whole = read(&[body]);
    assert_eq!(
        whole.0,
        Some(Usage {
            input: 1,
            output: 23,
            ..Usage::default()
        })
    );
    assert_eq!(whole.2, 2);
    for first in 0..=body.len() {
        for second in first..=body.len() {
            let pieces = [&body[..first], &body[first..second], &body[second..]];
            assert_eq!(read(&pieces), whole, "at {first} and {second}");
        }
    }
}

#[test]
fn usage_counts_only_at_the_top_of_the_answer() {
    check(
        r#"{"x":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
        None,
        false,
        0,
    );
    check(
        r#"[{"usage":{"prompt_tokens":1,"completion_tokens":2}}]"#,
        None,
        false,
        0,
    );
    check(
        r#"{"x":"{\"usage\":{\"prompt_tokens\":1}}"}"#,
        None,
        false,
        0,
    );
    check(r#"{"x":"usage","y":{"prompt_tokens":1}}"#, None, false, 0);
    check(
        r#"{"usage":{"x":{"prompt_tokens":1},"completion_tokens":2}}"#,
        None,
        true,
        0,
    );
    check(r#"{"usage":null}"#, None, false, 0);
}

#[test]
fn usage_that_cannot_be_believed_is_flagged_and_is_none() {
    for bad in [
        "-1",
        "1.5",
        "9007199254740992",
        "\"7\"",
        "true",
        "{}",
        "[7]",
        "1e2",
        "07",
    ] {
        let body = format!(r#"{{"usage":{{"prompt_tokens":1,"completion_tokens":{bad}}}}}"#);
        check(&body, None, true, 0);
        let body = format!(r#"{{"usage":{{"prompt_tokens":{bad},"completion_tokens":1}}}}"#);
        check(&body, None, true, 0);
    }
    let digits = "9".repeat(5_000);
    check(
        &format!(r#"{{"usage":{{"prompt_tokens":{digits}}}}}"#),
        None,
        true,
        0,
    );
}

#[test]
fn an_explicit_zero_is_not_missing() {
    check(
        r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
        Some([0, 0]),
        false,
        0,
    );
}

#[test]
fn the_last_usage_that_can_be_believed_stands() {
    let twice = r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},
        "usage":{"prompt_tokens":1,"completion_tokens":5}}"#;
    check(twice, Some([1, 5]), false, 0);
    let spoilt = r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},
        "usage":{"prompt_tokens":1,"completion_tokens":-5}}"#;
    check(spoilt, Some([1, 2]), true, 0);
}

#[test]
fn text_is_counted_where_a_model_makes_it() {
    for (message, counted) in [
        (r#"{"content":"four"}"#, 1),
        (r#"{"content":"fives"}"#, 2),
        (r#"{"content":""}"#, 0),
        (r#"{"content":null,"refusal":"No."}"#, 1),
        (r#"{"reasoning":"hm","reasoning_content":"hm"}"#, 1),
        (r#"{"content":[{"type":"text","text":"four"}]}"#, 1),
        (
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"fives"}]}]}"#,
            2,
        ),
        (
            r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{}}]}"#,
            1,
        ),
        (r#"{"function_call":{"name":"f","arguments":"{}xxxx"}}"#, 2),
        (
            r#"{"role":"assistant","audio":{"data":"AAAA","transcript":"a"}}"#,
            0,
        ),
        (
            r#"{"x":{"content":"no"},"tool_calls":[[{"function":{"name":"no"}}]]}"#,
            0,
        ),
    ] {
        check(
            &format!(r#"{{"choices":[{{"message":{message}}}]}}"#),
            None,
            false,
            counted,
        );
    }
    check(
        r#"{"content":"no","text":"no","message":{"content":"no"}}"#,
        None,
        false,
        0,
    );
    check(
        r#"{"choices":{"message":{"content":"no"}}}"#,
        None,
        false,
        0,
    );
}

#[test]
fn what_is_no_json_has_no_usage() {
    for body in [
        "",
        "<html>usage</html>",
        "{]",
        "}}}}",
        r#"{"usage":{"prompt_tokens":1"#,
    ] {
        check(body, None, false, 0);
    }
    let deep = "[".repeat(100_000) + r#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    check(&deep, None, false, 0);
    let after = r#"{} {"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    check(after, None, false, 0);
}

#[test]
fn a_meter_that_was_reset_remembers_nothing() {
    let mut meter = UnaryMeter::new();
    for Sample {
        name,
        bytes,
        usage,
        counted,
    } in ANSWERS.iter().rev()
    {
        meter.feed(br#"{"usage":{"prompt_tokens":-1},"choices":[{"text":"x"#);
        meter.reset();
        meter.feed(bytes);
        assert_eq!(meter.usage(), *usage, "{name}");
        assert!(!meter.usage_implausible(), "{name}");
        assert_eq!(meter.output_tokens_counted(), *counted, "{name}");
        meter.reset();
    }
}

/// Values in which the names that matter are in places where they do not.
fn decoy() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        "usage|prompt_tokens|[\"\\\\{}\\[\\]:, é\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("usage|prompt_tokens|completion_tokens|x", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn usage_is_found_among_decoys_wherever_the_body_is_split(
        before in decoy(),
        after in decoy(),
        tokens in prop::option::of((0..1_u64 << 53, 0..1_u64 << 53)),
        texts in prop::collection::vec("[a-z \"\\\\\n{}]{0,20}", 0..4),
        pretty: bool,
        cuts: [prop::sample::Index; 3],
    ) {
        let choices = texts.iter().map(|text| json!({"x": after, "message": {"content": text}}));
        let mut body = json!({"a": before, "choices": choices.collect::<Vec<_>>(), "z": after});
        if let Some((input, output)) = tokens {
            let details = json!({"cached_tokens": 0});
            body["usage"] = json!({
                "x": before, "prompt_tokens": input, "prompt_tokens_details": details,
                "completion_tokens": output, "y": after,
            });
        }
        let body = if pretty { format!("{body:#}") } else { body.to_string() };
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        at.extend([0, body.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|two| &body.as_bytes()[two[0]..two[1]]).collect();
        let (usage, implausible, counted) = read(&pieces);
        prop_assert_eq!(usage.map(|usage| (usage.input, usage.output)), tokens);
        prop_assert!(!implausible);
        let bytes: usize = texts.iter().map(String::len).sum();
        prop_assert_eq!(counted, (bytes as u64).div_ceil(4));
    }

    #[test]
    fn no_bytes_upset_the_meter(bytes: Vec<u8>, at: prop::sample::Index) {
        let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
        prop_assert_eq!(read(&[head, tail]), read(&[&bytes]));
    }

    #[test]
    fn nearly_json_split_anywhere_reads_the_same(
        body in r#"([\[\]{}:,"\\ 1u-]|"usage"|"choices"|"prompt_tokens"|"text"|null){0,60}"#,
        at: prop::sample::Index,
    ) {
        let (head, tail) = body.as_bytes().split_at(at.index(body.len() + 1));
        prop_assert_eq!(read(&[head, tail]), read(&[body.as_bytes()]));
    }
}
