//! Puts pieces of a body into chunks (RFC 9112 §7.1) without moving them.
//!
//! What is to be said and when is decided by whoever passes a body on.

use std::ops::Range;

use tollring_http1::{ChunkHead, LAST_CHUNK};

use super::compose::Out;
use crate::net::Buffer;

/// Room left before what is read, for the head of the chunk it may be sent as.
pub(super) const HEADROOM: usize = 16;

const _: () = assert!(
    HEADROOM >= 8 + 2,
    "a block is shorter than 4 GiB, so its chunk's head has at most eight digits and CRLF"
);

/// Frames bytes of the block as a chunk where they lie, in the room before and behind them.
pub(super) fn frame_in_place(block: &mut Buffer, data: Range<usize>, last: bool) -> Range<usize> {
    let mut framed = data.clone();
    block.truncate(data.end);
    if !data.is_empty() {
        let head = ChunkHead::new(data.len());
        let head = head.as_bytes();
        framed.start = data.start - head.len();
        block[framed.start..data.start].copy_from_slice(head);
        block.extend_from_slice(b"\r\n");
    }
    if last {
        block.extend_from_slice(LAST_CHUNK);
    }
    framed.end = block.len();
    framed
}

/// Appends what `feed` writes, as one chunk where the answer is chunked. Its length is not
/// known before, so the chunk's size has leading zeros (RFC 9112 §7.1 allows them).
pub(super) fn frame_fed(outbox: &mut Buffer, out: Out, feed: impl FnOnce(&mut Vec<u8>)) {
    const SIZE: &[u8] = b"00000000\r\n";
    if out != Out::Chunked {
        return feed(outbox);
    }
    let head = outbox.len();
    outbox.extend_from_slice(SIZE);
    let start = outbox.len();
    feed(outbox);
    let mut length = outbox.len() - start;
    if length == 0 {
        // A chunk of no bytes would end the body.
        outbox.truncate(head);
        return;
    }
    for digit in outbox[head..head + 8].iter_mut().rev() {
        *digit = b"0123456789abcdef"[length & 0xf];
        length >>= 4;
    }
    outbox.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Buffers;

    #[test]
    fn a_chunk_is_framed_in_the_room_around_it() {
        let mut block = Buffers::new().block();
        block.resize(HEADROOM, 0);
        block.extend_from_slice(b"hello");
        let framed = frame_in_place(&mut block, HEADROOM..HEADROOM + 5, false);
        assert_eq!(&block[framed], b"5\r\nhello\r\n");
    }

    #[test]
    fn the_last_piece_ends_the_body() {
        let mut block = Buffers::new().block();
        block.resize(HEADROOM, 0);
        block.extend_from_slice(b"hello");
        let framed = frame_in_place(&mut block, HEADROOM..HEADROOM + 5, true);
        assert_eq!(&block[framed], b"5\r\nhello\r\n0\r\n\r\n");
        let framed = frame_in_place(&mut block, HEADROOM..HEADROOM, true);
        assert_eq!(&block[framed], b"0\r\n\r\n");
    }

    #[test]
    fn a_fed_chunk_says_its_length_and_an_empty_one_nothing() {
        let mut outbox = Buffers::new().block();
        frame_fed(&mut outbox, Out::Chunked, |out| {
            out.extend_from_slice(&[b'x'; 26])
        });
        assert!(outbox.starts_with(b"0000001a\r\nxxx"));
        assert!(outbox.ends_with(b"x\r\n"));
        outbox.clear();
        frame_fed(&mut outbox, Out::Chunked, |_| {});
        assert!(outbox.is_empty());
    }
}
