//! The scripted provider over real sockets: shapes, framing, faults, and counts that match.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{Client, ask, chat, get, mock, post, until_stats};
use tollring_loadgen::mock::{self as provider, MockOptions, Pace};

const CHAT: &str = "/v1/chat/completions";

/// A chat request with a field more.
fn post_with(field: &str, body: &str) -> String {
    post(CHAT, body).replacen("host: mock", &format!("host: mock\r\n{field}"), 1)
}

#[test]
fn a_chat_is_answered_and_counted_to_the_token() {
    let mock = mock(Pace::default());
    let mut client = Client::connect(mock.address());
    let body = chat("gpt-4o", r#","max_tokens":5"#);
    let answer = client.ask(post_with("authorization: Bearer sk-1", &body));
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        json["choices"][0]["message"]["content"],
        "Here every cart pays at"
    );
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    assert_eq!(json["usage"]["prompt_tokens"], 2);
    assert_eq!(json["usage"]["completion_tokens"], 5);

    let told = client.ask(get("/__mock/stats")).json();
    assert_eq!(told["requests"], 1);
    assert_eq!(told["by_key"]["sk-1"], 1);
    assert_eq!(told["by_path"][CHAT], 1);
    assert_eq!(told["by_model"]["gpt-4o"], 1);
    assert_eq!(
        (
            told["input_tokens"].as_u64(),
            told["output_tokens"].as_u64()
        ),
        (Some(2), Some(5))
    );
    assert_eq!(serde_json::to_value(mock.stats()).unwrap(), told);

    assert_eq!(client.ask(post("/__mock/reset", "")).status, 200);
    assert_eq!(mock.stats(), provider::MockStats::default());
}

