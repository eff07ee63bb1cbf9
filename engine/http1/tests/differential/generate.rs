//! Streams of messages: most as they should be, many nearly so.
//!
//! Decides what the parsers are tried with: whole messages put together from words that mean
//! something to one of them, one odd word in some, and bytes changed in others. Whether a
//! stream is right is nobody's business here.

use tollring_http1::Method;

use crate::dice::Dice;
use crate::reading::Stream;

const METHODS: [&str; 12] = [
    "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "PROPFIND",
    "M-SEARCH", "REPORT",
];

const TARGETS: [&str; 12] = [
    "/",
    "/a/b?c=d&e",
    "/%2e%2e/%00",
    "/a;b=c,d:e@f!$&'()*+~",
    "//two",
    "/?",
    "/a?b?c/d",
    "/[1]{2}|3^4`5\"<>",
    "http://a/b",
    "http://a:80?x",
    "HTTPS://[::1]:443/",
    "/0123456789abcdefghijklmnopqrstuvwxyz",
];

/// Lines that belong to the grammar and mean nothing to the framing.
const FIELDS: [&str; 22] = [
    "Accept: */*",
    "A:b",
    "X-Empty:",
    "X-Blanks: \t ",
    "X-Around: \t a  b\t ",
    "x!#$%&'*+-.^_`|~9: token",
    "X-High: \u{e9}\u{fc}",
    "Cookie: a=b; c=\"d\"",
    "X-Colons: a:b:c::",
    "Connection: keep-alive",
    "Connection: Keep-Alive, X-A",
    "Connection: close",
    "connection: CLOSE",
    "Connection: x-a , close",
    "Connection:",
    "Connection: ,, keep-alive,",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-T",
    "Upgrade: h2c",
    "content_length: 7",
    "Proxy-Connection: close",
];

/// Lines, in place of a field or the framing, that some reader somewhere takes for another.
const ODD_LINES: [&str; 40] = [
    "Content-Length: +2",
    "Content-Length: -1",
    "Content-Length: 0x2",
    "Content-Length: 2, 2",
    "Content-Length: 2,",
    "Content-Length: 02",
    "Content-Length: 2 2",
    "Content-Length:",
    "Content-Length: 2\r\nContent-Length: 2",
    "Content-Length: 2\r\nContent-Length: 3",
    "Content-Length: 9223372036854775807",
    "Content-Length: 9223372036854775808",
    "Content-Length: 18446744073709551616",
    "Content-Length : 2",
    " Content-Length: 2",
    "Content-Length\t: 2",
    "Content-Length: 2\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 2",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding: chunked\u{c}",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding:",
    "Transfer-Encoding: CHUNKED",
    "Transfer_Encoding: chunked",
    "X: a\r\n folded",
    "X: a\nContent-Length: 2",
    "X: a\rb",
    "X\u{e9}: a",
    "no colon",
    ": no name",
];

/// Between the size of a chunk and the end of its line.
const EXTENSIONS: [&str; 10] = [
    ";a",
    ";a=b",
    "; a=b",
    ";a=\"b;c\"",
    ";a=\"\\\"\"",
    ";a ; b",
    " ;a",
    ";",
    ";a=",
    " ",
];

const ODD_SIZES: [&str; 8] = ["0x2", "+2", "-2", " 2", "2_", "10000000000000002", "", "g"];

/// Bytes that a mutation writes: those that end, part or hide something.
const MARKS: &[u8] = b"\r\n \t:;,\0\x0b\x0c\x7f\x80\xff\"\\0129afAFxX/?*.-+_=";

/// The stream of that number.
pub(crate) fn stream(seed: u64, number: u64) -> Stream {
    let dice = &mut Dice::new(seed, number);
    let asked = match dice.below(8) {
        0..4 => None,
        4 => Some(Method::Head),
        _ => Some(Method::Get),
    };
    let mut bytes = Vec::new();
    for _ in 0..=dice.below(3) {
        match asked {
            None => request(dice, &mut bytes),
            Some(asked) => answer(dice, asked, &mut bytes),
        }
    }
    if dice.once_in(2) {
        for _ in 0..=dice.below(3) {
            mutate(dice, &mut bytes);
        }
    }
    Stream { asked, bytes }
}

fn request(dice: &mut Dice, out: &mut Vec<u8>) {
    if dice.once_in(20) {
        out.extend(b"\r\n");
    }
    let (method, target) = match dice.below(20) {
        0 => ("OPTIONS", "*"),
        1 => (
            dice.pick(&["QUERYX", "get", "A|B", "CONNECT", "TRACE"]),
            "/",
        ),
        _ => (dice.pick(&METHODS), dice.pick(&TARGETS)),
    };
    let version = version(dice);
    out.extend(format!("{method} {target} {version}\r\n").bytes());
    let mut lines = vec!["Host: a.example:80"];
    if dice.once_in(20) {
        lines.clear();
    }
    let has_body = method != "GET" || dice.once_in(4);
    let framing = framing(dice, has_body, version);
    finish(dice, lines, framing, true, out);
}

