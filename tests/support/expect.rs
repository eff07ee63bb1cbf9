//! Failures one can read: waiting with a deadline, a gate between threads, refusals.
//!
//! A test never sleeps to let something happen; it waits for the thing it can observe, and
//! says what that was when it did not come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::message::Answer;

/// How long a test waits for anything. Generous, because the machine that runs the suite
/// may be compiling at the same time; a pass never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition; short enough not to be felt in the suite's time.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until `look` finds something.
///
/// # Panics
/// When it has not within [`PATIENCE`], saying what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for: {what}"
        );
        thread::park_timeout(LOOK_EVERY);
    }
}

/// A door that is opened once and stays open; whoever waits before it goes on then.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everyone through, now and later.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().expect("no holder of a gate panics") = true;
        changed.notify_all();
    }

    /// Waits for the gate; false when nobody opened it within [`PATIENCE`].
    pub fn wait(&self) -> bool {
        let (open, changed) = &*self.0;
        let closed = open.lock().expect("no holder of a gate panics");
        let (open, _) = changed
            .wait_timeout_while(closed, PATIENCE, |open| !*open)
            .expect("no holder of a gate panics");
        *open
    }
}

/// Asserts that the gateway itself said no, in the shape OpenAI's clients read.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "wrong status: {}", answer.describe());
    let error = &answer.json()["error"];
    assert_eq!(error["code"], code, "wrong code: {}", answer.describe());
    assert_eq!(error["source"], "gateway", "{}", answer.describe());
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty(),
        "no sentence for people: {}",
        answer.describe()
    );
    let request_id = error["request_id"].as_str().unwrap_or_default();
    assert!(
        !request_id.is_empty(),
        "no request id in the body: {}",
        answer.describe()
    );
    assert_eq!(
        answer.field("x-request-id"),
        Some(request_id),
        "{}",
        answer.describe()
    );
    assert_eq!(
        answer.field("request-id"),
        Some(request_id),
        "{}",
        answer.describe()
    );
    assert_eq!(
        answer.field("cache-control"),
        Some("no-store"),
        "{}",
        answer.describe()
    );
}

/// Asserts that a refusal for money tells a program not to come back.
#[track_caller]
pub fn refused_for_money(answer: &Answer, code: &str) {
    refused(answer, 402, code);
    assert_eq!(
        answer.json()["error"]["type"],
        "insufficient_quota",
        "{}",
        answer.describe()
    );
    assert_eq!(
        answer.field("x-should-retry"),
        Some("false"),
        "{}",
        answer.describe()
    );
    assert_eq!(answer.field("retry-after"), None, "{}", answer.describe());
}

/// Asserts that a refusal for pace tells a program when to come back.
#[track_caller]
pub fn refused_for_pace(answer: &Answer, code: &str) -> u32 {
    refused(answer, 429, code);
    assert_eq!(
        answer.json()["error"]["type"],
        "rate_limit_exceeded",
        "{}",
        answer.describe()
    );
    assert_ne!(
        answer.field("x-should-retry"),
        Some("false"),
        "{}",
        answer.describe()
    );
    let seconds = answer
        .field("retry-after")
        .and_then(|text| text.parse().ok());
    seconds.unwrap_or_else(|| panic!("no Retry-After in seconds: {}", answer.describe()))
}

/// A decimal amount of USD in nano-USD, exactly.
///
/// # Panics
/// When the text is not a plain decimal with at most nine places.
#[track_caller]
pub fn nano_usd(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(fraction.len() <= 9, "finer than a nano-USD: {text:?}");
    let number = format!("{whole}{fraction:0<9}").parse::<i128>();
    sign * number.unwrap_or_else(|_| panic!("not a decimal: {text:?}"))
}

/// Tells the askers to stop, however their test ends.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
