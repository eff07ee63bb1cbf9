//! How many connections there are to one origin, over all workers.
//!
//! Counted once for each connection, not for each request. Where a bound is reached, whoever
//! needs another waits until one is closed, by turns as for any place: meanwhile no worker keeps
//! an idle one that it does not use at once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Cause;
use super::fair::Whose;
use super::origin::Origin;
use super::queue::{Patient, Queues, stand_in_line};
use crate::worker::Worker;

/// One connection's slot; given on when dropped.
pub(crate) struct Slot {
    origin: Arc<Origin>,
    queues: Rc<Queues>,
    /// For whom it was waited; nobody did else.
    granted: Option<Whose>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queues.release(&self.origin.slots, self.granted);
    }
}

/// Takes a slot; where there is none, waits for one as long as a connection may take.
///
/// # Errors
/// `Cause::Full` when none was freed in time, or why the wait ended.
pub(crate) async fn take(
    worker: &Worker,
    origin: &Arc<Origin>,
    (limit, max): (Duration, Option<u32>),
    patient: &Patient<'_>,
) -> Result<Slot, Cause> {
    let slots = &origin.slots;
    let (free, max) = match max {
        // Whoever has no bound does not wait with those who have one.
        None => (slots.take(u32::MAX), u32::MAX),
        Some(max) => (slots.enter(max), max),
    };
    let mut granted = None;
    if !free {
        let waiting = stand_in_line(worker, slots, (max, u32::MAX), patient, limit);
        worker.ask_for_idle_connections();
        waiting.await?;
        granted = Some(patient.whose);
    }
    Ok(Slot {
        origin: Arc::clone(origin),
        queues: Rc::clone(&worker.queues),
        granted,
    })
}
