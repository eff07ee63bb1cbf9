//! How upstreams are looked after, as the file would say it in full.

use serde_json::{Value, json};

use crate::care::{Care, HealthCheck, Retries, Signal};
use crate::value::show_duration;

/// A provider's or service's description, and how it is looked after.
pub(super) fn with(care: &Care, mut described: Value) -> Value {
    let eject = &care.eject;
    described["eject"] = json!({
        "on": eject.on.iter().map(Signal::word).collect::<Vec<_>>(),
        "failures": eject.failures,
        "base": show_duration(eject.base),
        "max": show_duration(eject.max),
        "min_healthy": eject.min_healthy,
        "slow_start": show_duration(eject.slow_start),
    });
    described["health"] = care.health.as_ref().map(health).into();
    described["breaker"] = care
        .breaker
        .map(|breaker| {
            json!({
                "failures": breaker.failures,
                "requests": breaker.requests,
                "window": show_duration(breaker.window),
                "open": show_duration(breaker.open),
                "trials": breaker.trials,
            })
        })
        .into();
    described["max_in_flight"] = json!(care.max_in_flight);
    described["queue"] = json!({
        "length": care.queue.length,
        "wait": show_duration(care.queue.wait),
    });
    described["max_connections"] = json!(care.max_connections);
    described
}

/// `retries`.
pub(super) fn retries(retries: Retries) -> Value {
    json!({ "max": retries.max, "budget": retries.budget })
}

fn health(health: &HealthCheck) -> Value {
    json!({
        "path": health.path,
        "interval": show_duration(health.interval),
        "timeout": show_duration(health.timeout),
        "healthy": health.healthy,
        "unhealthy": health.unhealthy,
        "status": health.status,
    })
}
