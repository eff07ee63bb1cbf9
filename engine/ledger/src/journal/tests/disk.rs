//! A disk that forgets: the twin of the kernel's.
//!
//! Files are real ones, so that they can be mapped; beside them stands what would be left
//! after a power cut: what was synced, and of everything else any part.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::journal::disk::Disk;

/// What a disk writes at once, or not at all.
const SECTOR_BYTES: usize = 512;

/// A number drawn from a seed, for what a disk does by chance.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Marsaglia's xorshift; a test needs no better.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What is on the disk: bytes by inode, and inodes by name.
#[derive(Clone, Debug, Default)]
struct Platter {
    files: HashMap<u64, Vec<u8>>,
    names: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct State {
    platter: Platter,
    /// Bytes that can still be reserved; none for as many as are asked for.
    room: Option<u64>,
    is_broken: bool,
    /// At which call from now on the power fails, and where to put what is left then.
    cut: Option<(u32, Cut)>,
}

#[derive(Debug)]
struct Cut {
    chance: Chance,
    from: std::path::PathBuf,
    to: std::path::PathBuf,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Forgetful(Arc<Mutex<State>>);

impl Forgetful {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Lets no more than `bytes` be reserved; any number for none.
    pub(super) fn limit(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Fails every sync from now on, or no more.
    pub(super) fn break_down(&self, is_broken: bool) {
        self.state().is_broken = is_broken;
    }

    /// Writes some of what is in `folder`, as a kernel does when it likes.
    pub(super) fn write_back(&self, folder: &Path, chance: &mut Chance) {
        let mut state = self.state();
        for (_, inode, now) in files(folder) {
            let old = state.platter.files.entry(inode).or_default();
            *old = mixed(old, &now, chance);
        }
    }

    /// Puts into `to` what a power cut leaves of `from`.
    pub(super) fn cut_power(&self, from: &Path, to: &Path, chance: &mut Chance) {
        self.state().cut(from, to, chance);
    }

    /// Does so at the call number `call` from now, while the journal is busy.
    pub(super) fn cut_power_at(&self, call: u32, from: &Path, to: &Path, chance: &Chance) {
        let cut = Cut {
            chance: chance.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        self.state().cut = Some((call, cut));
    }

    /// The power does not fail by itself.
    pub(super) fn cut_power_never(&self) {
        self.state().cut = None;
    }

    /// Whether the power failed since it was told to.
    pub(super) fn was_cut(&self) -> bool {
        self.state().cut.is_none()
    }

    /// All that is in `folder` is on the disk, as after a power cut it is.
    pub(super) fn settle(&self, folder: &Path) {
        let mut state = self.state();
        state.platter = Platter::default();
        for (name, inode, bytes) in files(folder) {
            state.platter.files.insert(inode, bytes);
            state.platter.names.insert(name, inode);
        }
    }
}

impl State {
    fn cut(&self, from: &Path, to: &Path, chance: &mut Chance) {
        fs::create_dir_all(to).unwrap();
        let now: Vec<_> = files(from);
        let mut names = BTreeMap::new();
        for (name, inode, _) in &now {
            names.insert(name.clone(), *inode);
        }
        // A name that came, went or changed since names were synced may have or not.
        let mut left = BTreeMap::new();
        for name in names.keys().chain(self.platter.names.keys()) {
            let (new, old) = (names.get(name), self.platter.names.get(name));
            let inode = if chance.coin() { new } else { old };
            if let Some(inode) = inode {
                left.insert(name.clone(), *inode);
            }
        }
        let nothing = Vec::new();
        for (name, inode) in left {
            let old = self.platter.files.get(&inode).unwrap_or(&nothing);
            let new = now.iter().find(|(_, other, _)| *other == inode);
            let new = new.map_or(old, |(_, _, bytes)| bytes);
            fs::write(to.join(name), mixed(old, new, chance)).unwrap();
        }
    }

    fn called(&mut self) {
        let Some((calls, _)) = &mut self.cut else {
            return;
        };
        if *calls > 0 {
            *calls -= 1;
            return;
        }
        if let Some((_, mut cut)) = self.cut.take() {
            self.cut(&cut.from, &cut.to, &mut cut.chance);
        }
    }
}

/// Sector by sector what was or what is.
fn mixed(old: &[u8], new: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut mixed = old.to_vec();
    mixed.resize(new.len(), 0);
    let all = chance.below(4);
    for (old, new) in mixed.chunks_mut(SECTOR_BYTES).zip(new.chunks(SECTOR_BYTES)) {
        // Now and then all of it, or nothing: both are likelier than chance has them.
        if all == 0 || all > 1 && chance.coin() {
            old.copy_from_slice(new);
        }
    }
    mixed
}

/// Name, inode and bytes of every file but the lock.
fn files(folder: &Path) -> Vec<(String, u64, Vec<u8>)> {
    let file = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let inode = entry.metadata().unwrap().ino();
        (name != "lock").then(|| (name, inode, fs::read(entry.path()).unwrap()))
    };
    fs::read_dir(folder).unwrap().filter_map(file).collect()
}

impl Disk for Forgetful {
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        state.called();
        let has = file.metadata()?.len();
        if let Some(room) = &mut state.room {
            let more = bytes.saturating_sub(has);
            if *room < more {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *room -= more;
        }
        file.set_len(bytes.max(has))
    }

    fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        let mut state = self.state();
        state.called();
        if state.is_broken {
            return Err(io::Error::other("the disk is broken"));
        }
        let inode = file.metadata()?.ino();
        state.platter.files.insert(inode, fs::read(path)?);
        Ok(())
    }

    fn sync_names(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.called();
        let names = files(folder);
        let names = names.into_iter().map(|(name, inode, _)| (name, inode));
        state.platter.names = names.collect();
        Ok(())
    }
}
