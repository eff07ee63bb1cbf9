//! Streams: one event at a time, each a whole `data:` line with the empty line behind it.

use super::answer::{Said, preamble, tool_call};
use super::{Stamp, Usage};
use crate::mock::words;

/// What kind of stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mock) enum Kind {
    Chat,
    Completion,
}

/// Writes the events of one stream.
pub(in crate::mock) struct Events<'a> {
    pub(in crate::mock) kind: Kind,
    pub(in crate::mock) stamp: Stamp<'a>,
    pub(in crate::mock) said: Said<'a>,
    /// Every event has a `usage`, which is null but in the last.
    pub(in crate::mock) with_usage: bool,
}

impl Events<'_> {
    /// Appends the event before the first token: who speaks, or which tool is called.
    ///
    /// A completion has none.
    pub(in crate::mock) fn opening(&self, out: &mut Vec<u8>) {
        if self.kind == Kind::Completion {
            return;
        }
        self.begin(out);
        out.extend_from_slice(b"\"delta\":{\"role\":\"assistant\",");
        match self.said.tool {
            None => out.extend_from_slice(b"\"content\":\"\",\"refusal\":null}"),
            Some(tool) => {
                out.extend_from_slice(b"\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"");
                tool_call(out, self.stamp.id, tool);
                out.extend_from_slice(b"\"}}]}");
            }
        }
        self.end(out, None);
    }

    /// Appends the event of the `index`th token.
    pub(in crate::mock) fn token(&self, out: &mut Vec<u8>, index: u32) {
        self.begin(out);
        let (before, token, after) = match (self.kind, self.said.tool) {
            (Kind::Completion, _) => ("\"text\":\"", words::word(index), "\""),
            (Kind::Chat, None) => ("\"delta\":{\"content\":\"", words::word(index), "\"}"),
            (Kind::Chat, Some(_)) => (
                "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"",
                words::argument(index, self.said.tokens),
                "\"}}]}",
            ),
        };
        for text in [before, token, after] {
            out.extend_from_slice(text.as_bytes());
        }
        self.end(out, None);
    }

    /// Appends the event that tells why the stream ends.
    pub(in crate::mock) fn closing(&self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(match self.kind {
            Kind::Chat => b"\"delta\":{}",
            Kind::Completion => b"\"text\":\"\"",
        });
        self.end(out, Some(self.said.finish_reason()));
    }

    /// Appends the event that has no choices, only the usage.
    pub(in crate::mock) fn usage(&self, out: &mut Vec<u8>, usage: Usage) {
        self.preamble(out);
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        usage.write(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// Appends an event whose JSON breaks off.
    pub(in crate::mock) fn malformed(&self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b"\"delta\":{\"content\":\"\n\n");
    }

    fn begin(&self, out: &mut Vec<u8>) {
        self.preamble(out);
        out.extend_from_slice(b",\"choices\":[{\"index\":0,");
    }

    fn preamble(&self, out: &mut Vec<u8>) {
        let (prefix, object) = match self.kind {
            Kind::Chat => ("chatcmpl-mock", "chat.completion.chunk"),
            Kind::Completion => ("cmpl-mock", "text_completion"),
        };
        out.extend_from_slice(b"data: ");
        preamble(out, prefix, object, self.stamp);
    }

    fn end(&self, out: &mut Vec<u8>, finish_reason: Option<&str>) {
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        match finish_reason {
            None => out.extend_from_slice(b"null"),
            Some(reason) => super::string(out, reason),
        }
        out.extend_from_slice(b"}]");
        if self.with_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }
}

/// The event that ends every good stream.
pub(in crate::mock) const DONE: &[u8] = b"data: [DONE]\n\n";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use serde_json::Value;

    use super::*;

    fn events(kind: Kind, tool: Option<&'static str>) -> Vec<Value> {
        let said = Said {
            tokens: 3,
            cut: false,
            tool,
        };
        let stamp = Stamp {
            id: 1,
            created: 2,
            model: "m",
        };
        let events = Events {
            kind,
            stamp,
            said,
            with_usage: true,
        };
        let mut out = Vec::new();
        events.opening(&mut out);
        (0..3).for_each(|index| events.token(&mut out, index));
        events.closing(&mut out);
        events.usage(
            &mut out,
            Usage {
                input: 1,
                output: 3,
            },
        );
        let text = String::from_utf8(out).unwrap();
        let lines = text.split_terminator("\n\n");
        lines
            .map(|line| serde_json::from_str(&line["data: ".len()..]).unwrap())
            .collect()
    }

    #[test]
    fn a_chat_opens_with_the_role_and_ends_with_reason_and_usage() {
        let events = events(Kind::Chat, None);
        assert_eq!(events.len(), 6);
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(events[0]["usage"], Value::Null);
        assert_eq!(events[1]["choices"][0]["delta"]["content"], "Here");
        assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
        assert_eq!(events[5]["choices"].as_array().unwrap().len(), 0);
        assert_eq!(events[5]["usage"]["completion_tokens"], 3);
    }

    #[test]
    fn the_pieces_of_a_tool_call_join_to_json() {
        let events = events(Kind::Chat, Some("weather"));
        let function =
            |event: &Value| event["choices"][0]["delta"]["tool_calls"][0]["function"].clone();
        assert_eq!(function(&events[0])["name"], "weather");
        let text: String = events[0..4]
            .iter()
            .map(|e| function(e)["arguments"].as_str().unwrap().to_owned())
            .collect();
        assert!(
            serde_json::from_str::<Value>(&text).unwrap().is_object(),
            "{text}"
        );
        assert_eq!(events[4]["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn a_completion_has_no_opening() {
        let events = events(Kind::Completion, None);
        assert_eq!(events.len(), 5);
        assert_eq!(events[0]["choices"][0]["text"], "Here");
    }
}
