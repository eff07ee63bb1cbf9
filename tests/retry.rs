//! Sent once, or known not to have been sent.
//!
//! A completion costs money each time it runs. Another target is tried when nothing can
//! have been done at the first; otherwise the caller is told, and nobody asks twice.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::openai::{self, CHAT};
use support::site::{ACME, AMPLE};
use support::{Answer, Gateway, Peer, Provider, Request, Site};

/// A model `m` on two providers: `first`, and `second` when that one fails.
fn two(first: &str, second: &str) -> Site {
    Site::new()
        .provider("first", first)
        .provider("second", second)
        .model("backup", "second")
        .model_with(
            "m",
            r#"{ provider = "first", model = "a" }"#,
            "fallback = [\"backup\"]\nprice = { input = \"1.00\", output = \"2.00\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
}

#[track_caller]
fn ask(gateway: &Gateway, extra: Value) -> Answer {
    gateway.ask(&Request::post(CHAT, openai::chat("m", extra)).key(ACME))
}

fn good() -> Provider {
    Provider::answering(|_| openai::answer_using(11, 7))
}

#[test]
fn a_target_that_refuses_connections_is_passed_over_at_once() {
    let second = good();
    let gateway = Gateway::start(&two(&Provider::nowhere(), &second.url()));
    for stream in [false, true] {
        let answer = ask(&gateway, json!({ "stream": stream }));
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!(second.calls_total(), 2);
    assert_eq!(second.calls()[0].json()["model"], "backup-upstream");
    let requests = gateway.bucket_at_rest(ACME, "requests");
    assert_eq!(requests.used, 2, "a failed attempt was charged");
}

#[test]
fn when_every_target_refuses_the_caller_is_told_soon() {
    let gateway = Gateway::start(&two(&Provider::nowhere(), &Provider::nowhere()));
    let begun = Instant::now();
    let answer = ask(&gateway, json!({}));
    assert!(matches!(answer.status, 502 | 503), "{}", answer.describe());
    assert_eq!(answer.json()["error"]["source"], "gateway");
    // The bound on an idle machine is 50 ms; this leaves room for a busy one.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn among_targets_of_one_model_a_dead_one_is_passed_over_too() {
    let alive = good();
    let site = Site::new()
        .provider("dead", &Provider::nowhere())
        .provider("alive", &alive.url())
        .model_with(
            "m",
            r#"{ provider = "dead", model = "a", weight = 3 },
               { provider = "alive", model = "b" }"#,
            "price = { input = \"1.00\", output = \"2.00\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    for _ in 0..8 {
        let answer = ask(&gateway, json!({}));
        assert_eq!(answer.status, 200, "{}", answer.describe());
    }
    assert_eq!(alive.calls_total(), 8);
}

#[test]
fn targets_share_by_weight() {
    let (heavy, light) = (good(), good());
    let site = Site::new()
        .provider("heavy", &heavy.url())
        .provider("light", &light.url())
        .model_with(
            "m",
            r#"{ provider = "heavy", model = "a", weight = 3 },
               { provider = "light", model = "b" }"#,
            "price = { input = \"1.00\", output = \"2.00\" }",
        )
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE);
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    for _ in 0..200 {
        let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
        assert_eq!(client.ask(&request).status, 200);
    }
    let shares = (heavy.calls_total(), light.calls_total());
    assert_eq!(shares.0 + shares.1, 200);
    // Three quarters are 150; a fair draw of 200 leaves this range once in a million times.
    assert!(
        (118..=182).contains(&shares.0),
        "{shares:?} is not three to one"
    );
}

/// What a request costs when `first` fails it in a way that may have done the work.
#[track_caller]
fn asked_once(fail: impl Fn(Peer) + Send + Sync + 'static, status: u16) {
    let first = Provider::start(fail);
    let second = good();
    let site = two(&first.url(), &second.url())
        .set("timeouts", "first_byte", "\"300ms\"")
        .set("timeouts", "between_bytes", "\"300ms\"");
    let gateway = Gateway::start(&site);
    let answer = ask(&gateway, json!({ "max_tokens": 50 }));
    assert_eq!(answer.status, status, "{}", answer.describe());
    assert_eq!(
        (first.calls_total(), second.calls_total()),
        (1, 0),
        "asked twice"
    );
    assert_eq!(gateway.bucket_at_rest(ACME, "tokens").held, 0);
}

#[test]
fn a_reset_after_the_request_was_read_is_502_and_nobody_else_is_asked() {
    asked_once(
        |mut peer| {
            if peer.call().is_some() {
                peer.reset();
            }
        },
        502,
    );
}

#[test]
fn a_close_after_the_request_was_read_is_502_and_nobody_else_is_asked() {
    asked_once(
        |mut peer| {
            peer.call();
        },
        502,
    );
}

#[test]
fn a_head_cut_short_is_502_and_nobody_else_is_asked() {
    asked_once(
        |mut peer| {
            if peer.call().is_some() {
                let _ = peer.send("HTTP/1.1 200 OK\r\ncontent-le");
            }
        },
        502,
    );
}

#[test]
fn a_stall_before_the_answer_is_504_and_nobody_else_is_asked() {
    asked_once(
        |mut peer| {
            if peer.call().is_some() {
                peer.await_hang_up();
            }
        },
        504,
    );
}

#[test]
fn an_error_the_provider_answers_is_the_answer() {
    let error = r#"{"error":{"message":"broken","type":"server_error","code":null}}"#;
    asked_once(
        move |mut peer| {
            while peer.call().is_some() {
                let _ = peer.send(openai::answer("500 Internal Server Error", error));
            }
        },
        500,
    );
}

#[test]
fn a_body_that_stalls_is_cut_where_it_stopped_and_never_looks_whole() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            let _ = peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":");
            peer.await_hang_up();
        }
    });
    let site = Site::with_acme(&provider.url()).set("timeouts", "between_bytes", "\"300ms\"");
    let gateway = Gateway::start(&site);
    let answer = ask(&gateway, json!({}));
    // An answer that waits for its whole body may still be refused; one under way is cut.
    assert!(
        answer.status == 504 || !answer.whole,
        "{}",
        answer.describe()
    );
    assert_eq!(provider.calls_total(), 1);
}

