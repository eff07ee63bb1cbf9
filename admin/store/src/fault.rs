//! What can go wrong with the store: which file, what SQLite says, and the remedy.
//!
//! SQLite has a hundred codes; whoever runs the gateway has a handful of things to do. This file
//! decides which is which. Whether the gateway goes on without its store is not decided here.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Something wrong with the store.
#[derive(Debug)]
pub struct StoreFault {
    /// The database file.
    pub file: PathBuf,
    /// What it is, for a program.
    pub kind: FaultKind,
    /// In SQLite's own words; empty where it was not asked.
    pub said: Box<str>,
}

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The file cannot be opened: no such folder, no right to it, or it is a folder.
    Unopened,
    /// The file or its folder may not be written.
    ReadOnly,
    /// No room on the disk.
    Full,
    /// Pages of the file contradict each other.
    Corrupt,
    /// The file is something else: no SQLite database, or another program's.
    Foreign,
    /// A newer version of this program has changed the file's schema.
    Newer {
        /// The schema the file has.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The file waits for a newer schema, which only the writer brings.
    Older {
        /// The schema the file has.
        found: u32,
        /// The schema that this program reads.
        known: u32,
    },
    /// Another program keeps the file locked.
    Locked,
    /// The disk failed to read, write or sync.
    Io,
    /// A batch does not begin where the one before it ended; nothing of it was imported.
    OutOfStep {
        /// The run whose journal it is.
        run: u32,
        /// The lane in question.
        lane: u16,
        /// Up to where the store has imported it.
        stored: u64,
        /// After which record the batch begins.
        after: u64,
    },
    /// Something of this name, digest or place is there already, or what it refers to is not.
    Conflict,
    /// A question took longer than [`READ_TIME_MAX`](crate::READ_TIME_MAX).
    TooLong,
    /// All 4,294,967,295 numbers for names are taken.
    NumbersUsedUp,
    /// Anything else; a fault of this program.
    Unexpected,
}

impl FaultKind {
    /// What has happened, and what to do about it.
    fn words(self) -> (String, &'static str) {
        let (what, remedy) = match self {
            Self::Unopened => (
                "the store cannot be opened",
                "make its folder and let this program's user read and write there",
            ),
            Self::ReadOnly => (
                "the store cannot be written",
                "let this program's user write the file and its folder, \
                 and see that the disk is not mounted read-only",
            ),
            Self::Full => (
                "no room for the store",
                "free some of the disk; what is not yet imported waits in the journal",
            ),
            Self::Corrupt => (
                "the store is damaged",
                "stop, keep a copy, then restore a backup, or save what can be read with \
                 `sqlite3 FILE .recover`; see docs/ledger.md",
            ),
            Self::Foreign => (
                "this is not a store of tollring",
                "point [store] path at another folder, or move the file away",
            ),
            Self::Newer { found, known } => {
                let what = format!(
                    "the store has schema {found}, and this program knows none beyond {known}"
                );
                return (
                    what,
                    "run the newer program, or restore a backup of before it",
                );
            }
            Self::Older { found, known } => {
                let what = format!("the store has schema {found}, and {known} is asked for");
                return (
                    what,
                    "start `tollring serve` on it once; that brings it up to date",
                );
            }
            Self::Locked => (
                "another program keeps the store locked",
                "end whatever has it open for writing (`fuser FILE`)",
            ),
            Self::Io => (
                "the disk under the store failed",
                "look at the kernel's log; nothing was half imported",
            ),
            Self::OutOfStep {
                run,
                lane,
                stored,
                after,
            } => {
                let what = format!(
                    "lane {lane} of run {run} is imported up to {stored}, but the batch begins after {after}"
                );
                return (what, "restore journal and store of one time together");
            }
            Self::Conflict => (
                "this is there already, or what it refers to is not",
                "choose another name, or look at what is there",
            ),
            Self::TooLong => ("the question takes too long", "ask for less time at once"),
            Self::NumbersUsedUp => ("every number for names is taken", "begin a new store"),
            Self::Unexpected => ("the store refused", "report this; it is a bug"),
        };
        (what.to_owned(), remedy)
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, remedy) = self.kind.words();
        write!(f, "{}: {what}", self.file.display())?;
        if !self.said.is_empty() {
            write!(f, " (SQLite: {})", self.said)?;
        }
        write!(f, "; {remedy}")
    }
}

impl std::error::Error for StoreFault {}

/// Why a piece of work ended early, before it is known of which file.
pub(crate) enum Cause {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// We did.
    Ours(FaultKind),
}

impl From<rusqlite::Error> for Cause {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<FaultKind> for Cause {
    fn from(kind: FaultKind) -> Self {
        Self::Ours(kind)
    }
}

impl Cause {
    /// The fault, once it is known of which file.
    pub(crate) fn of(self, file: &Path) -> StoreFault {
        let (kind, said) = match self {
            Self::Ours(kind) => (kind, String::new()),
            Self::Sqlite(error) => (kind_of(&error), error.to_string()),
        };
        StoreFault {
            file: file.to_owned(),
            kind,
            said: said.into(),
        }
    }
}

fn kind_of(error: &rusqlite::Error) -> FaultKind {
    let Some(error) = error.sqlite_error() else {
        // A column of another type than was written there: the page is not what it was.
        return match error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::Utf8Error(..) => FaultKind::Corrupt,
            _ => FaultKind::Unexpected,
        };
    };
    // The shared index of the write-ahead log is grown by writing to it: SQLITE_IOERR_SHMSIZE.
    const SHM_SIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    match error.code {
        ErrorCode::DiskFull => FaultKind::Full,
        ErrorCode::SystemIoFailure if error.extended_code == SHM_SIZE => FaultKind::Full,
        ErrorCode::SystemIoFailure => FaultKind::Io,
        ErrorCode::ReadOnly => FaultKind::ReadOnly,
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => FaultKind::Unopened,
        ErrorCode::DatabaseCorrupt => FaultKind::Corrupt,
        ErrorCode::NotADatabase => FaultKind::Foreign,
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => FaultKind::Locked,
        ErrorCode::ConstraintViolation => FaultKind::Conflict,
        ErrorCode::OperationInterrupted => FaultKind::TooLong,
        _ => FaultKind::Unexpected,
    }
}
