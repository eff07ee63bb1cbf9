//! What the operator said, checked: text → schema → validate → snapshot.
//!
//! [`parse`] is the only road to a [`Snapshot`], and it reports every [`Fault`] of
//! a file at once. Inside, `read` walks the document and knows no field; `schema`
//! knows the fields and judges one table at a time; `validate` judges what takes
//! two places, and turns names into indexes. [`load`] reads the file, and is all
//! the I/O there is here; live state, and what a limit means, live elsewhere.

pub mod calendar;
pub mod care;
pub mod digest;
pub mod fault;
pub mod limits;
pub mod rules;
pub mod secret;
pub mod snapshot;
pub mod units;

mod catalogue;
mod describe;
mod interpolate;
mod json_schema;
mod read;
mod schema;
mod suggest;
mod validate;
mod value;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use calendar::Calendar;
pub use care::*;
pub use fault::{Fault, Faults, Problem};
pub use json_schema::schema_json;
use limits::FILE_BYTES_MAX;
use read::{Document, Table};
pub use rules::*;
use schema::Schema;
pub use secret::Secret;
pub use snapshot::*;
pub use units::*;
pub use value::subject_digest;

/// Reads, checks and indexes a file. The version of the snapshot is 0: the caller numbers it.
///
/// `env` gives the value of a variable of the environment, if it is set.
///
/// # Errors
///
/// Every fault of the file at once, or the one of not being able to read it.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Snapshot, Faults> {
    let source_name = path.display().to_string();
    match read_bounded(path) {
        Ok(text) => parse(&source_name, &text, env),
        Err(problem) => Err(Faults::of_file(&source_name, problem)),
    }
}

/// Checks and indexes the text of a file; does no I/O. The version of the snapshot is 0.
///
/// `source_name` is what the faults call the file.
///
/// # Errors
///
/// Every fault of the text at once.
pub fn parse(
    source_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Snapshot, Faults> {
    let (document, root) = Document::open(text, env);
    let snapshot = root.and_then(|root| {
        let schema = Schema::read(Table::root(&document, &root));
        validate::validate(&document, schema)
    });
    snapshot.ok_or_else(|| document.into_faults(source_name))
}

/// A complete, commented example of the file.
///
/// It passes [`parse`] where `TOLLRING_ADMIN_TOKEN` and `OPENAI_API_KEY` are set.
pub const fn example() -> &'static str {
    include_str!("../examples/tollring.toml")
}

/// The text of a file that is not larger than a configuration can be.
///
/// The length is not asked for but read up to: a pipe or a device has none.
fn read_bounded(path: &Path) -> Result<String, Problem> {
    let unreadable = |cause: std::io::Error| Problem::Unreadable {
        cause: cause.to_string(),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem::FileTooLarge {
            max: FILE_BYTES_MAX,
        });
    }
    String::from_utf8(bytes).map_err(|_| Problem::NotUtf8)
}
