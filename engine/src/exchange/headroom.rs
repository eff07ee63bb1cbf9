//! Tells a caller how much is left, in the fields OpenAI's clients read.
//!
//! Reading a bucket takes its lock, which a busy key cannot afford on every answer, so
//! a worker keeps what it wrote for a key for a moment. The fields are a courtesy: what
//! decides is the ledger.

use std::cell::RefCell;
use std::fmt::Write as _;

use tollring_config::Unit;
use tollring_ledger::{Reading, UnixMillis};

use super::auth::Caller;
use super::wording::sees_amounts;
use crate::live::Live;
use crate::worker::Worker;

/// How old the numbers may be.
const FRESH_MS: i64 = 50;

/// Keys whose fields a worker keeps; two that share a place take turns.
const KEPT: usize = 512;

/// The fields of one key, as they were a moment ago.
#[derive(Default)]
struct Written {
    /// Whose, and of which of its buckets.
    caller: Option<Caller>,
    version: u64,
    at_ms: i64,
    fields: String,
}

/// What a worker wrote last for each of its busy keys.
pub(crate) struct Headroom(RefCell<Box<[Written]>>);

impl Default for Headroom {
    fn default() -> Self {
        Self(RefCell::new(
            (0..KEPT).map(|_| Written::default()).collect(),
        ))
    }
}

impl Headroom {
    /// Appends the fields for a caller.
    pub(super) fn append(&self, out: &mut Vec<u8>, worker: &Worker, live: &Live, caller: Caller) {
        let mut kept = self.0.borrow_mut();
        let written = &mut kept[caller.key.index() % KEPT];
        let UnixMillis(now_ms) = worker.now();
        let same = written.caller == Some(caller) && written.version == live.config.version;
        if !same || (now_ms - written.at_ms).abs() > FRESH_MS {
            written.caller = Some(caller);
            written.version = live.config.version;
            written.at_ms = now_ms;
            written.fields.clear();
            write_fields(&mut written.fields, worker.now(), live, caller);
        }
        out.extend_from_slice(written.fields.as_bytes());
    }
}

/// Writes limit, remaining and reset of the bucket of requests, and of the one of tokens, that
/// has least left.
fn write_fields(fields: &mut String, now: UnixMillis, live: &Live, caller: Caller) {
    for (unit, word) in [(Unit::Requests, "requests"), (Unit::Tokens, "tokens")] {
        let buckets = caller.counted(live).map(|(_, bucket)| bucket);
        let seen = buckets
            .filter(|bucket| bucket.spec().unit == unit && sees_amounts(bucket.spec(), live));
        let least = seen
            .map(|bucket| bucket.reading(now))
            .min_by_key(|reading| reading.free);
        let Some(Reading {
            limit,
            free,
            resets_at,
            ..
        }) = least
        else {
            continue;
        };
        let written = write!(
            fields,
            "x-ratelimit-limit-{word}: {limit}\r\nx-ratelimit-remaining-{word}: {}\r\n",
            free.max(0)
        );
        written.expect("writing to a String does not fail");
        if let Some(resets_at) = resets_at {
            let left_s = (resets_at.0 - now.0.div_euclid(1000)).max(0);
            write!(fields, "x-ratelimit-reset-{word}: {left_s}s\r\n")
                .expect("writing to a String does not fail");
        }
    }
}
