//! Two things a task can wait for besides bytes: a moment, finer than the runtime's timers, and a
//! bell rung by another thread.
//!
//! Both are descriptors that the loop polls: the runtime's own timers round up to a millisecond,
//! and its wakers must not be used from another thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

use monoio::net::TcpStream;

use super::sys;

/// Wakes its task at a moment, to a few microseconds.
pub(crate) struct Alarm {
    timer: OwnedFd,
    polled: TcpStream,
}

impl Alarm {
    /// Makes one on the calling thread's loop.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = sys::timer()?;
        let polled = polled(timer.try_clone()?)?;
        Ok(Self { timer, polled })
    }

    /// Waits until `at`; a moment that has passed still lets other tasks run first.
    ///
    /// # Errors
    /// The kernel would not arm the timer or poll it; neither is expected.
    pub(crate) async fn wait_until(&self, at: Instant) -> io::Result<()> {
        // Arming it again also clears the last expiry, so that nothing needs to be read.
        sys::arm(&self.timer, at.saturating_duration_since(Instant::now()))?;
        self.polled.readable(false).await
    }
}

/// The end of a bell that a task listens to.
pub(crate) struct Bell {
    polled: TcpStream,
}

impl Bell {
    /// Waits until the bell has been rung; stays rung for ever.
    pub(crate) async fn rung(&self) {
        // An error can only mean that the descriptor is unusable: better stop than hang.
        let _ = self.polled.readable(false).await;
    }
}

/// The end of a bell that any thread may ring.
#[derive(Debug)]
pub(crate) struct Ringer {
    bell: File,
}

impl Ringer {
    /// Makes a bell.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: File::from(sys::bell()?),
        })
    }

    /// The listening end, for a task of the calling thread's loop.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub(crate) fn bell(&self) -> io::Result<Bell> {
        Ok(Bell {
            polled: polled(self.bell.try_clone()?.into())?,
        })
    }

    /// Rings for all who listen, now or later.
    pub(crate) fn ring(&self) {
        // Fails only when it has been rung 2^64 times already, and then it is ringing.
        let _ = (&self.bell).write(&1_u64.to_ne_bytes());
    }
}

/// monoio polls any descriptor that it takes for a stream, and offers no other way.
fn polled(fd: OwnedFd) -> io::Result<TcpStream> {
    TcpStream::from_std(std::net::TcpStream::from(fd))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use std::time::Duration;

    use super::*;
    use crate::net::{Io, run};

    #[test]
    fn an_alarm_never_goes_off_early_and_can_be_used_again() {
        for io in [Io::Auto, Io::Epoll] {
            run(io, || async {
                let alarm = Alarm::new().unwrap();
                for micros in [0, 300, 1_700] {
                    let at = Instant::now() + Duration::from_micros(micros);
                    alarm.wait_until(at).await.unwrap();
                    assert!(Instant::now() >= at, "{io:?} woke before {micros} µs");
                }
            })
            .unwrap();
        }
    }

    #[test]
    fn a_bell_rung_by_another_thread_wakes_the_task() {
        for io in [Io::Auto, Io::Epoll] {
            let ringer = Ringer::new().unwrap();
            let listener = Ringer {
                bell: ringer.bell.try_clone().unwrap(),
            };
            let waiting = std::thread::spawn(move || {
                run(io, || async move { listener.bell().unwrap().rung().await })
            });
            ringer.ring();
            waiting.join().unwrap().unwrap();
        }
    }
}
