//! What a request asks for, read in one pass without keeping its texts.
//!
//! Fields nobody here answers are passed over, as providers do. The count of prompt tokens is a
//! quarter of the bytes of all content: deterministic, and the same whether or not a gateway has
//! touched the rest of the body.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Bytes of content that count as one token.
const BYTES_PER_TOKEN: u64 = 4;

/// A request for a chat or a completion.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::mock) struct Ask<'b> {
    #[serde(borrow)]
    model: Option<Name<'b>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    messages: Messages,
    prompt: Text,
    #[serde(borrow)]
    tools: Option<FirstTool<'b>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl<'b> Ask<'b> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is not JSON, or a field that matters is of the wrong kind.
    pub(in crate::mock) fn read(body: &'b [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }

    /// The model asked for, `mock` when none was.
    pub(in crate::mock) fn model(&self) -> &str {
        self.model.as_ref().map_or("mock", |name| &name.0)
    }

    /// Whether the answer should come as events.
    pub(in crate::mock) fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether the last event should tell the usage.
    pub(in crate::mock) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage == Some(true))
    }

    /// Tokens the answer may have, and whether that is fewer than the `scripted` ones.
    pub(in crate::mock) fn limit(&self, scripted: u32) -> (u32, bool) {
        let limit = self
            .max_completion_tokens
            .or(self.max_tokens)
            .unwrap_or(u64::MAX);
        match u32::try_from(limit.max(1)) {
            Ok(limit) if limit < scripted => (limit, true),
            _ => (scripted, false),
        }
    }

    /// Prompt tokens, at least one.
    pub(in crate::mock) fn input_tokens(&self) -> u64 {
        tokens(self.messages.content_bytes + self.prompt.bytes)
    }

    /// The tool to call: the first one, unless the last message brings a tool's result, which
    /// wants an answer in words.
    pub(in crate::mock) fn tool(&self) -> Option<&str> {
        if self.messages.end_with_tool {
            return None;
        }
        self.tools.as_ref()?.name.as_ref().map(|name| &*name.0)
    }
}

/// A request for embeddings.
#[derive(Debug, Deserialize)]
pub(in crate::mock) struct EmbeddingsAsk<'b> {
    #[serde(borrow, default)]
    model: Option<Name<'b>>,
    /// What to embed.
    pub(in crate::mock) input: Inputs,
    #[serde(borrow, default)]
    encoding_format: Option<Name<'b>>,
    /// Numbers in one vector, where the request says so.
    #[serde(default)]
    pub(in crate::mock) dimensions: Option<usize>,
}

impl<'b> EmbeddingsAsk<'b> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is not JSON, has no `input`, or a field that matters is of the wrong kind.
    pub(in crate::mock) fn read(body: &'b [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }

    /// The model asked for, `mock` when none was.
    pub(in crate::mock) fn model(&self) -> &str {
        self.model.as_ref().map_or("mock", |name| &name.0)
    }

    /// Whether vectors are wanted as base64, as the official clients do.
    pub(in crate::mock) fn wants_base64(&self) -> bool {
        self.encoding_format
            .as_ref()
            .is_some_and(|format| format.0 == "base64")
    }

    /// Prompt tokens, at least one.
    pub(in crate::mock) fn input_tokens(&self) -> u64 {
        tokens(self.input.bytes)
    }
}

fn tokens(bytes: u64) -> u64 {
    (bytes / BYTES_PER_TOKEN).max(1)
}

/// A string, borrowed from the body unless it has escapes.
#[derive(Debug)]
struct Name<'b>(Cow<'b, str>);

impl<'de: 'b, 'b> Deserialize<'de> for Name<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own `Option<Cow>` always owns.
        struct Visit<'b>(PhantomData<&'b ()>);
        impl<'de: 'b, 'b> Visitor<'de> for Visit<'b> {
            type Value = Name<'b>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'b>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'b>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit(PhantomData))
    }
}

