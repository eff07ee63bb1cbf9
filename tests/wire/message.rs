//! Reads HTTP/1.1 messages as strictly as they can be read, on either side of a proxy.
//!
//! What a proxy sends must be readable here: whatever a lenient reader would forgive is
//! reported as a fault of the proxy. Uses nothing of the program, for it judges it.

/// How the end of a body is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Nothing,
    /// So many bytes.
    Length(usize),
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// One message, as far as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub line: String,
    /// Names in lower case, values as they came.
    pub fields: Vec<(String, Vec<u8>)>,
    /// How its body ends.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether it came to the end its framing promised.
    pub whole: bool,
    /// Bytes its head took on the wire.
    pub head_bytes: usize,
    /// Bytes all of it took on the wire.
    pub bytes: usize,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A request.
    Request,
    /// An answer; to HEAD if so.
    Answer {
        /// Whether it answers a HEAD.
        to_head: bool,
        /// Whether the connection has ended behind these bytes.
        ended: bool,
    },
}

impl Message {
    /// Reads the message at the beginning of `bytes`; none while its head is not whole.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &[u8], side: Side) -> Result<Option<Self>, String> {
        let Some(head) = find(bytes, b"\r\n\r\n") else {
            return check_lines(bytes).map(|()| None);
        };
        check_lines(&bytes[..head])?;
        let text = &bytes[..head];
        let line_end = find(text, b"\r\n").unwrap_or(head);
        let mut fields = Vec::new();
        for line in lines(text.get(line_end + 2..).unwrap_or_default()) {
            fields.push(field(line)?);
        }
        let mut message = Self {
            line: String::from_utf8_lossy(&text[..line_end]).into_owned(),
            fields,
            framing: Framing::Nothing,
            body: Vec::new(),
            whole: false,
            head_bytes: head + 4,
            bytes: head + 4,
        };
        message.check_first_line(side)?;
        message.framing = message.find_framing(side)?;
        message.take_body(&bytes[head + 4..], side)?;
        Ok(Some(message))
    }

    /// The values of a field, in order; the name in lower case.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let digits = self.line.get(9..12).unwrap_or_default();
        digits.parse().unwrap_or_default()
    }

    fn check_first_line(&self, side: Side) -> Result<(), String> {
        let well = match side {
            Side::Request => {
                let words: Vec<&str> = self.line.split(' ').collect();
                words.len() == 3
                    && is_token(words[0].as_bytes())
                    && !words[1].is_empty()
                    && words[1].bytes().all(|byte| byte.is_ascii_graphic())
                    && matches!(words[2], "HTTP/1.1" | "HTTP/1.0")
            }
            Side::Answer { .. } => {
                let version = self.line.starts_with("HTTP/1.1 ");
                let rest = self
                    .line
                    .as_bytes()
                    .get(12)
                    .is_none_or(|&byte| byte == b' ');
                version && rest && (100..=599).contains(&self.status())
            }
        };
        if well {
            Ok(())
        } else {
            Err(format!("a first line that is none: {:?}", self.line))
        }
    }

    fn find_framing(&self, side: Side) -> Result<Framing, String> {
        let codings = self.values("transfer-encoding");
        let lengths = self.values("content-length");
        let declared = match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => None,
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
            ([], [digits]) => Some(Framing::Length(decimal(digits)?)),
            both => return Err(format!("framed in a doubtful way: {both:?}")),
        };
        let (to_head, status) = match side {
            Side::Request => return Ok(declared.unwrap_or(Framing::Nothing)),
            Side::Answer { to_head, .. } => (to_head, self.status()),
        };
        if status < 200 || status == 204 {
            return match declared {
                Some(framing) => Err(format!("a {status} that speaks of a body: {framing:?}")),
                None => Ok(Framing::Nothing),
            };
        }
        if to_head || status == 304 {
            return Ok(Framing::Nothing);
        }
        Ok(declared.unwrap_or(Framing::UntilClose))
    }

    fn take_body(&mut self, rest: &[u8], side: Side) -> Result<(), String> {
        let taken = match self.framing {
            Framing::Nothing => {
                self.whole = true;
                0
            }
            Framing::Length(length) => {
                self.whole = rest.len() >= length;
                self.body = rest[..rest.len().min(length)].to_vec();
                self.body.len()
            }
            Framing::UntilClose => {
                self.whole = matches!(side, Side::Answer { ended: true, .. });
                self.body = rest.to_vec();
                rest.len()
            }
            Framing::Chunked => self.take_chunks(rest)?,
        };
        self.bytes += taken;
        Ok(())
    }

    /// Takes chunks; how many bytes they were (RFC 9112 §7.1).
    fn take_chunks(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut at = 0;
        loop {
            let Some(line_end) = find(&bytes[at..], b"\r\n") else {
                return Ok(bytes.len());
            };
            let digits = &bytes[at..at + line_end];
            let size = hexadecimal(digits)?;
            let start = at + line_end + 2;
            if size == 0 {
                return self.take_trailers(bytes, start);
            }
            let Some(end) = start.checked_add(size).filter(|end| end + 2 <= bytes.len()) else {
                self.body.extend_from_slice(&bytes[start..]);
                return Ok(bytes.len());
            };
            if &bytes[end..end + 2] != b"\r\n" {
                return Err("a chunk that does not end where it says".to_owned());
            }
            self.body.extend_from_slice(&bytes[start..end]);
            at = end + 2;
        }
    }

    /// Trailers are read so that their end is known; what they say is not kept.
    fn take_trailers(&mut self, bytes: &[u8], start: usize) -> Result<usize, String> {
        let mut at = start;
        loop {
            let Some(length) = find(&bytes[at..], b"\r\n") else {
                return Ok(bytes.len());
            };
            let line = &bytes[at..at + length];
            at += length + 2;
            if line.is_empty() {
                self.whole = true;
                return Ok(at);
            }
            field(line)?;
        }
    }
}

