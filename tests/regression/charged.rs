//! What was charged: usage that had been stated and was lost, bytes that were not counted,
//! answers that could not be counted and cost nothing, and answers that never began.

use serde_json::json;

use crate::support::openai::{self, LAST_CHUNK, STREAM_HEAD, chunk};
use crate::support::site::{ACME, AMPLE};
use crate::support::{Client, Gate, Gateway, Peer, Provider, Request, Site, refused};
use crate::{chat, keyed_service};

/// What an exchange that cost nothing leaves behind.
const NOTHING: Charge = Charge {
    requests: 0,
    tokens: 0,
    nano_usd: 0,
};

/// What `acme` has been charged, in every unit.
#[derive(Debug, PartialEq, Eq)]
struct Charge {
    requests: i128,
    tokens: i128,
    nano_usd: i128,
}

impl Charge {
    /// Reads it once nothing is held any more.
    #[track_caller]
    fn of(gateway: &Gateway) -> Self {
        let used = |unit| gateway.bucket_at_rest(ACME, unit).used;
        Self {
            requests: used("requests"),
            tokens: used("tokens"),
            nano_usd: used("usd"),
        }
    }
}

/// A provider that says a word, what it used and that it is done, and then does as `after`
/// says instead of ending the body.
fn unending(after: impl Fn(Peer) + Send + Sync + 'static) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let word = chunk(&openai::content_event("hi"));
        let usage = chunk(&(openai::usage_event(1000, 500) + openai::DONE));
        let begun = peer.send_apart(format!("{STREAM_HEAD}{word}"));
        if begun.and_then(|()| peer.send_apart(usage)).is_ok() {
            after(peer);
        }
    })
}

/// Asks [`unending`] and reads until `enough` of the events; then the client goes its way.
#[track_caller]
fn costs_what_was_stated(
    after: impl Fn(Peer) + Send + Sync + 'static,
    asked: bool,
    read: impl FnOnce(Client),
) {
    let provider = unending(after);
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut client = gateway.client();
    let options = json!({ "include_usage": asked });
    let extra = json!({ "stream": true, "max_tokens": 600, "stream_options": options });
    client.send(chat(extra).bytes());
    read(client);
    // 1,000 tokens in at 1 USD a million, 500 out at 2.
    let stated = Charge {
        requests: 1,
        tokens: 1500,
        nano_usd: 2_000_000,
    };
    assert_eq!(Charge::of(&gateway), stated, "usage asked for: {asked}");
}

#[test]
fn usage_that_was_stated_is_charged_even_when_the_client_leaves_at_done() {
    let waiting = |mut peer: Peer| {
        peer.await_hang_up();
    };
    let leave_at_done = |mut client: Client| {
        let head = client.head();
        assert!(client.events(&head).any(|event| event == "data: [DONE]"));
        client.reset();
    };
    for asked in [false, true] {
        costs_what_was_stated(waiting, asked, leave_at_done);
    }
}

#[test]
fn usage_that_was_stated_is_charged_even_when_the_stream_does_not_end_well() {
    let to_the_end = |mut client: Client| {
        let head = client.head();
        assert_eq!(head.status, 200);
        client.events(&head).for_each(drop);
    };
    for asked in [false, true] {
        costs_what_was_stated(drop, asked, to_the_end);
        costs_what_was_stated(Peer::reset, asked, to_the_end);
        costs_what_was_stated(
            |mut peer| {
                let _ = peer.send("ZZ\r\n");
                peer.await_hang_up();
            },
            asked,
            to_the_end,
        );
    }
}

/// A gateway with service `/files`, at 1 USD for a megabyte either way.
fn paid_by_bytes(upstream: &Provider) -> Gateway {
    let site = Site::new()
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let lines = "meter = \"bytes\"\nprice = { request = \"0\", megabyte = \"1\" }";
    Gateway::start(&keyed_service(site, "/files", &upstream.url(), lines))
}

/// What one upload to a service costs at 1 USD a megabyte, whose answer has ten bytes.
#[track_caller]
fn cost_of_upload(upload: impl FnOnce(&mut Client)) -> i128 {
    let provider = Provider::answering(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789".to_vec()
    });
    let gateway = paid_by_bytes(&provider);
    let mut client = gateway.client();
    upload(&mut client);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(answer.body, b"0123456789");
    Charge::of(&gateway).nano_usd
}