/// How much content there is in a string, a list of parts, or a prompt given as tokens.
#[derive(Debug, Default)]
struct Text {
    bytes: u64,
}

/// The members of a content part that hold content.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Part {
    Content,
    Text,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("content")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text {
                    bytes: text.len() as u64,
                })
            }
            fn visit_u64<E: Error>(self, _token: u64) -> Result<Text, E> {
                Ok(Text {
                    bytes: BYTES_PER_TOKEN,
                })
            }
            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text, A::Error> {
                let mut bytes = 0;
                while let Some(part) = parts.next_element::<Text>()? {
                    bytes += part.bytes;
                }
                Ok(Text { bytes })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Text, A::Error> {
                let mut bytes = 0;
                while let Some(member) = members.next_key()? {
                    match member {
                        Part::Content | Part::Text => bytes += members.next_value::<Text>()?.bytes,
                        Part::Other => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Text { bytes })
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// The messages of a chat, of which only this matters.
#[derive(Debug, Default)]
struct Messages {
    content_bytes: u64,
    end_with_tool: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Text,
    role: Role,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Tool,
    #[default]
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Messages;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages, A::Error> {
                let mut messages = Messages::default();
                while let Some(message) = list.next_element::<Message>()? {
                    messages.content_bytes += message.content.bytes;
                    messages.end_with_tool = message.role == Role::Tool;
                }
                Ok(messages)
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}

/// The name of the first tool, if there is one.
#[derive(Debug)]
struct FirstTool<'b> {
    name: Option<Name<'b>>,
}

#[derive(Deserialize)]
struct Tool<'b> {
    #[serde(borrow, default)]
    function: Option<Function<'b>>,
}

#[derive(Deserialize)]
struct Function<'b> {
    #[serde(borrow)]
    name: Name<'b>,
}

impl<'de: 'b, 'b> Deserialize<'de> for FirstTool<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<'b>(PhantomData<&'b ()>);
        impl<'de: 'b, 'b> Visitor<'de> for Visit<'b> {
            type Value = FirstTool<'b>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tools")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut tools: A) -> Result<Self::Value, A::Error> {
                let first = tools.next_element::<Tool<'b>>()?;
                while tools.next_element::<IgnoredAny>()?.is_some() {}
                let function = first.and_then(|tool| tool.function);
                Ok(FirstTool {
                    name: function.map(|function| function.name),
                })
            }
        }
        deserializer.deserialize_seq(Visit(PhantomData))
    }
}

/// What to embed: each input as a hash, from which its vector is made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::mock) struct Inputs {
    /// One for each input.
    pub(in crate::mock) hashes: Vec<u64>,
    bytes: u64,
}

