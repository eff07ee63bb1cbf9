//! A change an operator makes: several writes and their audit entry, all of it or nothing.

use std::path::Path;

use rusqlite::Transaction;

use crate::fault::{Cause, StoreFault};
use crate::store::Store;

/// Writes that stand or fall together. It ends with the work it was made for.
#[derive(Debug)]
pub struct Change<'a> {
    transaction: &'a Transaction<'a>,
    file: &'a Path,
}

impl Store {
    /// Carries out `work` as one change: what it returns `Err` for has not happened.
    ///
    /// # Errors
    /// Those of `work`; otherwise what the disk or the file has to say.
    pub fn change<T>(
        &mut self,
        work: impl FnOnce(&Change<'_>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let file = self.file().to_owned();
        self.write(|transaction| {
            let change = Change {
                transaction,
                file: &file,
            };
            work(&change).map_err(Cause::Told)
        })
    }
}

impl Change<'_> {
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Cause>,
    ) -> Result<T, StoreFault> {
        work(self.transaction).map_err(|cause| cause.of(self.file))
    }
}
