//! Answers and streams in the shapes that providers really send, for the tests of the meters.
//!
//! The bytes are in `golden/`; what must be read from them is here.

use super::Usage;

/// A whole answer, and what its meter must say.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
    pub(super) usage: Option<Usage>,
    /// Output tokens by our own count.
    pub(super) counted: u64,
}

macro_rules! golden {
    ($name:literal, $usage:expr, $counted:literal) => {
        Sample {
            name: $name,
            bytes: include_bytes!(concat!("../../golden/", $name)),
            usage: $usage,
            counted: $counted,
        }
    };
}

const fn usage(input: u64, output: u64, cached_input: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage {
        input,
        output,
        cached_input,
        reasoning,
    })
}

/// Answers that are not streams.
pub(super) const ANSWERS: [Sample; 7] = [
    // The text is 63 bytes, its escaped quotes counted as one each.
    golden!("answers/chat.json", usage(1019, 10, 1008, 0), 16),
    // The name is 19 bytes, the arguments 28 with their escapes read.
    golden!("answers/tools.json", usage(82, 17, 0, 0), 12),
    // 26 of reasoning, 17 and 6 of content.
    golden!("answers/reasoning.json", usage(26, 637, 0, 448), 13),
    golden!("answers/completion.json", usage(5, 7, 0, 0), 6),
    golden!("answers/embeddings.json", usage(8, 0, 0, 0), 0),
    // 18 bytes, 4 for `\u00e9`, 1 for `\n`.
    golden!("answers/no_usage.json", None, 6),
    golden!("answers/error.json", None, 0),
];

/// Streams of events.
pub(super) const STREAMS: [Sample; 7] = [
    golden!("streams/chat.sse", usage(19, 3, 12, 0), 4),
    golden!("streams/tools.sse", usage(80, 15, 0, 0), 8),
    golden!("streams/reasoning.sse", usage(9, 30, 0, 28), 4),
    golden!("streams/azure.sse", usage(4, 1, 0, 0), 1),
    golden!("streams/completion.sse", usage(5, 5, 0, 0), 4),
    golden!("streams/error.sse", None, 1),
    // More bytes than events: 43 in one and 1 in another.
    golden!("streams/no_usage.sse", None, 11),
];
