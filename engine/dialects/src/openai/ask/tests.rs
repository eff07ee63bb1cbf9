//! What requests ask for, and every way in which they fail to ask.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::json::{Cause, Fault};

fn read(body: &str) -> Result<Ask, AskFault> {
    read_ask(Endpoint::ChatCompletions, body.as_bytes())
}

#[track_caller]
fn ask(body: &str) -> Ask {
    read(body).expect("the body is a request")
}

#[track_caller]
fn check_fault(body: &str, fault: AskFault) {
    assert_eq!(read(body), Err(fault), "{body}");
}

#[test]
fn a_plain_request_is_read() {
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;
    let asked = ask(body);
    assert_eq!(asked.model, Span { start: 10, end: 16 });
    assert_eq!(
        asked.model_name(body.as_bytes()),
        Ok(Cow::Borrowed("gpt-4o"))
    );
    assert_eq!((asked.stream, asked.include_usage), (false, false));
    assert_eq!((asked.output_tokens_max, asked.choices), (None, 1));
    // role, user, content, Hello: 20 bytes.
    assert_eq!(asked.input_tokens_estimate, 5);
}

#[test]
fn everything_that_matters_is_read_wherever_it_stands() {
    let asked = ask(r#"{"messages":[{"model":"x","stream":false}],
        "stream_options":{"a":[1],"include_usage":true},
        "n":3,"max_completion_tokens":77,"stream":true,"tools":null,"model":"m"}"#);
    assert_eq!((asked.stream, asked.include_usage), (true, true));
    assert_eq!((asked.output_tokens_max, asked.choices), (Some(77), 3));
}

