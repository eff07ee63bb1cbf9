//! The seam over monoio and the kernel: thin, and free.
//!
//! Every function here is one call of the runtime or of the system; whatever is
//! decided is decided by those who call.

use std::future::Future;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, OwnedReadHalf, OwnedWriteHalf,
    Splitable,
};
use monoio::net::{TcpListener, TcpStream};
use socket2::SockRef;

pub(crate) use monoio::io::{CancelHandle, Canceller};
pub(crate) use std::time::Instant;

/// What a read is given so that `canceller` takes it back.
pub(crate) fn cancel_handle(canceller: &Canceller) -> CancelHandle {
    canceller.handle()
}

/// A client that was accepted and belongs to no event loop yet; it may go to another worker's.
pub(crate) struct Arrival(StdStream);

/// A connected socket.
pub(crate) struct Socket(TcpStream);

impl Socket {
    /// Takes a client into the calling worker's event loop.
    pub(crate) fn begin(arrival: Arrival) -> io::Result<Self> {
        TcpStream::from_std(arrival.0).map(Self)
    }

    /// Sends what is written at once; without this a short answer may wait 40 ms for an
    /// acknowledgement.
    pub(crate) fn set_nodelay(&self) {
        let _ = self.0.set_nodelay(true);
    }

    /// The descriptor; it stays the socket's.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Its two directions; the descriptor is closed when both are dropped.
    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.0.into_split();
        (ReadHalf(read), WriteHalf(write))
    }
}

/// Connects to an address.
///
/// # Errors
/// What the system says. May be dropped half-way.
#[inline]
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Socket> {
    TcpStream::connect_addr(address).await.map(Socket)
}

/// Connects to a socket of this machine, which never takes time.
///
/// # Errors
/// What the system says.
pub(crate) fn connect_local(path: &str) -> io::Result<Socket> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // A full queue is a no, and nothing to wait for.
    socket.set_nonblocking(true)?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    // Only the epoll loop wants sockets that do not block.
    socket.set_nonblocking(monoio::utils::is_legacy())?;
    // The runtime's stream knows bytes and a descriptor; of TCP it asks nothing by itself.
    TcpStream::from_std(StdStream::from(socket)).map(Socket)
}

/// The receiving direction of a socket.
pub(crate) struct ReadHalf(OwnedReadHalf<TcpStream>);

impl ReadHalf {
    /// The descriptor; it stays the socket's.
    pub(crate) fn fd(&self) -> RawFd {
        // SAFETY: only the descriptor's number is read, which never changes; no reference
        // outlives this call, and the runtime's cell belongs to this thread.
        unsafe { (*self.0.0.get()).as_raw_fd() }
    }

    /// Reads into a buffer, which comes back with the outcome.
    #[inline]
    pub(crate) fn read<T: IoBufMut>(
        &mut self,
        buffer: T,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.0.read(buffer)
    }

    /// Reads into a buffer, unless the handle's canceller takes the buffer back before.
    #[inline]
    pub(crate) fn cancelable_read<T: IoBufMut>(
        &mut self,
        buffer: T,
        handle: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.0.cancelable_read(buffer, handle)
    }

    /// Waits until there is something to read, or the end.
    #[inline]
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // SAFETY: a shared reference for a poll, which reads and writes nothing; the runtime's
        // cell belongs to this thread, and `readable` only clones the shared descriptor.
        let socket = unsafe { &*self.0.0.get() };
        socket.readable(false).await
    }
}

/// The sending direction of a socket.
pub(crate) struct WriteHalf(OwnedWriteHalf<TcpStream>);

impl WriteHalf {
    /// Writes from a buffer, which comes back with the outcome.
    #[inline]
    pub(crate) fn write<T: IoBuf>(
        &mut self,
        buffer: T,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.0.write(buffer)
    }

    /// Writes from several buffers.
    #[inline]
    pub(crate) fn writev<T: IoVecBuf>(
        &mut self,
        buffers: T,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.0.writev(buffers)
    }

    /// Tells the peer that nothing more will come.
    #[inline]
    pub(crate) fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.0.shutdown()
    }
}

/// A listening socket in this thread's event loop.
pub(crate) struct Acceptor(TcpListener);

