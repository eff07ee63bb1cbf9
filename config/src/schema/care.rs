//! How upstreams are looked after, as providers, services and models say it.

use std::time::Duration;

use crate::care::{
    Balance, BreakerPolicy, Care, EjectPolicy, HealthCheck, QueuePolicy, Retries, Signal, Signals,
};
use crate::fault::Problem;
use crate::limits::{
    BREAKER_REQUESTS_MAX, BREAKER_TRIALS_MAX, CONNECTIONS_MAX, EJECT_FAILURES_MAX,
    HEALTH_ROUNDS_MAX, HEALTH_STATUSES_MAX, IN_FLIGHT_MAX, PATH_BYTES_MAX, QUEUE_LENGTH_MAX,
    RETRIES_MAX, UPSTREAMS_MAX,
};
use crate::read::{Field, Table};
use crate::value::parse_duration;

/// The ways to choose.
pub(crate) const BALANCES: [(&str, Balance); 3] = [
    (Balance::Weighted.word(), Balance::Weighted),
    (Balance::LeastRequest.word(), Balance::LeastRequest),
    (Balance::PeakEwma.word(), Balance::PeakEwma),
];

/// What may count against an upstream.
pub(crate) const SIGNALS: [(&str, Signal); 5] = [
    (Signal::Connect.word(), Signal::Connect),
    (Signal::Reset.word(), Signal::Reset),
    (Signal::Timeout.word(), Signal::Timeout),
    (Signal::Status.word(), Signal::Status),
    (Signal::Declined.word(), Signal::Declined),
];

/// A check of health where the file says only that there is one.
pub(crate) const HEALTH_DEFAULT: (Duration, Duration, u32, u32, u16) =
    (Duration::from_secs(5), Duration::from_secs(1), 2, 3, 200);

/// A breaker where the file says only that there is one.
pub(crate) const BREAKER_DEFAULT: BreakerPolicy = BreakerPolicy {
    failures: 50,
    requests: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    trials: 3,
};

/// The field `balance` of a model or a service.
pub(crate) fn balance(table: &mut Table<'_>, default: Balance) -> Option<Balance> {
    table.or("balance", default, |field| field.word(&BALANCES))
}

/// The field `retries` of a model or a service.
pub(crate) fn retries(table: &mut Table<'_>) -> Option<Retries> {
    let default = Retries::default();
    table.or("retries", default, |field| {
        let mut table = field.table()?;
        let max = number(&mut table, "max", default.max, (0, RETRIES_MAX));
        let budget = number(&mut table, "budget", default.budget, (0, 100));
        table.close();
        Some(Retries {
            max: max?,
            budget: budget?,
        })
    })
}

/// The fields of a provider or a service that say how it is looked after.
pub(crate) fn care(table: &mut Table<'_>) -> Option<Care> {
    let eject = table.or("eject", Care::EJECT, eject);
    let health = table.maybe("health", health);
    let breaker = table.maybe("breaker", breaker);
    let max_in_flight = table.maybe("max_in_flight", |field| {
        narrow(field.whole(1, IN_FLIGHT_MAX))
    });
    let queue = table.or("queue", Care::QUEUE, |field| queue(field, max_in_flight));
    let max_connections = table.maybe("max_connections", |field| {
        narrow(field.whole(1, CONNECTIONS_MAX))
    });
    Some(Care {
        eject: eject?,
        health: health?,
        breaker: breaker?,
        max_in_flight: max_in_flight?,
        queue: queue?,
        max_connections: max_connections?,
    })
}

