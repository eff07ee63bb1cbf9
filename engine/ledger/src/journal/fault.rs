//! What can be wrong with a journal, each with what to do about it.
//!
//! These are the world's faults: disks, files and other processes. A bug of ours is a panic.

use std::io;
use std::path::{Path, PathBuf};

use super::record::Sequence;

/// Why the journal cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// Another process writes to it.
    #[error("the journal in {} is in use by another process; stop that one first, or give this \
             one a folder of its own", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The settings leave no room for what every lane needs.
    #[error(
        "a journal of {lanes} lanes with segments of {segment_bytes} bytes needs \
             {needed} bytes, and may have {bytes_max}; allow it more, or make segments smaller"
    )]
    TooSmall {
        /// Lanes.
        lanes: u16,
        /// Bytes of a segment.
        segment_bytes: u32,
        /// Bytes that are needed at the least.
        needed: u64,
        /// Bytes that are allowed.
        bytes_max: u64,
    },
    /// The file system said no.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, such as `reading`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Bytes that were on the disk have changed since.
    #[error("{} is damaged at byte {offset}: {what}; restore the file, or see docs/ledger.md for \
             how to go on without what is lost", file.display())]
    Corrupt {
        /// The segment.
        file: PathBuf,
        /// Where the first record or part of the header lies that is not as it was written, in
        /// bytes from the start of the file.
        offset: u64,
        /// What should be there.
        what: &'static str,
    },
    /// A segment is of a format that this version does not know.
    #[error("{} has format {version}, which this version cannot read; run the version that wrote \
             it until it has drained", file.display())]
    Version {
        /// The segment.
        file: PathBuf,
        /// Its format.
        version: u32,
    },
    /// Records that a reader wants are no longer there, or never were.
    #[error(
        "lane {lane} of the journal has no records from {from} to {to}: they were released \
             before they were read, or a file is missing"
    )]
    Missing {
        /// The lane.
        lane: u16,
        /// The first that is wanted.
        from: u64,
        /// The first that is there.
        to: u64,
    },
    /// What was written may not be on the disk, and nobody can tell. There is no way back but a
    /// new start: asking again could be answered well about bytes that are gone.
    #[error("syncing {} failed: {why}; what was written since is not safe, and nothing new is \
             acknowledged; mend the disk, then start again", file.display())]
    Failed {
        /// The segment that was being synced.
        file: PathBuf,
        /// What the kernel said.
        why: String,
    },
}

impl JournalFault {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn corrupt(file: &Path, offset: u64, what: &'static str) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            what,
        }
    }

    pub(super) const fn missing(lane: u16, from: Sequence, to: Sequence) -> Self {
        Self::Missing {
            lane,
            from: from.0,
            to: to.0,
        }
    }
}
