//! How a path is rewritten: a pattern that compiles, and a replacement that it can fill.

use regex::bytes::{Regex, RegexBuilder};

use crate::fault::{Problem, RuleFault};
use crate::limits::{PATH_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX};

/// A pattern over paths. Paths are ASCII, so letters and digits mean those of ASCII.
pub(crate) fn parse_pattern(text: &str) -> Result<Regex, Problem> {
    if text.len() > PATH_BYTES_MAX {
        return Err(Problem::ValueTooLong {
            max: PATH_BYTES_MAX,
        });
    }
    RegexBuilder::new(text)
        .unicode(false)
        .size_limit(PATTERN_COMPILED_BYTES_MAX)
        .build()
        .map_err(|fault| {
            // The last line of several is the one that says what; the others draw it.
            let words = fault.to_string();
            let cause = words.lines().last().unwrap_or_default();
            let cause = cause.strip_prefix("error: ").unwrap_or(cause).to_owned();
            Problem::Rule(RuleFault::PatternMalformed { cause })
        })
}

/// What takes the place of a match: text that a path may hold, and groups that `pattern` has.
pub(crate) fn parse_replacement(text: &str, pattern: &Regex) -> Result<Box<str>, Problem> {
    if text.len() > PATH_BYTES_MAX {
        return Err(Problem::ValueTooLong {
            max: PATH_BYTES_MAX,
        });
    }
    let held = |byte: u8| byte.is_ascii_graphic() && !b"?#\\".contains(&byte);
    if !text.bytes().all(held) {
        return Err(Problem::Rule(RuleFault::ReplacementMalformed));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) = group(after).ok_or(Problem::Rule(RuleFault::ReplacementMalformed))?;
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            let group = name.to_owned();
            return Err(Problem::Rule(RuleFault::GroupUnknown { group }));
        }
        rest = after;
    }
    Ok(text.into())
}

/// The name of a group behind its `$`, as the pattern's library reads it: the longest run of
/// letters, digits and `_`, or what stands in braces.
fn group(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = text.find(|letter| !of_name(letter)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_names_groups_that_there_are() {
        let pattern = parse_pattern("^/(v[12])/(?<rest>.*)$").unwrap();
        for text in ["/$1", "/${1}x", "/${rest}", "/$rest", "$0", "/$$", "/plain"] {
            assert!(parse_replacement(text, &pattern).is_ok(), "{text}");
        }
        for (text, name) in [("/$3", "3"), ("/$1x", "1x"), ("/${a}", "a"), ("/${}", "")] {
            let group = name.to_owned();
            assert_eq!(
                parse_replacement(text, &pattern),
                Err(Problem::Rule(RuleFault::GroupUnknown { group })),
                "{text}"
            );
        }
        for text in ["/a?b", "/a#b", "/a b", "/ü", "/$", "/${1", "/$-"] {
            assert_eq!(
                parse_replacement(text, &pattern),
                Err(Problem::Rule(RuleFault::ReplacementMalformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_or_grows_is_refused() {
        for text in ["(", "[z-a]", "a{1000}{1000}"] {
            let refused = parse_pattern(text).unwrap_err();
            assert!(
                matches!(refused, Problem::Rule(RuleFault::PatternMalformed { .. })),
                "{text}"
            );
        }
    }
}
