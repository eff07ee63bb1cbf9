//! Buckets for tests: specs in one line, and what every reading must satisfy.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::sync::Arc;

use tollring_config::{BucketSpec, Calendar, LimitClass, NanoUsd, Scope, Unit, Window};
use tollring_ledger::{Amounts, Bucket, Reading, UnixMillis};

/// 2023-11-14T22:13:20Z, twenty seconds into a minute.
pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// `NOW` and so many milliseconds.
pub(crate) fn after_ms(ms: i64) -> UnixMillis {
    UnixMillis(NOW.0 + ms)
}

/// A limit; the identity is made of what must not change.
pub(crate) fn spec(unit: Unit, window: Window, class: LimitClass, limit: i64) -> BucketSpec {
    BucketSpec {
        identity: format!("key/acme/{}/{}/{class:?}", unit.word(), window.word()).into(),
        scope: Scope::Key,
        scope_id: "acme/build-bot".into(),
        name: format!("{limit} {} per {}", unit.word(), window.word()).into(),
        unit,
        weights: None,
        window,
        calendar: Calendar::default(),
        limit,
        class,
        only: None,
    }
}

/// A monthly quota of requests.
pub(crate) fn requests(limit: i64) -> BucketSpec {
    spec(Unit::Requests, Window::Month, LimitClass::Quota, limit)
}

/// A quota of tokens for ever.
pub(crate) fn tokens(limit: i64) -> BucketSpec {
    spec(Unit::Tokens, Window::Total, LimitClass::Quota, limit)
}

/// A number of tokens, and nothing else.
pub(crate) fn of_tokens(tokens: i64) -> Amounts {
    Amounts {
        tokens,
        ..Amounts::default()
    }
}

/// One request of so many tokens and nano-USD.
pub(crate) fn request_of(tokens: i64, nano_usd: i64) -> Amounts {
    Amounts {
        requests: 1,
        tokens,
        usd: NanoUsd(nano_usd),
        ..Amounts::default()
    }
}

/// `[limit, posted, held, free]`, after the invariant was checked.
#[track_caller]
pub(crate) fn sums(reading: Reading) -> [i64; 4] {
    let Reading {
        limit,
        posted,
        held,
        free,
        ..
    } = reading;
    assert_eq!(
        posted + held + free,
        limit,
        "units appeared or vanished: {reading:?}"
    );
    assert!(held >= 0 && posted >= 0, "{reading:?}");
    [limit, posted, held, free]
}

/// Grows slots in every bucket of `path`.
pub(crate) fn heat(path: &[Arc<Bucket>]) {
    path.iter().for_each(|bucket| bucket.heat(NOW));
}
