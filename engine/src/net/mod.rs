//! The only room that knows the runtime and the operating system.
//!
//! Everything above speaks to these small types, so that the runtime can be
//! changed here alone; what the rooms of this folder themselves ask of it while requests
//! pass goes through [`system`]. It moves bytes and time; it knows neither HTTP nor money.
//!
//! What monoio 0.2 gets wrong is designed around here, and nowhere else:
//!
//! | trap | what we do |
//! |---|---|
//! | a cancelled `accept` leaks its descriptor; accepted ones are inherited by children | never asked for one: [`listener`] waits for readiness and accepts by itself |
//! | wakers of other threads cannot be trusted | [`mailbox`] is an eventfd the worker reads |
//! | a read that lost a race owns its buffer, and bytes | nothing races a read: [`deadline`] shuts the socket down under it |
//! | connecting by name blocks | [`stream::connect`] takes addresses only |
//! | a panicking task ends the thread | [`spawn`] catches it at the task's root |
//! | an idle connection would hold a buffer | [`stream::Reader::read_idle`] gives it back, [`stream::Reader::parked`] waits without |

// The rooms of this folder talk to the kernel directly where no safe wrapper
// exists; every block says why it is sound.
#![allow(unsafe_code)]

pub(crate) mod affinity;
pub(crate) mod buffer;
pub(crate) mod deadline;
pub(crate) mod hangup;
pub(crate) mod heap;
pub(crate) mod listener;
pub(crate) mod mailbox;
pub(crate) mod runtime;
pub(crate) mod stream;
mod system;
pub(crate) mod task;

pub(crate) use buffer::{Buffer, Buffers};
pub(crate) use deadline::{Deadlines, Watch};
pub(crate) use hangup::{ClientWatch, Hangups, Presence};
pub use listener::Inherited;
pub(crate) use listener::Listener;
pub(crate) use mailbox::Mailbox;
pub use runtime::{IoKind, IoReport};
pub(crate) use stream::{Reader, Stream, Unshaken, Writer};
#[cfg(feature = "simulation")]
pub(crate) use system::simulated;
pub(crate) use system::{Arrival, Instant, entropy, poll_now, unix_now_ms};
pub(crate) use task::{both, sleep, spawn};

/// Whether a socket could not be had for want of descriptors or memory, so that trying again at
/// once would only spin. Anything else concerns one peer alone.
pub(crate) fn is_exhaustion(fault: &std::io::Error) -> bool {
    matches!(
        fault.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
