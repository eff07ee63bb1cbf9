//! What is JSON and what is not: by table, and against a reader that is not ours.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// Passes over a whole body, whatever value it is.
fn pass(bytes: &[u8]) -> Result<(), Fault> {
    let mut scan = Scanner::new(bytes);
    scan.pass(|_| {})?;
    scan.end()
}

#[track_caller]
fn check(body: &str, expected: Option<(usize, Cause)>) {
    let fault = expected.map(|(at, cause)| Fault { at, cause });
    assert_eq!(pass(body.as_bytes()).err(), fault, "{body:?}");
}

#[test]
fn every_form_of_value_is_passed_over() {
    for body in [
        "{}",
        " [ ] ",
        "null",
        "true",
        "false",
        r#""""#,
        r#""\"\\\/\b\f\n\r\t\u00Ff""#,
        "\t[1,\r\n-0 , 0.5,1e9,-1.25E-7,2e+1]",
        r#"{"a":{"b":[{}, [], "]}"]},"":0}"#,
        "\"\u{7f}é日😀\"",
        r#""half a pair is grammar: \ud800""#,
    ] {
        check(body, None);
    }
}

#[test]
fn what_is_not_json_is_refused_where_it_is_seen() {
    use Cause::{Control, Ended, Escape, Unexpected};
    for (body, at, cause) in [
        ("", 0, Ended),
        ("  ", 2, Ended),
        ("{", 1, Ended),
        ("[1", 2, Ended),
        (r#"{"a"#, 3, Ended),
        (r#"{"a":"#, 5, Ended),
        ("{,}", 1, Unexpected),
        ("[,]", 1, Unexpected),
        ("[1,]", 3, Unexpected),
        (r#"{"a":1,}"#, 7, Unexpected),
        (r#"{"a" 1}"#, 5, Unexpected),
        (r#"{"a":1 "b":2}"#, 7, Unexpected),
        ("{a:1}", 1, Unexpected),
        ("{1:1}", 1, Unexpected),
        ("[1}", 2, Unexpected),
        (r#"{"a":1]"#, 6, Unexpected),
        ("{} {}", 3, Unexpected),
        ("nul", 0, Unexpected),
        ("nullx", 4, Unexpected),
        ("True", 0, Unexpected),
        ("NaN", 0, Unexpected),
        ("'a'", 0, Unexpected),
        ("/**/1", 0, Unexpected),
        ("01", 1, Unexpected),
        ("+1", 0, Unexpected),
        (".5", 0, Unexpected),
        ("1.", 2, Ended),
        ("1.x", 2, Unexpected),
        ("1e", 2, Ended),
        ("-", 1, Ended),
        ("-x", 1, Unexpected),
        ("0x1", 1, Unexpected),
        ("\u{feff}{}", 0, Unexpected),
        ("[1,\u{a0}2]", 3, Unexpected),
        (r#""\x""#, 1, Escape),
        (r#""\u12g4""#, 1, Escape),
        (r#""\u12"#, 1, Escape),
        (r#""\"#, 1, Escape),
        ("\"a\nb\"", 2, Control),
        ("\"a\0\"", 2, Control),
    ] {
        check(body, Some((at, cause)));
    }
}

#[test]
fn strings_that_are_not_utf_8_are_refused() {
    for raw in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"ab\x80",
    ] {
        let body = [b"\"", raw, b"\""].concat();
        assert_eq!(
            pass(&body),
            Err(Fault {
                at: 1,
                cause: Cause::Encoding
            })
        );
    }
    assert_eq!(
        pass(b"\xff").map_err(|fault| fault.cause),
        Err(Cause::Unexpected)
    );
}

#[test]
fn sixty_four_containers_nest_and_no_more() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    check(&nested(64), None);
    check(&nested(65), Some((64, Cause::Depth)));
    check(&"[".repeat(1_000_000), Some((64, Cause::Depth)));
    let mixed = r#"{"a":["#.repeat(32) + &"]}".repeat(32);
    check(&mixed, None);
    // An object that the scan was led into counts as well.
    let inside = format!("{{\"a\":{}}}", nested(64));
    let mut scan = Scanner::new(inside.as_bytes());
    assert_eq!(scan.enter_object(), Ok(()));
    assert!(scan.member(true).is_ok_and(|key| key.is_some()));
    assert_eq!(
        scan.pass(|_| {}),
        Err(Fault {
            at: 5 + 63,
            cause: Cause::Depth
        })
    );
}

#[test]
fn members_are_walked_in_order_and_the_object_is_left_once() {
    let mut scan = Scanner::new(br#" { "a" : 1 , "b\u0020":[{"c":2}] } "#);
    let mut keys = Vec::new();
    assert_eq!(scan.enter_object(), Ok(()));
    while let Ok(Some(key)) = scan.member(keys.is_empty()) {
        keys.push((
            String::from_utf8_lossy(key.raw).into_owned(),
            key.start,
            key.escaped,
        ));
        assert_eq!(scan.pass(|_| {}), Ok(()));
    }
    assert_eq!(
        keys,
        [("a".into(), 4, false), (r"b\u0020".into(), 14, true)]
    );
    assert_eq!(scan.end(), Ok(()));
}

#[test]
fn every_key_and_plain_value_is_met_once() {
    let mut met = String::new();
    let mut scan = Scanner::new(br#"{"k":["t",1,{"l":null,"m":{}}],"n":-2.5e3}"#);
    let passed = scan.pass(|leaf| match leaf {
        Leaf::Key(text) => met += &format!("key {} ", String::from_utf8_lossy(text.raw)),
        Leaf::Text(text) => met += &format!("text {} ", String::from_utf8_lossy(text.raw)),
        Leaf::Number => met += "number ",
        Leaf::Literal => met += "literal ",
    });
    assert_eq!(passed, Ok(()));
    assert_eq!(met, "key k text t number key l literal key m key n number ");
}

/// Text that is JSON, or would be but for a slip.
const NEARLY_JSON: &str = concat!(
    r#"([\[\]{}:,"\\ 01.eE+u-]|"a"|"é"|\\n|\\u00e9|null|true|false"#,
    r#"|\{"a":|\[\]|\{\}|[\n\x01]){0,24}"#,
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn another_reader_agrees_about_what_is_json(body in NEARLY_JSON) {
        let other = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        prop_assert_eq!(pass(body.as_bytes()).is_ok(), other, "{}", body);
    }

    #[test]
    fn no_bytes_upset_the_scan_and_faults_are_inside_the_body(bytes: Vec<u8>) {
        if let Err(fault) = pass(&bytes) {
            prop_assert!(fault.at <= bytes.len());
        }
    }
}
