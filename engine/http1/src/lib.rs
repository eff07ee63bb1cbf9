//! HTTP/1.1 between bytes and meaning: heads are read and written, bodies are decoded.
//!
//! This room decides what is a well-formed message (RFC 9112, with RFC 9110 for what the
//! fields mean), where a body ends, and which fields end at this hop. It is strict: whatever
//! two readers could understand differently is a fault, and every fault is a value.
//!
//! It does no I/O, reads no clock and keeps no bytes: a head is parsed from the slice it
//! arrived in and remembers offsets into it ([`Span`]), so the buffer may move in and out of
//! the kernel between two calls. The types are reused from one message to the next and
//! allocate nothing once they have seen a head of the usual size.
//!
//! It does not decide what to answer, which route to take, or which fields an upstream may
//! see; that is the exchange's business.
//!
//! The way in: [`RequestHead::parse`] or [`ResponseHead::parse`], then a [`BodyDecoder`] for
//! the [`Framing`] the head declared. The way out: [`append_status_line`], [`append_fields`]
//! and, for a chunked body, [`ChunkHead`] and [`LAST_CHUNK`]. What a balancer may say before all
//! of it is a [`ProxyHeader`].

mod span;

mod limits;
mod method;
mod version;

mod request;
mod request_line;
mod response;

mod host;
mod progress;
mod target;

mod connection;
mod fields;
mod framing;
mod known;

mod body;
mod chunked;
mod extension;

mod fault;
mod field_fault;
mod syntax;
mod write;

mod proxy;

pub use body::{BodyDecoder, BodyFault, Decoded};
pub use chunked::{EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};
pub use connection::CONNECTION_OPTIONS_MAX;
pub use fault::{HeadFault, ResponseFault};
pub use field_fault::FieldFault;
pub use fields::{Field, Fields, append_fields};
pub use framing::Framing;
pub use known::Known;
pub use limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HeadLimits};
pub use method::{METHOD_BYTES_MAX, Method};
pub use progress::Parsed;
pub use proxy::{
    PROXY_BINARY_BYTES_MAX, PROXY_TEXT_BYTES_MAX, ProxyClient, ProxyFault, ProxyHeader,
};
pub use request::{EMPTY_LINES_MAX, RequestHead};
pub use response::ResponseHead;
pub use span::Span;
pub use version::Version;
pub use write::{
    CHUNK_HEAD_BYTES_MAX, ChunkHead, LAST_CHUNK, append_decimal, append_field, append_status_line,
    reason_phrase,
};
