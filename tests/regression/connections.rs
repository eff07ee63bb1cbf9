//! Whose bytes went over which connection, and who was told of an end: answers nobody had
//! asked for, uploads whose other side was gone, and ends that did not come.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::client::Piece;
use crate::support::openai::{self, CHAT, LAST_CHUNK, STREAM_HEAD, chunk};
use crate::support::site::{ACME, AMPLE};
use crate::support::{Client, Gate, Gateway, PATIENCE, Provider, Request, Site, eventually};
use crate::{TOKENS_WITHOUT_END, chat, no_task_panicked, with_limits};

/// What a server says on its way out to a connection that has been quiet for too long.
const UNASKED: &str =
    "HTTP/1.1 408 Request Timeout\r\ncontent-length: 6\r\nconnection: close\r\n\r\npoison";

#[test]
fn what_an_upstream_says_unasked_is_nobodys_answer() {
    let (told, spoken) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            let mark = json!({ "mark": call.field("x-mark"), "usage": openai::usage(1, 1) });
            let own = openai::answer("200 OK", &mark.to_string());
            let sent = peer.send_apart(own);
            let _ = sent.and_then(|()| peer.send(UNASKED));
            let _ = told.send(());
        }
    });
    let site = Site::with_acme(&provider.url())
        .tenant("other", "")
        .key("other", "bot", "tr_other", AMPLE)
        .open_service("files", "/files", &provider.url())
        .set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    for round in 0..12 {
        let key = [ACME, "tr_other"][round % 2];
        let request = match round % 3 {
            0 => Request::post(CHAT, openai::chat("m", json!({}))),
            1 => Request::get("/files/a"),
            _ => Request::new("POST", "/files/a").body("one piece"),
        };
        let mark = round.to_string();
        let answer = gateway.ask(&request.key(key).field("X-Mark", &mark));
        assert_eq!(answer.status, 200, "round {round}: {}", answer.describe());
        assert_eq!(
            answer.json()["mark"],
            mark,
            "round {round}: another's answer"
        );
        spoken.recv_timeout(PATIENCE).expect("the provider speaks");
    }
    assert_eq!(provider.calls_total(), 12);
}

/// The head of an upload of so many bytes to `/files`, with the first of them.
fn begun_upload(length: usize, first: usize) -> String {
    let body = "x".repeat(first);
    format!("POST /files HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn an_upload_whose_upstream_closes_without_a_word_is_502() {
    let provider = Provider::start(|mut peer| {
        peer.call_head_and(1000);
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send(begun_upload(100_000, 1000));
        let answer = client.answer();
        assert_eq!(answer.status, 502, "{}", answer.describe());
        assert_eq!(answer.json()["code"], "upstream_failed");
    }
    no_task_panicked(&gateway);
}

#[test]
fn an_answer_that_comes_before_its_upload_is_over_says_that_the_connection_ends() {
    let provider = Provider::start(|mut peer| {
        if peer.call_head_and(1000).is_some() {
            let _ = peer.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
            peer.await_hang_up();
        }
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(50_000_000, 1000));
    let answer = client.answer();
    assert_eq!(answer.status, 413, "{}", answer.describe());
    assert_eq!(answer.body, b"big");
    assert_eq!(answer.field("connection"), Some("close"));
    client.finish_sending();
    assert!(client.is_closed());
}

/// Uploads ten bytes in two pieces, leaves when the upstream has them all and has said
/// `begun`, and asserts that the upstream is told.
#[track_caller]
fn leave_after_upload(begun: &'static str, leave: impl FnOnce(Client)) {
    let half = Gate::default();
    let half_of_provider = half.clone();
    let (told, hung_up) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(5).is_some() {
            half_of_provider.open();
        }
        if peer.call().is_some() {
            let _ = peer.send(begun);
            let _ = told.send(peer.await_hang_up());
        }
    });
    // No deadline of ours may be what ends the connection.
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "first_byte", "\"120s\"")
        .set("timeouts", "between_bytes", "\"120s\"");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(10, 5));
    assert!(half.wait(), "the first half did not arrive");
    client.send("67890");
    provider.await_calls(1);
    leave(client);
    let hung_up = hung_up
        .recv_timeout(2 * PATIENCE)
        .expect("it waits no longer");
    assert!(hung_up, "the upstream was left working for nobody");
}

#[test]
fn an_upstream_is_told_when_the_client_crashes_after_its_upload() {
    leave_after_upload("", Client::reset);
}

#[test]
fn an_upstream_is_told_when_the_client_closes_after_its_upload() {
    leave_after_upload("", drop);
}

#[test]
fn an_upstream_is_told_when_the_client_crashes_in_the_answer_to_its_upload() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nab";
    leave_after_upload(begun, |mut client| {
        let head = client.head();
        let mut framing = head.framing("POST");
        let mut taken = 0;
        while taken < 2 {
            let Piece::Data(data) = client.piece(&mut framing) else {
                panic!("the answer ended after {taken} bytes")
            };
            taken += data.len();
        }
        client.reset();
    });
}

