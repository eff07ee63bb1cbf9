//! Decides what a JSON string stands for once its escapes are read (RFC 8259 §7).
//!
//! Most strings have none and are borrowed as they are. Where strings begin and end, and whether
//! their escapes are well formed, was decided by the scan.

use std::borrow::Cow;

use crate::Span;

/// A string of a body, still as it is written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The bytes between the quotes.
    pub(crate) raw: &'a [u8],
    /// Offset of those bytes in the body.
    pub(crate) start: usize,
    /// Whether there is a backslash among them.
    pub(crate) escaped: bool,
    /// How many of them are outside ASCII.
    pub(crate) high: usize,
}

impl Text<'_> {
    /// Where the bytes between the quotes are.
    pub(crate) fn span(&self) -> Span {
        let start = u32::try_from(self.start).expect("bodies over 4 GiB are never scanned");
        let len = u32::try_from(self.raw.len()).expect("bodies over 4 GiB are never scanned");
        Span {
            start,
            end: start + len,
        }
    }
}

/// Reads the escapes of `raw`, or none where it is not text: half a surrogate pair, an escape
/// that does not exist, or bytes that are not UTF-8.
pub(crate) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw).ok()?;
    let Some((plain, _)) = text.split_once('\\') else {
        return Some(Cow::Borrowed(text));
    };
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(plain);
    let mut chars = text[plain.len()..].chars();
    while let Some(char) = chars.next() {
        decoded.push(match char {
            '\\' => unescape(&mut chars)?,
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

/// Reads what follows a backslash.
fn unescape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        char @ ('"' | '\\' | '/') => char,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = unit(chars)?;
            match high {
                0xd800..=0xdbff => pair(high, chars)?,
                _ => char::from_u32(high)?,
            }
        }
        _ => return None,
    })
}

/// Joins a high surrogate with the low one that must follow it.
fn pair(high: u32, chars: &mut std::str::Chars<'_>) -> Option<char> {
    if (chars.next()?, chars.next()?) != ('\\', 'u') {
        return None;
    }
    let low = unit(chars)?;
    let in_range = (0xdc00..=0xdfff).contains(&low);
    in_range.then(|| char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)))?
}

/// Four hexadecimal digits.
fn unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | chars.next()?.to_digit(16)?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Option<&str>) {
        assert_eq!(decode(raw.as_bytes()).as_deref(), expected, "{raw}");
    }

    #[test]
    fn escapes_stand_for_what_rfc_8259_says() {
        check("model", Some("model"));
        check(r"mod\u0065l", Some("model"));
        check(r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\u{8}\u{c}\n\r\t"));
        check(r"\u00e9t\u00C9", Some("étÉ"));
        check(r"a\ud83d\ude00b", Some("a😀b"));
        check("é\\n😀", Some("é\n😀"));
    }

    #[test]
    fn what_is_not_text_is_none() {
        for raw in [
            r"\ud83d",
            r"\ude00",
            r"\ud83dx",
            r"\ud83d\n",
            r"\ud83d\u0041",
            r"\x",
            r"\u12",
        ] {
            check(raw, None);
        }
        assert_eq!(decode(b"\xff"), None);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(decode(b"plain").unwrap(), Cow::Borrowed("plain")));
    }
}