/// Every line ends with CRLF, and neither byte stands alone (RFC 9112 §2.2).
fn check_lines(head: &[u8]) -> Result<(), String> {
    for (at, &byte) in head.iter().enumerate() {
        let alone = match byte {
            b'\n' => at == 0 || head[at - 1] != b'\r',
            b'\r' => head.get(at + 1).is_some_and(|&next| next != b'\n'),
            _ => false,
        };
        if alone {
            return Err(format!("a bare CR or LF in a head: {:?}", shown(head)));
        }
    }
    Ok(())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|&byte| byte == b'\n');
    let trimmed = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    trimmed.filter(|line| !line.is_empty())
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let wrong = || format!("a field that is none: {:?}", shown(line));
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    let clean = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if !is_token(name) || !value.iter().all(clean) {
        return Err(wrong());
    }
    Ok((
        String::from_utf8_lossy(name).to_ascii_lowercase(),
        value.to_vec(),
    ))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_ink = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_ink).unwrap_or(text.len());
    let end = text.iter().rposition(is_ink).map_or(start, |last| last + 1);
    &text[start..end]
}

fn is_token(text: &[u8]) -> bool {
    let is_mark = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_mark)
}

fn decimal(digits: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(digits);
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value = text.parse().ok().filter(|_| plain);
    value.ok_or_else(|| format!("a length that is none: {text:?}"))
}

fn hexadecimal(digits: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(digits);
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let value = usize::from_str_radix(&text, 16).ok().filter(|_| plain);
    value.ok_or_else(|| format!("a chunk size that is none: {text:?}"))
}

/// Where `needle` first begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Bytes as they are shown in a verdict: not too many.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 300;
    let head = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = bytes.len() - head.len();
    let text = String::from_utf8_lossy(head).escape_debug().to_string();
    match more {
        0 => text,
        more => format!("{text}… and {more} bytes"),
    }
}
