//! Decides what a provider's `usage` says, and whether to believe it.
//!
//! An explicit 0 is an answer. What is negative, fractional, past 2^53 or not a number at all is
//! not: then there is no usage, the meters say that it was implausible, and the caller is charged
//! for what was counted instead.

use crate::json::whole;

/// What one answer used, as its provider counted it. All are tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request, those from a cache included.
    pub input: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
    /// Those of the input that came from the provider's cache; never more than `input`.
    pub cached_input: u64,
    /// Those of the output that were thought and not said; never more than `output`.
    pub reasoning: u64,
}

/// A number of a usage object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// `prompt_tokens`
    Input,
    /// `completion_tokens`
    Output,
    /// `total_tokens`
    Total,
    /// `prompt_tokens_details.cached_tokens`
    Cached,
    /// `completion_tokens_details.reasoning_tokens`
    Reasoning,
}

/// A usage object of which some has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    reasoning: Option<u64>,
    implausible: bool,
}

impl Draft {
    /// Notes a number, as it was written. `null` is no number and no fault: it is how some
    /// providers write "not counted".
    pub(super) fn note(&mut self, count: Count, word: &[u8]) {
        if word == b"null" {
            return;
        }
        let number = whole(word);
        self.implausible |= number.is_none();
        *match count {
            Count::Input => &mut self.input,
            Count::Output => &mut self.output,
            Count::Total => &mut self.total,
            Count::Cached => &mut self.cached,
            Count::Reasoning => &mut self.reasoning,
        } = number;
    }

    /// Notes that there was something else where a number belongs.
    pub(super) fn note_implausible(&mut self) {
        self.implausible = true;
    }

    /// What the object says, once it is whole; none where that cannot be believed.
    pub(super) fn finish(&self) -> Option<Usage> {
        if self.implausible {
            return None;
        }
        let input = self.input?;
        // Embeddings have no output of their own to tell; their total is their input.
        let said = match (self.output, self.total) {
            (Some(output), _) => output,
            (None, Some(total)) => total.checked_sub(input)?,
            (None, None) => return None,
        };
        let reasoning = self.reasoning.unwrap_or(0);
        // Most providers count reasoning as part of the output. Some add it on top, and then
        // either the total says so or there is more of it than of the output.
        let apart = reasoning > said || self.total == Some(input + said + reasoning);
        let output = if apart { said + reasoning } else { said };
        let cached_input = self.cached.unwrap_or(0).min(input);
        Some(Usage {
            input,
            output,
            cached_input,
            reasoning,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: &[(Count, &str)], expected: Option<[u64; 4]>) {
        let mut draft = Draft::default();
        for (count, word) in counts {
            draft.note(*count, word.as_bytes());
        }
        let expected = expected.map(|[input, output, cached_input, reasoning]| Usage {
            input,
            output,
            cached_input,
            reasoning,
        });
        assert_eq!(draft.finish(), expected, "{counts:?}");
    }

    use Count::{Cached, Input, Output, Reasoning, Total};

    #[test]
    fn what_the_provider_counted_is_taken_as_it_is() {
        check(
            &[(Input, "9"), (Output, "12"), (Total, "21")],
            Some([9, 12, 0, 0]),
        );
        check(
            &[(Input, "9"), (Output, "12"), (Cached, "4")],
            Some([9, 12, 4, 0]),
        );
        check(
            &[(Input, "9"), (Output, "12"), (Reasoning, "10")],
            Some([9, 12, 0, 10]),
        );
        check(&[(Input, "8"), (Total, "8")], Some([8, 0, 0, 0]));
    }

    #[test]
    fn an_explicit_zero_is_an_answer() {
        check(
            &[(Input, "0"), (Output, "0"), (Total, "0")],
            Some([0, 0, 0, 0]),
        );
    }

    #[test]
    fn what_is_not_there_is_not_zero() {
        check(&[], None);
        check(&[(Output, "12")], None);
        check(&[(Input, "9")], None);
        check(&[(Input, "null"), (Output, "12")], None);
    }

    #[test]
    fn numbers_that_cannot_be_believed_are_no_usage() {
        for word in [
            "-1",
            "1.5",
            "1e3",
            "9007199254740992",
            "18446744073709551616",
            "true",
            "",
        ] {
            check(&[(Input, "9"), (Output, word)], None);
            check(&[(Input, "9"), (Output, "1"), (Cached, word)], None);
        }
        check(
            &[(Input, "9"), (Output, "9007199254740991")],
            Some([9, (1 << 53) - 1, 0, 0]),
        );
        check(&[(Input, "9"), (Total, "8")], None);
    }

    #[test]
    fn reasoning_on_top_of_the_output_is_added_to_it() {
        check(
            &[(Input, "9"), (Output, "5"), (Reasoning, "200")],
            Some([9, 205, 0, 200]),
        );
        let total = [(Input, "9"), (Output, "5"), (Reasoning, "3"), (Total, "17")];
        check(&total, Some([9, 8, 0, 3]));
        let within = [(Input, "9"), (Output, "5"), (Reasoning, "3"), (Total, "14")];
        check(&within, Some([9, 5, 0, 3]));
    }

    #[test]
    fn no_more_of_the_input_is_cached_than_there_is() {
        check(
            &[(Input, "9"), (Output, "1"), (Cached, "10")],
            Some([9, 1, 9, 0]),
        );
    }
}
