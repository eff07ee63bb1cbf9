//! Bytes received and not yet understood, in a buffer that grows with the traffic to a limit.

use std::io;

use super::Stream;

/// Room at first: a head and a short body.
const ROOM_FIRST: usize = 8 * 1024;

/// Room at most. It bounds a head, and a read of a long body: larger reads gain nothing measurable.
const ROOM_MAX: usize = 64 * 1024;

/// Bytes received and not yet taken.
///
/// Invariant: `taken <= bytes.len() <= ROOM_MAX`.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// The bytes that nobody has taken.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes the first `count` of the waiting bytes.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        assert!(self.taken <= self.bytes.len(), "more taken than there was");
        if self.taken == self.bytes.len() {
            self.taken = 0;
            self.bytes.clear();
        }
    }

    /// Forgets everything: the next bytes come from another connection.
    pub(crate) fn clear(&mut self) {
        self.taken = 0;
        self.bytes.clear();
    }

    /// Waits for more bytes; 0 is the end of the connection.
    ///
    /// # Errors
    /// The connection was reset, or the waiting bytes already fill all the room there may be
    /// ([`io::ErrorKind::OutOfMemory`]).
    pub(crate) async fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        if self.bytes.len() == self.bytes.capacity() {
            self.make_room()?;
        }
        stream.read(&mut self.bytes).await
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            return Ok(());
        }
        let room = self.bytes.capacity();
        if room >= ROOM_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let wanted = (room * 2).clamp(ROOM_FIRST, ROOM_MAX);
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}
