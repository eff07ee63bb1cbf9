//! A connection of its own for whoever asks, on any thread, while the writer writes.
//!
//! Each question sees the store as one commit left it. Neither side waits for the other, but a
//! question that never ended would keep the log from being brought home, so every question has an
//! end: [`READ_TIME_MAX`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::fault::{Cause, StoreFault};
use crate::migrations;
use crate::store::{Store, connect};

/// The longest that one question may take.
pub const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// Asks the store; it can change nothing.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
    patience: Patience,
}

impl Store {
    /// A reader of the same file, for another thread.
    ///
    /// # Errors
    /// When the file cannot be opened once more.
    pub fn reader(&self) -> Result<Reader, StoreFault> {
        Reader::open(self.file())
    }
}

impl Reader {
    /// Opens the store in `file`, also one that another process writes.
    ///
    /// # Errors
    /// When there is no such file, it is another program's, or its schema is newer than this
    /// program or was never brought up to date.
    pub fn open(file: &Path) -> Result<Self, StoreFault> {
        let patience = Patience::default();
        let open = || {
            let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            migrations::expect_current(&connection)?;
            patience.watch(&mut connection)?;
            Ok(connection)
        };
        Ok(Self {
            connection: open().map_err(|cause: Cause| cause.of(file))?,
            file: file.to_owned(),
            patience,
        })
    }

    /// Asks within one view of the store.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Cause>,
    ) -> Result<T, StoreFault> {
        self.patience.begin();
        let view = || {
            let transaction = self.connection.unchecked_transaction()?;
            question(&transaction)
        };
        view().map_err(|cause: Cause| cause.of(&self.file))
    }
}

/// Ends a question that takes too long.
#[derive(Clone, Debug, Default)]
struct Patience {
    /// Until when the question that is being asked may take.
    until: Arc<Mutex<Option<Instant>>>,
}

impl Patience {
    /// Steps of SQLite's machine between two looks at the clock: about a tenth of a millisecond.
    const STEPS: i32 = 10_000;

    fn begin(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) =
            Instant::now().checked_add(READ_TIME_MAX);
    }

    fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let patience = self.clone();
        connection.progress_handler(Self::STEPS, Some(move || patience.is_over()))
    }

    fn is_over(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() > until)
    }
}
