//! Builds a worker's event loop: io_uring with the best flags this kernel allows, or epoll.
//!
//! Measured per proxied request on one core: default ring flags 15.0 µs, with
//! `COOP_TASKRUN` or `DEFER_TASKRUN` and `SINGLE_ISSUER` 8.6–8.8 µs, epoll 8.6 µs.
//! Containers and hardened hosts forbid io_uring, and older kernels lack the flags,
//! so each set is tried in turn and the one in force is said.

use std::future::Future;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use tollring_config::IoChoice;

/// Entries of the submission queue: operations handed over in one system call.
const SUBMISSIONS: u32 = 4096;

/// Entries of the completion queue: at least two operations for each of 16,000 connections,
/// so that all of them may complete in one turn without an overflow list.
const COMPLETIONS: u32 = 32 * 1024;

/// Which system interface a worker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// Completions from a ring.
    IoUring,
    /// Readiness from epoll.
    Epoll,
}

impl IoKind {
    /// The word of `/api/v1/stats` and the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// What the kernel gave us, and why it is not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoReport {
    /// The interface in force.
    pub kind: IoKind,
    /// The ring's flags in force.
    pub flags: &'static [&'static str],
    /// Why better choices were passed over.
    pub passed_over: Vec<String>,
}

/// A set of ring flags worth trying.
struct Flags {
    names: &'static [&'static str],
    apply: fn(&mut io_uring::Builder),
}

/// Best first.
const FLAG_SETS: [Flags; 3] = [
    Flags {
        names: &["DEFER_TASKRUN", "SINGLE_ISSUER", "SUBMIT_ALL"],
        apply: |ring| {
            ring.setup_defer_taskrun()
                .setup_single_issuer()
                .setup_submit_all();
        },
    },
    Flags {
        names: &["COOP_TASKRUN", "SINGLE_ISSUER", "SUBMIT_ALL"],
        apply: |ring| {
            ring.setup_coop_taskrun()
                .setup_single_issuer()
                .setup_submit_all();
        },
    },
    Flags {
        names: &[],
        apply: |_| {},
    },
];

/// An event loop that belongs to the thread that built it.
pub(crate) struct EventLoop {
    inner: Inner,
    report: IoReport,
}

enum Inner {
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl EventLoop {
    /// Builds the best loop that the choice and the kernel allow.
    ///
    /// # Errors
    /// When `io = "io_uring"` was asked for and no flags work, or epoll fails too.
    pub(crate) fn build(choice: IoChoice) -> io::Result<Self> {
        let mut passed_over = Vec::new();
        if choice != IoChoice::Epoll {
            for set in &FLAG_SETS {
                match ring(set) {
                    Ok(runtime) => {
                        let report = IoReport {
                            kind: IoKind::IoUring,
                            flags: set.names,
                            passed_over,
                        };
                        return Ok(Self {
                            inner: Inner::Ring(runtime),
                            report,
                        });
                    }
                    Err(fault) => {
                        let names = if set.names.is_empty() {
                            "no flags"
                        } else {
                            set.names[0]
                        };
                        passed_over.push(format!("io_uring with {names}: {fault}"));
                    }
                }
            }
            if choice == IoChoice::IoUring {
                let tried = passed_over.join("; ");
                return Err(io::Error::other(format!(
                    "io_uring is not available: {tried}"
                )));
            }
        }
        let runtime = RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()?;
        let report = IoReport {
            kind: IoKind::Epoll,
            flags: &[],
            passed_over,
        };
        Ok(Self {
            inner: Inner::Epoll(runtime),
            report,
        })
    }

    /// What is in force.
    pub(crate) fn report(&self) -> &IoReport {
        &self.report
    }

    /// Runs a future, and everything it spawns, until it is done.
    pub(crate) fn run<F: Future>(&mut self, future: F) -> F::Output {
        match &mut self.inner {
            Inner::Ring(runtime) => runtime.block_on(future),
            Inner::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

fn ring(set: &Flags) -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    let mut flags = io_uring::IoUring::builder();
    flags.setup_cqsize(COMPLETIONS);
    (set.apply)(&mut flags);
    RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(SUBMISSIONS)
        .uring_builder(flags)
        .enable_timer()
        .build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn epoll_can_always_be_had() {
        let mut event_loop = EventLoop::build(IoChoice::Epoll).unwrap();
        assert_eq!(event_loop.report().kind, IoKind::Epoll);
        assert_eq!(event_loop.run(async { 7 }), 7);
    }

    #[test]
    fn auto_runs_and_says_what_it_chose() {
        let mut event_loop = EventLoop::build(IoChoice::Auto).unwrap();
        let report = event_loop.report().clone();
        assert_eq!(event_loop.run(async { 7 }), 7);
        assert!(report.kind == IoKind::IoUring || !report.passed_over.is_empty());
    }
}
