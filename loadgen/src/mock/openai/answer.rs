//! Whole answers: chat, completion, embeddings, models, errors.

use super::ask::{EmbeddingsAsk, mix};
use super::{Stamp, Usage, number, string};
use crate::mock::words;

/// Numbers in a vector when the request does not say.
const DIMENSIONS: usize = 8;

/// Numbers in a vector at most; what the largest real models give.
const DIMENSIONS_MAX: usize = 4096;

/// The models that `/v1/models` lists; any other name is answered as well.
const MODELS: [&str; 3] = ["mock", "gpt-4o-mini", "text-embedding-3-small"];

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(in crate::mock) struct Said<'t> {
    /// Tokens in the answer.
    pub(in crate::mock) tokens: u32,
    /// The request allowed fewer tokens than there would have been.
    pub(in crate::mock) cut: bool,
    /// The tool to call instead of speaking.
    pub(in crate::mock) tool: Option<&'t str>,
}

impl Said<'_> {
    /// Why it ended.
    pub(super) const fn finish_reason(&self) -> &'static str {
        match self {
            Self { cut: true, .. } => "length",
            Self { tool: Some(_), .. } => "tool_calls",
            _ => "stop",
        }
    }
}

/// Appends the beginning of every object: its id, kind, time and model.
pub(super) fn preamble(out: &mut Vec<u8>, prefix: &str, object: &str, stamp: Stamp<'_>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(prefix.as_bytes());
    number(out, stamp.id);
    out.extend_from_slice(b"\",\"object\":\"");
    out.extend_from_slice(object.as_bytes());
    out.extend_from_slice(b"\",\"created\":");
    number(out, stamp.created);
    out.extend_from_slice(b",\"model\":");
    string(out, stamp.model);
}

/// Appends a `chat.completion`.
pub(in crate::mock) fn chat(
    out: &mut Vec<u8>,
    stamp: Stamp<'_>,
    said: Said<'_>,
    usage: Option<Usage>,
) {
    preamble(out, "chatcmpl-mock", "chat.completion", stamp);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",");
    match said.tool {
        None => {
            out.extend_from_slice(b"\"content\":\"");
            words::append(out, said.tokens);
            out.extend_from_slice(b"\",\"refusal\":null");
        }
        Some(tool) => {
            out.extend_from_slice(b"\"content\":null,\"refusal\":null,\"tool_calls\":[{\"id\":\"");
            tool_call(out, stamp.id, tool);
            for index in 0..said.tokens {
                out.extend_from_slice(words::argument(index, said.tokens).as_bytes());
            }
            out.extend_from_slice(b"\"}}]");
        }
    }
    out.extend_from_slice(b"},\"logprobs\":null,");
    finish(out, said, usage);
}

/// Appends a `text_completion`.
pub(in crate::mock) fn completion(
    out: &mut Vec<u8>,
    stamp: Stamp<'_>,
    said: Said<'_>,
    usage: Option<Usage>,
) {
    preamble(out, "cmpl-mock", "text_completion", stamp);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"text\":\"");
    words::append(out, said.tokens);
    out.extend_from_slice(b"\",\"logprobs\":null,");
    finish(out, said, usage);
}

/// Appends a call from its id to the opening quote of its arguments.
pub(super) fn tool_call(out: &mut Vec<u8>, id: u64, tool: &str) {
    out.extend_from_slice(b"call_mock");
    number(out, id);
    out.extend_from_slice(b"\",\"type\":\"function\",\"function\":{\"name\":");
    string(out, tool);
    out.extend_from_slice(b",\"arguments\":\"");
}

fn finish(out: &mut Vec<u8>, said: Said<'_>, usage: Option<Usage>) {
    out.extend_from_slice(b"\"finish_reason\":\"");
    out.extend_from_slice(said.finish_reason().as_bytes());
    out.extend_from_slice(b"\"}]");
    if let Some(usage) = usage {
        out.extend_from_slice(b",\"usage\":");
        usage.write(out);
    }
    out.push(b'}');
}

/// Appends a list of embeddings.
pub(in crate::mock) fn embeddings(
    out: &mut Vec<u8>,
    ask: &EmbeddingsAsk<'_>,
    usage: Option<Usage>,
) {
    let dimensions = ask
        .dimensions
        .unwrap_or(DIMENSIONS)
        .clamp(1, DIMENSIONS_MAX);
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, hash) in ask.input.hashes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"object\":\"embedding\",\"index\":");
        number(out, index as u64);
        out.extend_from_slice(b",\"embedding\":");
        let vector = (0..dimensions as u64).map(|at| component(mix(hash ^ at)));
        if ask.wants_base64() {
            base64(out, vector.flat_map(f32::to_le_bytes));
        } else {
            floats(out, vector);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    string(out, ask.model());
    if let Some(usage) = usage {
        out.extend_from_slice(b",\"usage\":{\"prompt_tokens\":");
        number(out, usage.input);
        out.extend_from_slice(b",\"total_tokens\":");
        number(out, usage.input);
        out.push(b'}');
    }
    out.push(b'}');
}

