//! The seam: what the runtime and the kernel do for the rooms beside this one.
//!
//! Sockets and their halves, time, tasks, a bell for mail: everything `net` asks of
//! monoio or libc while requests pass is asked by these names. What is built once at
//! the start (listeners' sockets, the event loop, affinity) has no need of it.
//!
//! | name | does |
//! |---|---|
//! | [`Socket`], [`connect`], [`Acceptor`] | a connection, ours to someone and someone's to us |
//! | [`ReadHalf`], [`WriteHalf`] | its two directions; an operation owns its buffer until it completes |
//! | [`Canceller`], [`CancelHandle`] | take a pending read back, with what it may have read |
//! | [`shutdown`], [`reset_at_close`], [`send_now`], [`poll_now`], [`acknowledged`] | by descriptor, under whatever operation is pending |
//! | [`spawn`], [`sleep`], [`within`] | tasks of this thread, and time for them |
//! | [`Instant`], [`unix_now_ms`], [`entropy`] | clocks and chance |
//! | [`Bell`] | wakes a worker from another thread |

//!
//! It is the only place in two versions: over the kernel, and, for tests with the feature
//! `simulation`, over a world that follows from a seed. Everything above is the same code.

#[cfg(not(feature = "simulation"))]
mod kernel;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;

#[cfg(feature = "simulation")]
use simulated as kernel;

pub(crate) use kernel::{
    Acceptor, Arrival, Bell, CancelHandle, Canceller, Instant, Listening, ReadHalf, Socket,
    WriteHalf, acknowledged, cancel_handle, connect, connect_local, entropy, poll_now,
    reset_at_close, send_now, shutdown, sleep, spawn, unix_now_ms, within,
};
