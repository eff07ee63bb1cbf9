//! Good heads with a few bytes wrong: whatever is still taken is well-formed.
//!
//! The seed is fixed. The judge below knows the grammar on its own terms and shares no code
//! with the parser.

mod support;

use support::{LIMITS, facts_of_request, facts_of_response};
use tollring_http1::{Framing, HeadFault, Method, Parsed, RequestHead, ResponseHead, Version};

const ROUNDS: u64 = 30_000;

const REQUESTS: [&[u8]; 4] = [
    b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 12\r\n\
      Connection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
    b"PUT http://[::1]:8080/x HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\
      Connection: x-hop\r\nX-Hop: 1\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\nAccept: */*\r\nConnection: Keep-Alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent_Length: 3\r\nX: \t y \r\n\r\n",
];

const ANSWERS: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nServer: x\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    b"HTTP/1.0 204\r\nKeep-Alive: a\r\nConnection: keep-alive\r\n\r\n",
];

/// Pieces of text that have fooled parsers.
const TROUBLE: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"\r\n\r\n",
    b"\r\n ",
    b"chunked",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"\xa0",
    b"0",
];

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    fn pick<'t>(&mut self, texts: &[&'t [u8]]) -> &'t [u8] {
        texts[self.below(texts.len())]
    }

    /// `text` with one to three wounds.
    fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next().to_le_bytes()[0],
                2 => drop(bytes.remove(at)),
                3 => drop(bytes.splice(at..at, self.pick(&TROUBLE).iter().copied())),
                _ => {
                    let copied: Vec<u8> = bytes[at..].iter().copied().take(30).collect();
                    drop(bytes.splice(at..at, copied));
                }
            }
        }
        bytes
    }
}

/// The lines of a head without their ends; panics at any line end that is not CRLF.
fn lines_of(head: &[u8]) -> Vec<String> {
    let text: String = head.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim_start_matches("\r\n");
    let text = text
        .strip_suffix("\r\n\r\n")
        .expect("a head ends with an empty line");
    let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    for line in &lines {
        assert!(
            !line.chars().any(|c| c.is_ascii_control() && c != '\t'),
            "{line:?}"
        );
    }
    lines
}

/// The fields of a head as lower-case name and value; panics at any that is no field.
fn fields_of(lines: &[String]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        assert!(!name.is_empty() && name.chars().all(token), "{line:?}");
        fields.push((
            name.to_ascii_lowercase(),
            value.trim_matches([' ', '\t']).to_owned(),
        ));
    }
    fields
}

fn values<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
    fields
        .iter()
        .filter(|field| field.0 == name)
        .map(|field| field.1.as_str())
        .collect()
}

/// Panics unless the framing is the only one the fields can mean; gives what they declare.
fn declared(fields: &[(String, String)]) -> Option<Framing> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => None,
        ([length], []) => {
            assert!(
                length.bytes().all(|byte| byte.is_ascii_digit()),
                "{length:?}"
            );
            Some(Framing::Length(length.parse().expect("a length fits")))
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case("chunked"), "{coding:?}");
            Some(Framing::Chunked)
        }
        other => panic!("framed more than once: {other:?}"),
    }
}

fn judge_request(head: &RequestHead, bytes: &[u8]) {
    let lines = lines_of(&bytes[..head.len]);
    let words: Vec<&str> = lines[0].split(' ').collect();
    let [method, target, version] = words[..] else {
        panic!("{:?}", lines[0])
    };
    assert!(
        version == "HTTP/1.1" || version == "HTTP/1.0",
        "{version:?}"
    );
    assert_eq!(version == "HTTP/1.1", head.version == Version::Http11);
    assert!(method != "CONNECT" && method != "TRACE");
    assert!(
        target
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '#' && c != '\\'),
        "{target:?}"
    );
    let fields = fields_of(&lines);
    assert_eq!(fields.len(), head.fields.len());
    let hosts = values(&fields, "host");
    assert!(
        hosts.len() == 1 || (hosts.is_empty() && version == "HTTP/1.0"),
        "{hosts:?}"
    );
    assert_eq!(
        head.framing,
        declared(&fields).unwrap_or(Framing::Length(0))
    );
}

fn judge_answer(head: &ResponseHead, bytes: &[u8]) {
    let lines = lines_of(&bytes[..head.len]);
    assert!(lines[0].starts_with("HTTP/1.1 ") || lines[0].starts_with("HTTP/1.0 "));
    assert_eq!(lines[0][9..12].parse(), Ok(head.status));
    let fields = fields_of(&lines);
    assert_eq!(fields.len(), head.fields.len());
    let declared = declared(&fields).unwrap_or(Framing::UntilClose);
    let expected = match head.status {
        101 => Framing::UntilClose,
        100..=199 | 204 | 304 => Framing::Length(0),
        _ => declared,
    };
    assert_eq!(head.framing, expected);
}

/// A mutated request that arrives byte by byte.
fn in_pieces(bytes: &[u8]) -> Result<Option<String>, HeadFault> {
    let mut head = RequestHead::new();
    for len in 0..=bytes.len() {
        if head.parse(&bytes[..len], &LIMITS)? == Parsed::Done {
            return Ok(Some(facts_of_request(&head)));
        }
    }
    Ok(None)
}

#[test]
fn a_mutated_request_is_well_formed_or_refused() {
    let mut random = Random(2);
    let mut head = RequestHead::new();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let original = random.pick(&REQUESTS);
        let bytes = random.mutate(original);
        match head.parse(&bytes, &LIMITS) {
            Ok(Parsed::Done) => {
                judge_request(&head, &bytes);
                assert_eq!(in_pieces(&bytes), Ok(Some(facts_of_request(&head))));
                taken += 1;
            }
            Ok(Parsed::Partial) => assert_eq!(in_pieces(&bytes), Ok(None)),
            Err(fault) => {
                assert!((400..=505).contains(&fault.status()));
                assert!(!matches!(in_pieces(&bytes), Ok(Some(_))), "{fault:?}");
                refused += 1;
            }
        }
        head.clear();
    }
    assert!(
        taken > 1_000 && refused > 1_000,
        "the mutations are one-sided: {taken}, {refused}"
    );
}

#[test]
fn a_mutated_answer_is_well_formed_or_refused() {
    let mut random = Random(3);
    let mut head = ResponseHead::new();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let original = random.pick(&ANSWERS);
        let bytes = random.mutate(original);
        match head.parse(&bytes, Method::Get, &LIMITS) {
            Ok(Parsed::Done) => {
                judge_answer(&head, &bytes);
                let mut again = ResponseHead::new();
                let half = again.parse(&bytes[..head.len / 2], Method::Get, &LIMITS);
                assert_eq!(half, Ok(Parsed::Partial));
                assert_eq!(again.parse(&bytes, Method::Get, &LIMITS), Ok(Parsed::Done));
                assert_eq!(facts_of_response(&again), facts_of_response(&head));
                taken += 1;
            }
            Ok(Parsed::Partial) => {}
            Err(_) => refused += 1,
        }
        head.clear();
    }
    assert!(
        taken > 1_000 && refused > 1_000,
        "the mutations are one-sided: {taken}, {refused}"
    );
}
