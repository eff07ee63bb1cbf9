//! Decides what a provider's bytes mean: what a request asks for, what must change in it for
//! another provider, what an answer cost, and how a no is said in the caller's own language.
//!
//! It does not decide whether a request may pass, what it is charged or where it goes. It does no
//! I/O, reads no clock, knows no HTTP heads, keeps no unbounded buffer and names no other room.
//!
//! ```text
//! json      what is JSON: a strict scan of whole bodies, a lenient walk of bodies in pieces
//! sse       where a server-sent event begins and ends, whatever the pieces it comes in
//! openai    the OpenAI dialect: Ask → Edits on the way up, meters on the way down, refusals
//! refusal   what a refusal tells, before any dialect words it
//! problem   the same refusal for REST callers (RFC 9457)
//! ```
//!
//! Everything here is on the path of a request: values are reset and used again, and nothing
//! allocates once its buffers have grown to their bounds.

pub mod json;
pub mod openai;
pub mod problem;
mod refusal;
mod span;
mod sse;

pub use refusal::{AmountsView, QuotaView, RefusalView};
pub use span::Span;
