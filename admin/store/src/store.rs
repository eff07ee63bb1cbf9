//! The one writer: how the file is opened, what a commit promises, what a reader gets.
//!
//! A commit is in the write-ahead log, not yet on the disk (`synchronous = NORMAL`): a crash of
//! the program loses nothing, a power cut may lose the last commits, whole. That is enough, because
//! rows and checkpoints stand in one transaction: whatever was lost is imported again from the
//! journal. It holds only while the journal still has it, so the journal may let go of no more than
//! [`Store::make_durable`] has returned.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, Transaction, TransactionBehavior};

use crate::fault::{Cause, FaultKind, StoreFault};
use crate::marks::Mark;
use crate::migrations;

/// The database's name in the folder of the store.
pub const FILE_NAME: &str = "tollring.db";

/// How long a transaction waits for another program's, say a backup's or a shell's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages the writer keeps in memory, in KiB: the hot ends of the tables and the sums of the day.
const CACHE_KIB: u32 = 64 * 1024;

/// Pages (4 KiB) in the write-ahead log before they are brought home: a page that changes in every
/// batch is then written home once in 64 MiB of log, not once in four.
const LOG_PAGES: u32 = 16 * 1024;

/// What is left of the log's file once it was brought home, in bytes.
const LOG_BYTES_KEPT: u32 = 64 * 1024 * 1024;

/// How far a lane of a journal is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The run whose journal it is.
    pub run: u32,
    /// The lane.
    pub lane: u16,
    /// Where what is not imported yet begins.
    pub sequence: u64,
}

/// The store, open for writing. One thread has it; others ask through readers.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    file: PathBuf,
}

impl Store {
    /// Opens the store in `file`, or makes it, readable by this user alone; brings its schema up
    /// to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is another program's, is damaged where every use
    /// begins, or has a schema of a newer program. Damage elsewhere is told when it is met: looking
    /// at every page would take minutes.
    pub fn open(file: &Path) -> Result<Self, StoreFault> {
        let fault = |cause: Cause| cause.of(file);
        create_privately(file).map_err(|error| StoreFault {
            file: file.to_owned(),
            kind: match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
                io::ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
                _ => FaultKind::Unopened,
            },
            said: error.to_string().into(),
        })?;
        let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
        // A file that is not ours is left as it is.
        migrations::expect_known(&connection).map_err(fault)?;
        configure(&connection).map_err(|error| fault(error.into()))?;
        migrations::migrate(&mut connection).map_err(fault)?;
        Ok(Self {
            connection,
            file: file.to_owned(),
        })
    }

    /// The database file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Up to where each lane is imported, by lane.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreFault> {
        self.read(|connection| Ok(checkpoints(connection)?))
    }

    /// Puts everything that was committed on the disk for good, and returns up to where each lane
    /// is imported: what the journal may let go of.
    ///
    /// # Errors
    /// When the disk is full or fails; then nothing more is promised than before.
    pub fn make_durable(&mut self) -> Result<Vec<Checkpoint>, StoreFault> {
        // A commit under FULL syncs the log, and with it every commit before it. It needs
        // something to commit: how often it was asked for.
        let fault = |error: rusqlite::Error| Cause::from(error).of(&self.file);
        self.connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(fault)?;
        let synced = self.write(|transaction| {
            let times = Mark::Synced.read(transaction)?;
            Mark::Synced.write(transaction, times + 1)?;
            Ok(checkpoints(transaction)?)
        });
        let fault = |error: rusqlite::Error| Cause::from(error).of(&self.file);
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(fault)?;
        synced
    }

    /// Carries out `work` in one transaction: all of it, or nothing.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Cause>,
    ) -> Result<T, StoreFault> {
        let file = &self.file;
        let connection = &mut self.connection;
        let run = || {
            // One whose very beginning failed may have been left open; it has written nothing.
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|cause: Cause| cause.of(file))
    }

    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Cause>,
    ) -> Result<T, StoreFault> {
        work(&self.connection).map_err(|cause| cause.of(&self.file))
    }
}

pub(crate) fn checkpoints(connection: &Connection) -> rusqlite::Result<Vec<Checkpoint>> {
    let mut statement = connection
        .prepare_cached("SELECT run, lane, sequence FROM checkpoints ORDER BY run, lane")?;
    let rows = statement.query_map([], |row| {
        Ok(Checkpoint {
            run: row.get(0)?,
            lane: row.get(1)?,
            sequence: sequence(row.get(2)?),
        })
    })?;
    rows.collect()
}

/// A sequence as a column holds it: the same 64 bits.
pub(crate) const fn sequence(column: i64) -> u64 {
    column.cast_unsigned()
}

/// A count out of a column; a negative one was never written, so the page is damaged.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let found: i64 = row.get(column)?;
    u64::try_from(found).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, found))
}

/// SQLite makes its log with the rights of the file itself, so that these decide for all of it.
fn create_privately(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

pub(crate) fn connect(file: &Path, access: OpenFlags) -> Result<Connection, Cause> {
    // Each connection is used by one thread at a time, which the borrow checker sees to.
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A damaged page is told from a whole one before it is believed.
    connection.pragma_update(None, "cell_size_check", true)
}