#[test]
fn a_connection_that_was_said_to_end_ends_although_its_upload_came_to_its_end_too() {
    let provider = Provider::start(|mut peer| {
        let early = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbi";
        let begun = peer.call_head_and(1000).is_some() && peer.send(early).is_ok();
        if begun && peer.call().is_some() {
            let _ = peer.send("g");
            peer.await_hang_up();
        }
    });
    // Longer than the test waits, so that no deadline is what closes.
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "idle", "\"120s\"");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(3000, 1000));
    let head = client.head();
    assert_eq!(head.field("connection"), Some("close"), "{head:?}");
    client.send("x".repeat(2000));
    provider.await_calls(1);
    let mut framing = head.framing("POST");
    let mut body = Vec::new();
    while let Piece::Data(data) = client.piece(&mut framing) {
        body.extend(data);
    }
    assert_eq!(body, b"big");
    assert!(client.is_closed(), "it said that it would close");
}

#[test]
fn an_answer_is_not_late_while_its_upload_is_still_on_the_way() {
    // Together longer than an answer may take, and each far from it.
    const PIECES: usize = 6;
    const BETWEEN_PIECES: Duration = Duration::from_millis(300);
    let provider = Provider::answering(|call| {
        let told = call.body_bytes.to_string();
        openai::answer("200 OK", &told)
    });
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "first_byte", "\"1s\"");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(begun_upload(PIECES * 1000, 1000));
    for _ in 1..PIECES {
        // The pace of a slow client is what this is about; nothing is waited for.
        thread::sleep(BETWEEN_PIECES);
        client.send("x".repeat(1000));
    }
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(answer.json(), PIECES * 1000);
}

#[test]
fn a_large_chunked_completion_goes_through() {
    const TEXT_BYTES: usize = 6 * 1024 * 1024;
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let gateway = Gateway::start(&with_limits(&provider.url(), TOKENS_WITHOUT_END));
    let text = "a b ".repeat(TEXT_BYTES / 4);
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ACME}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    ));
    for piece in body.to_string().as_bytes().chunks(64 * 1024) {
        client.send(chunk(std::str::from_utf8(piece).unwrap()));
    }
    client.send(LAST_CHUNK);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let calls = provider.calls();
    let told = &calls[0].json()["messages"][0]["content"];
    assert_eq!(told.as_str().map(str::len), Some(TEXT_BYTES));
}

#[test]
fn an_early_no_to_a_completion_is_passed_on_although_its_body_is_never_taken() {
    // More than the kernel holds between two sockets, so that sending it cannot end.
    const TEXT_BYTES: usize = 16 * 1024 * 1024;
    let over = Gate::default();
    let over_of_provider = over.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call_head_and(0).is_some() {
            let early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\
                         connection: close\r\n\r\nbig";
            let _ = peer.send(early);
            // Takes nothing more, and keeps the socket open for longer than the test waits.
            while !over_of_provider.wait() {}
        }
    });
    let site = with_limits(&provider.url(), TOKENS_WITHOUT_END)
        .set("timeouts", "between_bytes", "\"60s\"")
        .set("timeouts", "first_byte", "\"60s\"");
    let gateway = Gateway::start(&site);
    let text = "a b ".repeat(TEXT_BYTES / 4);
    let messages = json!([{ "role": "user", "content": text }]);
    let answer = gateway.ask(&chat(json!({ "messages": messages })));
    over.open();
    assert_eq!(answer.status, 413, "{}", answer.describe());
    assert_eq!(answer.body, b"big");
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 0);
}

#[test]
fn sigquit_ends_a_drain_at_once() {
    let gate = Gate::default();
    let gate_of_provider = gate.clone();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let first = chunk(&openai::content_event("one"));
            let _ = peer.send(format!("{STREAM_HEAD}{first}"));
            // Again and again: an end of the stream must not be what ends the drain.
            while !gate_of_provider.wait() {}
        }
    });
    // Longer than the test waits for anything, so that a drain cannot be what ends it.
    let site = Site::with_acme(&provider.url()).set("timeouts", "drain", "\"120s\"");
    let mut gateway = Gateway::start(&site);
    let mut client = gateway.client();
    client.send(chat(json!({ "stream": true })).bytes());
    let head = client.head();
    assert!(client.events(&head).next().is_some());

    gateway.signal("TERM");
    eventually("readiness to fall", || {
        (gateway.ask_admin("GET", "/readyz").status == 503).then_some(())
    });
    gateway.signal("QUIT");
    gateway.await_exit();
    gate.open();
}

/// A listener whose queue is full, so that connecting to it neither succeeds nor fails, and
/// what fills it.
fn blackhole() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&loopback.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(100);
    let fill = (0..4).filter_map(|_| TcpStream::connect_timeout(&address, patience).ok());
    let fill = fill.collect();
    (listener, address, fill)
}

/// A provider that sends one word of a stream, and the rest when the gate is open.
fn gated(gate: &Gate) -> Provider {
    let gate = gate.clone();
    Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let first = chunk(&openai::content_event("one"));
        if peer.send(format!("{STREAM_HEAD}{first}")).is_ok() && gate.wait() {
            let rest = chunk(&(openai::usage_event(1, 1) + openai::DONE));
            let _ = peer.send(rest + LAST_CHUNK);
        }
    })
}

