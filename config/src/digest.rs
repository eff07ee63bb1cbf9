//! A table keyed by SHA-256: its hash is a piece of the key.
//!
//! A digest is as even as any hash of it would be. That callers can choose keys does not
//! help them: only the operator's digests are in the table, so nobody can make them collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A SHA-256.
pub type Digest = [u8; 32];

/// What is known by a SHA-256.
pub type ByDigest<T> = HashMap<Digest, T, BuildHasherDefault<DigestHasher>>;

/// Takes the first eight bytes of a digest for its hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // An array says its length first; every digest has the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_told_apart_even_when_they_begin_alike() {
        let mut table: ByDigest<u8> = HashMap::default();
        for last in 0..=255 {
            let mut digest = [7; 32];
            digest[31] = last;
            table.insert(digest, last);
        }
        assert_eq!(table.len(), 256);
        assert_eq!(table[&[7; 32]], 7);
    }

    #[test]
    fn the_hash_is_a_piece_of_the_digest() {
        use std::hash::{BuildHasher, BuildHasherDefault};
        let hash = BuildHasherDefault::<DigestHasher>::default();
        let digest: Digest = std::array::from_fn(|place| u8::try_from(place).unwrap_or(0));
        assert_eq!(
            hash.hash_one(digest),
            u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7])
        );
    }
}
