//! One TCP connection: a reader and a writer, each with its deadline.
//!
//! Reads append to a borrowed block, writes send a range of one; whole writes are
//! repeated until every byte is with the kernel. An operation that our side ended
//! says why through its [`Watch`]; see [`Broken`].

mod sealed;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use monoio::buf::{IoBuf, IoBufMut, IoVecBuf};

use super::buffer::{Buffer, Buffers};
use super::deadline::{Action, Cut, Deadlines, Watch};
use super::system::{self, Arrival, ReadHalf, Socket, WriteHalf, poll_now};
use super::task::within;
use crate::tls::session::RECORD_CONTENT_MAX;
use sealed::Opening;
pub(crate) use sealed::{Seal, Unshaken};

/// How long a connection may be quiet before it gives its block back. Longer than the
/// pauses of a busy client, so that busy connections never pay for it.
const PARK_AFTER: Duration = Duration::from_secs(1);

/// Why a read or a write did not go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The peer closed, in order.
    Closed,
    /// The peer reset the connection, or the network did.
    Reset,
    /// The peer closed without the word that TLS has for it: something may be missing.
    Unannounced,
    /// Our side ended it.
    Cut(Cut),
}

/// A connection.
pub(crate) struct Stream {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Stream {
    /// Takes in a client that was accepted, by whichever worker.
    ///
    /// # Errors
    /// When its socket cannot be taken into the event loop.
    pub(crate) fn begin(arrival: Arrival, deadlines: &Rc<Deadlines>) -> io::Result<Self> {
        Ok(Self::new(Socket::begin(arrival)?, deadlines))
    }

    /// Takes over a connected socket.
    pub(crate) fn new(socket: Socket, deadlines: &Rc<Deadlines>) -> Self {
        socket.set_nodelay();
        let fd = socket.fd();
        let (read_half, write_half) = socket.into_split();
        let reader = Reader {
            half: read_half,
            watch: Watch::new(fd, deadlines),
            opening: None,
        };
        let gather = Some(Box::new(Gather::EMPTY));
        let writer = Writer {
            half: write_half,
            watch: Watch::new(fd, deadlines),
            sent: 0,
            gather,
            seal: None,
        };
        Self { reader, writer }
    }

    /// The descriptor, for looking at the socket; it stays the stream's.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.fd()
    }

    /// Whether the peer has neither sent anything that was not read, nor closed. Costs a system
    /// call, and is worth it: see where it is asked.
    pub(crate) fn is_quiet(&self) -> bool {
        if self
            .reader
            .opening
            .as_ref()
            .is_some_and(|opening| opening.holds_something())
        {
            return false;
        }
        let events = libc::POLLIN | libc::POLLRDHUP;
        !poll_now(&mut [libc::pollfd {
            fd: self.fd(),
            events,
            revents: 0,
        }])
    }

    /// Why either direction was ended from our side, if one was. Ending both by one of them
    /// looks like the peer's close to the other.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.writer.watch.cut().or_else(|| self.reader.watch.cut())
    }

    /// How many bytes the peer's system has acknowledged since the connection was made.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        system::acknowledged(self.fd())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.watch.release();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.watch.release();
    }
}

