//! A segment in memory: the only file of the ledger that may write `unsafe`.
//!
//! Decides that mapped bytes are only ever touched as atomic words, so that the thread that
//! appends, the one that syncs and whoever else has the file open may do so at once. What
//! the bytes mean is not known here.
#![allow(unsafe_code)] // One block, below, with its reason.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};

const WORD_BYTES: usize = size_of::<u64>();

/// A whole file, shared with the kernel and with every process that has it open.
#[derive(Debug)]
pub(super) struct Map(MmapRaw);

impl Map {
    /// Maps the first `bytes` of `file`, which must have as many, or touching what lacks is a
    /// `SIGBUS`. So must it have for as long as this lives: nobody but us may shorten it.
    pub(super) fn new(file: &File, bytes: u32) -> io::Result<Self> {
        if file.metadata()?.len() < u64::from(bytes) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let map = MmapOptions::new().len(bytes as usize).map_raw(file)?;
        Ok(Self(map))
    }

    fn words(&self) -> &[AtomicU64] {
        let words = self.0.len() / WORD_BYTES;
        // SAFETY: the mapping is page-aligned, so aligned for words; it is `words` words long
        // and readable and writable for as long as `self` lives, which the reference does not
        // outlive. `AtomicU64` may be any bytes, and may be changed by other threads and
        // processes at any time. Nothing makes another kind of reference into the mapping.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), words) }
    }

    /// Copies `words` to byte `at`, a multiple of a word.
    ///
    /// # Panics
    ///
    /// If they lie beyond the end.
    #[inline]
    pub(super) fn put<const N: usize>(&self, at: usize, words: &[u64; N]) {
        let room = &self.words()[at / WORD_BYTES..][..N];
        for (there, word) in room.iter().zip(words) {
            // Whoever must see this in order looks at a count that is released later.
            there.store(word.to_le(), Ordering::Relaxed);
        }
    }

    /// Makes the pages of a range ready to be written, so that a write does not have to wait
    /// for the kernel. Says nothing if it cannot: then the write waits.
    pub(super) fn touch(&self, at: usize, bytes: usize) {
        let bytes = bytes.min(self.0.len().saturating_sub(at));
        if bytes > 0 {
            let _ = self.0.advise_range(Advice::PopulateWrite, at, bytes);
        }
    }
}