/// One input, or one token of one.
#[derive(Default)]
struct Input {
    hash: u64,
    bytes: u64,
    is_token: bool,
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Inputs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a list of strings, or tokens")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Inputs, E> {
                Ok(Inputs {
                    hashes: vec![fnv1a(text.as_bytes())],
                    bytes: text.len() as u64,
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Inputs, A::Error> {
                let mut inputs = Inputs::default();
                let mut tokens: Option<u64> = None;
                while let Some(input) = list.next_element::<Input>()? {
                    inputs.bytes += input.bytes;
                    if input.is_token {
                        tokens = Some(mix(tokens.unwrap_or(0) ^ input.hash));
                    } else {
                        inputs.hashes.push(input.hash);
                    }
                }
                // A flat list of tokens is one input.
                inputs.hashes.extend(tokens);
                Ok(inputs)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Input;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or tokens")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Input, E> {
                let hash = fnv1a(text.as_bytes());
                Ok(Input {
                    hash,
                    bytes: text.len() as u64,
                    is_token: false,
                })
            }
            fn visit_u64<E: Error>(self, token: u64) -> Result<Input, E> {
                Ok(Input {
                    hash: mix(token),
                    bytes: BYTES_PER_TOKEN,
                    is_token: true,
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Input, A::Error> {
                let mut input = Input::default();
                while let Some(token) = tokens.next_element::<u64>()? {
                    input.hash = mix(input.hash ^ mix(token));
                    input.bytes += BYTES_PER_TOKEN;
                }
                Ok(input)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// The hash of some bytes (FNV-1a, 64 bits).
fn fnv1a(bytes: &[u8]) -> u64 {
    crate::mock::rest::Sum::default().add(bytes).value()
}

/// Spreads a number over all its bits (the finish of splitmix64).
pub(in crate::mock) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    #[test]
    fn prompt_tokens_are_a_quarter_of_the_content_however_it_is_given() {
        for body in [
            r#"{"messages":[{"role":"user","content":"12345678"}]}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"1234"}]},{"content":"5678"}]}"#,
            r#"{"model":"any","user":"me","messages":[{"role":"a","content":"12345678"}]}"#,
            r#"{"prompt":"12345678"}"#,
            r#"{"prompt":["1234","5678"]}"#,
            r#"{"prompt":[11, 12]}"#,
        ] {
            assert_eq!(
                Ask::read(body.as_bytes()).unwrap().input_tokens(),
                2,
                "{body}"
            );
        }
        assert_eq!(Ask::read(b"{}").unwrap().input_tokens(), 1);
    }

    #[test]
    fn the_smaller_of_script_and_request_limits_the_answer() {
        let ask = |body: &'static str| Ask::read(body.as_bytes()).unwrap();
        assert_eq!(ask(r#"{"max_tokens":5}"#).limit(32), (5, true));
        assert_eq!(
            ask(r#"{"max_completion_tokens":6,"max_tokens":null}"#).limit(32),
            (6, true)
        );
        assert_eq!(ask(r#"{"max_tokens":50}"#).limit(32), (32, false));
        assert_eq!(ask(r#"{"max_tokens":99999999999}"#).limit(32), (32, false));
        assert_eq!(ask("{}").limit(32), (32, false));
    }

    #[test]
    fn the_first_tool_is_called_until_its_result_has_come() {
        let tools = r#""tools":[{"type":"function","function":{"name":"one"}},{"junk":1}]"#;
        let body = format!(r#"{{{tools},"messages":[{{"role":"user","content":"x"}}]}}"#);
        assert_eq!(Ask::read(body.as_bytes()).unwrap().tool(), Some("one"));
        let body = format!(r#"{{{tools},"messages":[{{"role":"tool","content":"x"}}]}}"#);
        assert_eq!(Ask::read(body.as_bytes()).unwrap().tool(), None);
        assert_eq!(Ask::read(br#"{"tools":[]}"#).unwrap().tool(), None);
        assert_eq!(Ask::read(br#"{"tools":null}"#).unwrap().tool(), None);
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        assert!(Ask::read(b"").is_err());
        assert!(Ask::read(b"[1").is_err());
        assert!(Ask::read(br#"{"model":1}"#).is_err());
        assert!(Ask::read(br#"{"messages":"hi"}"#).is_err());
        assert!(EmbeddingsAsk::read(b"{}").is_err());
    }

    #[test]
    fn a_text_embeds_the_same_alone_and_in_a_list() {
        let hashes = |body: &str| EmbeddingsAsk::read(body.as_bytes()).unwrap().input.hashes;
        assert_eq!(hashes(r#"{"input":"a"}"#), hashes(r#"{"input":["a"]}"#));
        assert_eq!(hashes(r#"{"input":["a","b","a"]}"#).len(), 3);
        assert_eq!(hashes(r#"{"input":[1,2,3]}"#).len(), 1);
        assert_eq!(hashes(r#"{"input":[[1,2],[3]]}"#).len(), 2);
        assert_ne!(hashes(r#"{"input":[1,2]}"#), hashes(r#"{"input":[2,1]}"#));
    }
}
