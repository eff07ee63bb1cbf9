//! The tables of cases, a file for each part of a message or of its way.
//!
//! A row is a name and the bytes in which it differs from its neighbours. `/case` stands for
//! the case's own path. The outcomes are what the contract allows, not what any proxy does.

pub mod answer_body;
pub mod answer_flow;
pub mod answer_framing;
pub mod answer_head;
pub mod chunked;
pub mod connections;
pub mod deadlines;
pub mod expect;
pub mod fields;
pub mod framing;
pub mod hop_by_hop;
pub mod host;
pub mod limits;
pub mod models;
pub mod pool;
pub mod request_line;
pub mod target;
