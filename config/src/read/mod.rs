//! Reads a TOML document piece by piece, and collects what is wrong on the way.
//!
//! A derived reader stops at its first error; an operator wants them all. So the
//! document is walked: a [`Table`] gives out its fields by name and reports those
//! that nobody asked for; a [`Field`] gives its value as the type that is wanted,
//! or reports why it cannot. `None` always means "absent or already reported".
//!
//! What the fields mean is the schema's to say.

mod document;
mod field;
mod secrecy;
mod table;

use std::ops::Range;

pub(crate) use document::Document;
pub(crate) use field::Field;
pub(crate) use table::Table;

/// Where something stands: its bytes in the text, and its dotted path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
}

impl Place {
    /// The place of something inside this one.
    fn below(&self, name: &str, span: Range<usize>) -> Self {
        let dotted = if is_bare(name) {
            name.to_owned()
        } else {
            format!("{name:?}")
        };
        let path = match self.path.as_str() {
            "" => dotted,
            above => format!("{above}.{dotted}"),
        };
        Self { span, path }
    }

    /// The place of an item of a list that stands here.
    fn item(&self, index: usize, span: Range<usize>) -> Self {
        Self {
            span,
            path: format!("{}[{index}]", self.path),
        }
    }
}

/// Whether a key can be written without quotes (TOML 1.0, "Keys").
fn is_bare(name: &str) -> bool {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(bare)
}

/// A value and where it stands, for a fault that can only be seen later.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// Something under a name that the operator chose.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// The name, and where the table of that name begins.
    pub(crate) name: At<Box<str>>,
    /// What stands there; `None` if it could not be read, which has been reported.
    pub(crate) body: Option<T>,
}
