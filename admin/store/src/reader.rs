//! A connection of its own for whoever asks, on any thread, while the writer writes.
//!
//! Each question sees the store as one commit left it. Neither side waits for the other, but a
//! question that never ended would keep the log from being brought home, so every question has an
//! end: [`READ_TIME_MAX`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OpenFlags};

use crate::fault::{Cause, FaultKind, StoreFault};
use crate::migrations;
use crate::store::{Store, connect};

/// The longest that one question may take.
pub const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// Asks the store; it can change nothing.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
    deadline: Deadline,
    /// How long a question may take: [`READ_TIME_MAX`].
    patience: Duration,
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
        let deadline = Deadline::default();
        let open = || {
            let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            migrations::expect_current(&connection)?;
            deadline.watch(&mut connection)?;
            Ok(connection)
        };
        Ok(Self {
            connection: open().map_err(|cause: Cause| cause.of(file))?,
            file: file.to_owned(),
            deadline,
            patience: READ_TIME_MAX,
        })
    }

    /// Asks within one view of the store.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&View<'_>) -> Result<T, Cause>,
    ) -> Result<T, StoreFault> {
        let view = || {
            let transaction = self.connection.unchecked_transaction()?;
            self.deadline.begin(self.patience);
            let answer = question(&View {
                connection: &transaction,
                deadline: &self.deadline,
                since: Instant::now(),
            });
            // The view is to end however late it is.
            self.deadline.end();
            answer
        };
        view().map_err(|cause: Cause| cause.of(&self.file))
    }
}

/// The store as one commit left it, for as long as one question may take.
pub(crate) struct View<'a> {
    pub(crate) connection: &'a Connection,
    deadline: &'a Deadline,
    since: Instant,
}

impl View<'_> {
    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    /// Fails when the time is up. For questions made of many short ones, whose every single one is
    /// too short to be interrupted.
    pub(crate) fn go_on(&self) -> Result<(), Cause> {
        if self.deadline.is_over() {
            return Err(FaultKind::TooLong.into());
        }
        Ok(())
    }

    /// How long the question has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Until when the question that is being asked may take.
#[derive(Clone, Debug, Default)]
struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    /// Steps of SQLite's machine between two looks at the clock: about a tenth of a millisecond.
    const STEPS: i32 = 10_000;

    fn begin(&self, patience: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Instant::now().checked_add(patience);
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Has SQLite give up a statement that outlasts it.
    fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let deadline = self.clone();
        connection.progress_handler(Self::STEPS, Some(move || deadline.is_over()))
    }

    fn is_over(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() > until)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;
    use crate::report::{GroupBy, Whose};
    use crate::support::{Folder, batch};

    #[test]
    fn a_question_that_takes_too_long_is_ended_and_the_next_one_is_answered() {
        let folder = Folder::new();
        let mut store = folder.store();
        store.import(&batch(0, 0, 10)).unwrap();
        let mut reader = store.reader().unwrap();
        let everything =
            |reader: &Reader| reader.usage(Whose::Everyone, 0..i64::MAX, GroupBy::Status);
        let count_for_ever = |view: &View<'_>| {
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT count(*) FROM n";
            Ok(view
                .prepare(sql)?
                .query_row([], |row| row.get::<_, i64>(0))?)
        };
        reader.patience = Duration::ZERO;
        assert_eq!(
            reader.ask(count_for_ever).unwrap_err().kind,
            FaultKind::TooLong
        );
        assert_eq!(everything(&reader).unwrap_err().kind, FaultKind::TooLong);
        reader.patience = READ_TIME_MAX;
        assert_eq!(everything(&reader).unwrap().len(), 1);
    }

    #[test]
    fn a_reader_can_change_nothing() {
        let folder = Folder::new();
        let store = folder.store();
        let reader = store.reader().unwrap();
        let fault = reader.ask(|view| Ok(view.prepare("DELETE FROM marks")?.execute([])?));
        assert_eq!(fault.unwrap_err().kind, FaultKind::ReadOnly);
    }
}
