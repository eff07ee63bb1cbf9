//! The thread that looks at memory, so that no worker has to.
//!
//! Decides which bound holds and which figure is held against it; what follows is
//! `pressure.rs`'s.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::engine::Shared;
use crate::memory::MemoryMeter;

/// Between two looks. A worker that reads as fast as a network brings it takes in less than
/// what the last step leaves of an ordinary bound.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts the thread; it ends with the engine.
///
/// # Errors
/// What the system says when it cannot be started.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::downgrade(shared);
    thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || keep(&shared))
        .map(drop)
}

fn keep(shared: &Weak<Shared>) {
    let mut meter = MemoryMeter::own();
    while let Some(shared) = shared.upgrade() {
        look(&shared, &mut meter);
        drop(shared);
        thread::sleep(LOOK_EVERY);
    }
}

/// Holds what is used against what the file states, or else against what the control group
/// allows: a stated bound is about this process alone, the group's about all that are in it.
fn look(shared: &Shared, meter: &mut MemoryMeter) {
    let stated = shared.live.load().config.limits.memory;
    let (used, bound) = match (stated, meter.group_bound_bytes()) {
        (Some(stated), _) => (meter.resident_bytes(), Some(stated)),
        (None, Some(bound)) => (meter.group_used_bytes(), Some(bound)),
        (None, None) => (meter.resident_bytes(), None),
    };
    // What cannot be read is not held against anyone.
    shared.memory.publish(used.unwrap_or(0), bound);
}
