//! Paths of other files that the file names.

use std::path::PathBuf;

use crate::fault::Problem;

/// A path; whether anything is there is not looked at.
pub(crate) fn parse_file(text: &str) -> Result<PathBuf, Problem> {
    if text.is_empty() || text.contains('\0') {
        return Err(Problem::FileUnnamed);
    }
    Ok(PathBuf::from(text))
}