/// The head of an upload whose body is framed so.
fn upload_head(framing: &str) -> String {
    format!("POST /files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ACME}\r\n{framing}\r\n\r\n")
}

#[test]
fn bytes_that_go_up_cost_what_bytes_that_come_down_do() {
    let in_one_piece = cost_of_upload(|client| {
        let body = "x".repeat(3_000);
        client.send(upload_head("Content-Length: 3000") + &body);
    });
    assert_eq!(in_one_piece, 3_010_000, "nano-USD for 3,010 bytes");

    let in_many = cost_of_upload(|client| {
        client.send(upload_head("Content-Length: 3000000"));
        let piece = "x".repeat(30_000);
        (0..100).for_each(|_| client.send(&piece));
    });
    assert_eq!(in_many, 3_000_010_000, "nano-USD for 3,000,010 bytes");

    // The framing is ours to undo, and nobody's to pay for.
    let in_chunks = cost_of_upload(|client| {
        client.send(upload_head("Transfer-Encoding: chunked"));
        let piece = chunk(&"x".repeat(30_000));
        (0..100).for_each(|_| client.send(&piece));
        client.send(LAST_CHUNK);
    });
    assert_eq!(in_chunks, 3_000_010_000, "nano-USD for 3,000,010 bytes");

    let in_one_chunk = cost_of_upload(|client| {
        let body = chunk(&"x".repeat(3_000));
        client.send(upload_head("Transfer-Encoding: chunked") + &body + LAST_CHUNK);
    });
    assert_eq!(in_one_chunk, 3_010_000, "nano-USD for 3,010 bytes");
}

/// What an upload costs that is `begun` with this, of which the upstream receives so many
/// bytes, framing included, before the client does as `end` says.
#[track_caller]
fn cost_of_broken_upload(begun: String, received: usize, end: impl FnOnce(Client)) -> i128 {
    let arrived = Gate::default();
    let arrived_at_provider = arrived.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(received).is_some() {
            arrived_at_provider.open();
            peer.await_hang_up();
        }
    });
    let gateway = paid_by_bytes(&provider);
    let mut client = gateway.client();
    client.send(begun);
    assert!(arrived.wait(), "the upstream did not receive its part");
    end(client);
    Charge::of(&gateway).nano_usd
}

#[test]
fn an_upload_that_breaks_off_costs_what_was_passed_on() {
    const MEGABYTES: usize = 2_000_000;
    let part = "x".repeat(MEGABYTES);
    let begun = upload_head("Content-Length: 20000000") + &part;
    let left = cost_of_broken_upload(begun, MEGABYTES, Client::reset);
    assert_eq!(left, 2_000_000_000, "nano-USD for 2,000,000 bytes");

    // Some of the last piece may be read together with the fault, and is not passed on then.
    let last = chunk(&"x".repeat(100_000));
    let begun = upload_head("Transfer-Encoding: chunked") + &chunk(&part) + &last;
    let malformed = cost_of_broken_upload(begun, MEGABYTES + 50_000, |mut client| {
        client.send("ZZ\r\n");
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{}", answer.describe());
    });
    let passed_on = 2_000_000_000..=2_100_000_000;
    assert!(passed_on.contains(&malformed), "{malformed} nano-USD");
}

