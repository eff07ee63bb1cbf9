//! What this machine gives the engine: asked before a start, by whoever wants to know.
//!
//! The same questions the engine asks for itself, with the same answers; nothing is
//! changed by asking but the soft limit on descriptors.

use std::io;
use std::thread;

use tollring_config::IoChoice;
use tollring_config::limits::CONNECTIONS_DEFAULT;

use crate::descriptors;
use crate::memory::MemoryMeter;
use crate::net::runtime::EventLoop;
use crate::net::{IoReport, affinity};
use crate::pressure::MemoryReading;

/// The interface that workers would get.
///
/// # Errors
/// What the system says when there is none for this choice.
pub fn io(choice: IoChoice) -> io::Result<IoReport> {
    // On a thread of its own, as workers are: a ring belongs to the thread that made it.
    let probe = thread::spawn(move || EventLoop::build(choice).map(|built| built.report().clone()));
    let gone = || io::Error::other("the thread that asked ended before it was answered");
    probe.join().map_err(|_| gone())?
}

/// The cores this process may use.
pub fn cores() -> Vec<usize> {
    affinity::allowed_cores()
}

/// How many workers `workers = 0` means here.
pub fn workers() -> usize {
    affinity::default_workers()
}

/// Descriptors for client connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many this process may have open.
    pub allowed: u64,
    /// How many clients fit.
    pub clients: Option<usize>,
    /// How many clients there would be at most, with enough of them.
    pub wanted: usize,
}

/// What there is for the connections that a file asks for.
pub fn descriptors(connections: Option<usize>, workers: usize, addresses: usize) -> Descriptors {
    let budget = descriptors::budget(connections, workers, addresses);
    Descriptors {
        allowed: affinity::descriptors_max(),
        clients: budget.ok().map(|budget| budget.connections_max),
        wanted: connections.unwrap_or(CONNECTIONS_DEFAULT),
    }
}

/// What the control group allows, and what of it is in use.
pub fn group_memory() -> MemoryReading {
    let mut meter = MemoryMeter::own();
    let bound_bytes = meter.group_bound_bytes();
    let used_bytes = meter.group_used_bytes().unwrap_or(0);
    MemoryReading::of(used_bytes, bound_bytes)
}
