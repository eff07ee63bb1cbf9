//! The load generator against the scripted provider and against servers that misbehave: what it
//! counts is what they served, and what it measures is what they did.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use support::{chat, get, mock, post};
use tollring_loadgen::load::{Arrivals, Plan, Report, Spacing, execute};
use tollring_loadgen::mock::{self as provider, MockOptions, Pace};

const CHAT: &str = "/v1/chat/completions";

fn closed(address: SocketAddr, request: String, connections: usize, requests: u64) -> Plan {
    Plan {
        url: format!("http://{address}"),
        address,
        request: request.into_bytes(),
        to_head: false,
        needs_done: false,
        arrivals: Arrivals::Closed { connections },
        requests_max: Some(requests),
        duration: None,
        threads: 1,
        timeout: Duration::from_secs(10),
    }
}

fn open(address: SocketAddr, request: String, rate: f64, requests: u64) -> Plan {
    let (spacing, connections_first) = (Spacing::Constant, 4);
    let arrivals = Arrivals::Open {
        rate,
        spacing,
        connections_first,
        connections_max: 64,
    };
    Plan {
        arrivals,
        ..closed(address, request, 1, requests)
    }
}

fn run(plan: &Plan) -> Report {
    execute(plan).unwrap()
}

#[test]
fn a_closed_loop_counts_what_the_server_served() {
    let mock = mock(Pace::default());
    let body = chat("m", r#","max_tokens":3"#);
    let report = run(&closed(mock.address(), post(CHAT, &body), 8, 500));
    assert_eq!(
        (report.sent, report.completed, report.failed),
        (500, 500, 0)
    );
    assert_eq!(report.statuses[&200], 500);
    assert_eq!(report.connections, 8);
    assert_eq!(report.mode, "closed");
    assert_eq!(
        (report.latency_us, report.latency_us.count),
        (report.from_send_us, 500)
    );
    let stats = mock.stats();
    assert_eq!((stats.requests, stats.output_tokens), (500, 1_500));
    assert_eq!(report.bytes_sent, 500 * post(CHAT, &body).len() as u64);
}

#[test]
fn an_open_loop_sends_its_whole_schedule_over_as_many_threads_as_it_has() {
    let mock = provider::start(MockOptions {
        threads: 2,
        ..MockOptions::default()
    })
    .unwrap();
    for spacing in [Spacing::Constant, Spacing::Poisson { seed: 3 }] {
        let mut plan = open(mock.address(), get("/echo"), 4_000.0, 401);
        plan.threads = 2;
        plan.arrivals = Arrivals::Open {
            rate: 4_000.0,
            spacing,
            connections_first: 4,
            connections_max: 64,
        };
        let before = mock.stats().requests;
        let report = run(&plan);
        assert_eq!(
            (report.planned, report.sent, report.completed),
            (401, 401, 401),
            "{report}"
        );
        assert_eq!((report.unsent, report.failed), (0, 0), "{report}");
        assert_eq!(report.latency_us.count, 401);
        assert_eq!(report.lag_us.count + report.late, 401);
        assert_eq!(mock.stats().requests - before, 401);
        assert_eq!(report.cpu_busy.len(), 2);
        // The last arrival is due after 100 ms, give or take the dice; nothing is sent early.
        assert!(report.elapsed_s > 0.05, "{report}");
    }
}

#[test]
fn a_duration_ends_a_run_of_either_kind() {
    let mock = mock(Pace::default());
    let duration = Some(Duration::from_millis(200));
    let closed = closed(mock.address(), get("/echo"), 2, 0);
    let report = run(&Plan {
        requests_max: None,
        duration,
        ..closed
    });
    assert!(report.completed > 0 && report.failed == 0, "{report}");
    let open = open(mock.address(), get("/echo"), 1_000.0, 0);
    let report = run(&Plan {
        requests_max: None,
        duration,
        ..open
    });
    assert_eq!(report.planned, 200, "{report}");
    assert_eq!(report.completed + report.unsent, 200, "{report}");
}

#[test]
fn a_stream_is_timed_by_its_contents() {
    let gap = Duration::from_millis(2);
    let mock = mock(Pace {
        ttft: Duration::from_millis(20),
        gap,
        tokens: 5,
        ..Pace::default()
    });
    let request = post(CHAT, &chat("m", r#","stream":true"#));
    let mut plan = closed(mock.address(), request, 2, 10);
    plan.needs_done = true;
    let report = run(&plan);
    assert_eq!((report.completed, report.failed), (10, 0), "{report}");
    assert_eq!(report.first_delta_us.count, 10);
    assert_eq!(report.event_gap_us.count, 10 * 4);
    // No upper bounds: the machine may be busy, but a provider cannot be early.
    assert!(report.first_delta_us.p50 >= 19_900, "{report}");
    assert!(report.from_send_us.p50 >= 27_900, "{report}");
}

#[test]
fn failures_are_counted_by_their_kind() {
    let mock = mock(Pace {
        tokens: 4,
        ..Pace::default()
    });
    let stream = r#","stream":true"#;
    for (model, more, kind) in [
        ("mock-reset", "", "closed"),
        ("mock-reset-midstream", "", "cut"),
        ("mock-reset-midstream", stream, "cut"),
        ("mock-malformed", stream, "stream"),
        ("mock-stall", "", "timeout"),
        ("mock-stall-midstream", stream, "timeout"),
    ] {
        let mut plan = closed(mock.address(), post(CHAT, &chat(model, more)), 2, 4);
        plan.needs_done = true;
        plan.timeout = Duration::from_millis(100);
        let report = run(&plan);
        assert_eq!(
            (report.completed, report.failed),
            (0, 4),
            "{model} {report}"
        );
        assert_eq!(report.failures[kind], 4, "{model} {report}");
    }
    let report = run(&closed(
        mock.address(),
        post(CHAT, &chat("mock-fail-503", "")),
        2,
        4,
    ));
    assert_eq!((report.statuses[&503], report.failed), (4, 0));
}

#[test]
fn a_server_that_is_not_there_fails_every_arrival() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let report = run(&closed(address, get("/"), 2, 6));
    assert_eq!(
        (report.completed, report.failures["connect"]),
        (0, 6),
        "{report}"
    );
    let report = run(&open(address, get("/"), 1_000.0, 6));
    assert_eq!(
        (report.planned, report.failures["connect"]),
        (6, 6),
        "{report}"
    );
}

/// A server that answers everything the same way, one thread to a connection, but waits while
/// `gate` is held for writing.
fn serve(answer: &'static str, gate: Arc<RwLock<()>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, gate) = (stream.unwrap(), Arc::clone(&gate));
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                // Requests here are short and never pipelined: one read is one request.
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    drop(gate.read());
                    if stream.write_all(answer.as_bytes()).is_err() || answer.contains("close") {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn answers_that_break_the_rules_are_malformed() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
    ] {
        let report = run(&closed(serve(answer, Arc::default()), get("/"), 1, 2));
        assert_eq!(report.failures["malformed"], 2, "{answer:?} {report}");
    }
}

#[test]
fn answers_of_every_framing_are_read_to_their_end() {
    for (answer, connections) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", 1),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            1,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 1),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            1,
        ),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab", 3),
    ] {
        let report = run(&closed(serve(answer, Arc::default()), get("/"), 1, 3));
        assert_eq!(
            (report.completed, report.failed),
            (3, 0),
            "{answer:?} {report}"
        );
        assert_eq!(report.connections, connections, "{answer:?}");
    }
}