fn answer(dice: &mut Dice, asked: Method, out: &mut Vec<u8>) {
    let version = version(dice);
    let status = dice.pick(&[
        "200 OK",
        "200 OK",
        "200 OK",
        "200",
        "200 ",
        "404 Not \u{e9}",
        "500 \t a",
        "304 NM",
        "204 No",
        "103 Early",
        "100 Continue",
        "599 x",
        "301 M",
    ]);
    out.extend(format!("{version} ").bytes());
    out.extend(latin1(status));
    out.extend(b"\r\n");
    let bodiless = asked == Method::Head || status.starts_with(['1', '3']) || status == "204 No";
    let has_body = !dice.once_in(6);
    let framing = framing(dice, has_body, version);
    finish(dice, Vec::new(), framing, !bodiless, out);
}

fn version(dice: &mut Dice) -> &'static str {
    match dice.below(60) {
        0..48 => "HTTP/1.1",
        48..58 => "HTTP/1.0",
        58 => dice.pick(&["HTTP/0.9", "HTTP/1.2", "HTTP/2.0"]),
        _ => dice.pick(&["http/1.1", "HTTP/1.1 ", "HTTP/1", "HTTP/01.1"]),
    }
}

/// How a body is framed, and what it is.
enum Body {
    None,
    Length(usize),
    Chunked,
}

fn framing(dice: &mut Dice, has_body: bool, version: &str) -> Body {
    match dice.below(5) {
        _ if !has_body => Body::None,
        0 => Body::None,
        1 | 2 => Body::Length(dice.below(20)),
        _ if version == "HTTP/1.0" && !dice.once_in(8) => Body::Length(dice.below(20)),
        _ => Body::Chunked,
    }
}

/// The fields in some order, then the body if it is sent.
fn finish(
    dice: &mut Dice,
    mut lines: Vec<&'static str>,
    framing: Body,
    sent: bool,
    out: &mut Vec<u8>,
) {
    for _ in 0..dice.below(4) {
        lines.insert(dice.below(lines.len() + 1), dice.pick(&FIELDS));
    }
    if dice.once_in(12) {
        lines.insert(dice.below(lines.len() + 1), dice.pick(&ODD_LINES));
    }
    let length;
    match framing {
        Body::None => {}
        Body::Length(bytes) => {
            length = bytes;
            let at = dice.below(lines.len() + 1);
            let before: Vec<&str> = lines.drain(..at).collect();
            append_lines(out, &before);
            out.extend(format!("Content-Length: {length}\r\n").bytes());
        }
        Body::Chunked => {
            let coding = match dice.below(16) {
                0 => "chunked 	",
                1 => "Chunked",
                2 => "chunked ",
                _ => "chunked",
            };
            out.extend(format!("Transfer-Encoding: {coding}\r\n").bytes());
        }
    }
    append_lines(out, &lines);
    out.extend(b"\r\n");
    match framing {
        Body::Length(bytes) if sent => out.extend((0..bytes).map(|at| b"data\r\n0"[at % 7])),
        Body::Chunked if sent => chunks(dice, out),
        _ => {}
    }
}

/// Lines in ISO 8859-1: what is above ASCII becomes one byte.
fn append_lines(out: &mut Vec<u8>, lines: &[&str]) {
    for line in lines {
        out.extend(latin1(line));
        out.extend(b"\r\n");
    }
}

fn latin1(text: &str) -> impl Iterator<Item = u8> {
    text.chars().map(|char| u8::try_from(char).unwrap_or(b'?'))
}

fn chunks(dice: &mut Dice, out: &mut Vec<u8>) {
    for _ in 0..dice.below(4) {
        let size = 1 + dice.below(30);
        let digits = match dice.below(8) {
            0 => format!("{size:X}"),
            1 => format!("{size:04x}"),
            _ => format!("{size:x}"),
        };
        let digits = match dice.below(40) {
            0 => dice.pick(&ODD_SIZES).to_owned(),
            _ => digits,
        };
        let extension = match dice.below(6) {
            0 => dice.pick(&EXTENSIONS),
            _ => "",
        };
        out.extend(format!("{digits}{extension}\r\n").bytes());
        out.extend((0..size).map(|at| b"chunk\r\n0\r\n\r\n"[at % 12]));
        out.extend(b"\r\n");
    }
    let trailers = dice.pick(&["", "", "", "X-T: a\r\n", "Content-Length: 3\r\nY:\r\n"]);
    out.extend(format!("0\r\n{trailers}\r\n").bytes());
}

/// Changes a few bytes somewhere.
fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len());
    let mark = MARKS[dice.below(MARKS.len())];
    let end = (at + 1 + dice.below(12)).min(bytes.len());
    match dice.below(6) {
        0 => bytes[at] = mark,
        1 => bytes.insert(at, mark),
        2 => drop(bytes.remove(at)),
        3 => bytes[at] ^= 1 << dice.below(8),
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => drop(bytes.drain(at..end)),
    }
    if bytes.is_empty() {
        bytes.push(mark);
    }
}
