//! What a seed makes of a world: its weather, its gateway's file, and what is asked.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use super::book::{Ask, Kind};
use crate::net::simulated::{Chance, Weather};

/// Requests of one world, each with a key of its own, so that what each cost can be read.
pub(super) const REQUESTS_MAX: usize = 24;

/// Providers of models, in the order of their doors.
pub(super) const PROVIDERS: [&str; 3] = ["p0", "p1", "p2"];
/// Upstreams of services.
pub(super) const UPSTREAMS: [&str; 2] = ["u0", "u1"];

/// What each key may cost; nothing here reaches it.
const AMPLE: &str = "limits = [{ unit = \"requests\", amount = 1000, per = \"total\" }, \
                     { unit = \"tokens\", amount = 10000000, per = \"total\" }, \
                     { unit = \"usd\", amount = \"1000\", per = \"total\" }]";

/// One world.
pub(super) struct Plan {
    pub(super) workers: u16,
    pub(super) weather: Weather,
    /// Whether nothing but the peers' own scripts goes wrong.
    pub(super) calm: bool,
    pub(super) file: String,
    pub(super) asks: Vec<Ask>,
    /// Doors that are not there, or swallow whoever comes.
    pub(super) absent: Vec<&'static str>,
    pub(super) silent: Vec<&'static str>,
    /// When the gateway is told to stop in the midst of it.
    pub(super) drain_ms: Option<u64>,
    /// Jumps of the clock on the wall: when, and how far.
    pub(super) jumps: Vec<(u64, i64)>,
}

/// Where a place is.
pub(super) fn address_of(place: &str) -> SocketAddr {
    let port = match place {
        "gateway" => 8080,
        "p0" => 9000,
        "p1" => 9001,
        "p2" => 9002,
        "u0" => 9100,
        _ => 9101,
    };
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The door of one of the gateway's workers.
pub(super) fn gateway_door(worker: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080 + worker))
}

/// The key of one request.
pub(super) fn key_of(number: usize) -> String {
    format!("tr_sim_{number:04}_abcdef")
}

impl Plan {
    /// What a seed makes of it.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let calm = chance.one_in(3);
        let stormy = |chance: &mut Chance, likely: u64| match calm {
            true => 0,
            false => likely * u64::from(chance.one_in(2)),
        };
        let latency_us_max = *chance.pick(&[50, 500, 5_000, 40_000]);
        // Small buffers over a long way carry so little that deadlines pass by themselves.
        let rooms: &[usize] = match calm && latency_us_max > 5_000 {
            true => &[65_536],
            false => &[256, 2_048, 65_536],
        };
        let weather = Weather {
            latency_us_max,
            reset_one_in: stormy(chance, 6),
            silence_one_in: stormy(chance, 12),
            stall_one_in: stormy(chance, 6),
            room_min: *chance.pick(rooms),
            exhausted_one_in: stormy(chance, 8),
            tells_acknowledged: !chance.one_in(10),
        };
        let count = 1 + chance.place(REQUESTS_MAX);
        // In some worlds every other prompt is longer than what is sent at once.
        let long_one_in = *chance.pick(&[10, 10, 10, 2]);
        let asks = (0..count).map(|number| ask(chance, number, long_one_in));
        let asks = asks.collect();
        let dark = |chance: &mut Chance| match stormy(chance, 1) {
            0 => Vec::new(),
            _ => vec![*chance.pick(&["p0", "p1", "p2", "u0", "u1"])],
        };
        let (absent, silent) = (dark(chance), dark(chance));
        let jumps = match chance.one_in(2) {
            true => (0..chance.below(4)).map(|_| jump(chance)).collect(),
            false => Vec::new(),
        };
        Self {
            workers: if chance.one_in(2) { 2 } else { 1 },
            drain_ms: (!calm && chance.one_in(4)).then(|| chance.between(1, 8_000)),
            file: file(chance, calm),
            weather,
            calm,
            asks,
            absent,
            silent,
            jumps,
        }
    }
}

