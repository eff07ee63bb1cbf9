//! What the journal asks of the file system where an answer can be no.
//!
//! Room, and that what was written stays. Its twin in the tests runs out of room, fails, and
//! forgets what was not synced, as a power cut does. Names and reading are plain `std::fs`.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// A file system, as far as it matters for what survives.
pub(super) trait Disk: Debug + Send + Sync {
    /// Gives `file` its size and the room for it, so that writing later never lacks any.
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()>;
    /// Returns when everything in `file`, which is at `path`, would survive a power cut.
    fn sync(&self, path: &Path, file: &File) -> io::Result<()>;
    /// Returns when the names in `folder` would.
    fn sync_names(&self, folder: &Path) -> io::Result<()>;
}

/// The kernel's.
#[derive(Debug)]
pub(super) struct Kernel;

impl Disk for Kernel {
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(
            file,
            FallocateFlags::empty(),
            0,
            bytes,
        )?)
    }

    fn sync(&self, _path: &Path, file: &File) -> io::Result<()> {
        // The data, and of the inode what is needed to read it: its size, where it has changed.
        file.sync_data()
    }

    fn sync_names(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
