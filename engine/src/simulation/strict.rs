//! Reads HTTP/1.1 as strictly as it is written down, to judge what the gateway sent.
//!
//! Written for the judgement alone, and shares nothing with the parser it judges: a
//! misreading there must not confirm itself here.

/// Whether bytes hold a whole message, or what is wrong with them.
pub(super) type Reading<T> = Result<Option<T>, String>;

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The request line or the status line.
    pub(super) start: String,
    /// Names in lower case, and values.
    pub(super) fields: Vec<(String, String)>,
    /// Bytes of it, with the empty line.
    pub(super) len: usize,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) whole: bool,
    /// Bytes that were read for it.
    pub(super) len: usize,
}

impl Head {
    /// The only value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        value.filter(|_| values.next().is_none())
    }

    fn count(&self, name: &str) -> usize {
        self.fields
            .iter()
            .filter(|(known, _)| known == name)
            .count()
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        let rest = self.start.strip_prefix("HTTP/1.1 ")?;
        let digits = rest.get(..3)?;
        let status: u16 = digits.parse().ok()?;
        let reason = rest.get(3..)?;
        ((100..600).contains(&status) && (reason.is_empty() || reason.starts_with(' ')))
            .then_some(status)
    }

    /// How the body is framed, where one may be; `otherwise` without either field.
    pub(super) fn framing(&self, otherwise: Framing) -> Result<Framing, String> {
        match (
            self.count("transfer-encoding"),
            self.count("content-length"),
        ) {
            (0, 0) => Ok(otherwise),
            (0, 1) => {
                let digits = self.field("content-length").unwrap_or_default();
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let length = digits.parse().ok().filter(|_| plain);
                length
                    .map(Framing::Length)
                    .ok_or_else(|| format!("content-length is {digits:?}"))
            }
            (1, 0) if self.field("transfer-encoding") == Some("chunked") => Ok(Framing::Chunked),
            _ => Err(format!(
                "two framings, or one of a strange kind: {:?}",
                self.fields
            )),
        }
    }
}

/// Reads a head; `None` where it is not whole.
pub(super) fn head(bytes: &[u8]) -> Reading<Head> {
    let mut fields = Vec::new();
    let mut start = None;
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else {
            let rest = &bytes[at..];
            let bare = rest.iter().rev().skip(1).any(|&byte| byte == b'\r');
            return match bare || rest.contains(&b'\n') {
                true => Err(format!(
                    "a bare line end in {:?}",
                    String::from_utf8_lossy(rest)
                )),
                false => Ok(None),
            };
        };
        let line = &bytes[at..at + end];
        at += end + 2;
        if line.is_empty() {
            let start = start.ok_or("an empty line before a head")?;
            return Ok(Some(Head {
                start,
                fields,
                len: at,
            }));
        }
        let text = plain_text(line)?;
        match start {
            None => start = Some(text),
            Some(_) => fields.push(field(&text)?),
        }
    }
}

fn plain_text(line: &[u8]) -> Result<String, String> {
    let plain = |&byte: &u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    let text = String::from_utf8_lossy(line).into_owned();
    match line.iter().all(plain) {
        true => Ok(text),
        false => Err(format!("a control byte in {text:?}")),
    }
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("no colon in {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no name of a field"));
    }
    let value = value.trim_matches([' ', '\t']);
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// Reads as much of a body as there is.
pub(super) fn body(bytes: &[u8], framing: Framing) -> Result<Body, String> {
    match framing {
        Framing::Length(length) => {
            let there = length.min(bytes.len());
            Ok(Body {
                bytes: bytes[..there].to_vec(),
                whole: there == length,
                len: there,
            })
        }
        Framing::UntilClose => Ok(Body {
            bytes: bytes.to_vec(),
            whole: false,
            len: bytes.len(),
        }),
        Framing::Chunked => chunks(bytes),
    }
}

fn chunks(bytes: &[u8]) -> Result<Body, String> {
    let mut body = Body::default();
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else {
            let begun = &bytes[at..];
            let hex = |&byte: &u8| byte.is_ascii_hexdigit() || byte == b'\r';
            return match begun.iter().all(hex) && begun.len() <= 17 {
                true => Ok(body),
                false => Err(format!("no chunk: {:?}", String::from_utf8_lossy(begun))),
            };
        };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        let hex = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(&line, 16)
            .ok()
            .filter(|_| hex && line.len() <= 16);
        let size = size.ok_or_else(|| format!("{line:?} is no size of a chunk"))?;
        let start = at + end + 2;
        let there = bytes.len().saturating_sub(start).min(size);
        if size == 0 {
            let rest = &bytes[start..];
            return match rest.get(..2) {
                Some(b"\r\n") => {
                    (body.whole, body.len) = (true, start + 2);
                    Ok(body)
                }
                Some(_) => Err("trailers nobody announced".to_owned()),
                None => Ok(body),
            };
        }
        body.bytes.extend_from_slice(&bytes[start..start + there]);
        let close = &bytes[start + there..];
        match close.get(..2) {
            _ if there < size => return Ok(body),
            Some(b"\r\n") => at = start + size + 2,
            Some(other) => return Err(format!("a chunk ends with {other:?}")),
            None => return Ok(body),
        }
    }
}

/// Where `wanted` begins.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// One answer, as a client reads it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Body,
    /// Ended by the connection's end, which nobody can tell from a break.
    pub(super) by_close: bool,
}

/// Reads the answers to requests of which `bodiless` says which were HEAD; interim ones are
/// read over. `ended` when the connection came to its end in order.
pub(super) fn answers(
    bytes: &[u8],
    bodiless: &[bool],
    ended: bool,
) -> Result<(Vec<Answer>, usize), String> {
    let mut answers = Vec::new();
    let mut at = 0;
    let mut interim = 0;
    while at < bytes.len() {
        let Some(head) = head(&bytes[at..])? else {
            break;
        };
        let status = head
            .status()
            .ok_or_else(|| format!("{:?} is no status", head.start))?;
        at += head.len;
        if status < 200 {
            interim += 1;
            if head.framing(Framing::UntilClose)? != Framing::UntilClose || status == 101 {
                return Err(format!("an interim answer with a body: {head:?}"));
            }
            continue;
        }
        let Some(&to_head) = bodiless.get(answers.len()) else {
            return Err(format!("an answer nobody asked for: {head:?}"));
        };
        // Whoever had no time to say HEAD is told in full.
        let none = (to_head && status != 408) || matches!(status, 204 | 304);
        let framing = match head.framing(Framing::UntilClose)? {
            _ if none => Framing::Length(0),
            framing => framing,
        };
        let mut body = body(&bytes[at..], framing)?;
        at += body.len;
        let by_close = framing == Framing::UntilClose;
        body.whole |= by_close && ended;
        let whole = body.whole;
        answers.push(Answer {
            status,
            head,
            body,
            by_close,
        });
        if !whole {
            break;
        }
    }
    Ok((answers, interim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_told_from_parts() {
        let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\
                     HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n";
        let (read, interim) = answers(text, &[false, false], true).expect("well-formed");
        assert_eq!(interim, 1);
        assert_eq!(read.len(), 2);
        assert!(read[0].body.whole && read[0].body.bytes == b"hi");
        assert!(!read[1].body.whole && read[1].body.bytes == b"yo");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_a_fault() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\nmore\r\n\r\n",
        ] {
            assert!(
                answers(text.as_bytes(), &[false], true).is_err(),
                "{text:?}"
            );
        }
    }
}