fn jump(chance: &mut Chance) -> (u64, i64) {
    let hour = 3_600_000;
    (
        chance.below(15_000),
        *chance.pick(&[-hour, -1_000, 1_000, 30_000, hour]),
    )
}

/// The gateway's file. Its deadlines are short, so that a world is over soon.
fn file(chance: &mut Chance, calm: bool) -> String {
    let tight = !calm && chance.one_in(3);
    let policy = *chance.pick(&["finish", "cut"]);
    let hold = *chance.pick(&["rolling", "strict"]);
    let billing = !chance.one_in(4);
    let mut file = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-nobody-needs-0123456789\"\n\
         [timeouts]\nhead = \"2s\"\nbody = \"3s\"\nidle = \"4s\"\nwrite = \"3s\"\n\
         connect = \"500ms\"\nfirst_byte = \"4s\"\nbetween_bytes = \"3s\"\n\
         [limits]\nconnections = 100\n\
         [quota]\nhold = \"{hold}\"\non_midstream = \"{policy}\"\n\
         [models.m]\ntargets = [{{ provider = \"p0\", model = \"m0\" }}, \
         {{ provider = \"p1\", model = \"m1\" }}]\nfallback = [\"f\"]\n\
         price = {{ input = \"1\", output = \"2\" }}\n\
         [models.f]\ntargets = [{{ provider = \"p2\", model = \"m2\" }}]\n\
         price = {{ input = \"2\", output = \"4\" }}\n"
    );
    let mut add = |text: &str| file.push_str(text);
    for provider in PROVIDERS {
        let address = address_of(provider);
        add(&format!(
            "[providers.{provider}]\ndialect = \"openai\"\nbase_url = \"http://{address}/v1\"\n\
             api_keys = [\"sk-of-the-operator\"]\ncancel_stops_billing = {billing}\n"
        ));
    }
    let [one, other] = UPSTREAMS.map(address_of);
    for (name, meter) in [("requests", "requests"), ("bytes", "bytes")] {
        add(&format!(
            "[services.{name}]\npath = \"/{name}\"\n\
             upstreams = [\"http://{one}\", \"http://{other}\"]\nauth = \"key\"\n\
             meter = \"{meter}\"\nprice = {{ request = \"0.001\" }}\n"
        ));
    }
    let of_all = match tight {
        true => format!(
            "limits = [{{ unit = \"tokens\", amount = {}, per = \"total\" }}, \
             {{ unit = \"requests\", amount = {}, per = \"minute\" }}, {{ concurrent = {} }}]\n",
            chance.between(100, 9_000),
            chance.between(2, 12),
            chance.between(1, 4),
        ),
        false => "limits = [{ unit = \"tokens\", amount = 100000000, per = \"total\" }, \
                  { unit = \"requests\", amount = 100000, per = \"minute\" }]\n"
            .to_owned(),
    };
    add(&format!("[tenants.acme]\n{of_all}"));
    for number in 0..REQUESTS_MAX {
        let digest = Sha256::digest(key_of(number).as_bytes());
        let mut hex = String::new();
        for byte in digest {
            write!(hex, "{byte:02x}").expect("a string takes everything");
        }
        add(&format!(
            "[[tenants.acme.keys]]\nname = \"k{number}\"\nsha256 = \"{hex}\"\n{AMPLE}\n"
        ));
    }
    file
}

/// One request.
fn ask(chance: &mut Chance, number: usize, long_one_in: u64) -> Ask {
    match chance.below(16) {
        0..=4 => completion(chance, (number, Kind::Unary), long_one_in),
        5..=9 => {
            let usage = chance.one_in(2);
            completion(chance, (number, Kind::Stream { usage }), long_one_in)
        }
        10..=13 => call(chance, number),
        14 => own(chance, number),
        _ => malformed(chance, number),
    }
}

