//! Mail from other threads to one worker: a bounded queue and an eventfd.
//!
//! The runtime's wakers are not to be trusted across threads, so the worker waits
//! for the descriptor to become readable, as it waits for any other.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use monoio::net::TcpStream;

/// Letters that may wait; mail is rare (a drain, a stop), so this is never reached.
const MAIL_MAX: usize = 64;

/// What a worker is told by another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// Take no new connections, end the idle ones, finish the rest.
    Drain,
    /// End whatever is still going on, each with the words that fit.
    Cut,
    /// Leave at once.
    Stop,
}

/// The sending end; any thread may have one.
#[derive(Clone)]
pub(crate) struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    letters: ArrayQueue<Letter>,
    bell: OwnedFd,
}

impl Mailbox {
    /// An empty mailbox.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and belongs to nobody else.
        let bell = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            shared: Arc::new(Shared {
                letters: ArrayQueue::new(MAIL_MAX),
                bell,
            }),
        })
    }

    /// Puts a letter in and rings. A full box drops it and says so.
    pub(crate) fn send(&self, letter: Letter) -> bool {
        let kept = self.shared.letters.push(letter).is_ok();
        let one: u64 = 1;
        // SAFETY: eight readable bytes are passed, as eventfd wants.
        unsafe { libc::write(self.shared.bell.as_raw_fd(), (&raw const one).cast(), 8) };
        kept
    }

    /// The receiving end, for the worker's own thread.
    pub(crate) fn open(&self) -> io::Result<Letters> {
        let bell = self.shared.bell.try_clone()?;
        // The runtime watches sockets; wrapped as one, an eventfd is watched just as well.
        // Nothing socket-like is ever asked of it.
        let watched = TcpStream::from_std(std::net::TcpStream::from(bell))?;
        Ok(Letters {
            shared: Arc::clone(&self.shared),
            watched,
        })
    }
}

/// The receiving end of a mailbox.
pub(crate) struct Letters {
    shared: Arc<Shared>,
    watched: TcpStream,
}

impl Letters {
    /// Waits for the next letter.
    pub(crate) async fn next(&self) -> io::Result<Letter> {
        loop {
            if let Some(letter) = self.shared.letters.pop() {
                return Ok(letter);
            }
            self.watched.readable(false).await?;
            let mut rings: u64 = 0;
            // SAFETY: eight writable bytes are passed, as eventfd wants; it does not block.
            unsafe {
                libc::read(self.shared.bell.as_raw_fd(), (&raw mut rings).cast(), 8);
            }
        }
    }
}