/// Connects to an address within `limit`.
///
/// # Errors
/// `TimedOut` when it took too long, or what the system says.
pub(crate) async fn connect(
    address: SocketAddr,
    limit: Duration,
    deadlines: &Rc<Deadlines>,
) -> io::Result<Stream> {
    match within(limit, system::connect(address)).await {
        Some(connected) => Ok(Stream::new(connected?, deadlines)),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Connects to a socket of this machine. The kernel says at once whether it will have us.
///
/// # Errors
/// What the system says; `WouldBlock` when as many wait there as may.
pub(crate) fn connect_local(path: &str, deadlines: &Rc<Deadlines>) -> io::Result<Stream> {
    Ok(Stream::new(system::connect_local(path)?, deadlines))
}

/// The receiving direction.
pub(crate) struct Reader {
    half: ReadHalf,
    watch: Rc<Watch>,
    /// Boxed: most connections have none, and idle ones are many.
    opening: Option<Box<Opening>>,
}

impl Reader {
    /// The deadline of this direction.
    pub(crate) fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    fn fd(&self) -> RawFd {
        self.half.fd()
    }

    /// Reads once behind what the block holds; at least one byte, or why not. The block must
    /// have room.
    pub(crate) async fn read(&mut self, block: &mut Buffer) -> Result<usize, Broken> {
        if self.opening.is_some() {
            return self.read_sealed(block).await;
        }
        self.read_socket(block).await
    }

    async fn read_socket(&mut self, block: &mut Buffer) -> Result<usize, Broken> {
        receive(&mut self.half, &self.watch, block).await
    }

    /// Waits for the first bytes of the next request. `None` when none have come for a while:
    /// the block has gone back, and [`Reader::parked`] waits on without one.
    ///
    /// # Errors
    /// `Broken::Cut(Cut::Deadline)` after `limit`, or `Cut::Drain`.
    pub(crate) async fn read_idle(
        &mut self,
        limit: Duration,
        buffers: &Rc<Buffers>,
    ) -> Result<Option<Buffer>, Broken> {
        if self.opening.is_some() {
            return self.read_sealed_idle(limit, buffers).await;
        }
        self.read_socket_idle(limit, buffers).await
    }

    async fn read_socket_idle(
        &mut self,
        limit: Duration,
        buffers: &Rc<Buffers>,
    ) -> Result<Option<Buffer>, Broken> {
        self.watch.set_idle(true);
        if limit <= PARK_AFTER {
            self.watch.arm(limit, Action::CloseReading);
        } else {
            self.watch.arm(PARK_AFTER, Action::Park);
        }
        let mut block = buffers.block();
        let bytes = std::mem::take(&mut *block);
        let end = bytes.capacity();
        let handle = self.watch.cancel_handle();
        let (result, slice) = self
            .half
            .cancelable_read(bytes.slice_mut(0..end), handle)
            .await;
        *block = slice.into_inner();
        self.watch.set_idle(false);
        self.watch.disarm();
        if let Err(fault) = &result
            && fault.raw_os_error() == Some(libc::ECANCELED)
        {
            return Ok(None);
        }
        received(result, &self.watch).map(|_| Some(block))
    }

    /// Waits until there is something to read, holding nothing, for what is left of `limit`.
    ///
    /// # Errors
    /// As [`Reader::read_idle`].
    pub(crate) async fn parked(&self, limit: Duration) -> Result<(), Broken> {
        self.watch.set_idle(true);
        self.watch
            .arm(limit.saturating_sub(PARK_AFTER), Action::CloseReading);
        let ready = self.half.readable().await.map_err(|_| Broken::Reset);
        self.watch.set_idle(false);
        self.watch.disarm();
        match self.watch.cut() {
            Some(cut) => Err(Broken::Cut(cut)),
            None => ready,
        }
    }
}

/// Reads once from the socket behind what the block holds.
async fn receive(half: &mut ReadHalf, watch: &Watch, block: &mut Buffer) -> Result<usize, Broken> {
    let held = block.len();
    debug_assert!(block.room() > 0, "a read needs room");
    let bytes = std::mem::take(&mut **block);
    let end = bytes.capacity();
    let (result, slice) = half.read(bytes.slice_mut(held..end)).await;
    **block = slice.into_inner();
    received(result, watch)
}

fn received(result: io::Result<usize>, watch: &Watch) -> Result<usize, Broken> {
    match (result, watch.cut()) {
        (Ok(count), _) if count > 0 => Ok(count),
        (_, Some(cut)) => Err(Broken::Cut(cut)),
        (Ok(_), None) => Err(Broken::Closed),
        (Err(_), None) => Err(Broken::Reset),
    }
}

/// The sending direction.
pub(crate) struct Writer {
    half: WriteHalf,
    watch: Rc<Watch>,
    /// Bytes given to the kernel since the connection was made.
    sent: u64,
    gather: Option<Box<Gather>>,
    seal: Option<Rc<Seal>>,
}

impl Writer {
    /// The deadline of this direction.
    pub(crate) fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Bytes given to the kernel since the connection was made.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Tells the peer that nothing more will come; reading goes on.
    pub(crate) async fn close(&mut self) {
        if let Some(seal) = self.seal.clone() {
            self.close_sealed(&seal).await;
        }
        // A peer that is gone already does not need to be told.
        let _ = self.half.shutdown().await;
    }

    /// Sends a range of the block, whole.
    pub(crate) async fn write(
        &mut self,
        block: &mut Buffer,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        if let Some(seal) = self.seal.clone() {
            return self.write_sealed(&seal, block, range).await;
        }
        self.write_socket(block, range).await
    }

    async fn write_socket(
        &mut self,
        block: &mut Buffer,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        let mut start = range.start;
        while start < range.end {
            start += self.write_once(block, start..range.end).await?;
        }
        Ok(())
    }

    async fn write_once(
        &mut self,
        block: &mut Buffer,
        range: Range<usize>,
    ) -> Result<usize, Broken> {
        let bytes = std::mem::take(&mut **block);
        let (result, slice) = self.half.write(bytes.slice(range)).await;
        **block = slice.into_inner();
        self.outcome(result)
    }

    /// Sends a range of the block, whole, and calls `step` before each part of it. A deadline
    /// that is set there is for the peer to read on, however long it takes to read everything.
    pub(crate) async fn write_in_steps(
        &mut self,
        block: &mut Buffer,
        range: Range<usize>,
        step: impl Fn(),
    ) -> Result<(), Broken> {
        let mut start = range.start;
        while start < range.end {
            step();
            start += match self.seal.clone() {
                None => self.write_once(block, start..range.end).await?,
                Some(seal) => {
                    let record = start..range.end.min(start + RECORD_CONTENT_MAX);
                    let len = record.len();
                    self.write_sealed(&seal, block, record).await?;
                    len
                }
            };
        }
        Ok(())
    }

    /// Sends the whole of `head`, then a range of `body`, in one system call where the kernel
    /// takes it all.
    pub(crate) async fn write_both(
        &mut self,
        head: &mut Buffer,
        body: &mut Buffer,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        if let Some(seal) = self.seal.clone() {
            return self.write_both_sealed(&seal, head, body, range).await;
        }
        let head_len = head.len();
        let total = head_len + range.len();
        let mut gather = self
            .gather
            .take()
            .unwrap_or_else(|| Box::new(Gather::EMPTY));
        gather.fill(
            std::mem::take(&mut **head),
            std::mem::take(&mut **body),
            range.clone(),
        );
        let (result, returned) = self.half.writev(gather).await;
        gather = returned;
        (**head, **body) = gather.empty();
        self.gather = Some(gather);
        let sent = self.outcome(result)?;
        if sent == total {
            return Ok(());
        }
        self.write_socket(head, sent.min(head_len)..head_len)
            .await?;
        let of_body = sent.saturating_sub(head_len);
        self.write_socket(body, range.start + of_body..range.end)
            .await
    }

    fn outcome(&mut self, result: io::Result<usize>) -> Result<usize, Broken> {
        match (result, self.watch.cut()) {
            (Ok(count), _) if count > 0 => {
                self.sent += count as u64;
                Ok(count)
            }
            (_, Some(cut)) => Err(Broken::Cut(cut)),
            (_, None) => Err(Broken::Reset),
        }
    }
}

/// Two pieces for one gathered write. It is boxed, so that the kernel's view of it stays
/// where it is while the runtime moves the box about.
struct Gather {
    pieces: [libc::iovec; 2],
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Gather {
    const NONE: libc::iovec = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    const EMPTY: Self = Self {
        pieces: [Self::NONE, Self::NONE],
        head: Vec::new(),
        body: Vec::new(),
    };

    fn fill(&mut self, head: Vec<u8>, body: Vec<u8>, range: Range<usize>) {
        self.head = head;
        self.body = body;
        let tail = &self.body[range];
        self.pieces = [
            libc::iovec {
                iov_base: self.head.as_ptr() as *mut _,
                iov_len: self.head.len(),
            },
            libc::iovec {
                iov_base: tail.as_ptr() as *mut _,
                iov_len: tail.len(),
            },
        ];
    }

    fn empty(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.pieces = [Self::NONE, Self::NONE];
        (
            std::mem::take(&mut self.head),
            std::mem::take(&mut self.body),
        )
    }
}

// SAFETY: the pointer is into the box's own heap memory, which does not move with the box;
// the pieces point into two vectors that the same box owns and nobody changes meanwhile.
unsafe impl IoVecBuf for Box<Gather> {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.pieces.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.pieces.len()
    }
}
