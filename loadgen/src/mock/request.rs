//! What the scripted provider keeps of a request's head: the route, the key, the script.
//!
//! The head's own bytes are gone once the body is read, so that nothing here borrows them.

use super::script::Overrides;
use crate::http::{Framing, RequestHead};

/// Bytes that `/bytes/{n}` will send at most; arbitrary, above any test.
const BYTES_MAX: u64 = 1 << 40;

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST …/chat/completions`.
    Chat,
    /// `POST …/completions`.
    Completions,
    /// `POST …/embeddings`.
    Embeddings,
    /// `GET …/models`.
    Models,
    /// `GET …/models/{id}`.
    Model,
    /// `GET …/bytes/{n}`.
    Bytes(u64),
    /// `…/status/{code}`.
    Status(u16),
    /// `…/sink`.
    Sink,
    /// `GET /__mock/stats`.
    Stats,
    /// `POST /__mock/reset`.
    Reset,
    /// One of the above by another method.
    WrongMethod,
    /// Anything else.
    Echo,
}

impl Route {
    /// Finds the route by the end of the path, so that a gateway may put what it likes before it.
    pub(super) fn find(method: &str, path: &str) -> Self {
        let (needed, route) = match path {
            "/__mock/stats" => ("GET", Self::Stats),
            "/__mock/reset" => ("POST", Self::Reset),
            _ if path.ends_with("/chat/completions") => ("POST", Self::Chat),
            _ if path.ends_with("/completions") => ("POST", Self::Completions),
            _ if path.ends_with("/embeddings") => ("POST", Self::Embeddings),
            _ if path.ends_with("/models") => ("GET", Self::Models),
            _ if model_id(path).is_some() => ("GET", Self::Model),
            _ => return Self::find_plain(path),
        };
        if needed == method {
            route
        } else {
            Self::WrongMethod
        }
    }

    fn find_plain(path: &str) -> Self {
        let mut segments = path.rsplit('/');
        let (last, before) = (segments.next().unwrap_or(""), segments.next().unwrap_or(""));
        match (before, last) {
            ("bytes", count) => match count.parse() {
                Ok(count @ 0..=BYTES_MAX) => Self::Bytes(count),
                _ => Self::Echo,
            },
            ("status", code) => match code.parse() {
                Ok(code @ 200..=599) => Self::Status(code),
                _ => Self::Echo,
            },
            (_, "sink") => Self::Sink,
            _ => Self::Echo,
        }
    }

    /// Whether the body is JSON to be understood, and so kept.
    pub(super) const fn reads_json(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Embeddings)
    }

    /// Whether the request is for the provider itself and not counted.
    pub(super) const fn is_own(self) -> bool {
        matches!(self, Self::Stats | Self::Reset)
    }
}

/// The id in `/v1/models/{id}` or `/models/{id}`; it may have slashes of its own.
pub(super) fn model_id(path: &str) -> Option<&str> {
    let id = path
        .strip_prefix("/v1")
        .unwrap_or(path)
        .strip_prefix("/models/")?;
    (!id.is_empty()).then_some(id)
}

/// Undoes percent-encoding (RFC 3986 §2.1), which clients use for the slashes of an id.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after
            .first_chunk::<2>()
            .and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is kept of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) route: Route,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) understands_chunks: bool,
    /// HEAD: the answer has no body.
    pub(super) wants_no_body: bool,
    pub(super) overrides: Overrides,
}

/// The texts kept of a head, in buffers that live as long as the connection.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The bearer of `Authorization`, empty without one.
    pub(super) key: Vec<u8>,
    /// The path without its query.
    pub(super) path: Vec<u8>,
    /// For [`Route::Echo`], the answer so far.
    pub(super) echo: Vec<u8>,
}

impl Request {
    /// Keeps what is needed of `head`, the texts in `notes`.
    pub(super) fn keep(head: &RequestHead<'_, '_>, notes: &mut Notes) -> Self {
        let path = head.target.split('?').next().unwrap_or_default();
        let route = Route::find(head.method, path);
        notes.path.clear();
        notes.path.extend_from_slice(path.as_bytes());
        notes.key.clear();
        let mut overrides = Overrides::default();
        for field in head.fields {
            if field.name.eq_ignore_ascii_case("authorization") {
                notes.key.extend_from_slice(bearer(field.value));
            } else {
                overrides.note(field.name, field.value);
            }
        }
        if route == Route::Echo {
            super::rest::echo_head(&mut notes.echo, head);
        }
        Self {
            route,
            framing: head.framing,
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
            understands_chunks: head.understands_chunks,
            wants_no_body: head.method == "HEAD",
            overrides,
        }
    }
}

fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, route: Route) {
        assert_eq!(Route::find(method, path), route, "{method} {path}");
    }

    #[test]
    fn routes_are_found_with_and_without_a_prefix() {
        check("POST", "/v1/chat/completions", Route::Chat);
        check("POST", "/chat/completions", Route::Chat);
        check("POST", "/v1/completions", Route::Completions);
        check("POST", "/embeddings", Route::Embeddings);
        check("GET", "/v1/models", Route::Models);
        check("GET", "/models/some/model", Route::Model);
        check("GET", "/weather/bytes/12", Route::Bytes(12));
        check("PUT", "/status/503", Route::Status(503));
        check("PATCH", "/a/b/sink", Route::Sink);
        check("GET", "/__mock/stats", Route::Stats);
    }

    #[test]
    fn anything_else_is_echoed() {
        check("GET", "/", Route::Echo);
        check("OPTIONS", "*", Route::Echo);
        check("DELETE", "/echo", Route::Echo);
        check("GET", "/bytes/many", Route::Echo);
        check("GET", "/status/99", Route::Echo);
    }

    #[test]
    fn a_known_path_by_another_method_is_not_an_echo() {
        check("GET", "/v1/chat/completions", Route::WrongMethod);
        check("POST", "/v1/models", Route::WrongMethod);
        check("GET", "/__mock/reset", Route::WrongMethod);
    }

    #[test]
    fn percent_encoding_is_undone_where_it_is_whole() {
        assert_eq!(percent_decoded("a%2Fb"), "a/b");
        assert_eq!(percent_decoded("%C3%A9"), "é");
        assert_eq!(percent_decoded("50%"), "50%");
        assert_eq!(percent_decoded("%zz%2"), "%zz%2");
    }

    #[test]
    fn the_key_is_what_follows_bearer() {
        assert_eq!(bearer(b"Bearer sk-1"), b"sk-1");
        assert_eq!(bearer(b"bearer  sk-1 "), b"sk-1");
        assert_eq!(bearer(b"Basic eA=="), b"Basic eA==");
    }
}
