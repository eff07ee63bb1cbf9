//! The fields that say how upstreams are looked after.

use serde_json::{Value, json};

use super::{duration, table, text, whole, word};
use crate::care::{Care, Retries};
use crate::limits::{
    BREAKER_REQUESTS_MAX, BREAKER_TRIALS_MAX, CONNECTIONS_MAX, EJECT_FAILURES_MAX,
    HEALTH_ROUNDS_MAX, HEALTH_STATUSES_MAX, IN_FLIGHT_MAX, QUEUE_LENGTH_MAX, RETRIES_MAX,
    UPSTREAMS_MAX,
};
use crate::schema::care::{BALANCES, BREAKER_DEFAULT, HEALTH_DEFAULT, SIGNALS};

/// A provider or a service with the fields of its care.
pub(super) fn cared_for(mut schema: Value) -> Value {
    let fields = &mut schema["properties"];
    fields["eject"] = eject();
    fields["health"] = health();
    fields["breaker"] = breaker();
    fields["max_in_flight"] = whole(1, IN_FLIGHT_MAX, "Requests at a time; absent: no bound.");
    fields["queue"] = queue();
    fields["max_connections"] = whole(1, CONNECTIONS_MAX, "Connections to each host.");
    schema
}

/// A model or a service with the fields by which one of several is chosen; `default` first.
pub(super) fn chosen(mut schema: Value, default: &str) -> Value {
    let mut words: Vec<_> = BALANCES.iter().map(|(word, _)| *word).collect();
    words.sort_by_key(|word| *word != default);
    let retries = Retries::default();
    let fields = &mut schema["properties"];
    fields["balance"] = word(&words, "How one of several is chosen.");
    fields["retries"] = table(
        &[],
        json!({
            "max": with(retries.max, whole(0, RETRIES_MAX, "Attempts after the first.")),
            "budget": with(retries.budget, whole(0, 100, "Percent of requests they may add.")),
        }),
    );
    schema
}

fn eject() -> Value {
    let default = Care::EJECT;
    let signals: Vec<_> = SIGNALS.iter().map(|(word, _)| *word).collect();
    let on: Vec<_> = default.on.iter().map(|signal| signal.word()).collect();
    let hosts = whole(1, UPSTREAMS_MAX as u64, "How many always stay.");
    let failures = whole(1, EJECT_FAILURES_MAX, "How many in a row.");
    table(
        &[],
        json!({
            "on": {
                "type": "array",
                "items": { "enum": signals },
                "default": on,
                "description": "What counts against an upstream.",
            },
            "failures": with(default.failures, failures),
            "base": duration(Some(default.base), "For how long the first time."),
            "max": duration(Some(default.max), "For how long at most."),
            "min_healthy": with(default.min_healthy, hosts),
            "slow_start": duration(Some(default.slow_start), "Until it has its whole share."),
        }),
    )
}

fn health() -> Value {
    let (interval, timeout, healthy, unhealthy, status) = HEALTH_DEFAULT;
    let rounds = |default, what| with(default, whole(1, HEALTH_ROUNDS_MAX, what));
    table(
        &["path"],
        json!({
            "path": text("What is asked for, from the root of the host."),
            "interval": duration(Some(interval), "Between two checks."),
            "timeout": duration(Some(timeout), "For one check."),
            "healthy": rounds(healthy, "Checks that must pass before it is used again."),
            "unhealthy": rounds(unhealthy, "Checks that must fail before it is not."),
            "status": {
                "type": "array",
                "items": { "type": "integer", "minimum": 200, "maximum": 599 },
                "minItems": 1,
                "maxItems": HEALTH_STATUSES_MAX,
                "default": [status],
                "description": "The statuses that pass.",
            },
        }),
    )
}

fn breaker() -> Value {
    let default = BREAKER_DEFAULT;
    let requests = whole(
        1,
        BREAKER_REQUESTS_MAX,
        "Requests before a window is judged.",
    );
    let trials = whole(1, BREAKER_TRIALS_MAX, "Requests let through to see.");
    table(
        &[],
        json!({
            "failures": with(default.failures, whole(1, 100, "Percent that must fail.")),
            "requests": with(default.requests, requests),
            "window": duration(Some(default.window), "The window."),
            "open": duration(Some(default.open), "For how long nobody is let through."),
            "trials": with(default.trials, trials),
        }),
    )
}

fn queue() -> Value {
    let default = Care::QUEUE;
    table(
        &[],
        json!({
            "length": with(default.length, whole(0, QUEUE_LENGTH_MAX, "How many may wait.")),
            "wait": duration(Some(default.wait), "How long one waits."),
        }),
    )
}

fn with(default: u32, mut schema: Value) -> Value {
    schema["default"] = json!(default);
    schema
}
