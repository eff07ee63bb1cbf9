//! Decides how many input tokens a request may have, before anyone has counted them.
//!
//! It is an estimate, for the hold only: what is posted is the provider's own count. It is made
//! of the bytes of the body's strings, keys included, so it needs no vocabulary and no second
//! pass. English prose has about 4.5 bytes a token and code about 3.5; taking the keys along
//! makes up for the few tokens that a provider adds to each message.
//!
//! It is wrong where text is neither: long runs of digits are more tokens than it says, and a
//! long string that only looks like base64 is charged as a picture.

use memchr::memchr3;

use crate::json::text::Text;

/// Bytes of ASCII text to one token.
const ASCII_BYTES_PER_TOKEN: u64 = 4;

/// Bytes of other text to one token: a Chinese character has three, and is about one token.
const HIGH_BYTES_PER_TOKEN: u64 = 3;

/// What an embedded picture or other file is charged, whatever its bytes: the most that a vision
/// model of the GPT-4o family takes for one picture at high detail (85 and 8 tiles of 170).
pub const PICTURE_TOKENS: u64 = 1_445;

/// What a number in a `prompt` or `input` is charged: it is the id of one token.
pub const NUMBER_TOKENS: u64 = 1;

/// A string without a gap is taken for base64 from this length on. Words, paths and hashes are
/// shorter; the smallest recording or document is longer.
const BASE64_BYTES_MIN: usize = 1_024;

/// What has been seen of a request's input so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    ascii_bytes: u64,
    high_bytes: u64,
    pictures: u64,
    numbers: u64,
    /// The last key was one under which addresses of pictures are sent.
    url_next: bool,
}

impl Estimate {
    /// A key inside the input.
    pub(crate) fn key(&mut self, key: &Text<'_>) {
        self.count(key);
        self.url_next = matches!(key.raw, b"url" | b"image_url");
    }

    /// A string inside the input.
    pub(crate) fn text(&mut self, text: &Text<'_>) {
        let url_next = std::mem::take(&mut self.url_next);
        if is_embedded(text) || (url_next && text.raw.starts_with(b"http")) {
            self.pictures += 1;
        } else {
            self.count(text);
        }
    }

    /// A number that stands for a token.
    pub(crate) fn number(&mut self) {
        self.numbers += 1;
    }

    fn count(&mut self, text: &Text<'_>) {
        self.ascii_bytes += (text.raw.len() - text.high) as u64;
        self.high_bytes += text.high as u64;
    }

    /// The estimate, rounded up. At most 1,445 tokens for every seven bytes of the body (the
    /// shortest embedded file), which is no overflow below 4 GiB.
    pub(crate) fn tokens(&self) -> u64 {
        self.ascii_bytes.div_ceil(ASCII_BYTES_PER_TOKEN)
            + self.high_bytes.div_ceil(HIGH_BYTES_PER_TOKEN)
            + self.pictures * PICTURE_TOKENS
            + self.numbers * NUMBER_TOKENS
    }
}

/// Whether a string is a file and not text.
fn is_embedded(text: &Text<'_>) -> bool {
    let bare = || {
        text.raw.len() >= BASE64_BYTES_MIN
            && text.high == 0
            && !text.escaped
            // Text has one of these soon, so that only base64 is read to its end.
            && memchr3(b' ', b',', b'.', text.raw).is_none()
    };
    text.raw.starts_with(b"data:") || bare()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: u64) {
        let high = raw.bytes().filter(|byte| !byte.is_ascii()).count();
        let mut estimate = Estimate::default();
        let escaped = raw.contains('\\');
        estimate.text(&Text {
            raw: raw.as_bytes(),
            start: 0,
            escaped,
            high,
        });
        assert_eq!(estimate.tokens(), expected, "{raw:.40}");
    }

    #[test]
    fn text_is_charged_by_its_bytes_rounded_up() {
        check("", 0);
        check("a", 1);
        check("four", 1);
        check("fives", 2);
        check("日本語", 3);
        check("日本", 2);
        check("naïve", 2);
    }

    #[test]
    fn embedded_files_are_charged_flat() {
        check(
            &format!("data:image/png;base64,{}", "iVBORw0K".repeat(100_000)),
            PICTURE_TOKENS,
        );
        check("data:,x", PICTURE_TOKENS);
        check(&"UklGRg+/".repeat(128), PICTURE_TOKENS);
    }

    #[test]
    fn what_is_long_but_has_gaps_is_text() {
        check(&"UklGRg+/".repeat(127), 254);
        check(&"words and ".repeat(200), 500);
        check(&"1,2,3,4,".repeat(200), 400);
        check(&r"line\nof".repeat(200), 400);
    }

    #[test]
    fn a_picture_sent_by_address_is_charged_as_one() {
        let plain = |raw: &'static str| Text {
            raw: raw.as_bytes(),
            start: 0,
            escaped: false,
            high: 0,
        };
        let mut estimate = Estimate::default();
        estimate.key(&plain("url"));
        estimate.text(&plain("https://example.com/cat.png"));
        assert_eq!(estimate.tokens(), 1 + PICTURE_TOKENS);
        estimate.text(&plain("https://example.com/cat.png"));
        assert_eq!(estimate.tokens(), (3_u64 + 27).div_ceil(4) + PICTURE_TOKENS);
    }
}
