//! Path prefixes, of services and of base URLs.
//!
//! Plain segments only: what is compared with a request's target, byte by byte,
//! must have one spelling, so there is no `%`, no empty segment and no `..`.

use crate::fault::Problem;
use crate::limits::PATH_BYTES_MAX;

/// Characters of a segment beside letters and digits (RFC 3986 §3.3, without the quotes).
const MARKS: &[u8] = b"-._~:@!$&()*+,;=";

/// `"/"` becomes the empty prefix; `"/weather/"` becomes `"/weather"`.
pub(crate) fn parse_prefix(text: &str) -> Result<Box<str>, Problem> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    if !text.starts_with('/') || prefix.len() > PATH_BYTES_MAX {
        return Err(Problem::PathMalformed);
    }
    let plain = prefix.split('/').skip(1).all(is_plain_segment);
    if plain {
        Ok(prefix.into())
    } else {
        Err(Problem::PathMalformed)
    }
}

fn is_plain_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || MARKS.contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_spelling() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(parse_prefix(text).as_deref(), Ok(expected), "{text}");
        }
        check("/", "");
        check("/weather", "/weather");
        check("/weather/", "/weather");
        check("/weather/v2:beta", "/weather/v2:beta");
        check("/..a/b..", "/..a/b..");
    }

    #[test]
    fn what_could_be_spelt_otherwise_is_refused() {
        for text in [
            "", "a", "//", "/a//b", "/a/../b", "/.", "/a%2fb", "/a?b", "/a#b", "/a b", "/ä",
        ] {
            assert_eq!(parse_prefix(text), Err(Problem::PathMalformed), "{text}");
        }
        assert!(parse_prefix(&format!("/{}", "a".repeat(PATH_BYTES_MAX))).is_err());
    }
}