#[test]
fn a_stream_has_a_role_a_token_to_an_event_and_usage_only_when_asked() {
    let mock = mock(Pace::default());
    for (more, extra) in [(r#","stream_options":{"include_usage":true}"#, 1), ("", 0)] {
        let body = chat("m", &format!(r#","stream":true,"max_tokens":7{more}"#));
        let answer = ask(&mock, post(CHAT, &body));
        assert!(
            answer.head.contains("content-type: text/event-stream"),
            "{}",
            answer.head
        );
        let events = answer.events();
        // The role, seven tokens, the reason, perhaps the usage, the end.
        assert_eq!(events.len(), 1 + 7 + 1 + extra + 1);
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage = events
            .iter()
            .filter(|event| event.contains("completion_tokens"))
            .count();
        assert_eq!(usage, extra);
    }
    assert_eq!(mock.stats().output_tokens, 14);
}

#[test]
fn a_pace_with_gaps_gives_the_same_events_one_by_one() {
    let pace = Pace {
        gap: Duration::from_millis(1),
        tokens: 6,
        ..Pace::default()
    };
    let mock = mock(pace);
    let answer = ask(&mock, post(CHAT, &chat("m", r#","stream":true"#)));
    assert_eq!(answer.events().len(), 1 + 6 + 1 + 1);
    assert_eq!(mock.stats().output_tokens, 6);
}

#[test]
fn tools_are_called_whole_and_streamed() {
    let mock = mock(Pace::default());
    let tools = r#","tools":[{"type":"function","function":{"name":"weather"}}]"#;
    let answer = ask(&mock, post(CHAT, &chat("m", tools))).json();
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "weather");
    let whole = call["arguments"].as_str().unwrap().to_owned();

    let answer = ask(
        &mock,
        post(CHAT, &chat("m", &format!(r#","stream":true{tools}"#))),
    );
    let mut streamed = String::new();
    for event in answer.events().iter().filter(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap();
        let call = &event["choices"][0]["delta"]["tool_calls"][0]["function"];
        streamed.push_str(call["arguments"].as_str().unwrap_or(""));
    }
    assert_eq!(streamed, whole);
    assert!(serde_json::from_str::<Value>(&whole).unwrap()["text"].is_string());
}

#[test]
fn completions_embeddings_and_models_are_served_with_and_without_v1() {
    let mock = mock(Pace {
        tokens: 3,
        ..Pace::default()
    });
    for prefix in ["/v1", ""] {
        let answer = ask(
            &mock,
            post(&format!("{prefix}/completions"), r#"{"prompt":"hi"}"#),
        );
        assert_eq!(answer.json()["choices"][0]["text"], "Here every cart");
        let body = r#"{"input":["a","b"],"dimensions":3}"#;
        let answer = ask(&mock, post(&format!("{prefix}/embeddings"), body)).json();
        assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 3);
        assert_eq!(
            ask(&mock, get(&format!("{prefix}/models"))).json()["data"][0]["id"],
            "mock"
        );
        let answer = ask(&mock, get(&format!("{prefix}/models/some/model"))).json();
        assert_eq!(answer["id"], "some/model");
        let answer = ask(&mock, get(&format!("{prefix}/models/some%2Fmodel"))).json();
        assert_eq!(answer["id"], "some/model");
        assert_eq!(
            ask(&mock, get(&format!("{prefix}/completions"))).status,
            405
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mock = mock(Pace::default());
    let mut client = Client::connect(mock.address());
    let requests = [
        get("/one"),
        post("/two", "body"),
        get("/bytes/3"),
        get("/four"),
    ];
    client.send(requests.concat());
    assert_eq!(client.answer().json()["target"], "/one");
    assert_eq!(client.answer().json()["body_bytes"], 4);
    assert_eq!(client.answer().body, [0, 1, 2]);
    assert_eq!(client.answer().json()["target"], "/four");
    assert_eq!(mock.stats().requests, 4);
}

#[test]
fn a_request_is_the_same_wherever_it_is_cut() {
    let mock = mock(Pace::default());
    let mut client = Client::connect(mock.address());
    let body = chat("m", r#","max_tokens":1"#);
    let half = body.len() / 2;
    let (one, two) = body.split_at(half);
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
         {half:x};x=y\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\nx: y\r\n\r\n",
        two.len()
    );
    for request in [post(CHAT, &body), chunked] {
        for cut in 1..request.len() {
            client.send(&request[..cut]);
            let answer = client.ask(&request[cut..]).json();
            assert_eq!(answer["usage"]["total_tokens"], 3, "cut at {cut}");
        }
    }
}

#[test]
fn a_client_that_expects_to_be_asked_is_asked() {
    let mock = mock(Pace::default());
    let mut client = Client::connect(mock.address());
    client.send("PUT /sink HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.ask("abc").json()["body_bytes"], 3);
}

#[test]
fn plain_paths_echo_count_and_send_bytes() {
    let mock = mock(Pace::default());
    let mut client = Client::connect(mock.address());
    let request =
        "PATCH /any/where?a=1 HTTP/1.1\r\nX-One: 1\r\nX-One: 2\r\ncontent-length: 1\r\n\r\na";
    let echo = client.ask(request).json();
    assert_eq!(
        (&echo["method"], &echo["target"]),
        (&"PATCH".into(), &"/any/where?a=1".into())
    );
    assert_eq!(echo["fields"][1], serde_json::json!(["X-One", "2"]));
    assert_eq!(echo["body_fnv1a"], "af63dc4c8601ec8c");

    let bytes = client.ask(get("/bytes/200000")).body;
    assert_eq!(bytes.len(), 200_000);
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| usize::from(*byte) == at % 256)
    );

    assert_eq!(client.ask(get("/status/503")).status, 503);
    assert_eq!(client.ask(get("/status/204")).status, 204);

    client.send("POST /sink HTTP/1.1\r\ncontent-length: 5000000\r\n\r\n");
    for _ in 0..50 {
        client.send([b'x'; 100_000]);
    }
    assert_eq!(client.answer().json()["body_bytes"], 5_000_000);
    assert_eq!(mock.stats().by_path["/any/where"], 1);
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let mock = mock(Pace::default());
    for bytes in [
        "nonsense\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ] {
        let mut client = Client::connect(mock.address());
        assert_eq!(client.ask(bytes).status, 400, "{bytes}");
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(ask(&mock, post(CHAT, "not json")).status, 400);
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let mut client = Client::connect(mock.address());
    client.send(&long[..66_000]);
    assert_eq!(client.answer().status, 431);
}

#[test]
fn http_1_0_and_close_delimited_streams_end_with_the_connection() {
    let mock = mock(Pace {
        close_delimited: true,
        tokens: 2,
        ..Pace::default()
    });
    let answer = ask(&mock, post(CHAT, &chat("m", r#","stream":true"#)));
    assert!(!answer.head.contains("transfer-encoding"));
    assert!(answer.head.contains("connection: close"));
    assert_eq!(answer.events().last().unwrap(), "[DONE]");

    let mut client = Client::connect(mock.address());
    assert_eq!(client.ask("GET /echo HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_model_that_fails_answers_with_its_status_and_costs_nothing() {
    let mock = mock(Pace::default());
    let answer = ask(&mock, post(CHAT, &chat("mock-fail-429", "")));
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: 1"));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    let stats = mock.stats();
    assert_eq!(
        (stats.requests, stats.input_tokens, stats.output_tokens),
        (1, 0, 0)
    );
}

#[test]
fn resets_come_before_the_answer_or_within_it() {
    let mock = mock(Pace {
        tokens: 10,
        ..Pace::default()
    });
    let mut client = Client::connect(mock.address());
    client.send(post(CHAT, &chat("mock-reset", "")));
    assert_eq!(client.rest(), b"");

    for more in ["", r#","stream":true"#] {
        let mut client = Client::connect(mock.address());
        client.send(post(CHAT, &chat("mock-reset-midstream", more)));
        client.until(b"\r\n\r\n");
        let body = String::from_utf8(client.rest()).unwrap();
        assert!(!body.is_empty() && !body.contains("[DONE]"), "{body}");
    }
    // The whole one was produced, half of the stream was.
    assert_eq!(mock.stats().output_tokens, 10 + 5);
    assert_eq!(mock.stats().aborted, 0);
}

#[test]
fn usage_can_be_missing_or_zero_and_json_broken() {
    let mock = mock(Pace::default());
    let usage = r#","stream_options":{"include_usage":true},"stream":true"#;
    assert!(
        ask(&mock, post(CHAT, &chat("mock-no-usage", "")))
            .json()
            .get("usage")
            .is_none()
    );
    let events = ask(&mock, post(CHAT, &chat("mock-no-usage", usage))).events();
    assert!(
        !events
            .iter()
            .any(|event| event.contains("completion_tokens"))
    );
    let answer = ask(&mock, post(CHAT, &chat("mock-zero-usage", ""))).json();
    assert_eq!(answer["usage"]["total_tokens"], 0);

    let answer = ask(&mock, post(CHAT, &chat("mock-malformed", "")));
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    let events = ask(
        &mock,
        post(CHAT, &chat("mock-malformed", r#","stream":true"#)),
    )
    .events();
    assert!(serde_json::from_str::<Value>(events.last().unwrap()).is_err());
}

#[test]
fn a_share_of_all_fails_every_request_and_a_field_overrides_it() {
    let options = Pace {
        fail: tollring_loadgen::Share::ALL,
        ..Pace::default()
    };
    let mock = mock(options);
    assert_eq!(ask(&mock, post(CHAT, &chat("m", ""))).status, 500);
    let request = post_with("x-mock-fail: status:418", &chat("m", ""));
    assert_eq!(ask(&mock, request).status, 418);
}

#[test]
fn a_client_that_hangs_up_stops_the_stream_and_is_counted() {
    let pace = Pace {
        gap: Duration::from_millis(2),
        tokens: 100_000,
        ..Pace::default()
    };
    let mock = mock(pace);
    let mut client = Client::connect(mock.address());
    client.send(post(CHAT, &chat("m", r#","stream":true"#)));
    for _ in 0..3 {
        client.until(b"\n\n");
    }
    drop(client);
    let stats = until_stats(&mock, |stats| stats.aborted == 1);
    assert!((2..100_000).contains(&stats.output_tokens), "{stats:?}");
    // Nothing is produced for one who is gone.
    assert_eq!(
        ask(&mock, get("/__mock/stats")).json()["output_tokens"],
        stats.output_tokens
    );
}

#[test]
fn a_stalled_answer_lasts_until_the_client_goes() {
    let mock = mock(Pace {
        tokens: 4,
        ..Pace::default()
    });
    let mut client = Client::connect(mock.address());
    client.send(post(
        CHAT,
        &chat("mock-stall-midstream", r#","stream":true"#),
    ));
    let two_tokens = client.until(b"every\"}");
    assert!(!two_tokens.is_empty());
    let mut silent = Client::connect(mock.address());
    silent.send(post(CHAT, &chat("mock-stall", "")));
    until_stats(&mock, |stats| stats.requests == 2);
    assert_eq!(mock.stats().aborted, 0);
    drop((client, silent));
    let stats = until_stats(&mock, |stats| stats.aborted == 2);
    assert_eq!(stats.output_tokens, 2);
}

#[test]
fn threads_share_a_port_and_add_up_their_counts() {
    let mock = provider::start(MockOptions {
        threads: 2,
        ..MockOptions::default()
    })
    .unwrap();
    let body = chat("m", r#","max_tokens":1"#);
    // The kernel spreads connections by a hash; forty leave one thread idle once in 2^39.
    for _ in 0..40 {
        ask(&mock, post(CHAT, &body));
    }
    let stats = mock.stats();
    assert_eq!((stats.requests, stats.output_tokens), (40, 40));
    assert_eq!(ask(&mock, get("/__mock/stats")).json()["requests"], 40);
}

#[test]
fn stopping_ends_connections_and_frees_the_port() {
    let mock = mock(Pace {
        gap: Duration::from_millis(1),
        tokens: 100_000,
        ..Pace::default()
    });
    let address = mock.address();
    let mut idle = Client::connect(address);
    assert_eq!(idle.ask(get("/echo")).status, 200);
    let mut busy = Client::connect(address);
    busy.send(post(CHAT, &chat("m", r#","stream":true"#)));
    busy.until(b"\n\n");
    mock.stop();
    assert_eq!(idle.rest(), b"");
    busy.rest();
    let again = provider::start(MockOptions {
        listen: address,
        ..MockOptions::default()
    });
    assert_eq!(again.unwrap().address(), address);
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let mock = mock(Pace::default());
    let options = MockOptions {
        listen: mock.address(),
        ..MockOptions::default()
    };
    let error = provider::start(options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
