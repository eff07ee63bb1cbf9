//! OpenAI's shapes: what a request says ([`ask`]), whole answers ([`answer`]), streams of events
//! ([`event`]).
//!
//! Decides JSON and nothing else: when it is sent, and how it is broken, is decided by those who
//! send it.

pub(super) mod answer;
pub(super) mod ask;
pub(super) mod event;

/// What every object of one answer repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp<'m> {
    /// Distinguishes answers of this run; the same on every event of a stream.
    pub(super) id: u64,
    /// UNIX time in seconds.
    pub(super) created: u64,
    /// As asked for.
    pub(super) model: &'m str,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) output: u64,
}

impl Usage {
    /// Appends `{"prompt_tokens":…}`.
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"prompt_tokens\":");
        number(out, self.input);
        out.extend_from_slice(b",\"completion_tokens\":");
        number(out, self.output);
        out.extend_from_slice(b",\"total_tokens\":");
        number(out, self.input + self.output);
        out.push(b'}');
    }
}

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a JSON string, quotes and all.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes every byte and a string is JSON");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for wanted in [0, 7, 10, 909, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, wanted);
            assert_eq!(String::from_utf8(out).unwrap(), wanted.to_string());
        }
    }
}