impl Acceptor {
    /// Takes a bound and listening socket in, one that does not block.
    pub(crate) fn adopt(listener: StdListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self)
    }

    /// Waits until a client may be there. Dropping the future loses nobody.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.0.readable(false).await
    }

    /// Takes the next client of the queue, and says from where it comes; none when nobody waits.
    pub(crate) fn take(&self) -> io::Result<Option<(Arrival, SocketAddr)>> {
        // SAFETY: the descriptor is the listener's and stays open for as long as `self` is
        // borrowed.
        let listener = unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) };
        let (client, peer) = match SockRef::from(&listener).accept() {
            Ok((client, peer)) => (client, peer.as_socket()),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(fault) => return Err(fault),
        };
        // Only the epoll loop wants sockets that do not block.
        if monoio::utils::is_legacy() {
            client.set_nonblocking(true)?;
        }
        // Listeners are TCP's, whose peers all have one.
        let nowhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let arrival = Arrival(StdStream::from(client));
        Ok(Some((arrival, peer.unwrap_or(nowhere))))
    }
}

/// Ends one direction or both of a socket, under whatever operation is pending on it. One that
/// is not connected any more answers ENOTCONN, which is no news.
pub(crate) fn shutdown(fd: RawFd, how: libc::c_int) {
    // SAFETY: takes no pointers; the caller owns `fd`, which is open.
    unsafe { libc::shutdown(fd, how) };
}

/// Has the close of a socket reset the connection, whatever is still to be delivered.
pub(crate) fn reset_at_close(fd: RawFd) {
    // SAFETY: the caller owns `fd`, which is open, and the borrow ends before this returns.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let _ = SockRef::from(&fd).set_linger(Some(Duration::ZERO));
}

/// Sends a few bytes without waiting; returns how many were taken, which a full socket buffer
/// makes fewer or none.
pub(crate) fn send_now(fd: RawFd, bytes: &[u8]) -> usize {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is readable for its length; the caller owns `fd`, which is open.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).unwrap_or(0)
}

/// Asks the kernel about descriptors without waiting; says whether any has news.
pub(crate) fn poll_now(polled: &mut [libc::pollfd]) -> bool {
    // SAFETY: `polled` is a valid array of the length given; a timeout of zero never blocks.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 0) > 0 }
}

/// `tcpi_bytes_acked`: what the peer's system has acknowledged (RFC 4898), the SYN included
/// on the connecting side.
pub(crate) fn acknowledged(fd: RawFd) -> Option<u64> {
    // SAFETY: tcp_info is plain numbers for which all zeros is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = u32::try_from(std::mem::size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: `info` is writable for `length` bytes; the kernel writes at most that many and
    // says in `length` how many.
    let status = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (status == 0).then_some(info.tcpi_bytes_acked)
}

/// Starts a task on this thread. A panic in it would end the thread.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Waits.
#[inline]
pub(crate) async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// Waits for a future, but not longer than `limit`; `None` when it took too long. Only for
/// futures that may be dropped half-way: a connect, never a read.
#[inline]
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    monoio::time::timeout(limit, future).await.ok()
}

/// Milliseconds since 1970.
pub(crate) fn unix_now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number nobody can foresee, or 0 on a system without entropy.
pub(crate) fn entropy() -> u64 {
    let mut seed = [0; 8];
    let _ = getrandom::fill(&mut seed);
    u64::from_ne_bytes(seed)
}

/// Wakes a worker from another thread: an eventfd, since the runtime's own wakers are not to be
/// trusted across threads.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// A bell nobody has rung.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings; whoever listens wakes, now or when it listens next.
    pub(crate) fn ring(&self) {
        let one: u64 = 1;
        // SAFETY: eight readable bytes are passed, as eventfd wants.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Listens, in this thread's event loop.
    pub(crate) fn listen(&self) -> io::Result<Listening> {
        let bell = self.0.try_clone()?;
        // The runtime watches sockets; wrapped as one, an eventfd is watched just as well.
        // Nothing socket-like is ever asked of it.
        TcpStream::from_std(std::net::TcpStream::from(bell)).map(Listening)
    }
}

/// Whoever hears a bell.
pub(crate) struct Listening(TcpStream);

impl Listening {
    /// Waits until the bell has been rung since it was heard last.
    pub(crate) async fn heard(&self) -> io::Result<()> {
        self.0.readable(false).await?;
        let mut rings: u64 = 0;
        // SAFETY: eight writable bytes are passed, as eventfd wants; it does not block.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut rings).cast(), 8) };
        Ok(())
    }
}
