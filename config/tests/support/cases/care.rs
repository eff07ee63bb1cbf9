//! Faults in how upstreams are looked after.

use super::Case;

/// What a text about care follows.
pub(super) const CARED: &str = "[services.s]\nupstreams = ['http://127.0.0.1']\npath = '/'\n";

/// How upstreams are looked after; each text follows [`CARED`].
pub(super) const CARE: &[Case] = &[
    (
        "balance = 'fair'",
        "4:11 services.s.balance: 'fair' is none of the choices; choose from weighted",
    ),
    (
        "eject = { on = ['conect'] }",
        "4:17 services.s.eject.on[0]: 'conect' is none of the choices; did you mean `connect`?",
    ),
    (
        "eject = { base = '1m', max = '1s' }",
        "4:30 services.s.eject.max: '1s' is shorter than base; raise it or lower base",
    ),
    (
        "eject = { min_healthy = 0 }",
        "4:25 services.s.eject.min_healthy: 0 is not from 1 to 64",
    ),
    (
        "queue = { length = 5 }",
        "4:9 services.s.queue: is never waited in; set max_in_flight, or remove it",
    ),
    (
        "max_in_flight = 0",
        "4:17 services.s.max_in_flight: 0 is not from 1 to",
    ),
    (
        "health = {}",
        "4:10 services.s.health.path: is missing; add `path = \"/health\"`",
    ),
    (
        "health = { path = 'up' }",
        "4:19 services.s.health.path: 'up' is not a path prefix; write \"/\" or",
    ),
    (
        "health = { path = '/', status = [] }",
        "4:33 services.s.health.status: is empty; write `status = [200]`",
    ),
    (
        "breaker = { failures = 101 }",
        "4:24 services.s.breaker.failures: 101 is not from 1 to 100",
    ),
    (
        "retries = { max = 5 }",
        "4:19 services.s.retries.max: 5 is not from 0 to 4; choose one that is",
    ),
];
