//! What the door shows: health, counters, metrics, and the noes in between.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::support::{DEADLINE, Script, TOKEN, ask, ask_with, door};
use tollring_admin::Readiness;

#[test]
fn a_stranger_may_ask_whether_the_process_lives() {
    let (door, _) = door(Script::default());
    let answer = ask_with(&door, "GET", "/livez", "");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"status":"alive"}"#)
    );
}

#[test]
fn readiness_is_503_until_every_worker_listens_and_again_while_draining() {
    let (door, script) = door(Script::default());
    for (readiness, status, word) in [
        (Readiness::Starting, 503, "starting"),
        (Readiness::Ready, 200, "ready"),
        (Readiness::Draining, 503, "draining"),
    ] {
        *script.readiness.lock().unwrap() = readiness;
        let answer = ask_with(&door, "GET", "/readyz", "");
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["status"], word);
    }
}

#[test]
fn every_other_route_asks_for_the_token() {
    let (door, script) = door(Script::default());
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/api/v1/stats"),
        ("POST", "/api/v1/reload"),
    ] {
        let nobody = ask_with(&door, method, path, "");
        nobody.is_problem(401, "token_missing");
        assert_eq!(
            nobody.field("www-authenticate"),
            Some(r#"Bearer realm="admin""#)
        );

        let stranger = ask_with(&door, method, path, "authorization: Bearer guess\r\n");
        stranger.is_problem(401, "token_wrong");
        let challenge = stranger.field("www-authenticate").unwrap();
        assert!(
            challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
        assert!(!stranger.body.contains("guess"), "{}", stranger.body);

        assert_eq!(ask(&door, method, path).status, 200, "{method} {path}");
    }
    assert_eq!(script.reloads.load(Ordering::Relaxed), 1);
}

#[test]
fn an_unknown_path_and_an_unknown_method_are_problems_too() {
    let (door, _) = door(Script::default());
    for path in [
        "/",
        "/api/v1/nothing",
        "/api/v1/stats/",
        "//metrics",
        "/api/v1/%2e%2e/stats",
    ] {
        ask(&door, "GET", path).is_problem(404, "path_unknown");
    }
    for (method, path, allow) in [
        ("POST", "/api/v1/stats", "GET,HEAD"),
        ("DELETE", "/livez", "GET,HEAD"),
        ("GET", "/api/v1/reload", "POST"),
    ] {
        let answer = ask(&door, method, path);
        answer.is_problem(405, "method_unknown");
        assert_eq!(answer.field("allow"), Some(allow));
    }
}

#[test]
fn every_answer_is_kept_from_caches_and_from_guessing() {
    let (door, _) = door(Script::default());
    for path in ["/livez", "/metrics", "/api/v1/stats", "/nowhere"] {
        for fields in ["", &format!("authorization: Bearer {TOKEN}\r\n")] {
            let answer = ask_with(&door, "GET", path, fields);
            assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
            assert_eq!(
                answer.field("x-content-type-options"),
                Some("nosniff"),
                "{path}"
            );
        }
    }
    let answer = ask(&door, "PUT", "/metrics");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn no_answer_and_no_debug_shows_the_token() {
    let script = Script::default();
    let (door, _) = door(script);
    assert!(!format!("{door:?}").contains(TOKEN));
    for (method, path) in [
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/stats"),
        ("GET", "/nowhere"),
        ("POST", "/api/v1/reload"),
    ] {
        let answer = ask(&door, method, path);
        assert!(!format!("{answer:?}").contains(TOKEN), "{method} {path}");
    }
}

#[test]
fn the_stats_say_everything_by_its_published_name() {
    let (door, _) = door(Script::default());
    let answer = ask(&door, "GET", "/api/v1/stats");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let mut stats = answer.json();
    // The first sample may or may not have been taken; its value has a test of its own.
    let per_s = stats
        .as_object_mut()
        .unwrap()
        .remove("requests_per_s")
        .unwrap();
    assert!(per_s.as_f64().unwrap() >= 0.0);
    let expected = serde_json::json!({
        "version": "0.1.0",
        "uptime_s": 77,
        "io": "io_uring",
        "io_flags": ["COOP_TASKRUN", "SINGLE_ISSUER"],
        "snapshot_version": 7,
        "workers": [
            {
                "id": 0, "core": 2, "connections": 11, "connections_total": 12,
                "turned_away_total": 17, "handshakes_total": 18,
                "handshakes_failed_total": 19, "handshakes_refused_total": 20,
                "tunnels": 63,
                "requests_total": 13, "in_flight": 14,
                "buffers_borrowed": 15, "panics_total": 16,
            },
            {
                "id": 1, "core": null, "connections": 0, "connections_total": 0,
                "turned_away_total": 0, "handshakes_total": 0,
                "handshakes_failed_total": 0, "handshakes_refused_total": 0,
                "tunnels": 0,
                "requests_total": 0, "in_flight": 0, "buffers_borrowed": 0, "panics_total": 0,
            },
        ],
        "requests_total": 1000,
        "in_flight": 21,
        "connections": 22,
        "latency_us": {"p50": 900, "p90": 900, "p99": 2000, "p999": 700000000, "max": 700000000},
        "overhead_us": {"p50": 38, "p90": 38, "p99": 38, "p999": 38, "max": 38},
        "statuses": {"200": 31, "402": 32},
        "refusals": {"quota_exhausted": 33},
        "failures": {"connect/refused": 34},
        "memory": {"used_bytes": 23, "bound_bytes": 24, "pressure": "none"},
        "tokens": {"input": 41, "output": 42},
        "cost_usd": "1.250000001",
        "buckets": [{
            "scope": "tenant", "scope_id": "acme", "name": "prepaid balance", "unit": "usd",
            "window": "total", "limit": "25", "used": "1.5", "held": "0.5", "remaining": "23",
            "resets_at": "1970-01-01T00:00:00Z",
        }],
        "pools": [{
            "origin": "http://127.0.0.1:9000", "idle": 51, "open": 52,
            "opened_total": 53, "reused_total": 54,
        }],
        "upstreams": [{
            "owner": "services.weather", "origin": "127.0.0.1:9000", "state": "ejected",
            "in_flight": 71, "queued": 72, "attempts_total": 73, "failures_total": 74,
            "retries_total": 75, "retries_refused_total": 76,
        }],
        "holds_dropped_total": 61,
    });
    assert_eq!(stats, expected);
}

#[test]
fn requests_per_second_follow_the_counter() {
    let (door, script) = door(Script::default());
    let start = Instant::now();
    loop {
        script.requests_total.fetch_add(1_000, Ordering::Relaxed);
        let per_s = ask(&door, "GET", "/api/v1/stats").json()["requests_per_s"]
            .as_f64()
            .unwrap();
        if per_s > 0.0 {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "no second sample was taken");
        std::thread::yield_now();
    }
}

#[test]
fn metrics_name_every_counter_with_its_unit_and_labels() {
    let (door, _) = door(Script::default());
    let answer = ask(&door, "GET", "/metrics");
    let content_type = answer.field("content-type").unwrap();
    assert!(
        content_type.starts_with("application/openmetrics-text"),
        "{content_type}"
    );
    for line in [
        r#"tollring_info{version="0.1.0",io="io_uring"} 1"#,
        r#"tollring_uptime_seconds 77"#,
        r#"tollring_snapshot_version 7"#,
        r#"tollring_requests_total{status="200"} 31"#,
        r#"tollring_requests_total{status="402"} 32"#,
        r#"tollring_connections 22"#,
        r#"tollring_requests_in_flight 21"#,
        r#"tollring_memory_used_bytes 23"#,
        r#"tollring_memory_bound_bytes 24"#,
        r#"tollring_refusals_total{code="quota_exhausted"} 33"#,
        r#"tollring_upstream_failures_total{stage="connect",cause="refused"} 34"#,
        r#"tollring_tokens_total{direction="input"} 41"#,
        r#"tollring_tokens_total{direction="output"} 42"#,
        r#"tollring_cost_usd_total 1.250000001"#,
        r#"tollring_holds_dropped_total 61"#,
        r#"tollring_worker_connections{worker="0"} 11"#,
        r#"tollring_worker_connections_accepted_total{worker="0"} 12"#,
        r#"tollring_worker_connections_turned_away_total{worker="0"} 17"#,
        r#"tollring_worker_handshakes_total{worker="0"} 18"#,
        r#"tollring_worker_handshakes_failed_total{worker="0"} 19"#,
        r#"tollring_worker_handshakes_refused_total{worker="0"} 20"#,
        r#"tollring_worker_tunnels{worker="0"} 63"#,
        r#"tollring_worker_requests_total{worker="0"} 13"#,
        r#"tollring_worker_requests_in_flight{worker="0"} 14"#,
        r#"tollring_worker_buffers_borrowed{worker="0"} 15"#,
        r#"tollring_worker_panics_total{worker="0"} 16"#,
        r#"tollring_worker_panics_total{worker="1"} 0"#,
        r#"tollring_pool_idle{origin="http://127.0.0.1:9000"} 51"#,
        r#"tollring_pool_open{origin="http://127.0.0.1:9000"} 52"#,
        r#"tollring_pool_opened_total{origin="http://127.0.0.1:9000"} 53"#,
        r#"tollring_pool_reused_total{origin="http://127.0.0.1:9000"} 54"#,
    ] {
        assert!(
            answer.body.lines().any(|have| have == line),
            "no {line} in\n{}",
            answer.body
        );
    }
    assert!(answer.body.ends_with("# EOF\n"));
    // Rows of these are the same but for the name, the state and the number.
    let place = r#"owner="services.weather",origin="127.0.0.1:9000""#;
    for (name, more, value) in [
        ("in_flight", "", 71),
        ("queued", "", 72),
        ("attempts_total", "", 73),
        ("attempts_failed_total", "", 74),
        ("retries_total", "", 75),
        ("retries_refused_total", "", 76),
        ("state", r#",state="ejected""#, 1),
    ] {
        let line = format!("tollring_upstream_{name}{{{place}{more}}} {value}");
        let found = answer.body.lines().any(|have| have == line);
        assert!(found, "no {line} in\n{}", answer.body);
    }
}

#[test]
fn the_histogram_is_cumulative_in_seconds_and_ends_at_infinity() {
    let (door, _) = door(Script::default());
    let page = ask(&door, "GET", "/metrics").body;
    for line in [
        r#"tollring_request_duration_seconds_sum 1.5"#,
        r#"tollring_request_duration_seconds_count 100"#,
        r#"tollring_request_duration_seconds_bucket{le="0.0005"} 0"#,
        r#"tollring_request_duration_seconds_bucket{le="0.001"} 90"#,
        r#"tollring_request_duration_seconds_bucket{le="0.0025"} 99"#,
        r#"tollring_request_duration_seconds_bucket{le="600.0"} 99"#,
        r#"tollring_request_duration_seconds_bucket{le="+Inf"} 100"#,
        r#"tollring_overhead_seconds_bucket{le="0.00005"} 3"#,
    ] {
        assert!(
            page.lines().any(|have| have == line),
            "no {line} in\n{page}"
        );
    }
}
