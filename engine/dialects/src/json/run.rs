//! Decides how far a JSON string runs before something in it needs a look.
//!
//! Strings are nearly all of a body, so this is the one loop of the room that is written for
//! speed: words first, because most strings are keys, then whole blocks for those that are prose.

/// Bytes tested at a time in long strings: two vector registers of the smallest x86-64.
const BLOCK_BYTES: usize = 32;

/// Bytes that are tested word by word before the first block: what is not a word long is seldom
/// longer than these, and a block that holds an end is work for nothing.
const SHORT_BYTES: usize = 24;

/// Bytes in a word.
const WORD_BYTES: usize = size_of::<u64>();

/// A stretch of a string that stands for itself: no quote, backslash or control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Bytes in it.
    pub(crate) len: usize,
    /// How many of them are outside ASCII (parts of longer UTF-8 sequences).
    pub(crate) high: usize,
}

/// Measures the run at the beginning of `bytes`.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8]) -> Run {
    // Most keys, roles and names end within a word.
    if let Some(word) = bytes.first_chunk::<WORD_BYTES>() {
        let word = u64::from_le_bytes(*word);
        let ends = ends_in(word);
        if ends != 0 && word & HIGH_BITS == 0 {
            return Run {
                len: (ends.trailing_zeros() / u8::BITS) as usize,
                high: 0,
            };
        }
    }
    longer(bytes)
}

/// Measures a run that goes past its first word, or has more than ASCII in it. Kept out of the
/// callers, so that the short case costs them no saved registers.
#[inline(never)]
fn longer(bytes: &[u8]) -> Run {
    let mut run = Run::default();
    let short = &bytes[..bytes.len().min(SHORT_BYTES)];
    if !run.extend_by_words(short) && bytes.len() > SHORT_BYTES {
        run.extend_by_blocks(bytes);
        run.extend_by_words(bytes);
    }
    run
}

impl Run {
    /// Goes on from its length as far as whole blocks belong to it.
    fn extend_by_blocks(&mut self, bytes: &[u8]) {
        for block in bytes[self.len..].chunks_exact(BLOCK_BYTES) {
            // Without early exits the compiler turns this loop into a few vector instructions.
            let (mut ends, mut high) = (false, 0u8);
            for &byte in block {
                ends |= ends_run(byte);
                high += byte >> 7;
            }
            if ends {
                return;
            }
            self.len += BLOCK_BYTES;
            self.high += usize::from(high);
        }
    }

    /// Goes on from its length to the end of `bytes`, word by word; true when the run has ended
    /// before.
    fn extend_by_words(&mut self, bytes: &[u8]) -> bool {
        while let Some(word) = bytes[self.len..].first_chunk::<WORD_BYTES>() {
            let word = u64::from_le_bytes(*word);
            let ends = ends_in(word);
            if word & HIGH_BITS != 0 {
                // The bits below the first end; all of them where there is none.
                let before = ends.wrapping_sub(1) & !ends;
                self.high += (word & HIGH_BITS & before).count_ones() as usize;
            }
            self.len += (ends.trailing_zeros() / u8::BITS) as usize;
            if ends != 0 {
                return true;
            }
        }
        for &byte in &bytes[self.len..] {
            if ends_run(byte) {
                return true;
            }
            self.len += 1;
            self.high += usize::from(byte >> 7);
        }
        false
    }
}

/// Whether a byte ends a run (RFC 8259 §7: these must be escaped, or are the escape).
const fn ends_run(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Sets the high bit of the first byte of a word (little endian) that ends a run. Bits above that
/// one mean nothing, as the subtractions borrow from there; none is set where nothing ends.
const fn ends_in(word: u64) -> u64 {
    const fn below(word: u64, bound: u8) -> u64 {
        word.wrapping_sub(LOW_BITS * bound as u64) & !word
    }
    let quotes = below(word ^ (LOW_BITS * b'"' as u64), 1);
    let escapes = below(word ^ (LOW_BITS * b'\\' as u64), 1);
    (quotes | escapes | below(word, 0x20)) & HIGH_BITS
}

/// How many bytes at the beginning of `bytes` are neither quotes nor brackets: numbers, literals,
/// and what is between them. An embedding is thousands of those.
pub(crate) fn flat(bytes: &[u8]) -> usize {
    let mut len = 0;
    for block in bytes.chunks_exact(BLOCK_BYTES) {
        let nearest = block
            .iter()
            .fold(u8::MAX, |near, &byte| near.min(off_flat(byte)));
        if nearest == 0 {
            break;
        }
        len += BLOCK_BYTES;
    }
    let rest = &bytes[len..];
    len + rest
        .iter()
        .position(|&byte| off_flat(byte) == 0)
        .unwrap_or(rest.len())
}

/// 0 for a quote or a bracket, something else for other bytes: the least of a block is found by
/// vector instructions. Square and curly brackets differ in one bit.
fn off_flat(byte: u8) -> u8 {
    let curly = byte | 0x20;
    (byte ^ b'"').min(curly ^ b'{').min(curly ^ b'}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_ends_at_the_first_byte_that_needs_a_look_wherever_it_is() {
        for stop in [b'"', b'\\', 0x00, 0x1f, b'\n'] {
            for len in 0..100 {
                let mut bytes = vec![b'x'; 120];
                bytes[len] = stop;
                assert_eq!(plain(&bytes), Run { len, high: 0 }, "{stop:#x} at {len}");
            }
        }
    }

    #[test]
    fn bytes_outside_ascii_are_counted_and_end_nothing() {
        let bytes = "é".repeat(50);
        assert_eq!(
            plain(bytes.as_bytes()),
            Run {
                len: 100,
                high: 100
            }
        );
        assert_eq!(plain(b"a\x7f\x80\xff "), Run { len: 5, high: 2 });
        assert_eq!(plain(b""), Run::default());
    }

    #[test]
    fn numbers_are_flat_up_to_a_quote_or_a_bracket() {
        for stop in *b"[]{}\"" {
            for len in 0..100 {
                let mut bytes = b"-1.5e3, \tnull ".repeat(10);
                bytes[len] = stop;
                assert_eq!(flat(&bytes), len, "{stop:#x}");
            }
        }
        assert_eq!(flat(b""), 0);
        assert_eq!(flat(&[b'7'; 77]), 77);
    }

    proptest! {
        #[test]
        fn words_and_blocks_agree_with_single_bytes(
            bytes in prop::collection::vec(prop_oneof![
                200 => prop::sample::select(vec![b' ', b'!', b'#', b'Z', b'z', 0x7f, 0x80, 0xff]),
                1 => any::<u8>(),
            ], 0..300),
        ) {
            let len = bytes.iter().position(|&byte| ends_run(byte)).unwrap_or(bytes.len());
            let high = bytes[..len].iter().filter(|byte| !byte.is_ascii()).count();
            prop_assert_eq!(plain(&bytes), Run { len, high });
            let len = bytes.iter().position(|byte| b"[]{}\"".contains(byte));
            prop_assert_eq!(flat(&bytes), len.unwrap_or(bytes.len()));
        }
    }
}
