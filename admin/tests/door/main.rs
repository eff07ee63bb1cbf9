//! The door from outside: real sockets on free ports, a scripted gateway behind.

#![allow(clippy::unwrap_used)] // tests

mod changing;
mod looking;
mod standing;
mod support;
