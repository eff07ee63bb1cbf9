//! The tokens of bodies that come in pieces, against those of a reader that is not ours.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The tokens of a body as one line of text, with the parts of a string joined.
fn tokens(pieces: &[&[u8]]) -> String {
    let mut walker = Walker::default();
    let (mut line, mut text) = (String::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while let Some(token) = walker.next(&mut rest) {
            let word = String::from_utf8_lossy(walker.word()).into_owned();
            line += &match token {
                Token::Object => "{ ".to_owned(),
                Token::Array => "[ ".to_owned(),
                Token::Close => ") ".to_owned(),
                Token::Key(key) => format!("{}: ", String::from_utf8_lossy(key)),
                Token::KeyKept => format!("{word}: "),
                Token::Atom => format!("{word} "),
                Token::Text(all) => format!("'{}' ", String::from_utf8_lossy(all)),
                Token::TextPart(part) => {
                    text.extend_from_slice(part);
                    continue;
                }
                Token::TextEnd => {
                    format!("'{}' ", String::from_utf8_lossy(&std::mem::take(&mut text)))
                }
            };
        }
        assert!(rest.is_empty());
    }
    line + if walker.is_whole() { "." } else { "" }
}

#[track_caller]
fn check(body: &str, expected: &str) {
    for at in 0..=body.len() {
        let (head, tail) = body.as_bytes().split_at(at);
        assert_eq!(tokens(&[head, tail]), expected, "{body} at {at}");
    }
}

#[test]
fn a_body_is_the_same_tokens_wherever_it_is_split() {
    check(
        r#" {"a":1,"b":[true,null,-2.5e3],"c":{}} "#,
        "{ a: 1 b: [ true null -2.5e3 ) c: { ) ) .",
    );
    check(r#"["x","a\"b\\",""]"#, "[ 'x' 'a\"b\\' '' ) .");
    check(
        r#"{"a":"b","c":["d",{"e":"f"},"g"]}"#,
        "{ a: 'b' c: [ 'd' { e: 'f' ) 'g' ) ) .",
    );
    check(r#"[{"a":[]},"b"]"#, "[ { a: [ ) ) 'b' ) .");
    check(r#""\u0041""#, "'0041' ");
}

#[test]
fn a_key_that_is_escaped_or_long_is_no_name_that_is_looked_for() {
    check(r#"{"us\u0061ge":1}"#, "{ us\\u0061ge: 1 ) .");
    check(r#"{"a\"b":1}"#, "{ a\\\"b: 1 ) .");
    for (len, kept) in [(WORD_BYTES_MAX, true), (WORD_BYTES_MAX + 1, false)] {
        let key = "k".repeat(len);
        let body = format!("{{\"{key}\":1,\"b\":2}}");
        assert_eq!(tokens(&[body.as_bytes()]), format!("{{ {key}: 1 b: 2 ) ."));
        let (head, tail) = body.as_bytes().split_at(5);
        let word = if kept { &*key } else { "" };
        assert_eq!(tokens(&[head, tail]), format!("{{ {word}: 1 b: 2 ) ."));
    }
}

#[test]
fn numbers_that_do_not_matter_are_passed_over_wherever_they_are_split() {
    let body = br#"[[1,-2.5e3, null],[3,"a",4],[]]"#;
    for at in 0..=body.len() {
        let mut walker = Walker::default();
        let mut seen = Vec::new();
        for mut rest in [&body[..at], &body[at..]] {
            while let Some(token) = walker.next(&mut rest) {
                if token == Token::Array {
                    walker.skip_flat();
                }
                seen.push(matches!(token, Token::Atom));
            }
        }
        assert!(walker.is_whole(), "at {at}");
        // Only the number after the string is seen.
        assert_eq!(seen.iter().filter(|atom| **atom).count(), 1, "at {at}");
    }
}

#[test]
fn what_makes_no_sense_is_followed_no_further() {
    check("{]{}", "{ ");
    check("}{}", "");
    check("[1}[2]", "[ 1 ");
    check("{} x", "{ ) ");
    check("{},", "{ ) ");
    check("[]{}", "[ ) ");
    check(r#"{"a":"#, "{ a: ");
}

#[test]
fn nesting_is_followed_to_its_bound() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(tokens(&[nested(64).as_bytes()]).ends_with(") ."));
    assert_eq!(tokens(&[nested(65).as_bytes()]), "[ ".repeat(64));
}

/// What the tokens of a value are.
fn expected(value: &Value, line: &mut String) {
    match value {
        Value::String(text) => *line += &format!("'{text}' "),
        Value::Array(values) => {
            *line += "[ ";
            values.iter().for_each(|value| expected(value, line));
            *line += ") ";
        }
        Value::Object(members) => {
            *line += "{ ";
            for (key, value) in members {
                *line += &format!("{key}: ");
                expected(value, line);
            }
            *line += ") ";
        }
        other => *line += &format!("{other} "),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z é,:{}\\[\\]]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z ]{0,6}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn another_reader_finds_the_same_values(
        value in value(),
        pretty: bool,
        cut: prop::sample::Index,
    ) {
        let body = if pretty { format!("{value:#}") } else { value.to_string() };
        let mut line = String::new();
        expected(&value, &mut line);
        let (head, tail) = body.as_bytes().split_at(cut.index(body.len() + 1));
        let found = tokens(&[head, tail, b" "]);
        prop_assert_eq!(found.trim_end_matches('.'), line);
    }
}
