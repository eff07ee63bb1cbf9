//! What a scripted provider says to one request, and how its connection ends.

use super::book::Kind;
use super::provider::POISON;
use crate::net::simulated::Chance;

/// What becomes of the connection when everything was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It stays.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Abort,
    /// It stays, but nothing more is said.
    Silence,
}

/// One answer.
pub(super) struct Script {
    pub(super) status: Option<u16>,
    pub(super) declined: bool,
    /// The body a client should see.
    pub(super) body: Vec<u8>,
    /// The body with what is taken out of it on the way.
    pub(super) uncut: Vec<u8>,
    pub(super) stated: Option<(u64, u64)>,
    pub(super) by_close: bool,
    pub(super) good: bool,
    pub(super) prompt: bool,
    /// Whether it is said before the request's body was read.
    pub(super) early: bool,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) dripping: bool,
    pub(super) gap_us: u64,
    pub(super) ending: Ending,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: usize = self.pieces.iter().map(Vec::len).sum();
        let Self {
            status,
            good,
            ending,
            ..
        } = self;
        let early = if self.early { ", early" } else { "" };
        write!(
            out,
            "{status:?}, good {good}, {bytes} bytes, then {ending:?}{early}"
        )
    }
}

/// How a body is framed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framed {
    Length,
    Chunked,
    ByClose,
}

impl Script {
    /// Draws an answer to request `number`; a kind provider mostly gives a good one.
    pub(super) fn draw(chance: &mut Chance, number: usize, kind: Kind, kindly: bool) -> Self {
        let good = Self::good(chance, number, kind);
        match chance.below(if kindly { 60 } else { 24 }) {
            0 => Self::failure(number, kind, 400),
            1 => Self::failure(number, kind, 500),
            2 => Self::failure(number, kind, *chance.pick(&[401, 403])),
            3 => Self::failure(number, kind, *chance.pick(&[429, 503])),
            4 => good.broken(chance, 0),
            5..=7 => {
                let at = chance.place(good.length());
                good.broken(chance, at)
            }
            8 => Self::garbage(chance, number),
            9 => Self {
                ending: Ending::Silence,
                ..good.broken(chance, 0)
            },
            10 => good.with_interim(chance),
            11 => Self {
                // Each pause within the deadline between two bytes, and all of them within sight.
                gap_us: (8_000_000 / good.pieces.len() as u64).min(2_000_000),
                prompt: false,
                ..good
            },
            12 => Self {
                dripping: true,
                gap_us: 2_000,
                prompt: false,
                ..good
            },
            13 => good.with_more_than_all(),
            _ => good,
        }
    }

    fn good(chance: &mut Chance, number: usize, kind: Kind) -> Self {
        let stated = (!chance.one_in(6)).then(|| (chance.below(500), chance.below(300)));
        let words = match chance.below(8) {
            0 => chance.between(500, 9_000),
            _ => chance.below(60),
        };
        let (events, content_type) = match kind {
            Kind::Stream { usage } => (stream(number, words, stated, usage), "text/event-stream"),
            Kind::Unary => {
                let body = unary(number, words, stated);
                (vec![(body, true)], "application/json")
            }
            _ => {
                let body = format!("n{number};").repeat(usize::try_from(words).unwrap_or(0));
                (vec![(body.into_bytes(), true)], "text/plain")
            }
        };
        let seen = events.iter().filter(|(_, seen)| *seen);
        let body: Vec<u8> = seen.flat_map(|(event, _)| event.clone()).collect();
        let uncut: Vec<u8> = events.iter().flat_map(|(event, _)| event.clone()).collect();
        let framed = match chance.below(6) {
            0 => Framed::ByClose,
            1 | 2 => Framed::Chunked,
            _ if matches!(kind, Kind::Stream { .. }) => Framed::Chunked,
            _ => Framed::Length,
        };
        let closes = framed == Framed::ByClose || chance.one_in(6);
        let head = head(number, content_type, framed, &events, closes);
        let mut pieces = vec![head];
        if !kind.is_head() {
            let events = events.into_iter().filter(|(event, _)| !event.is_empty());
            pieces.extend(events.map(|(event, _)| match framed {
                Framed::Chunked => chunk(&event),
                Framed::Length | Framed::ByClose => event,
            }));
            if framed == Framed::Chunked {
                pieces.push(b"0\r\n\r\n".to_vec());
            }
        }
        let completion = kind.is_completion();
        Self {
            status: Some(200),
            declined: false,
            body: if kind.is_head() { Vec::new() } else { body },
            uncut,
            stated: stated.filter(|_| completion),
            by_close: framed == Framed::ByClose,
            good: true,
            prompt: true,
            early: false,
            pieces,
            dripping: false,
            gap_us: 0,
            ending: if closes { Ending::Close } else { Ending::Keep },
        }
    }

