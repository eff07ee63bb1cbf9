//! CRC32C, by which a PROXY header shows that it was not damaged (RFC 3720 §12.1 has the
//! polynomial).
//!
//! A byte at a time from a table: a header has a few hundred and a connection has one header.

/// Castagnoli's polynomial, the lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
}

/// A checksum over bytes that come in pieces.
pub(super) struct Crc32c(u32);

impl Crc32c {
    /// Over nothing.
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Goes on over `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ TABLE[usize::from(low ^ byte)];
        }
    }

    /// Over all that was added.
    pub(super) const fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_rfc_3720_come_out() {
        let of = |pieces: &[&[u8]]| {
            let mut sum = Crc32c::new();
            pieces.iter().for_each(|piece| sum.add(piece));
            sum.value()
        };
        assert_eq!(of(&[b"123456789"]), 0xe306_9283);
        assert_eq!(of(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(of(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(of(&[&[0xff; 32]]), 0x62a8_ab43);
    }
}
