//! Builds a thread's event loop: the best set of ring flags the kernel takes, or epoll.
//!
//! Decides the ladder; what runs on the loop is up to the caller.

use std::future::Future;
use std::io;

use io_uring::IoUring;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::sys::Signals;

/// Submissions a turn of the loop can queue before it must enter the kernel.
const SUBMISSIONS: u32 = 1024;

/// Completions the ring holds: one for every connection of a large run in the same turn.
const COMPLETIONS: u32 = 16 * 1024;

const _: () = assert!(
    COMPLETIONS >= 2 * SUBMISSIONS,
    "the kernel wants room for more completions than submissions"
);

/// Which event loop to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Io {
    /// io_uring with the best flags there are, and epoll without it.
    Auto,
    /// epoll, whatever there is.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only tests force the last step")
    )]
    Epoll,
}

/// A loop that has been built.
enum Loop {
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

/// Runs the future that `make` returns to its end on a new event loop of the calling thread.
///
/// The future must see to it that its tasks end before it does: monoio's tasks and their sockets
/// keep each other alive past the end of the loop.
///
/// # Errors
/// Not even the epoll loop can be made.
pub(crate) fn run<F: Future>(io: Io, make: impl FnOnce() -> F) -> io::Result<F::Output> {
    Signals::block_all();
    // `make` is called inside, where sockets can be turned into the loop's own.
    Ok(match build(io)? {
        Loop::Ring(mut runtime) => runtime.block_on(async { make().await }),
        Loop::Epoll(mut runtime) => runtime.block_on(async { make().await }),
    })
}

/// Starts a task on the calling thread's loop; nobody waits for its end.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

fn build(io: Io) -> io::Result<Loop> {
    if io == Io::Auto && monoio::utils::detect_uring() {
        // Completions that wait for us to ask (6.1), those that do not interrupt (5.19), any.
        let ladder: [fn(&mut io_uring::Builder); 3] = [
            |ring| {
                ring.setup_submit_all()
                    .setup_single_issuer()
                    .setup_defer_taskrun();
            },
            |ring| {
                ring.setup_submit_all()
                    .setup_single_issuer()
                    .setup_coop_taskrun();
            },
            |_| {},
        ];
        for flags in ladder {
            let mut ring = IoUring::builder();
            ring.setup_cqsize(COMPLETIONS);
            flags(&mut ring);
            let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(SUBMISSIONS);
            if let Ok(runtime) = builder.uring_builder(ring).enable_timer().build() {
                return Ok(Loop::Ring(runtime));
            }
        }
    }
    let runtime = RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .build()?;
    Ok(Loop::Epoll(runtime))
}