/// Holds a gate shut for 100 ms of every 300 while `body` runs.
fn with_stalls<T>(gate: &RwLock<()>, body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                let shut = gate.write();
                std::thread::sleep(Duration::from_millis(100));
                drop(shut);
            }
        });
        let result = body();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_stall_is_seen_from_the_intended_start_and_hidden_by_a_closed_loop() {
    let gate = Arc::new(RwLock::new(()));
    let address = serve(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        Arc::clone(&gate),
    );
    let duration = Some(Duration::from_millis(1_500));
    let narrow = Arrivals::Open {
        rate: 300.0,
        spacing: Spacing::Constant,
        connections_first: 1,
        connections_max: 1,
    };
    let open = open(address, get("/"), 300.0, 0);
    let open = Plan {
        requests_max: None,
        duration,
        ..open
    };
    let closed = Plan {
        requests_max: None,
        duration,
        ..closed(address, get("/"), 1, 0)
    };
    let (open, narrow, closed) = with_stalls(&gate, || {
        (
            run(&open),
            run(&Plan {
                arrivals: narrow,
                ..open.clone()
            }),
            run(&closed),
        )
    });
    // A third of the time is stalled, and so a third of the arrivals are.
    assert!(open.latency_us.p90 > 30_000, "{open}");
    // The closed loop has one request in each stall and thousands beside it.
    assert!(closed.from_send_us.max > 50_000, "{closed}");
    assert!(
        closed.from_send_us.p90 * 4 < open.latency_us.p90,
        "{closed} {open}"
    );
    // With a single connection the open loop cannot send on time either, and says how late it was.
    assert!(narrow.late > 0, "{narrow}");
    assert!(
        narrow.from_send_us.p90 * 4 < narrow.latency_us.p90,
        "{narrow}"
    );
}
