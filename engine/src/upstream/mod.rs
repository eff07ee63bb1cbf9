//! Who answers: the ways to providers and REST upstreams.
//!
//! Chooses among targets, keeps connections, makes new ones, and says when a
//! failed attempt may be followed by another. It knows neither keys nor money.

pub(crate) mod balance;
pub(crate) mod connect;
pub mod failure;
pub mod origin;
pub(crate) mod pool;
pub(crate) mod retry;
