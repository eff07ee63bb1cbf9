//! What the tests from outside share: the binary, a client, a scripted provider, expectations.
//!
//! Everything here speaks bytes and text: configuration files, sockets, signals and exit
//! codes. Nothing names a type of the program, so that the program may change beneath it.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod authority;
pub mod binary;
pub mod client;
pub mod expect;
pub mod message;
pub mod openai;
pub mod provider;
pub mod site;
pub mod stage;
pub mod wire;

pub use authority::{Authority, Identity};
pub use binary::Gateway;
pub use client::Client;
pub use expect::{Gate, PATIENCE, StopAtEnd, eventually, refused};
pub use message::{Answer, Head, Request};
pub use provider::{Call, Peer, Provider};
pub use site::Site;
pub use wire::Wire;
