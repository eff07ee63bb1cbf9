//! The texts of the file that mean something: text → value, or what is wrong with it.
//!
//! Each is a pure function from text; none knows where in the file it stands, or
//! what else the file says.

mod address;
mod decimal;
mod digest;
mod duration;
mod field;
mod file;
mod host;
mod name;
mod network;
mod path;
mod proxy;
mod rewrite;
mod size;
mod socket;
mod url;

pub(crate) use address::{overlap, parse_address};
pub(crate) use decimal::{parse_count, parse_usd};
pub use digest::subject_digest;
pub(crate) use digest::{parse_digest, parse_subject};
pub(crate) use duration::{parse_duration, parse_span, show_duration, show_span};
pub(crate) use field::{parse_field_name, parse_field_value, parse_listed_field, parse_method};
pub(crate) use file::parse_file;
pub(crate) use host::{parse_authority, parse_host_pattern, parse_origin};
pub(crate) use name::{parse_model_name, parse_name};
pub(crate) use network::parse_network;
pub(crate) use path::parse_prefix;
pub(crate) use proxy::{WrittenProxy, parse_proxy};
pub(crate) use rewrite::{parse_pattern, parse_replacement};
pub(crate) use size::parse_size;
pub(crate) use socket::parse_socket_path;
pub(crate) use url::{parse_host_name, parse_link, parse_server_name, parse_url};
