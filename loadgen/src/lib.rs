//! The ruler: a scripted provider to stand behind a gateway, and a load generator to stand in
//! front of one.
//!
//! Both speak HTTP/1.1 in their own words ([`http`]) on their own event loop ([`net`]) and use
//! nothing of the gateway's engine: a ruler is not cut from the board it measures. What a request
//! means to a gateway, what it costs and who may send it is decided elsewhere.

mod http;
pub mod load;
pub mod mock;
mod net;
mod units;

pub use units::Share;
