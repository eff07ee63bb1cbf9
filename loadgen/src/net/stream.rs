//! TCP as the rooms above want it: no delay, closed on exec, whole writes, and a leash by which a
//! connection can be cut while its task waits.
//!
//! Time limits cut the connection instead of cancelling a read: a cancelled read may have taken
//! bytes with it, a cut one ends.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent};
use monoio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::sys;

/// Connections the kernel holds for a listener that is busy; it cuts this down to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds a listening socket, before there is a loop to use it on.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Only when several threads listen: otherwise a second server on the port should be an error.
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts that are asked of the ring at once, so that a burst of connections does not come in one
/// to a turn of the loop; arbitrary, more gain nothing measurable.
const ACCEPTS: usize = 16;

/// A listening socket on the calling thread's loop.
pub(crate) struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Hands a bound socket to the loop.
    ///
    /// # Errors
    /// The loop will not take the descriptor.
    pub(crate) fn new(bound: std::net::TcpListener) -> io::Result<Self> {
        // The ring waits by itself and takes a non-blocking descriptor at its word.
        bound.set_nonblocking(monoio::utils::is_legacy())?;
        Ok(Self {
            inner: TcpListener::from_std(bound)?,
        })
    }

    /// How many tasks should wait in [`Listener::accept`] at once.
    ///
    /// One on epoll, where the loop remembers a single waiter and takes all there is at once.
    pub(crate) fn acceptors(&self) -> usize {
        if monoio::utils::is_legacy() {
            1
        } else {
            ACCEPTS
        }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The process is out of descriptors, or the listener has been closed.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = self.inner.accept().await?;
        Stream::new(stream)
    }

    /// Ends [`Listener::accept`] with an error, and frees the port once this is dropped.
    ///
    /// Cancelling an accept instead could lose a connection that had just been made.
    pub(crate) fn close(&self) {
        sys::shut(self.inner.as_raw_fd());
    }
}

/// A connection on the calling thread's loop.
pub(crate) struct Stream {
    leash: Leash,
    inner: TcpStream,
}

impl Stream {
    fn new(inner: TcpStream) -> io::Result<Self> {
        inner.set_nodelay(true)?;
        let fd = inner.as_raw_fd();
        sys::lend(&inner, |fd| SockRef::from(&fd).set_cloexec(true))?;
        Ok(Self {
            leash: Leash {
                fd: Rc::new(Cell::new(Some(fd))),
            },
            inner,
        })
    }

    /// Connects to an address within `limit`.
    ///
    /// # Errors
    /// Refused, unreachable, or [`io::ErrorKind::TimedOut`].
    pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let connect = TcpStream::connect_addr(address);
        let stream = monoio::time::timeout(limit, connect)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Self::new(stream)
    }

    /// A way to cut this connection from another task.
    pub(crate) fn leash(&self) -> Leash {
        self.leash.clone()
    }

    /// Reads what there is behind the bytes of `buffer`, into its spare room; 0 is the end.
    ///
    /// # Errors
    /// The connection was reset.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (filled, room) = (buffer.len(), buffer.capacity());
        assert!(filled < room, "a read without room would look like the end");
        let spare = std::mem::take(buffer).slice_mut(filled..room);
        let (result, spare) = self.inner.read(spare).await;
        *buffer = spare.into_inner();
        result
    }

    /// Writes all of `buffer` and leaves it as it was.
    ///
    /// # Errors
    /// The connection was reset or closed; how much went out is not known.
    pub(crate) async fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut written = 0;
        while written < buffer.len() {
            let rest = std::mem::take(buffer).slice(written..);
            let (result, rest) = self.inner.write(rest).await;
            *buffer = rest.into_inner();
            written += result?;
        }
        Ok(())
    }

    /// Writes all of some constant bytes without copying them.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub(crate) async fn write_static(&mut self, mut bytes: &'static [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (result, _) = self.inner.write(bytes).await;
            bytes = &bytes[result?..];
        }
        Ok(())
    }

    /// Writes all of some bytes that many connections send, without copying them.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub(crate) async fn write_shared(&mut self, bytes: &Rc<Vec<u8>>) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let (result, _) = self.inner.write(Rc::clone(bytes).slice(written..)).await;
            written += result?;
        }
        Ok(())
    }

    /// Whether the other side has closed or reset the connection, as far as is known now.
    ///
    /// Bytes that wait to be read stay where they are, and hide an end behind them.
    pub(crate) fn is_gone(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let peeked = sys::lend(&self.inner, |fd| {
            SockRef::from(&fd).recv_with_flags(&mut byte, flags)
        });
        match peeked {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Makes the close that follows a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        // An error means that it is gone already, which was the aim.
        let _ = sys::lend(&self.inner, |fd| {
            SockRef::from(&fd).set_linger(Some(Duration::ZERO))
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Before the descriptor's number can be given to someone else.
        self.leash.fd.set(None);
    }
}

/// Cuts a [`Stream`] that another task holds; harmless once that is gone.
#[derive(Clone)]
pub(crate) struct Leash {
    fd: Rc<Cell<Option<RawFd>>>,
}

impl Leash {
    /// Ends the reads and writes of the connection, now and later.
    pub(crate) fn cut(&self) {
        if let Some(fd) = self.fd.get() {
            sys::shut(fd);
        }
    }
}
