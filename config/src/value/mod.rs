//! The texts of the file that mean something: text → value, or what is wrong with it.
//!
//! Each is a pure function from text; none knows where in the file it stands, or
//! what else the file says.

mod address;
mod decimal;
mod digest;
mod duration;
mod file;
mod name;
mod path;
mod size;
mod socket;
mod url;

pub(crate) use address::{overlap, parse_address};
pub(crate) use decimal::{parse_count, parse_usd};
pub use digest::subject_digest;
pub(crate) use digest::{parse_digest, parse_subject};
pub(crate) use duration::{parse_duration, show_duration};
pub(crate) use file::parse_file;
pub(crate) use name::{parse_model_name, parse_name};
pub(crate) use path::parse_prefix;
pub(crate) use size::parse_size;
pub(crate) use socket::parse_socket_path;
pub(crate) use url::{parse_link, parse_server_name, parse_url};
