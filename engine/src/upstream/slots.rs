//! How many connections there are to one origin, over all workers.
//!
//! Counted once for each connection, not for each request. Where a bound is reached, whoever
//! needs another waits until one is closed: meanwhile no worker keeps an idle one that it
//! does not use at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::failure::Cause;
use super::origin::Origin;
use crate::net::deadline::TICK_MS;
use crate::net::sleep;

/// The connections to one origin.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    open: AtomicU32,
    /// Requests that want one and wait.
    wanted: AtomicU32,
}

impl Slots {
    /// Whether somebody waits for a connection to be closed.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }

    fn take(&self, max: u32) -> bool {
        let more = |open| (open < max).then_some(open + 1);
        self.open
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
            .is_ok()
    }
}

/// One connection's slot; free again when dropped.
pub(crate) struct Slot(Arc<Origin>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.slots.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Takes a slot; where there is none, waits for one as long as a connection may take.
///
/// # Errors
/// `Cause::Full` when none was freed in time.
pub(crate) async fn take(
    origin: &Arc<Origin>,
    max: Option<u32>,
    limit: Duration,
) -> Result<Slot, Cause> {
    let slots = &origin.slots;
    if slots.take(max.unwrap_or(u32::MAX)) {
        return Ok(Slot(Arc::clone(origin)));
    }
    // Boxed: a timer takes a kilobyte, which every exchange would carry for what is rare.
    Box::pin(wait(origin, max.unwrap_or(u32::MAX), limit)).await
}

async fn wait(origin: &Arc<Origin>, max: u32, limit: Duration) -> Result<Slot, Cause> {
    let wanted = Wanted::one_more(origin);
    let tick = Duration::from_millis(TICK_MS);
    for _ in 0..limit.as_millis().div_ceil(tick.as_millis()) {
        sleep(tick).await;
        if wanted.0.slots.take(max) {
            return Ok(Slot(Arc::clone(origin)));
        }
    }
    Err(Cause::Full)
}

/// Somebody who waits, until dropped.
struct Wanted<'a>(&'a Origin);

impl<'a> Wanted<'a> {
    fn one_more(origin: &'a Origin) -> Self {
        origin.slots.wanted.fetch_add(1, Ordering::Relaxed);
        Self(origin)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.slots.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_the_bound_says() {
        let slots = Slots::default();
        assert!(slots.take(2) && slots.take(2));
        assert!(!slots.take(2));
        slots.open.fetch_sub(1, Ordering::AcqRel);
        assert!(slots.take(2));
    }
}
