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
    /// The configuration file declares it, so it is changed there and not here.
    Declared,
    /// A question took longer than [`READ_TIME_MAX`](crate::READ_TIME_MAX).
    TooLong,
    /// All 4,294,967,295 numbers for names are taken.
    NumbersUsedUp,
    /// Anything else; a fault of this program.
    Unexpected,
}

impl FaultKind {
    /// What has happened, in a sentence.
    fn what(self) -> String {
        let what = match self {
            Self::Unopened => "the store cannot be opened",
            Self::ReadOnly => "the store cannot be written",
            Self::Full => "no room for the store",
            Self::Corrupt => "the store is damaged",
            Self::Foreign => "this is not a store of tollring",
            Self::Newer { found, known } => {
                return format!("the store has schema {found}, this program knows {known}");
            }
            Self::Older { found, known } => {
                return format!("the store has schema {found}, and {known} is asked for");
            }
            Self::Locked => "another program keeps the store locked",
            Self::Io => "the disk under the store failed",
            Self::OutOfStep {
                run,
                lane,
                stored,
                after,
            } => {
                return format!(
                    "lane {lane} of run {run} is imported up to {stored}, \
                     but the batch begins after {after}"
                );
            }
            Self::Conflict => "this is there already, or what it refers to is not",
            Self::Declared => "this is declared by the configuration file",
            Self::TooLong => "the question takes too long",
            Self::NumbersUsedUp => "every number for names is taken",
            Self::Unexpected => "the store refused",
        };
        what.to_owned()
    }

    /// What to do about it.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Unopened => "make its folder and let this program's user read and write there",
            Self::ReadOnly => {
                "let this program's user write the file and its folder, \
                 and see that the disk is not mounted read-only"
            }
            Self::Full => "free some of the disk; what is not yet imported waits in the journal",
            Self::Corrupt => {
                "stop, keep a copy, then restore a backup, or save what can be read \
                 (docs/ledger.md, \"A damaged store\")"
            }
            Self::Foreign => "name another folder as the store's, or move the file away",
            Self::Newer { .. } => "run the newer program, or restore a backup of before it",
            Self::Older { .. } => "start `tollring serve` on it once; that brings it up to date",
            Self::Locked => "end whatever has it open for writing (`fuser FILE`)",
            Self::Io => "look at the kernel's log; nothing was half imported",
            Self::OutOfStep { .. } => "restore journal and store of one time together",
            Self::Conflict => "choose another name, or look at what is there",
            Self::Declared => "change it there and reload",
            Self::TooLong => "ask for less time at once",
            Self::NumbersUsedUp => "begin a new store",
            Self::Unexpected => "report this; it is a bug",
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.kind.what())?;
        if !self.said.is_empty() {
            write!(f, " (SQLite: {})", self.said)?;
        }
        write!(f, "; {}", self.kind.remedy())
    }
}

impl std::error::Error for StoreFault {}

/// Why a piece of work ended early, before it is known of which file.
pub(crate) enum Cause {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// We did.
    Ours(FaultKind),
    /// Somebody below has said it already.
    Told(StoreFault),
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
            Self::Told(fault) => return fault,
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
