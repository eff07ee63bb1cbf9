//! CRC-32C bit by bit, as RFC 3720 has it: what our checksums are held against.

/// Goes on from `sum`, 0 at the beginning, over `bytes`.
#[must_use]
pub fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    let mut sum = !sum;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 * (sum & 1));
        }
    }
    !sum
}
