//! How many prompts a completion asks to be answered at once.
//!
//! `prompt` is a text, a list of token ids, or a list of either. Only a list of texts or of
//! lists is more than one prompt. The value has been checked to be JSON; nothing is here.

/// The number of prompts in the value of `prompt`; at least 1.
pub(super) fn count_prompts(value: &[u8]) -> u32 {
    let Some((b'[', inside)) = value.split_first() else {
        return 1;
    };
    let first = inside.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'"' | b'[')) {
        return 1;
    }
    let (mut prompts, mut depth, mut in_text, mut escaped) = (1_u32, 0_u32, false, false);
    for &byte in inside {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => prompts = prompts.saturating_add(1),
            _ => {}
        }
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: u32) {
        assert_eq!(count_prompts(value.as_bytes()), expected, "{value}");
    }

    #[test]
    fn a_text_and_a_list_of_tokens_are_one_prompt() {
        check(r#""a, b""#, 1);
        check("[1, 2, 3]", 1);
        check("[]", 1);
        check("null", 1);
    }

    #[test]
    fn a_list_of_texts_or_of_lists_is_many() {
        check(r#"["a"]"#, 1);
        check(r#"[ "a, b", "c\"d,", "e" ]"#, 3);
        check("[[1, 2], [3, 4]]", 2);
        check(r#"["[", "]", ","]"#, 3);
    }
}