    fn failure(number: usize, kind: Kind, status: u16) -> Self {
        let body = format!("{{\"error\":{{\"message\":\"n{number} {status}\"}}}}").into_bytes();
        let mut bytes = format!(
            "HTTP/1.1 {status} No\r\nx-nonce: {number}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        Self {
            status: Some(status),
            declined: kind.is_completion() && matches!(status, 401 | 403 | 429 | 503),
            body: if kind.is_head() { Vec::new() } else { body },
            uncut: Vec::new(),
            stated: None,
            by_close: false,
            good: false,
            prompt: true,
            early: false,
            pieces: vec![bytes],
            dripping: false,
            gap_us: 0,
            // Its length may be wrong for an answer to HEAD.
            ending: Ending::Close,
        }
    }

    fn garbage(chance: &mut Chance, number: usize) -> Self {
        // Of this one the head can be passed on before the fault is seen.
        let late = format!(
            "HTTP/1.1 200 OK\r\nx-nonce: {number}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        );
        let text = *chance.pick(&[
            &late,
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/2 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "\u{0}\u{0}\u{0}\r\n\r\n",
        ]);
        Self {
            status: Some(200),
            body: Vec::new(),
            good: false,
            pieces: vec![text.as_bytes().to_vec()],
            ending: Ending::Close,
            ..Self::failure(0, Kind::Unary, 500)
        }
    }

    fn length(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    /// The same, broken off at a byte.
    fn broken(mut self, chance: &mut Chance, at: usize) -> Self {
        let mut left = at;
        for piece in &mut self.pieces {
            piece.truncate(left);
            left -= piece.len();
        }
        self.pieces.retain(|piece| !piece.is_empty());
        Self {
            good: false,
            ending: *chance.pick(&[Ending::Close, Ending::Abort]),
            ..self
        }
    }

    fn with_interim(mut self, chance: &mut Chance) -> Self {
        for _ in 0..chance.between(1, 3) {
            let interim = *chance.pick(&[
                "HTTP/1.1 102 Processing\r\n\r\n",
                "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
            ]);
            self.pieces.insert(0, interim.as_bytes().to_vec());
        }
        self
    }

    /// Bytes behind the end, which are nobody's answer.
    fn with_more_than_all(mut self) -> Self {
        if self.ending == Ending::Keep
            && let Some(last) = self.pieces.last_mut()
        {
            last.extend_from_slice(POISON);
            self.ending = Ending::Close;
        }
        self
    }

    /// The same, perhaps before the request's body was read.
    pub(super) fn maybe_early(mut self, chance: &mut Chance) -> Self {
        self.early = chance.one_in(5);
        self.prompt &= !self.early;
        self
    }
}

/// The head of a good answer.
fn head(
    number: usize,
    content_type: &str,
    framed: Framed,
    events: &[(Vec<u8>, bool)],
    closes: bool,
) -> Vec<u8> {
    let length: usize = events.iter().map(|(event, _)| event.len()).sum();
    let framing = match framed {
        Framed::Length => format!("Content-Length: {length}\r\n"),
        Framed::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framed::ByClose => String::new(),
    };
    let close = if closes { "Connection: close\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\nx-nonce: {number}\r\nContent-Type: {content_type}\r\n{framing}{close}\
         \r\n"
    )
    .into_bytes()
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn usage((input, output): (u64, u64)) -> String {
    let total = input + output;
    format!("{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{total}}}")
}

fn unary(number: usize, words: u64, stated: Option<(u64, u64)>) -> Vec<u8> {
    let content = format!("n{number} ").repeat(usize::try_from(words).unwrap_or(0));
    let usage = stated.map_or(String::new(), |stated| {
        format!(",\"usage\":{}", usage(stated))
    });
    format!(
        "{{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":\
         {{\"role\":\"assistant\",\"content\":\"{content}\"}},\
         \"finish_reason\":\"stop\"}}]{usage}}}"
    )
    .into_bytes()
}

/// The events of a stream, and whether its client sees each.
fn stream(
    number: usize,
    words: u64,
    stated: Option<(u64, u64)>,
    asked: bool,
) -> Vec<(Vec<u8>, bool)> {
    let event = |choices: &str, usage: &str| {
        format!("data: {{\"object\":\"chat.completion.chunk\",\"choices\":{choices}{usage}}}\n\n")
            .into_bytes()
    };
    let word = format!(
        "[{{\"index\":0,\"delta\":{{\"content\":\"n{number} \"}},\"finish_reason\":null}}]"
    );
    let mut events: Vec<_> = (0..words.min(400))
        .map(|_| (event(&word, ""), true))
        .collect();
    let end = "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]";
    events.push((event(end, ""), true));
    if let Some(stated) = stated {
        events.push((event("[]", &format!(",\"usage\":{}", usage(stated))), asked));
    }
    events.push((b"data: [DONE]\n\n".to_vec(), true));
    events
}