#[test]
fn a_chunked_answer_cut_short_is_never_ended_with_a_clean_last_chunk() {
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some() {
            let _ = peer.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\
                 transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            );
        }
    });
    let site = Site::new().open_service("files", "/files", &provider.url());
    let gateway = Gateway::start(&site);
    let answer = gateway.ask(&Request::get("/files/a"));
    assert!(
        answer.status == 502 || !answer.whole,
        "{}",
        answer.describe()
    );
}

#[test]
fn a_kept_connection_the_provider_has_closed_is_replaced_without_the_caller_noticing() {
    // Each connection answers one request and closes, without having said that it would. A
    // request that arrives while it closes is answered by a reset, which does not tell whether
    // it was read, and is rightly not sent again; so each waits until the close is over.
    let (told, closed) = mpsc::channel();
    let provider = Provider::start(move |mut peer| {
        if peer.call().is_some() {
            let _ = peer.send(openai::answer_using(11, 7));
        }
        drop(peer);
        let _ = told.send(());
    });
    let site = Site::with_acme(&provider.url()).set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    for count in 1..=20 {
        let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200, "request {count}: {}", answer.describe());
        closed
            .recv()
            .expect("the provider closes after each answer");
    }
    assert_eq!(provider.calls_total(), 20);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 20);
}

#[test]
fn a_kept_connection_that_dies_with_the_request_read_is_not_tried_again() {
    // The second request on a connection is read and answered with a reset.
    let provider = Provider::start(|mut peer| {
        if peer.call().is_some()
            && peer.send(openai::answer_using(11, 7)).is_ok()
            && peer.call().is_some()
        {
            peer.reset();
        }
    });
    let site = Site::with_acme(&provider.url()).set("server", "workers", "1");
    let gateway = Gateway::start(&site);
    let mut client = gateway.client();
    let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
    assert_eq!(client.ask(&request).status, 200);
    let answer = gateway.ask(&request);
    assert_eq!(answer.status, 502, "{}", answer.describe());
    assert_eq!((provider.calls_total(), provider.connections()), (2, 1));
}

#[test]
fn a_provider_that_does_not_take_connections_is_given_up_after_the_connect_deadline() {
    // A listener whose queue is full drops what comes next, as a black hole would.
    let blackhole = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let blackhole = blackhole.unwrap();
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    blackhole.bind(&loopback.into()).unwrap();
    blackhole.listen(0).unwrap();
    let address = blackhole.local_addr().unwrap().as_socket().unwrap();
    let _fill: Vec<_> = (0..4)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()
        })
        .collect();
    let second = good();
    let site = two(&format!("http://{address}"), &second.url());
    let gateway = Gateway::start(&site.set("timeouts", "connect", "\"200ms\""));
    let answer = ask(&gateway, json!({}));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(second.calls_total(), 1);
}

#[test]
fn bytes_after_an_answer_are_never_taken_for_the_next() {
    let poisoned = {
        let mut bytes = openai::answer_using(11, 7);
        bytes.extend(openai::answer("200 OK", "{\"stolen\":true}"));
        bytes
    };
    let provider = Provider::start(move |mut peer| {
        while peer.call().is_some() {
            if peer.send(&poisoned).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(&Site::with_acme(&provider.url()).set("server", "workers", "1"));
    let mut client = gateway.client();
    for _ in 0..5 {
        let request = Request::post(CHAT, openai::chat("m", json!({}))).key(ACME);
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(
            answer.json()["usage"]["prompt_tokens"],
            11,
            "{}",
            answer.describe()
        );
    }
    assert_eq!(
        provider.connections(),
        5,
        "a connection was kept that owed us nothing more"
    );
}
