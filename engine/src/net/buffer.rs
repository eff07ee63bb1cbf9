//! Blocks of memory that a worker lends to whoever is reading or writing.
//!
//! An idle connection has none. A block goes back when it is dropped; the pool
//! keeps a bounded number and frees the rest, so that a burst does not stay.
//! Blocks come in a few sizes, for bodies that must be held whole while they
//! are inspected. Nothing is zeroed: a block is a `Vec` with capacity and no
//! length, and the kernel appends.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// The ordinary block: a head, a short body, or one read of a stream. The longest of TLS
/// records fits into it (18,437 bytes, RFC 5246 §6.2.3), and it is four times what most
/// answers need.
pub(crate) const BLOCK_BYTES: usize = 20 * 1024;

/// Sizes a block may have; each is about four times the one before.
const SIZES: [usize; 5] = [
    BLOCK_BYTES,
    64 * 1024,
    256 * 1024,
    1024 * 1024,
    4 * 1024 * 1024,
];

/// Free blocks of each size that are kept: four to sixteen MiB of each size.
const KEPT: [usize; 5] = [256, 64, 32, 8, 2];

/// The blocks of one worker.
#[derive(Default)]
pub(crate) struct Buffers {
    free: [RefCell<Vec<Vec<u8>>>; 5],
    lent: Cell<u64>,
}

impl Buffers {
    /// A pool that has nothing yet.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Lends a block of at least `bytes` of capacity.
    pub(crate) fn borrow(self: &Rc<Self>, bytes: usize) -> Buffer {
        let bytes = match SIZES.iter().position(|&size| size >= bytes) {
            Some(class) => match self.free[class].borrow_mut().pop() {
                Some(block) => block,
                None => Vec::with_capacity(SIZES[class]),
            },
            None => Vec::with_capacity(bytes),
        };
        self.lent.set(self.lent.get() + 1);
        Buffer {
            bytes,
            lent: true,
            home: Rc::clone(self),
        }
    }

    /// A place for a block, with nothing in it yet.
    pub(crate) fn none(self: &Rc<Self>) -> Buffer {
        Buffer {
            bytes: Vec::new(),
            lent: false,
            home: Rc::clone(self),
        }
    }

    /// Lends an ordinary block.
    pub(crate) fn block(self: &Rc<Self>) -> Buffer {
        self.borrow(BLOCK_BYTES)
    }

    /// Frees every block that nobody has.
    pub(crate) fn free_idle(&self) {
        for free in &self.free {
            free.borrow_mut().clear();
        }
    }

    /// Blocks that are out at this moment.
    pub(crate) fn lent(&self) -> u64 {
        self.lent.get()
    }

    fn take_back(&self, mut block: Vec<u8>, lent: bool) {
        self.lent.set(self.lent.get() - u64::from(lent));
        // A block whose bytes went to the kernel with a dropped task comes back empty.
        if let Some(class) = SIZES.iter().position(|&size| size == block.capacity()) {
            let mut free = self.free[class].borrow_mut();
            if free.len() < KEPT[class] {
                block.clear();
                free.push(block);
            }
        }
    }
}

/// A borrowed block; it is a `Vec<u8>` that goes home when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Whether it was lent; an empty place was not.
    lent: bool,
    home: Rc<Buffers>,
}

impl Buffer {
    /// Makes room for `more` bytes behind those held, moving to a larger block if need be.
    pub(crate) fn reserve_block(&mut self, more: usize) {
        let wanted = self.bytes.len() + more;
        if wanted > self.bytes.capacity() {
            let mut larger = self.home.borrow(wanted);
            larger.bytes.extend_from_slice(&self.bytes);
            *self = larger;
        }
    }

    /// What this block's capacity would be with room for `more`.
    pub(crate) fn grown(&self, more: usize) -> usize {
        let wanted = self.bytes.len() + more;
        let size = SIZES.iter().find(|&&size| size >= wanted);
        size.copied().unwrap_or(wanted)
    }

    /// Room behind the bytes held.
    pub(crate) fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Forgets the first `count` bytes and moves the rest to the front.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home
            .take_back(std::mem::take(&mut self.bytes), self.lent);
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_home_and_is_lent_again() {
        let pool = Buffers::new();
        let mut first = pool.block();
        first.extend_from_slice(b"abc");
        let address = first.as_ptr();
        assert_eq!(pool.lent(), 1);
        drop(first);
        assert_eq!(pool.lent(), 0);
        let again = pool.block();
        assert_eq!(again.as_ptr(), address);
        assert!(again.is_empty());
    }

    #[test]
    fn a_block_that_grows_keeps_its_bytes() {
        let pool = Buffers::new();
        let mut block = pool.block();
        block.extend_from_slice(b"head");
        block.reserve_block(BLOCK_BYTES);
        assert_eq!(&block[..], b"head");
        assert!(block.room() >= BLOCK_BYTES);
        assert_eq!(pool.lent(), 1);
    }

    #[test]
    fn no_more_than_the_named_number_is_kept() {
        let pool = Buffers::new();
        let many: Vec<Buffer> = (0..KEPT[0] + 10).map(|_| pool.block()).collect();
        drop(many);
        assert_eq!(pool.free[0].borrow().len(), KEPT[0]);
    }

    #[test]
    fn blocks_that_nobody_has_can_be_freed() {
        let pool = Buffers::new();
        let kept = pool.block();
        drop((pool.block(), pool.borrow(SIZES[3])));
        pool.free_idle();
        assert!(pool.free.iter().all(|free| free.borrow().is_empty()));
        assert_eq!((pool.lent(), kept.capacity()), (1, BLOCK_BYTES));
    }

    #[test]
    fn a_block_beyond_every_size_is_lent_and_freed() {
        let pool = Buffers::new();
        let huge = pool.borrow(SIZES[4] + 1);
        assert!(huge.capacity() > SIZES[4]);
        drop(huge);
        assert_eq!(pool.lent(), 0);
    }
}
