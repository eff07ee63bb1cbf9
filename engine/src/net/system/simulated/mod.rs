//! The seam over a simulated network, for tests that take a seed.
//!
//! A world of one thread in which time, chance and the network follow from the seed:
//! short reads and writes, completions in any order and some after they were given up,
//! delays, stalls, silence and resets at any byte, descriptors that run out, a clock
//! on the wall that jumps. What the program under test makes of it is judged elsewhere.
//!
//! Every descriptor is used once, so that one used after it was closed is noticed.

mod bell;
mod chance;
mod ops;
mod outside;
mod sockets;
mod wire;
mod world;

pub(crate) use bell::{Bell, Instant, Listening, entropy, spawn, unix_now_ms};
pub(crate) use chance::Chance;
pub(crate) use outside::{Heard, Wire};
pub(crate) use sockets::{
    Acceptor, Arrival, CancelHandle, Canceller, ReadHalf, Socket, WriteHalf, acknowledged,
    cancel_handle, connect, connect_local, poll_now, reset_at_close, send_now, shutdown, sleep,
    within,
};
pub(crate) use wire::{Owner, Weather};
pub(crate) use world::World;