#[test]
fn the_bound_of_the_output_goes_by_two_names() {
    for (members, expected) in [
        (r#""max_tokens":5"#, Some(5)),
        (r#""max_completion_tokens":6"#, Some(6)),
        (r#""max_tokens":7,"max_completion_tokens":7"#, Some(7)),
        (r#""max_tokens":7,"max_completion_tokens":null"#, Some(7)),
        (r#""max_tokens":null"#, None),
        (r#""max_tokens":0"#, Some(0)),
        (
            r#""max_tokens":9007199254740991"#,
            Some(9_007_199_254_740_991),
        ),
    ] {
        let asked = ask(&format!(r#"{{"model":"m",{members}}}"#));
        assert_eq!(asked.output_tokens_max, expected, "{members}");
    }
}

#[test]
fn as_many_choices_are_paid_for_as_are_made() {
    for (members, expected) in [
        (r#""n":2"#, 2),
        (r#""n":2,"best_of":5"#, 5),
        (r#""best_of":2,"n":4"#, 4),
        (r#""n":null,"best_of":null"#, 1),
    ] {
        assert_eq!(
            ask(&format!(r#"{{"model":"m",{members}}}"#)).choices,
            expected,
            "{members}"
        );
    }
}

#[test]
fn a_name_is_the_same_however_it_is_escaped() {
    let body = r#"{"mod\u0065l":"gp\u0074-\"4\"","str\u0065am":true}"#;
    let asked = ask(body);
    assert!(asked.stream);
    assert_eq!(
        asked.model_name(body.as_bytes()).as_deref(),
        Ok("gpt-\"4\"")
    );
    check_fault(
        r#"{"model":"a","mod\u0065l":"b"}"#,
        AskFault::Duplicate(Member::Model),
    );
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for member in [
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "best_of",
        "messages",
    ] {
        let body = format!(r#"{{"model":"m","{member}":null,"{member}":null}}"#);
        let fault = read(&body).expect_err("there are two");
        if member == "messages" || member == "stream" || !member.is_empty() {
            assert!(
                matches!(fault, AskFault::Duplicate(dup) if dup.key() == member),
                "{member}"
            );
        }
    }
    check_fault(
        r#"{"model":"a","x":1,"model":"a"}"#,
        AskFault::Duplicate(Member::Model),
    );
    check_fault(
        r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
        AskFault::Duplicate(Member::IncludeUsage),
    );
    check_fault(
        r#"{"model":"a","Model":"b"}"#,
        AskFault::Misspelt(Member::Model),
    );
    check_fault(
        r#"{"model":"a","MAX_TOKENS":1}"#,
        AskFault::Misspelt(Member::MaxTokens),
    );
    check_fault(
        r#"{"model":"a","stream_options":{"Include_Usage":true}}"#,
        AskFault::Misspelt(Member::IncludeUsage),
    );
    check_fault(
        r#"{"model":"m","max_tokens":7,"max_completion_tokens":8}"#,
        AskFault::TokensBoth,
    );
}

#[test]
fn members_that_do_not_matter_may_be_twice_and_anything() {
    ask(r#"{"x":1,"x":2,"\ud800":3,"":4,"model":"m","include_usage":5,"X":[[[]]]}"#);
}

#[test]
fn a_member_of_the_wrong_kind_is_named() {
    for (body, fault) in [
        (r#"{}"#, AskFault::ModelMissing),
        (r#"{"x":{"model":"m"}}"#, AskFault::ModelMissing),
        (r#"{"model":null}"#, AskFault::ModelNotString),
        (r#"{"model":["m"]}"#, AskFault::ModelNotString),
        (r#"{"model":""}"#, AskFault::ModelEmpty),
        (r#"{"model":"a\ud800"}"#, AskFault::ModelNotText),
        (
            r#"{"model":"m","stream":"true"}"#,
            AskFault::NotBoolean(Member::Stream),
        ),
        (
            r#"{"model":"m","stream":1}"#,
            AskFault::NotBoolean(Member::Stream),
        ),
        (
            r#"{"model":"m","stream_options":true}"#,
            AskFault::StreamOptionsNotObject,
        ),
        (
            r#"{"model":"m","stream_options":[]}"#,
            AskFault::StreamOptionsNotObject,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":1}}"#,
            AskFault::NotBoolean(Member::IncludeUsage),
        ),
        ("[]", AskFault::NotObject),
        ("\"model\"", AskFault::NotObject),
        (" 1 ", AskFault::NotObject),
    ] {
        check_fault(body, fault);
    }
}

#[test]
fn numbers_must_be_whole_and_in_range() {
    for bad in [
        "-1",
        "1.0",
        "1e3",
        "-0",
        "\"5\"",
        "9007199254740992",
        "[1]",
        "true",
        "{}",
    ] {
        for member in [Member::MaxTokens, Member::MaxCompletionTokens] {
            let body = format!(r#"{{"model":"m","{}":{bad}}}"#, member.key());
            check_fault(&body, AskFault::TokensNotWhole(member));
        }
    }
    for bad in ["0", "-1", "1.5", "4294967296", "\"1\"", "false"] {
        for member in [Member::N, Member::BestOf] {
            let body = format!(r#"{{"model":"m","{}":{bad}}}"#, member.key());
            check_fault(&body, AskFault::ChoicesNotWhole(member));
        }
    }
}

#[test]
fn what_is_not_json_is_refused_even_where_nothing_matters() {
    for (body, at, cause) in [
        ("", 0, Cause::Ended),
        (r#"{"model":"m""#, 12, Cause::Ended),
        (r#"{"model":"m"} x"#, 14, Cause::Unexpected),
        (r#"{"model":"m",}"#, 13, Cause::Unexpected),
        (r#"{"model":"m","x":[1,]}"#, 20, Cause::Unexpected),
        (r#"{"model":"m","x":01}"#, 18, Cause::Unexpected),
        (r#"{"model":"m","stream":truex}"#, 26, Cause::Unexpected),
        (r#"{"model":"m","max_tokens":1x}"#, 27, Cause::Unexpected),
        (r#"{"model":m}"#, 9, Cause::Unexpected),
        ("[1", 2, Cause::Ended),
    ] {
        check_fault(body, AskFault::NotJson(Fault { at, cause }));
    }
}

#[test]
fn an_embedding_has_neither_output_nor_events() {
    let body = br#"{"model":"e","input":["a b c d",[1,2,3]],"stream":true,"n":2}"#;
    let asked = read_ask(Endpoint::Embeddings, body).expect("the body is a request");
    assert_eq!(
        (asked.stream, asked.output_tokens_max, asked.choices),
        (false, Some(0), 1)
    );
    assert_eq!(asked.input_tokens_estimate, 2 + 3);
}

#[test]
fn input_is_estimated_by_what_it_is() {
    let picture = "A".repeat(50_000);
    for (members, expected) in [
        (r#""prompt":"four""#.to_owned(), 1),
        (r#""prompt":[1,22,333,4444]"#.to_owned(), 4),
        (r#""temperature":0.5,"seed":7"#.to_owned(), 0),
        (
            format!(r#""messages":[{{"content":"data:image/png;base64,{picture}"}}]"#),
            1_445 + 2,
        ),
        // url and content are 10 bytes, detail and low 9, image_url 9.
        (
            r#""messages":[{"content":{"image_url":{"url":"https://a/b.png","detail":"low"}}}]"#
                .to_owned(),
            1_445 + 7,
        ),
        (
            format!(r#""messages":[{{"content":"{}"}}]"#, "日".repeat(100)),
            100 + 2,
        ),
    ] {
        let asked = ask(&format!(r#"{{"model":"m",{members}}}"#));
        assert_eq!(asked.input_tokens_estimate, expected, "{members:.80}");
    }
}

#[test]
fn every_fault_tells_the_caller_what_and_where() {
    let faults = [
        (AskFault::TooLong, None),
        (
            AskFault::NotJson(Fault {
                at: 7,
                cause: Cause::Unexpected,
            }),
            None,
        ),
        (
            AskFault::NotJson(Fault {
                at: 7,
                cause: Cause::Depth,
            }),
            None,
        ),
        (AskFault::NotObject, None),
        (AskFault::Duplicate(Member::Model), Some("model")),
        (AskFault::Misspelt(Member::N), Some("n")),
        (AskFault::ModelMissing, Some("model")),
        (AskFault::ModelNotString, Some("model")),
        (AskFault::ModelEmpty, Some("model")),
        (AskFault::ModelNotText, Some("model")),
        (
            AskFault::NotBoolean(Member::IncludeUsage),
            Some("stream_options.include_usage"),
        ),
        (AskFault::StreamOptionsNotObject, Some("stream_options")),
        (
            AskFault::TokensNotWhole(Member::MaxTokens),
            Some("max_tokens"),
        ),
        (AskFault::TokensBoth, Some("max_tokens")),
        (AskFault::ChoicesNotWhole(Member::BestOf), Some("best_of")),
    ];
    for (fault, param) in faults {
        let message = fault.message().to_string();
        assert_eq!(fault.param(), param, "{fault:?}");
        let last = param
            .and_then(|param| param.rsplit('.').next())
            .unwrap_or("body");
        assert!(
            message.contains(last) && message.ends_with('.'),
            "{message}"
        );
        assert!(!fault.code().is_empty());
    }
    let message = AskFault::NotJson(Fault {
        at: 7,
        cause: Cause::Unexpected,
    })
    .to_string();
    assert_eq!(
        message,
        "The body is not valid JSON: unexpected byte at offset 7."
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_with_a_model_is_a_request_for_it(
        others in prop::collection::btree_map("x[a-zA-Z\"\\\\é]{0,8}", value(), 0..6),
        model in "\\PC{1,20}|[\\x00-\\x7f]{1,8}",
        stream: bool,
        pretty: bool,
    ) {
        let mut body: Map<String, Value> = others.into_iter().collect();
        body.insert("model".to_owned(), json!(model));
        body.insert("stream".to_owned(), json!(stream));
        let body = if pretty { format!("{:#}", json!(body)) } else { json!(body).to_string() };
        let asked = read(&body).map_err(|fault| TestCaseError::fail(format!("{fault}: {body}")))?;
        let name = asked.model_name(body.as_bytes());
        prop_assert_eq!(name.as_deref(), Ok(&*model));
        prop_assert_eq!(asked.stream, stream);
    }

    #[test]
    fn no_bytes_upset_the_reading(bytes: Vec<u8>) {
        let _ = read_ask(Endpoint::Completions, &bytes);
    }
}
