//! Names that operators give: short and plain, for they are labels, paths and log fields.

use crate::fault::Problem;
use crate::limits::{MODEL_NAME_BYTES_MAX, NAME_BYTES_MAX};

const NAME_RULE: &str =
    "begin with a letter or digit; letters, digits, - . and _ may follow, 64 characters in all";
const MODEL_RULE: &str = "begin with a letter, digit, @ or *; letters, digits and \
     / : . - _ @ + * may follow, 256 characters in all";

/// The name of a tenant, key, plan, provider or service.
///
/// No `/` and no `:`, so that `tenant/key` and the identities of buckets cannot be ambiguous.
pub(crate) fn parse_name(text: &str) -> Result<Box<str>, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain) {
        Ok(text.into())
    } else {
        Err(Problem::NameMalformed { rule: NAME_RULE })
    }
}

/// The name of a model, ours or a provider's; it is written into JSON as it stands.
pub(crate) fn parse_model_name(text: &str) -> Result<Box<str>, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:.-_@+*".contains(&byte);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"@*".contains(&byte));
    if begins && text.len() <= MODEL_NAME_BYTES_MAX && text.bytes().all(plain) {
        Ok(text.into())
    } else {
        Err(Problem::NameMalformed { rule: MODEL_RULE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_state_the_bounds() {
        assert!(NAME_RULE.contains(&NAME_BYTES_MAX.to_string()));
        assert!(MODEL_RULE.contains(&MODEL_NAME_BYTES_MAX.to_string()));
    }

    #[test]
    fn names_are_plain() {
        for text in ["acme", "a", "7-eleven", "a.b_c-d", &"x".repeat(64)] {
            assert!(parse_name(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "-a",
            ".a",
            "a b",
            "a/b",
            "a:b",
            "é",
            "a\"",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_models_may_hold_an_account_and_a_tag() {
        for text in [
            "gpt-4o",
            "accounts/x/models/y",
            "llama3:8b",
            "@cf/meta/llama",
            "a+b",
            "*",
        ] {
            assert!(parse_model_name(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/a",
            "a b",
            "a\"b",
            "a\\b",
            "a\u{0}",
            "ü",
            &"x".repeat(257),
        ] {
            assert!(parse_model_name(text).is_err(), "{text}");
        }
    }
}
