//! Decides where atomics and locks come from: the standard library, or loom when it is modelling.
//!
//! Nothing else in this room names either. What is only a statistic (collisions,
//! dropped holds) stays with the standard library: loom need not explore it.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
};

/// Stands between a write and a read of another word that must not pass it.
///
/// The accesses on both sides are `SeqCst`, which is enough for the language, so
/// this costs nothing in the product. Loom models that order only on fences, and
/// would report interleavings that cannot happen.
#[inline]
pub(crate) fn write_then_read() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// A value that is set at most once, and found by whoever looks later.
#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;

/// As the standard library's, with an order between setting and finding that loom sees.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    set: AtomicBool,
}

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            set: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.set.load(Ordering::Acquire) {
            self.value.get()
        } else {
            None
        }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.set.store(true, Ordering::Release);
        Ok(())
    }
}