/// What was held of an exchange, and what it was then charged: tokens and nano-USD of each.
#[track_caller]
fn held_and_posted(request: &Request, fields: &str, body: &'static [u8]) -> [(i128, i128); 2] {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let whole = [head.as_bytes(), body].concat();
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::answering(move |_| {
        gate_of_provider.wait();
        whole.clone()
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    let mut client = gateway.client();
    client.send(request.bytes());
    provider.await_calls(1);
    let held = ["tokens", "usd"].map(|unit| gateway.bucket(ACME, unit).held);
    gate.open();
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(answer.body, body, "the answer was touched");
    let posted = Charge::of(&gateway);
    assert_eq!(posted.requests, 1);
    [(held[0], posted.tokens), (held[1], posted.nano_usd)]
}

#[test]
fn an_answer_that_cannot_be_counted_costs_what_was_held() {
    const COMPRESSED: &str = "content-type: application/json\r\ncontent-encoding: gzip";
    let request = chat(json!({ "max_tokens": 1000 }));
    for (fields, body) in [
        ("content-type: text/plain", &b"no words of a model's"[..]),
        ("content-type: application/json", &b"{\"id\":"[..]),
        (COMPRESSED, &b"\x1f\x8b\x08\x00\xff\xfe\xfd\x00\x01"[..]),
    ] {
        let [tokens, nano_usd] = held_and_posted(&request, fields, body);
        assert!(
            tokens.0 > 1000,
            "{tokens:?} held for 1,000 tokens of output"
        );
        assert_eq!(tokens.1, tokens.0, "tokens posted of those held: {fields}");
        assert_eq!(nano_usd.1, nano_usd.0, "nano-USD posted: {fields}");
    }
}

#[test]
fn a_stream_in_a_coding_costs_what_was_held() {
    let request = chat(json!({ "stream": true, "max_tokens": 100 }));
    let fields = "content-type: text/event-stream\r\ncontent-encoding: gzip";
    let [tokens, nano_usd] = held_and_posted(&request, fields, b"\x1f\x8b\x08\x00\xff\xfe\xfd");
    assert!(tokens.0 > 100, "{tokens:?} held for 100 tokens of output");
    assert_eq!(tokens.1, tokens.0, "tokens posted of those held");
    assert_eq!(nano_usd.1, nano_usd.0, "nano-USD posted of those held");
}

#[test]
fn a_failure_that_comes_with_a_good_status_costs_nothing() {
    let failure = r#"{"error":{"message":"x"}}"#;
    let provider = Provider::answering(move |_| openai::answer("200 OK", failure));
    let gateway = Gateway::start(&Site::with_acme(&provider.url()));
    for stream in [false, true] {
        let answer = gateway.ask(&chat(json!({ "stream": stream, "max_tokens": 50 })));
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(answer.text(), failure, "stream: {stream}");
        assert_eq!(Charge::of(&gateway), NOTHING, "stream: {stream}");
    }
}

#[test]
fn embeddings_without_usage_cost_their_input_and_no_more() {
    let body = json!({ "model": "m", "input": "Say hello." }).to_string();
    let request = Request::post("/v1/embeddings", body).key(ACME);
    let answer = br#"{"object":"list","data":[{"index":0,"embedding":[0.5]}]}"#;
    let fields = "content-type: application/json";
    let [tokens, nano_usd] = held_and_posted(&request, fields, answer);
    // Ten bytes of text; whatever is made of them, it is not an answer's worth.
    assert!((1..=10).contains(&tokens.1), "{tokens:?} held and posted");
    assert_eq!(tokens.1, tokens.0, "tokens posted of those held");
    assert_eq!(nano_usd.1, nano_usd.0, "nano-USD posted of those held");
    assert_eq!(nano_usd.1, tokens.1 * 1_000, "input at its price");
}

/// A provider whose answer is broken in the first byte of its body.
fn broken(kind: &'static str) -> Provider {
    Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let head = format!("content-type: {kind}\r\ntransfer-encoding: chunked");
            let _ = peer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nZZ\r\nhello"));
            peer.await_hang_up();
        }
    })
}

#[test]
fn a_completion_malformed_before_its_first_byte_is_502_and_costs_nothing() {
    for (kind, stream) in [("application/json", false), ("text/event-stream", true)] {
        let provider = broken(kind);
        let gateway = Gateway::start(&Site::with_acme(&provider.url()));
        let answer = gateway.ask(&chat(json!({ "stream": stream, "max_tokens": 50 })));
        refused(&answer, 502, "upstream_failed");
        assert_eq!(Charge::of(&gateway), NOTHING, "{kind}");
        assert_eq!(provider.calls_total(), 1, "{kind}");
    }
}

#[test]
fn a_service_malformed_before_its_first_byte_is_502_and_costs_nothing() {
    let provider = broken("application/json");
    let site = Site::new()
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let lines = "meter = \"requests\"\nprice = { request = \"1\" }";
    let gateway = Gateway::start(&keyed_service(site, "/files", &provider.url(), lines));
    let answer = gateway.ask(&Request::get("/files").key(ACME));
    assert_eq!(answer.status, 502, "{}", answer.describe());
    assert_eq!(answer.json()["code"], "upstream_failed");
    assert_eq!(Charge::of(&gateway), NOTHING);
}