fn completion(chance: &mut Chance, (number, kind): (usize, Kind), long_one_in: u64) -> Ask {
    // Short ones as a rule; some are longer than a block, and some than what is sent at once.
    let padding = match (chance.one_in(long_one_in), chance.below(10)) {
        (true, _) => chance.between(64_000, 140_000),
        (false, 0) => chance.between(10_000, 40_000),
        (false, _) => chance.below(400),
    };
    let padding = "x ".repeat(usize::try_from(padding / 2).unwrap_or(0));
    let more = match kind {
        Kind::Stream { usage: true } => {
            ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
        }
        Kind::Stream { usage: false } => ",\"stream\":true",
        _ => "",
    };
    let most = chance.between(16, 2_000);
    let body = format!(
        "{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"n{number} \
         {padding}\"}}],\"max_tokens\":{most}{more}}}"
    );
    let expect = if chance.one_in(12) {
        "Expect: 100-continue\r\n"
    } else {
        ""
    };
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n{expect}");
    framed(chance, number, kind, &head, body.into_bytes())
}

fn call(chance: &mut Chance, number: usize) -> Ask {
    let by_bytes = chance.one_in(2);
    let method = *chance.pick(&["GET", "HEAD", "POST", "PUT"]);
    let kind = Kind::Rest {
        by_bytes,
        head: method == "HEAD",
        idempotent: method != "POST",
    };
    let length = match method {
        "GET" | "HEAD" => 0,
        _ => *chance.pick(&[0, 1, 300, 17_000, 90_000]),
    };
    let service = if by_bytes { "bytes" } else { "requests" };
    let head = format!("{method} /{service}/n{number} HTTP/1.1\r\nHost: gateway\r\n");
    let body: Vec<u8> = format!("n{number};").bytes().cycle().take(length).collect();
    framed(chance, number, kind, &head, body)
}

fn own(chance: &mut Chance, number: usize) -> Ask {
    let path = *chance.pick(&["/v1/quota", "/v1/models", "/nowhere"]);
    let head = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n");
    framed(chance, number, Kind::Own, &head, Vec::new())
}

/// Puts key, number and framing behind a head, and the body behind that.
fn framed(chance: &mut Chance, number: usize, kind: Kind, head: &str, body: Vec<u8>) -> Ask {
    let keyless = kind.may_pass() && chance.one_in(20);
    let mut text = head.to_owned();
    if !keyless {
        let _ = write!(text, "Authorization: Bearer {}\r\n", key_of(number));
    }
    let _ = write!(text, "x-nonce: {number}\r\n");
    let mut bytes;
    if !body.is_empty() && chance.one_in(3) {
        bytes = (text + "Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(chance.portion(rest.len()));
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
            rest = later;
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        if !body.is_empty() {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&body);
    }
    let kind = if keyless { Kind::Keyless } else { kind };
    Ask { kind, bytes, body }
}

/// A request with a fault that two servers might read differently.
fn malformed(chance: &mut Chance, number: usize) -> Ask {
    let (path, key) = ("/requests/x", key_of(number));
    let rest = format!("Host: gateway\r\nAuthorization: Bearer {key}\r\nx-nonce: {number}\r\n");
    let text = match chance.below(7) {
        0 => format!(
            "POST {path} HTTP/1.1\r\n{rest}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\
             \r\n0\r\n\r\n"
        ),
        1 => format!("GET {path} HTTP/1.1\r\n{rest}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        2 => format!("GET {path} HTTP/1.1\r\n{rest}Name : value\r\n\r\n"),
        3 => format!("GET {path} HTTP/1.1\r\n{rest}Host: other\r\n\r\n"),
        4 => format!("GET {path}  HTTP/1.1\r\n{rest}\r\n"),
        5 => format!("POST {path} HTTP/1.1\r\n{rest}Transfer-Encoding: chunked, gzip\r\n\r\n"),
        _ => format!("GET {path} HTTP/1.1\n{rest}\r\n"),
    };
    Ask {
        kind: Kind::Malformed,
        bytes: text.into_bytes(),
        body: Vec::new(),
    }
}
