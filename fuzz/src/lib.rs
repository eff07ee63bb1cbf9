//! What the fuzz targets share: how an input is cut, and readers that share no code with ours.
//!
//! A target asserts what must hold for any bytes; it does not only wait for a panic. The
//! readers here are as plain as they can be, and slow: they are what our parsers are held
//! against. Nothing here parses anything for the gateway.

pub mod cut;
pub mod members;
pub mod plain_head;
pub mod plain_usage;
mod sum;

pub use sum::crc32c;
