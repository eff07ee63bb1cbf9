//! Requests as they are written and answers as they are read.

use std::io;

use serde_json::Value;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes are still to come.
    Length(usize),
    /// Chunks, until an empty one.
    Chunked,
    /// Whatever comes until the connection closes.
    UntilClose,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Field names in lower case, values as they came, in their order.
    pub fields: Vec<(String, String)>,
}

/// An answer, to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Field names in lower case, values as they came, in their order.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether the body came to the end its framing promised.
    pub whole: bool,
}

impl Head {
    /// Reads a head without its empty line.
    pub fn read(text: &str) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("bad head {text:?}"));
        let mut lines = text.split("\r\n");
        let status_line = lines.next().ok_or_else(bad)?;
        let rest = status_line.strip_prefix("HTTP/1.1 ").ok_or_else(bad)?;
        let status = rest
            .get(..3)
            .and_then(|code| code.parse().ok())
            .ok_or_else(bad)?;
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, fields })
    }

    /// The first value of a field; the name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// How the body of the answer to a request of this method ends (RFC 9112 §6.3).
    #[track_caller]
    pub fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status, 100..200 | 204 | 304) {
            return Framing::Length(0);
        }
        match (
            self.field("transfer-encoding"),
            self.field("content-length"),
        ) {
            (Some("chunked"), None) => Framing::Chunked,
            (None, Some(digits)) => {
                Framing::Length(digits.parse().expect("a content-length is a number"))
            }
            (None, None) => Framing::UntilClose,
            both => panic!("an answer framed twice or in an unknown way: {both:?}"),
        }
    }
}

impl Answer {
    /// The first value of a field; the name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("not JSON ({fault}): {}", self.describe()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        lossy(&self.body)
    }

    /// `error.code`, or nothing.
    pub fn code(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The answer for a failure's text.
    pub fn describe(&self) -> String {
        let mut text = self.text();
        text.truncate(2000);
        format!(
            "{} {:?} whole={}\n{text}",
            self.status, self.fields, self.whole
        )
    }
}

/// A request in the making; what it does not say is not sent.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        let fields = vec![("Host".to_owned(), "gateway.test".to_owned())];
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields,
            body: None,
        }
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of JSON.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target)
            .field("Content-Type", "application/json")
            .body(body)
    }

    /// With this key as a bearer.
    pub fn key(self, key: &str) -> Self {
        self.field("Authorization", &format!("Bearer {key}"))
    }

    /// With one more field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body and its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// What goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value.as_str())
}

/// Bytes as text, for comparing and for showing.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
