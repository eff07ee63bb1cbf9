//! What the scripted provider says: the same words every time, one to a token.
//!
//! None needs escaping in JSON, so that answers are written by copying.

/// The words in their order; an answer longer than this begins again.
const WORDS: [&str; 16] = [
    " every", " cart", " pays", " at", " the", " gate", ",", " and", " no", " cart", " waits",
    " longer", " than", " the", " one", " before",
];

/// The first word of every answer, which has no space before it.
const FIRST: &str = "Here";

/// The `index`th token of an answer.
pub(super) const fn word(index: u32) -> &'static str {
    match index {
        0 => FIRST,
        _ => WORDS[(index as usize - 1) % WORDS.len()],
    }
}

/// Appends the first `count` tokens of an answer.
pub(super) fn append(out: &mut Vec<u8>, count: u32) {
    for index in 0..count {
        out.extend_from_slice(word(index).as_bytes());
    }
}

/// The `index`th token of a call's arguments that are `count` tokens long, as it stands inside a
/// JSON string: together they are `{"text":"…"}`, or an empty object when that does not fit.
pub(super) const fn argument(index: u32, count: u32) -> &'static str {
    match (index, count) {
        (0, 1) => "{}",
        (0, 2) => "{",
        (1, 2) => "}",
        (0, _) => r#"{\"text\":\""#,
        (index, count) if index == count - 1 => r#"\"}"#,
        (index, _) => word(index - 1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    #[test]
    fn words_need_no_escaping() {
        for index in 0..40 {
            assert!(
                word(index)
                    .bytes()
                    .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
            );
        }
    }

    #[test]
    fn the_arguments_of_a_call_are_json_at_every_length() {
        for count in 1..40 {
            let text: String = (0..count).map(|index| argument(index, count)).collect();
            let text: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert!(
                serde_json::from_str::<serde_json::Value>(&text)
                    .unwrap()
                    .is_object()
            );
        }
    }
}
