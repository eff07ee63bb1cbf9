//! The usage of an answer, read the plain way: the whole answer at once, by serde_json.
//!
//! Decides only about answers that leave no doubt. What is written twice, escaped, or of
//! another type than it should be is for the tests that name such cases.

use serde_json::value::RawValue;
use tollring_dialects::openai::Usage;

use crate::members::{Members, is_shallow, whole};

/// What a whole answer, or the data of one event, says about its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is no JSON object, or one that readers may differ about.
    Doubtful,
    /// It has no usage, or `null`.
    Nothing,
    /// It says so much.
    Usage(Usage),
}

/// Reads an answer.
#[must_use]
pub fn read(text: &[u8]) -> Said {
    let doubtless = is_shallow(text) && !text.contains(&b'\\');
    let Some(answer) = Members::of(text).filter(|_| doubtless) else {
        return Said::Doubtful;
    };
    match (answer.count("usage"), answer.only("usage")) {
        (0, _) | (1, Some("null")) => Said::Nothing,
        (1, Some(usage)) => of_object(usage).map_or(Said::Doubtful, Said::Usage),
        _ => Said::Doubtful,
    }
}

/// Whether a whole event's data is the chunk that only tells the usage; none in doubt.
#[must_use]
pub fn is_usage_chunk(data: &[u8]) -> Option<bool> {
    let Said::Usage(_) = read(data) else {
        return None;
    };
    let chunk = Members::of(data)?;
    let choices = match (chunk.count("choices"), chunk.only("choices")) {
        (0, _) => return Some(false),
        (1, Some(choices)) => serde_json::from_str::<Vec<&RawValue>>(choices).ok()?,
        _ => return None,
    };
    Some(choices.is_empty() && matches!(chunk.only("error"), None | Some("null")))
        .filter(|_| chunk.count("error") < 2)
}

fn of_object(text: &str) -> Option<Usage> {
    let usage = Members::of(text.as_bytes())?;
    let input = number(&usage, "prompt_tokens")??;
    let (output, total) = (
        number(&usage, "completion_tokens")?,
        number(&usage, "total_tokens")?,
    );
    let cached = detail(&usage, "prompt_tokens_details", "cached_tokens")?;
    let reasoning = detail(&usage, "completion_tokens_details", "reasoning_tokens")?;
    let said = match output {
        Some(output) => output,
        None => total?.checked_sub(input)?,
    };
    let on_top = reasoning > said || total == Some(input + said + reasoning);
    Some(Usage {
        input,
        output: if on_top { said + reasoning } else { said },
        cached_input: cached.min(input),
        reasoning,
    })
}

/// A number that may be missing; none where it is there and in doubt.
fn number(members: &Members<'_>, key: &str) -> Option<Option<u64>> {
    match members.count(key) {
        0 => Some(None),
        _ => whole(members.only(key)?).map(Some),
    }
}

/// A number in an object that may be missing; none where it is there and in doubt.
fn detail(usage: &Members<'_>, object: &str, key: &str) -> Option<u64> {
    match (usage.count(object), usage.only(object)) {
        (0, _) | (1, Some("null")) => Some(0),
        (1, Some(details)) => {
            let details = Members::of(details.as_bytes())?;
            number(&details, key).map(Option::unwrap_or_default)
        }
        _ => None,
    }
}
