//! The system calls that std, socket2 and monoio do not wrap: signal masks, timers and bells as
//! descriptors, a thread's own CPU time.
//!
//! Each function is safe to call and holds the one line that is not; what the calls are good for is
//! decided by its neighbours.
// A wrapper crate would bring a few thousand lines for these seven calls.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Lends the descriptor of a monoio socket to the safe interface of socket2.
pub(super) fn lend<T>(owner: &impl AsRawFd, use_it: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // SAFETY: the sockets passed here close their descriptor when dropped and not before; `owner`
    // is borrowed until `use_it` returns, and the loan cannot outlive that call.
    use_it(unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) })
}

/// Ends both directions of a connection, as far as it still has them.
pub(super) fn shut(fd: RawFd) {
    // SAFETY: takes no pointers; a number that is no socket's is an error, which would mean that
    // the connection is gone, which was the aim.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// Makes a descriptor that becomes readable when armed and due.
pub(super) fn timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: takes no pointers; the result is checked before it is owned.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
}

/// Arms `timer` to go off once after `wait`; forgets an earlier expiry that nobody read.
pub(super) fn arm(timer: &OwnedFd, wait: Duration) -> io::Result<()> {
    let spec = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: libc::timespec {
            tv_sec: libc::time_t::try_from(wait.as_secs()).unwrap_or(libc::time_t::MAX),
            // Zero would disarm it; a nanosecond is as soon as it gets.
            tv_nsec: libc::c_long::from(wait.subsec_nanos()).max(1),
        },
    };
    // SAFETY: `spec` outlives the call, the kernel copies it, and a null old value is allowed.
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut())
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes a descriptor that becomes readable when eight bytes are written to it.
pub(super) fn bell() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; the result is checked before it is owned.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that the kernel has just given to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// CPU time the calling thread has used, user and system.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec to the pointer, which is valid and ours.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(
        result, 0,
        "linux has had a CPU clock for every thread since 2.6.12"
    );
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// A set of signals that the calling thread no longer dies of.
pub(crate) struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks every signal for the calling thread.
    ///
    /// monoio unwraps the submissions it makes when its queue is full, and a signal would fail one
    /// with EINTR: a thread that runs a ring must not be interrupted.
    pub(crate) fn block_all() {
        Self::block(|set| {
            // SAFETY: fills the set it is given, which is valid and ours.
            unsafe { libc::sigfillset(set) };
        });
    }

    /// Blocks SIGINT and SIGTERM for the calling thread and those it starts from now on, to be
    /// waited for instead.
    pub(crate) fn block_stop() -> Self {
        Self::block(|set| {
            // SAFETY: the set was emptied by `block` and the numbers are valid signals.
            unsafe {
                libc::sigaddset(set, libc::SIGINT);
                libc::sigaddset(set, libc::SIGTERM);
            }
        })
    }

    fn block(fill: impl FnOnce(&mut libc::sigset_t)) -> Self {
        // SAFETY: a zeroed sigset_t is a valid place for sigemptyset to write.
        let mut set = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            set
        };
        fill(&mut set);
        // SAFETY: reads the set, which is valid; a null old set is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        Self { set }
    }

    /// Waits up to `wait` for one of the signals; true when one came.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let wait = libc::timespec {
            tv_sec: libc::time_t::try_from(wait.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(wait.subsec_nanos()),
        };
        // SAFETY: reads the set and the time, both valid; a null siginfo is allowed.
        let signal = unsafe {
            libc::sigtimedwait(&raw const self.set, std::ptr::null_mut(), &raw const wait)
        };
        signal > 0
    }
}