#[test]
fn a_client_that_leaves_between_two_targets_ends_nobody_elses_connection() {
    let (gone, first_gone) = mpsc::channel();
    let declining = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let _ = peer.send(openai::answer("503 Service Unavailable", "{}"));
            let _ = gone.send(peer.await_hang_up());
        }
    });
    let (told, hung_up) = mpsc::channel();
    let watched = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let _ = told.send(peer.await_hang_up());
        }
    });
    let gate = Gate::default();
    let streaming = gated(&gate);
    let (_listener, address, _fill) = blackhole();
    let site = Site::new()
        .provider("declining", &declining.url())
        .provider("blackhole", &format!("http://{address}"))
        .provider("watched", &watched.url())
        .provider("streaming", &streaming.url())
        .model("backup", "blackhole")
        .model("watched", "watched")
        .model("stream", "streaming")
        .model_with(
            "m",
            r#"{ provider = "declining", model = "a" }"#,
            "fallback = [\"backup\"]\nprice = { input = \"1\", output = \"2\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        .set("server", "workers", "1")
        .set("timeouts", "connect", "\"60s\"");
    let gateway = Gateway::start(&site);
    let stream_of = |model| {
        let body = openai::chat(model, json!({ "stream": true }));
        Request::post(CHAT, body).key(ACME).bytes()
    };

    // The first target has declined and its socket is closed: its number is free.
    let mut leaving = gateway.client();
    leaving.send(chat(json!({})).bytes());
    assert!(first_gone.recv_timeout(2 * PATIENCE).unwrap());
    // Of these, one has it now.
    let mut others: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    let heads = others.iter_mut().map(|other| {
        other.send(stream_of("stream"));
        let head = other.head();
        assert!(other.events(&head).next().is_some());
        head
    });
    let heads: Vec<_> = heads.collect();

    leaving.reset();
    // Who leaves later is noticed no sooner.
    let mut later = gateway.client();
    later.send(stream_of("watched"));
    watched.await_calls(1);
    later.reset();
    assert!(hung_up.recv_timeout(2 * PATIENCE).unwrap());

    gate.open();
    for (other, head) in others.iter_mut().zip(&heads) {
        let rest: Vec<String> = other.events(head).collect();
        assert_eq!(rest, ["data: [DONE]"], "ended for another's sake");
    }
}

/// Bytes that the kernel holds for the other end of this connection and has not delivered; none
/// where it knows of no such connection.
fn undelivered_bytes(from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let port = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let ends = format!(" {} {} ", port(from), port(to));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&ends))?;
    let sending = line.split_whitespace().nth(4)?.split(':').next()?;
    u64::from_str_radix(sending, 16).ok()
}

/// A provider whose answers have no end, and that says when the gateway takes no more for a
/// while.
fn endless() -> (Provider, mpsc::Receiver<()>) {
    let (stalled, has_stalled) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_none() {
            return;
        }
        let mut sent = peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
        while sent.is_ok() {
            let patience = Duration::from_millis(300);
            sent = peer.send_within(&[b'x'; 65_536], patience).map(drop);
        }
        let _ = stalled.send(());
        peer.await_hang_up();
    });
    (provider, has_stalled)
}

/// A client that asks for such an answer, and does not read it; and the two ends.
fn ask_without_end(gateway: &Gateway) -> (TcpStream, (SocketAddr, SocketAddr)) {
    let address: SocketAddr = gateway.url["http://".len()..].parse().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let request = Request::get("/files/without-end").bytes();
    client.write_all(&request).unwrap();
    let ends = (address, client.local_addr().unwrap());
    (client, ends)
}

#[test]
fn an_answer_that_nobody_takes_waits_with_its_provider_and_not_in_the_kernel() {
    // Twice what may wait unsent: a write that was begun below the bound is taken whole.
    const UNDELIVERED_BYTES_MAX: u64 = 256 * 1024;
    let (provider, has_stalled) = endless();
    let gateway = Gateway::start(&Site::new().open_service("files", "/files", &provider.url()));
    let (_client, (from, to)) = ask_without_end(&gateway);
    has_stalled.recv_timeout(PATIENCE).unwrap();
    let undelivered = undelivered_bytes(from, to).expect("the connection is open");
    assert!(
        undelivered <= UNDELIVERED_BYTES_MAX,
        "{undelivered} bytes are kept for a client that does not read"
    );
}

#[test]
fn whoever_does_not_read_in_time_leaves_nothing_with_the_kernel() {
    let (provider, _) = endless();
    let site = Site::new()
        .open_service("files", "/files", &provider.url())
        .set("timeouts", "write", "\"300ms\"");
    let gateway = Gateway::start(&site);
    let (_client, (from, to)) = ask_without_end(&gateway);
    provider.await_calls(1);
    eventually("the connection to be forgotten", || {
        undelivered_bytes(from, to).is_none().then_some(())
    });
}
