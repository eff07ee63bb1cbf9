//! The journal through its own interface, on real files.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod live;
mod room;
mod starts;
mod support;
