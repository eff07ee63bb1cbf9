//! The only room that knows the runtime: monoio's ring, or epoll where io_uring is forbidden.
//!
//! Decides how bytes, time and bells reach a task, and works around what monoio 0.2.4 leaves open:
//! descriptors without `CLOEXEC`, timers no finer than a millisecond, a connect that resolves names
//! in line, tasks that outlive their runtime when their sockets are still busy. It knows nothing of
//! HTTP, nor of what is sent or measured.

mod alarm;
mod inbox;
mod runtime;
mod stream;
mod sys;

pub(crate) use alarm::{Alarm, Bell, Ringer};
pub(crate) use inbox::Inbox;
pub(crate) use runtime::{Io, run, spawn};
pub(crate) use stream::{Leash, Listener, Stream, bind};
pub(crate) use sys::{Signals, thread_cpu};

use std::time::{Duration, Instant};

/// Sleeps until `at`, to the millisecond above.
///
/// Good enough for a provider's pace; [`Alarm`] is for schedules.
pub(crate) async fn sleep_until(at: Instant) {
    let wait = at.saturating_duration_since(Instant::now());
    if wait > Duration::ZERO {
        monoio::time::sleep(wait).await;
    }
}

/// Sleeps for `time`, to the millisecond above.
pub(crate) async fn sleep(time: Duration) {
    monoio::time::sleep(time).await;
}