/// A number between -1 and 1 with few enough bits to be exact in JSON and in base64.
fn component(bits: u64) -> f32 {
    let [low, high, ..] = bits.to_le_bytes();
    f32::from(i16::from_le_bytes([low, high])) / 32_768.0
}

fn floats(out: &mut Vec<u8>, vector: impl Iterator<Item = f32>) {
    out.push(b'[');
    for (index, number) in vector.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &number).expect("a vector takes every byte");
    }
    out.push(b']');
}

fn base64(out: &mut Vec<u8>, mut bytes: impl Iterator<Item = u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push(b'"');
    while let Some(first) = bytes.next() {
        let (second, third) = (bytes.next(), bytes.next());
        let group = u32::from_be_bytes([0, first, second.unwrap_or(0), third.unwrap_or(0)]);
        let digit = |place: u32| ALPHABET[(group >> (6 * place) & 63) as usize];
        out.extend_from_slice(&[digit(3), digit(2)]);
        out.push(second.map_or(b'=', |_| digit(1)));
        out.push(third.map_or(b'=', |_| digit(0)));
    }
    out.push(b'"');
}

/// Appends the list of models.
pub(in crate::mock) fn models(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, id) in MODELS.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        model(out, id);
    }
    out.extend_from_slice(b"]}");
}

/// Appends one model; every name is a model.
pub(in crate::mock) fn model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}");
}

/// Appends an error.
pub(in crate::mock) fn error(out: &mut Vec<u8>, kind: &str, code: &str, message: &str) {
    out.extend_from_slice(b"{\"error\":{\"message\":");
    string(out, message);
    out.extend_from_slice(b",\"type\":");
    string(out, kind);
    out.extend_from_slice(b",\"param\":null,\"code\":");
    string(out, code);
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use serde_json::Value;

    use super::*;

    const STAMP: Stamp<'_> = Stamp {
        id: 3,
        created: 1_700_000_000,
        model: "a\"b",
    };
    const USAGE: Usage = Usage {
        input: 2,
        output: 5,
    };

    fn json(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_chat_has_words_a_reason_and_usage() {
        let said = Said {
            tokens: 5,
            cut: false,
            tool: None,
        };
        let answer = json(|out| chat(out, STAMP, said, Some(USAGE)));
        assert_eq!(answer["model"], "a\"b");
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            "Here every cart pays at"
        );
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(answer["usage"]["total_tokens"], 7);
    }

    #[test]
    fn a_chat_with_a_tool_calls_it_with_arguments_that_parse() {
        let said = Said {
            tokens: 5,
            cut: false,
            tool: Some("weather"),
        };
        let answer = json(|out| chat(out, STAMP, said, None));
        let call = &answer["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "weather");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(arguments).unwrap()["text"].is_string());
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        assert!(answer.get("usage").is_none());
    }

    #[test]
    fn a_completion_that_was_cut_says_so() {
        let said = Said {
            tokens: 1,
            cut: true,
            tool: None,
        };
        let answer = json(|out| completion(out, STAMP, said, Some(USAGE)));
        assert_eq!(answer["choices"][0]["text"], "Here");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }

    #[test]
    fn base64_holds_the_same_numbers_as_the_list() {
        let ask = |format: &str| {
            let body = format!(r#"{{"input":"x","dimensions":3,"encoding_format":"{format}"}}"#);
            json(|out| embeddings(out, &EmbeddingsAsk::read(body.as_bytes()).unwrap(), None))
        };
        let listed = ask("float")["data"][0]["embedding"].clone();
        let numbers: Vec<f32> = serde_json::from_value(listed).unwrap();
        let mut expected = Vec::new();
        assert_eq!(numbers.len(), 3);
        base64(
            &mut expected,
            numbers.into_iter().flat_map(f32::to_le_bytes),
        );
        let encoded = serde_json::to_vec(&ask("base64")["data"][0]["embedding"]).unwrap();
        assert_eq!(encoded, expected);
    }

    #[test]
    fn base64_is_padded_as_rfc_4648_shows() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            base64(&mut out, plain.bytes());
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{encoded}\""));
        }
    }
}
