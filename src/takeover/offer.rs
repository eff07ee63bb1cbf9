//! The running side of a takeover: offers the listeners, and goes on until another serves.
//!
//! Decides who may have them (the same user) and when it is too late to turn back
//! (the new process says that it serves). What leaving means is `serve/life.rs`'s.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Handover;
use super::wire::Wire;

/// A socket at which a new process may ask for the listeners; nobody can find it until it is
/// published.
#[derive(Debug)]
pub(crate) struct Offer {
    path: PathBuf,
    listener: UnixListener,
    inode: u64,
    /// Whether the listeners are another process's, and so the place of the socket is.
    taken: Arc<AtomicBool>,
}

impl Offer {
    /// Makes the socket beside its place, readable for this user alone.
    ///
    /// # Errors
    /// What the system says, and `AddrInUse` when another process offers its listeners there;
    /// unless that is the one we take over from.
    pub(crate) fn prepare(path: &Path, takes_over: bool) -> io::Result<Self> {
        if !takes_over && UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let beside = beside(path);
        // Left by a process that died at this very moment.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            inode: fs::metadata(&beside)?.ino(),
            taken: Arc::default(),
        })
    }

    /// Puts the socket in its place, where another's may be, and answers there on a thread of
    /// its own. `handover` is asked for the listeners each time; `taken` is told once, when they
    /// are somebody else's.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn publish(
        &self,
        handover: impl Fn() -> io::Result<Handover> + Send + 'static,
        taken: impl FnOnce(Taken) + Send + 'static,
    ) -> io::Result<()> {
        fs::rename(beside(&self.path), &self.path)?;
        let listener = self.listener.try_clone()?;
        let is_taken = Arc::clone(&self.taken);
        let taken = move |by: Taken| {
            is_taken.store(true, Ordering::SeqCst);
            taken(by);
        };
        thread::Builder::new()
            .name("takeover".to_owned())
            .spawn(move || attend(&listener, handover, taken))
            .map(drop)
    }

    /// Takes the socket away, if it is still ours. Who took over puts its own in the same place,
    /// at any moment: between a look and a removal too.
    pub(crate) fn withdraw(&self) {
        let beside = beside(&self.path);
        let place = (!self.taken.load(Ordering::SeqCst)).then_some(&self.path);
        for path in place.into_iter().chain([&beside]) {
            if fs::metadata(path).is_ok_and(|found| found.ino() == self.inode) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Where a socket is made before it takes its place; two bytes longer than that, for each
/// process another.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    PathBuf::from(name)
}

fn attend(
    listener: &UnixListener,
    handover: impl Fn() -> io::Result<Handover>,
    taken: impl FnOnce(Taken),
) {
    for stream in listener.incoming() {
        let served = stream.and_then(Wire::with).and_then(|wire| {
            wire.await_hello()?;
            wire.send(&handover()?)?;
            let successor = wire.peer();
            tracing::info!(successor, "the listeners are handed to a new process");
            wire.await_serving()?;
            Ok(wire)
        });
        match served {
            Ok(wire) => return taken(Taken { wire }),
            Err(fault) => tracing::warn!(%fault, "nobody took over; this process goes on"),
        }
    }
}

/// The listeners are another process's.
#[derive(Debug)]
pub(crate) struct Taken {
    wire: Wire,
}

impl Taken {
    /// The process that has them.
    pub(crate) fn successor(&self) -> Option<u32> {
        self.wire.peer()
    }

    /// Tells it that we take nobody any more.
    pub(crate) fn say_left(&self) {
        if let Err(fault) = self.wire.say_left() {
            tracing::warn!(%fault, "the new process does not listen any more");
        }
    }
}
