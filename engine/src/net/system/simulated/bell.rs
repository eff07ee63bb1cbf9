//! Tasks, clocks, chance and mail of a simulated world.

use std::future::{Future, poll_fn};
use std::io;
use std::ops::{Add, Sub};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::chance::Chance;
use super::world::World;

/// Starts a task.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    World::current().spawn(task);
}

/// A moment of the world's own time, which no clock on a wall can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(u64);

impl Instant {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self(World::current().now_us())
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + u64::try_from(later.as_micros()).unwrap_or(u64::MAX / 2))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970, as the clock on the wall says.
pub(crate) fn unix_now_ms() -> i64 {
    World::current().wall_ms()
}

/// A number that follows from the seed.
pub(crate) fn entropy() -> u64 {
    World::current().draw(Chance::any)
}

/// Wakes a worker.
#[derive(Default)]
pub(crate) struct Bell(Arc<Mutex<Rung>>);

#[derive(Default)]
struct Rung {
    rung: bool,
    waker: Option<Waker>,
}

impl Bell {
    /// A bell nobody has rung.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Rings; whoever listens wakes, now or when it listens next.
    pub(crate) fn ring(&self) {
        let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bell.rung = true;
        if let Some(waker) = bell.waker.take() {
            waker.wake();
        }
    }

    /// Listens.
    pub(crate) fn listen(&self) -> io::Result<Listening> {
        Ok(Listening(Arc::clone(&self.0)))
    }
}

/// Whoever hears a bell.
pub(crate) struct Listening(Arc<Mutex<Rung>>);

impl Listening {
    /// Waits until the bell has been rung since it was heard last.
    pub(crate) async fn heard(&self) -> io::Result<()> {
        poll_fn(|context| {
            let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut bell.rung) {
                return Poll::Ready(Ok(()));
            }
            bell.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