fn eject(field: &Field<'_>) -> Option<EjectPolicy> {
    let default = Care::EJECT;
    let mut table = field.table()?;
    let on = table.or("on", default.on, |field| {
        let signals = field.list(SIGNALS.len(), |item| item.word(&SIGNALS))?;
        Some(Signals::of(&signals))
    });
    let many = (1, EJECT_FAILURES_MAX);
    let failures = number(&mut table, "failures", default.failures, many);
    let base = span(&mut table, "base", default.base);
    let max = table.or("max", default.max.max(base.unwrap_or_default()), |field| {
        let max = field.parsed(parse_duration)?;
        if base.is_some_and(|base| base > max) {
            field.report(Problem::BackoffReversed);
            return None;
        }
        Some(max)
    });
    let hosts = (1, UPSTREAMS_MAX as u64);
    let min_healthy = number(&mut table, "min_healthy", default.min_healthy, hosts);
    let slow_start = span(&mut table, "slow_start", default.slow_start);
    table.close();
    Some(EjectPolicy {
        on: on?,
        failures: failures?,
        base: base?,
        max: max?,
        min_healthy: min_healthy?,
        slow_start: slow_start?,
    })
}

fn health(field: &Field<'_>) -> Option<HealthCheck> {
    let (interval, timeout, healthy, unhealthy, status) = HEALTH_DEFAULT;
    let mut table = field.table()?;
    let path = table.need("path", "path = \"/health\"", |field| field.parsed(target));
    let interval = span(&mut table, "interval", interval);
    let timeout = span(&mut table, "timeout", timeout);
    let rounds = (1, HEALTH_ROUNDS_MAX);
    let healthy = number(&mut table, "healthy", healthy, rounds);
    let unhealthy = number(&mut table, "unhealthy", unhealthy, rounds);
    let status = table.or("status", vec![status], |field| {
        field.filled_list(HEALTH_STATUSES_MAX, "status = [200]", |item| {
            u16::try_from(item.whole(200, 599)?).ok()
        })
    });
    table.close();
    Some(HealthCheck {
        path: path?,
        interval: interval?,
        timeout: timeout?,
        healthy: healthy?,
        unhealthy: unhealthy?,
        status: status?,
    })
}

fn breaker(field: &Field<'_>) -> Option<BreakerPolicy> {
    let default = BREAKER_DEFAULT;
    let mut table = field.table()?;
    let failures = number(&mut table, "failures", default.failures, (1, 100));
    let many = (1, BREAKER_REQUESTS_MAX);
    let requests = number(&mut table, "requests", default.requests, many);
    let window = span(&mut table, "window", default.window);
    let open = span(&mut table, "open", default.open);
    let few = (1, BREAKER_TRIALS_MAX);
    let trials = number(&mut table, "trials", default.trials, few);
    table.close();
    Some(BreakerPolicy {
        failures: failures?,
        requests: requests?,
        window: window?,
        open: open?,
        trials: trials?,
    })
}

/// A queue for places that nobody counts would never be used.
fn queue(field: &Field<'_>, max_in_flight: Option<Option<u32>>) -> Option<QueuePolicy> {
    let mut table = field.table()?;
    let many = (0, QUEUE_LENGTH_MAX);
    let length = number(&mut table, "length", Care::QUEUE.length, many);
    let wait = span(&mut table, "wait", Care::QUEUE.wait);
    table.close();
    if max_in_flight == Some(None) {
        field.report(Problem::QueueIdle);
        return None;
    }
    Some(QueuePolicy {
        length: length?,
        wait: wait?,
    })
}

fn number(
    table: &mut Table<'_>,
    name: &'static str,
    default: u32,
    (min, max): (u64, u64),
) -> Option<u32> {
    table.or(name, default, |field| narrow(field.whole(min, max)))
}

fn span(table: &mut Table<'_>, name: &'static str, default: Duration) -> Option<Duration> {
    table.or(name, default, |field| field.parsed(parse_duration))
}

/// Every bound here fits 32 bits.
fn narrow(number: Option<u64>) -> Option<u32> {
    u32::try_from(number?).ok()
}

/// What a check asks for: a path from the root, with a query if there must be one.
fn target(text: &str) -> Result<Box<str>, Problem> {
    let sound = text.starts_with('/')
        && text.len() <= PATH_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    sound.then(|| text.into()).ok_or(Problem::PathMalformed)
}
