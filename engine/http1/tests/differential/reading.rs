//! What a parser makes of the bytes of one direction of a connection.
//!
//! Decides which facts are compared: of every whole message where it begins and ends by way of
//! its body, what it asks or answers, its fields, and whether another may follow. Also our own
//! reading, by the same steps as the gateway's.

use tollring_http1::{
    BodyDecoder, Fields, Framing, HeadLimits, Method, Parsed, RequestHead, ResponseHead, Version,
};

/// The limits of the configuration's defaults.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    head_fields: 100,
    target_bytes: 16 * 1024,
};

/// The bytes of one direction of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// The method of the requests that these bytes answer; absent: they are requests.
    pub(crate) asked: Option<Method>,
    pub(crate) bytes: Vec<u8>,
}

impl Stream {
    /// The line before the bytes, as the readers of other languages take it.
    pub(crate) fn frame(&self) -> String {
        let what = match self.asked {
            None => "Q",
            Some(Method::Head) => "A HEAD",
            Some(_) => "A GET",
        };
        format!("{what} {}\n", self.bytes.len())
    }
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The method, or the status.
    pub(crate) begin: Vec<u8>,
    /// The target as written; empty for an answer.
    pub(crate) target: Vec<u8>,
    /// `1.1` or `1.0`.
    pub(crate) version: String,
    /// Whether another message may follow.
    pub(crate) keep: bool,
    /// A line for every field: its name in small letters, a colon, its value.
    pub(crate) fields: Vec<u8>,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
}

/// How the bytes ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// With the last message, or after one that was the last by its own word.
    Whole,
    /// Within a message.
    Partial,
    /// At something that is no message.
    Fault(String),
}

/// Everything a parser made of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

impl Reading {
    /// Reads what a reader of another language says: a word for every message, the facts of
    /// each parted by commas and bytes in hexadecimal, then `whole`, `partial` or `fault:why`.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let mut words: Vec<&str> = line.split(' ').collect();
        let end = match words.pop()? {
            "whole" => End::Whole,
            "partial" => End::Partial,
            fault => End::Fault(fault.strip_prefix("fault:")?.to_owned()),
        };
        let messages = words.into_iter().map(Message::of_word);
        Some(Self {
            messages: messages.collect::<Option<_>>()?,
            end,
        })
    }

    /// Our own.
    pub(crate) fn ours(stream: &Stream) -> Self {
        let mut messages = Vec::new();
        let mut rest = stream.bytes.as_slice();
        let end = loop {
            let read = match stream.asked {
                None => request(rest),
                Some(asked) => answer(rest, asked),
            };
            match read {
                Ok((message, used)) => {
                    rest = &rest[used..];
                    let last = !message.keep;
                    let interim = stream.asked.is_some() && message.begin.starts_with(b"1");
                    messages.push(message);
                    if last || rest.is_empty() {
                        break if interim { End::Partial } else { End::Whole };
                    }
                }
                Err(end) => break end,
            }
        };
        Self { messages, end }
    }
}

impl Message {
    fn of_word(word: &str) -> Option<Self> {
        let facts: Vec<&str> = word.split(',').collect();
        let &[begin, target, version, keep, fields, body] = facts.as_slice() else {
            return None;
        };
        Some(Self {
            // A status is written as it is.
            begin: bytes_of(begin)
                .filter(|_| target != "-")
                .unwrap_or_else(|| begin.as_bytes().to_vec()),
            target: bytes_of(target)?,
            version: version.to_owned(),
            keep: keep == "keep",
            fields: bytes_of(fields)?,
            body: bytes_of(body)?,
        })
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if hex == "-" {
        return Some(Vec::new());
    }
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn request(bytes: &[u8]) -> Result<(Message, usize), End> {
    let mut head = RequestHead::new();
    match head.parse(bytes, &LIMITS) {
        Ok(Parsed::Done) => {}
        Ok(Parsed::Partial) => return Err(End::Partial),
        Err(fault) => return Err(End::Fault(fault.to_string())),
    }
    let (body, used) = body(head.framing, &bytes[head.len..])?;
    let message = Message {
        begin: head.method_text.of(bytes).to_vec(),
        target: head.target.of(bytes).to_vec(),
        version: text_of(head.version),
        keep: head.keep_alive,
        fields: lines_of(&head.fields, bytes),
        body,
    };
    Ok((message, head.len + used))
}

fn answer(bytes: &[u8], asked: Method) -> Result<(Message, usize), End> {
    let mut head = ResponseHead::new();
    match head.parse(bytes, asked, &LIMITS) {
        Ok(Parsed::Done) => {}
        Ok(Parsed::Partial) => return Err(End::Partial),
        Err(fault) => return Err(End::Fault(fault.to_string())),
    }
    if head.status == 101 {
        // Nobody asked; the exchange refuses it.
        return Err(End::Fault("a switch that nobody asked for".to_owned()));
    }
    let (body, used) = body(head.framing, &bytes[head.len..])?;
    let message = Message {
        begin: head.status.to_string().into_bytes(),
        target: Vec::new(),
        version: text_of(head.version),
        // After an interim answer comes the final one, whatever it says.
        keep: head.keep_alive || head.status < 200,
        fields: lines_of(&head.fields, bytes),
        body,
    };
    Ok((message, head.len + used))
}

/// The decoded body at the beginning of `bytes`, after which the peer closes.
fn body(framing: Framing, bytes: &[u8]) -> Result<(Vec<u8>, usize), End> {
    let mut decoder = BodyDecoder::new(framing);
    let mut bytes = bytes.to_vec();
    let decoded = decoder.decode(&mut bytes);
    let decoded = decoded.map_err(|fault| End::Fault(fault.to_string()))?;
    if decoder.close().is_err() {
        return Err(End::Partial);
    }
    Ok((bytes[decoded.data].to_vec(), decoded.consumed))
}

fn text_of(version: Version) -> String {
    match version {
        Version::Http11 => "1.1".to_owned(),
        Version::Http10 => "1.0".to_owned(),
    }
}

fn lines_of(fields: &Fields, bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for field in fields {
        lines.extend(field.name.of(bytes).to_ascii_lowercase());
        lines.push(b':');
        lines.extend_from_slice(field.value.of(bytes));
        lines.push(b'\n');
    }
    lines
}
