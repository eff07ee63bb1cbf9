//! The files of a journal by name.
//!
//! Decides which files are segments, and what an opened one says of itself. Files of other
//! names are nobody's business here.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fault::JournalFault;
use super::header::{self, HEADER_BYTES, Header, MARK_AT, parse_name};

/// The file that is locked by whoever writes to the journal.
const LOCK: &str = "lock";

/// A file that has a segment's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) lane: u16,
    pub(super) generation: u64,
    pub(super) path: PathBuf,
}

/// An opened segment and what its first 256 bytes say.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) header: Header,
    /// Records that are known to be on the disk.
    pub(super) marked: u32,
}

/// Makes the folder if need be, and locks it for as long as the file is open.
pub(super) fn lock(folder: &Path) -> Result<File, JournalFault> {
    let fault = |doing| move |source| JournalFault::io(doing, folder, source);
    fs::create_dir_all(folder).map_err(fault("making"))?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))
        .map_err(fault("opening the lock of"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(JournalFault::InUse {
            folder: folder.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(fault("locking")(source)),
    }
}

/// All segments, by lane and generation.
pub(super) fn segments(folder: &Path) -> Result<Vec<Named>, JournalFault> {
    let mut named: Vec<Named> = names(folder)?
        .into_iter()
        .filter_map(|path| {
            let (lane, generation) = parse_name(path.file_name()?.to_str()?)?;
            Some(Named {
                lane,
                generation,
                path,
            })
        })
        .collect();
    named.sort();
    Ok(named)
}

/// Segments that never got their name, since the process ended first.
pub(super) fn unnamed(folder: &Path) -> Result<Vec<PathBuf>, JournalFault> {
    let mut paths = names(folder)?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "new"));
    Ok(paths)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, JournalFault> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|source| JournalFault::io("listing", folder, source))
}

impl Named {
    /// Opens it, to write as well or only to read.
    pub(super) fn open(&self, to_write: bool) -> Result<Opened, JournalFault> {
        let (path, at) = (&self.path, |at| at as u64);
        let fault = |source| JournalFault::io("opening", path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(to_write)
            .open(path)
            .map_err(fault)?;
        let bytes = file.metadata().map_err(fault)?.len();
        let corrupt = |offset, what| Err(JournalFault::corrupt(path, offset, what));
        let mut slot = [0; HEADER_BYTES];
        match file.read_exact_at(&mut slot, 0) {
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => {
                return corrupt(bytes, "the rest of a header");
            }
            read => read.map_err(fault)?,
        }
        let header = match Header::decode(&slot) {
            Ok(header) => header,
            Err(header::Fault::Damaged) => return corrupt(0, "the header of a segment"),
            Err(header::Fault::Version(version)) => {
                let file = path.clone();
                return Err(JournalFault::Version { file, version });
            }
        };
        if (header.lane, header.generation) != (self.lane, self.generation) {
            return corrupt(0, "the header of a segment of this name");
        }
        if bytes < u64::from(header.bytes) {
            return corrupt(bytes, "as many bytes as the header says");
        }
        let mark = u64::from_le_bytes(*slot.last_chunk().expect("a header is longer than a word"));
        let Some(marked) = header.marked(mark) else {
            return corrupt(at(MARK_AT), "how many records were synced");
        };
        Ok(Opened {
            path: path.clone(),
            file,
            header,
            marked,
        })
    }
}
