//! Names and values of header fields, and methods: what an operator may have written.
//!
//! A field that frames a message, belongs to one connection, or is written by the gateway
//! itself has a setting of its own or none at all: written here it could say one thing
//! while the bytes say another.

use crate::fault::{Problem, RuleFault};
use crate::limits::{FIELD_NAME_BYTES_MAX, FIELD_VALUE_BYTES_MAX};

const NAME_RULE: &str = "write letters, digits and - as in \"X-Team\", 64 characters at most";
const METHOD_RULE: &str = "write a method as in \"GET\", 32 characters at most";
/// As many as a request's method may have.
const METHOD_BYTES_MAX: usize = 32;

/// Fields that nobody may write, each with what to do instead.
const RESERVED: &[(&str, &str)] = &[
    ("host", "use `host = \"upstream\"`, `\"client\"` or a name"),
    (
        "content-length",
        "remove it: it says where a body ends, which the body decides",
    ),
    (
        "transfer-encoding",
        "remove it: it says where a body ends, which the body decides",
    ),
    ("trailer", CONNECTION),
    ("te", CONNECTION),
    ("connection", CONNECTION),
    ("keep-alive", CONNECTION),
    ("proxy-connection", CONNECTION),
    ("proxy-authorization", CONNECTION),
    ("proxy-authenticate", CONNECTION),
    ("upgrade", "remove it, or set `websocket = true`"),
    ("expect", CONNECTION),
    ("via", OURS),
    ("date", OURS),
    ("x-request-id", OURS),
    ("request-id", OURS),
    ("x-upstream-request-id", OURS),
    ("max-forwards", OURS),
    ("x-forwarded-for", FORWARDED),
    ("x-forwarded-proto", FORWARDED),
    ("x-forwarded-host", FORWARDED),
    ("forwarded", FORWARDED),
];
const CONNECTION: &str = "remove it: it belongs to one connection and goes no further";
const OURS: &str = "remove it: the gateway writes it itself";
const FORWARDED: &str = "use [server.forwarded]";

/// A field that edits may name, in lower case.
pub(crate) fn parse_field_name(text: &str) -> Result<Box<str>, Problem> {
    let plain = !text.is_empty() && text.len() <= FIELD_NAME_BYTES_MAX && is_token(text);
    if !plain {
        return Err(Problem::NameMalformed { rule: NAME_RULE });
    }
    let name = text.to_ascii_lowercase();
    // An underscore is a hyphen to many an application (CGI), so it hides nothing.
    let spoken = name.replace('_', "-");
    match RESERVED.iter().find(|(reserved, _)| *reserved == spoken) {
        Some((_, remedy)) => Err(Problem::Rule(RuleFault::FieldReserved { remedy })),
        None => Ok(name.into()),
    }
}

/// A field as a list of fields names it, in lower case.
pub(crate) fn parse_listed_field(text: &str) -> Result<Box<str>, Problem> {
    match !text.is_empty() && text.len() <= FIELD_NAME_BYTES_MAX && is_token(text) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Err(Problem::NameMalformed { rule: NAME_RULE }),
    }
}

/// A method; its case counts (RFC 9110 §9.1).
pub(crate) fn parse_method(text: &str) -> Result<Box<str>, Problem> {
    match !text.is_empty() && text.len() <= METHOD_BYTES_MAX && is_token(text) {
        true => Ok(text.into()),
        false => Err(Problem::NameMalformed { rule: METHOD_RULE }),
    }
}

/// A field's value: visible ASCII with blanks between, so that it is one line and stays it.
pub(crate) fn parse_field_value(text: &str) -> Result<&str, Problem> {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t';
    let fits = text.len() <= FIELD_VALUE_BYTES_MAX;
    if fits && text.trim_matches([' ', '\t']) == text && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(Problem::Rule(RuleFault::FieldValueMalformed))
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.bytes().all(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case() {
        assert_eq!(parse_field_name("X-Team").as_deref(), Ok("x-team"));
        assert_eq!(
            parse_field_name("Authorization").as_deref(),
            Ok("authorization")
        );
        assert_eq!(parse_method("PROPFIND").as_deref(), Ok("PROPFIND"));
        for text in ["", "a b", "a:", "ä", "a\r\n", &"x".repeat(65)] {
            assert_eq!(
                parse_field_name(text),
                Err(Problem::NameMalformed { rule: NAME_RULE }),
                "{text}"
            );
        }
        assert!(NAME_RULE.contains(&FIELD_NAME_BYTES_MAX.to_string()));
        assert!(METHOD_RULE.contains(&METHOD_BYTES_MAX.to_string()));
    }

    #[test]
    fn what_frames_or_routes_cannot_be_written_in_any_spelling() {
        for text in [
            "Content-Length",
            "TRANSFER-ENCODING",
            "content_length",
            "Host",
            "forwarded",
        ] {
            let refused = parse_field_name(text);
            assert!(
                matches!(refused, Err(Problem::Rule(RuleFault::FieldReserved { .. }))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_is_one_line() {
        assert_eq!(parse_field_value("Bearer a\tb"), Ok("Bearer a\tb"));
        assert_eq!(parse_field_value(""), Ok(""));
        for text in ["a\r\nb", "a\n", " a", "a\t", "\u{e9}", "\0", "\x7f"] {
            assert_eq!(
                parse_field_value(text),
                Err(Problem::Rule(RuleFault::FieldValueMalformed)),
                "{text:?}"
            );
        }
    }
}
