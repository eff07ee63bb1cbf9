//! The seam over a simulated world: the same names as over the kernel, and for the same
//! callers, who have halves to themselves even where a simulated one could be shared.

#![allow(clippy::needless_pass_by_ref_mut)]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf};

use super::ops::{Done, Pending, What};
use super::wire::{Door, Owner};
use super::world::World;

/// A connected socket.
pub(crate) struct Socket {
    fd: RawFd,
    hold: HoldOn,
}

/// Keeps a descriptor open.
struct HoldOn(Rc<World>, RawFd);

impl HoldOn {
    fn new(world: &Rc<World>, fd: RawFd) -> Self {
        world.hold(fd);
        Self(Rc::clone(world), fd)
    }
}

impl Drop for HoldOn {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

impl Socket {
    /// Takes a client in.
    pub(crate) fn begin(arrival: Arrival) -> io::Result<Self> {
        Ok(Self::new(&World::current(), arrival.0))
    }

    fn new(world: &Rc<World>, fd: RawFd) -> Self {
        let hold = HoldOn::new(world, fd);
        Self { fd, hold }
    }

    /// Nothing waits in a simulated socket but what the world delays.
    pub(crate) fn set_nodelay(&self) {}

    /// The descriptor; it stays the socket's.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Its two directions; the descriptor is closed when both are dropped.
    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        let other = HoldOn::new(&self.hold.0, self.fd);
        (ReadHalf(self.hold), WriteHalf(other))
    }
}

/// Connects to an address, if there is a door.
///
/// # Errors
/// What a system would say. May be dropped half-way.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Socket> {
    let world = World::current();
    let latency_us = world.net.borrow().weather.latency_us_max.max(20);
    let takes_us = world.draw(|chance| chance.between(20, 2 * latency_us));
    sleep(Duration::from_micros(takes_us)).await;
    match reach(&world, address) {
        Some(reached) => reached,
        None => std::future::pending().await,
    }
}

/// What became of a connect; `None` where nobody ever answers.
fn reach(world: &Rc<World>, address: SocketAddr) -> Option<io::Result<Socket>> {
    let fault = |number| Some(Err(io::Error::from_raw_os_error(number)));
    let mut net = world.net.borrow_mut();
    let exhausted = net.weather.exhausted_one_in;
    if exhausted > 0 && world.draw(|chance| chance.one_in(exhausted)) {
        return fault(libc::EMFILE);
    }
    match net.doors.get(&address) {
        None => return fault(libc::ECONNREFUSED),
        Some(door) if door.silent => return None,
        Some(_) => {}
    }
    let joined = world.draw(|chance| net.join(Owner::Gateway, Owner::Outside, chance));
    world.note(|| format!("{} connects to {address} ({})", joined.0, joined.1));
    knock(net.doors.get_mut(&address), joined.1);
    drop(net);
    Some(Ok(Socket::new(world, joined.0)))
}

/// Leaves a connection at a door.
pub(super) fn knock(door: Option<&mut Door>, fd: RawFd) {
    if let Some(door) = door {
        door.waiting.push_back(fd);
        for waker in door.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// The receiving direction of a socket.
pub(crate) struct ReadHalf(HoldOn);

impl ReadHalf {
    /// The descriptor; it stays the socket's.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.1
    }

    /// Reads into a buffer, which comes back with the outcome.
    pub(crate) fn read<T: IoBufMut>(
        &mut self,
        buffer: T,
    ) -> impl Future<Output = BufResult<usize, T>> {
        read_into(self.0.1, buffer, None)
    }

    /// Reads into a buffer, unless the handle's canceller takes the buffer back before.
    pub(crate) fn cancelable_read<T: IoBufMut>(
        &mut self,
        buffer: T,
        handle: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        read_into(self.0.1, buffer, Some(handle))
    }

    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        Pending::submit(self.0.1, What::Readable).await.map(drop)
    }
}

async fn read_into<T: IoBufMut>(
    fd: RawFd,
    mut buffer: T,
    handle: Option<CancelHandle>,
) -> BufResult<usize, T> {
    let pending = Pending::submit(fd, What::Read(buffer.bytes_total()));
    if let Some(CancelHandle(shared)) = handle {
        shared.borrow_mut().push(pending.number());
    }
    match pending.await {
        Ok(Done::Read(bytes)) => {
            // SAFETY: the buffer has room for `bytes_total()` bytes from `write_ptr()` on, and
            // no more than that was asked for; they are written before they are said to be.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.write_ptr(), bytes.len());
                buffer.set_init(bytes.len());
            }
            (Ok(bytes.len()), buffer)
        }
        Ok(_) => unreachable!("a read reads"),
        Err(fault) => (Err(fault), buffer),
    }
}

/// The sending direction of a socket.
pub(crate) struct WriteHalf(HoldOn);

impl WriteHalf {
    /// Writes from a buffer, which comes back with the outcome.
    pub(crate) async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        // SAFETY: the buffer holds `bytes_init()` bytes from `read_ptr()` on, and nobody else
        // has it meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.read_ptr(), buffer.bytes_init()) };
        let bytes = bytes.to_vec();
        (self.write_out(bytes).await, buffer)
    }

    /// Writes from several buffers.
    pub(crate) async fn writev<T: IoVecBuf>(&mut self, buffers: T) -> BufResult<usize, T> {
        // SAFETY: there are `read_iovec_len()` entries from `read_iovec_ptr()` on, each of which
        // names memory that stays as it is while the caller's value lives.
        let bytes = unsafe {
            let pieces =
                std::slice::from_raw_parts(buffers.read_iovec_ptr(), buffers.read_iovec_len());
            let piece = |piece: &libc::iovec| {
                std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len)
            };
            pieces.iter().map(piece).collect::<Vec<_>>().concat()
        };
        (self.write_out(bytes).await, buffers)
    }

    async fn write_out(&self, bytes: Vec<u8>) -> io::Result<usize> {
        match Pending::submit(self.0.1, What::Write(bytes)).await? {
            Done::Written(count) => Ok(count),
            Done::Read(_) | Done::Readable => unreachable!("a write writes"),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        let world = &self.0.0;
        let takes_us = world.draw(|chance| chance.below(50));
        sleep(Duration::from_micros(takes_us)).await;
        world.shut(self.0.1, false, true);
        Ok(())
    }
}

/// A place where the gateway takes clients.
pub(crate) struct Acceptor(SocketAddr);

/// A client that was accepted and belongs to no event loop yet.
pub(crate) struct Arrival(RawFd);

impl Acceptor {
    /// A simulated world has no use for a socket of the kernel's.
    pub(crate) fn adopt(_listener: StdListener) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a door at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        World::current().open_door(address);
        Self(address)
    }

    /// Waits until a client may be there.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        let world = World::current();
        let fd = world.knocked(self.0).await;
        if let Some(door) = world.net.borrow_mut().doors.get_mut(&self.0) {
            door.waiting.push_front(fd);
        }
        Ok(())
    }

    /// Takes the next client of the queue; none when nobody waits.
    pub(crate) fn take(&self) -> io::Result<Option<(Arrival, SocketAddr)>> {
        let world = World::current();
        let mut net = world.net.borrow_mut();
        let exhausted = net.weather.exhausted_one_in;
        let waiting = net.doors.get_mut(&self.0).map(|door| &mut door.waiting);
        let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) else {
            return Ok(None);
        };
        if exhausted > 0 && world.draw(|chance| chance.one_in(exhausted)) {
            // The client waits on.
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let fd = waiting.pop_front();
        drop(net);
        Ok(fd.map(|fd| (Arrival(fd), caller(fd))))
    }
}

/// A simulated machine has no sockets of its own.
pub(crate) fn connect_local(_path: &str) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where a client calls from: one of a few hosts, each of its connections from a port of its own.
fn caller(fd: RawFd) -> SocketAddr {
    let number = u16::try_from(fd).unwrap_or(u16::MAX);
    let [_, low] = number.to_be_bytes();
    SocketAddr::from(([10, 0, 0, low % 4], number))
}

impl Drop for Acceptor {
    /// Whoever was not let in is turned away, as the kernel does.
    fn drop(&mut self) {
        World::current().close_door(self.0);
    }
}

/// Takes pending reads back.
#[derive(Default)]
pub(crate) struct Canceller(Rc<RefCell<Vec<u64>>>);

/// By which a read is known to its canceller.
pub(crate) struct CancelHandle(Rc<RefCell<Vec<u64>>>);

/// What a read is given so that `canceller` takes it back.
pub(crate) fn cancel_handle(canceller: &Canceller) -> CancelHandle {
    CancelHandle(Rc::clone(&canceller.0))
}

impl Canceller {
    /// A canceller of nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes every read back that was given a handle.
    pub(crate) fn cancel(self) -> Self {
        for number in self.0.borrow_mut().drain(..) {
            World::current().cancel(number);
        }
        self
    }
}

/// Ends one direction or both of a socket, under whatever operation is pending on it.
pub(crate) fn shutdown(fd: RawFd, how: libc::c_int) {
    World::current().shut(fd, true, how == libc::SHUT_RDWR);
}

/// Has the close of a socket reset the connection. Here nothing outlives a close, so that there is
/// nothing to throw away.
pub(crate) const fn reset_at_close(_fd: RawFd) {}

/// Sends a few bytes without waiting; returns how many were taken, which a full socket buffer
/// makes fewer or none.
pub(crate) fn send_now(fd: RawFd, bytes: &[u8]) -> usize {
    let world = World::current();
    let mut net = world.net.borrow_mut();
    let Some(end) = net.ends.get_mut(&fd).filter(|end| !end.closed) else {
        drop(net);
        world.misdeed(format!("bytes are sent to {fd}, which was closed"));
        return 0;
    };
    if end.reset || end.write_shut {
        return 0;
    }
    let fits = bytes.len().min(end.room());
    end.outbox.extend(&bytes[..fits]);
    drop(net);
    world.carry(fd);
    fits
}

/// Asks about descriptors without waiting; says whether any has news.
pub(crate) fn poll_now(polled: &mut [libc::pollfd]) -> bool {
    let world = World::current();
    let mut news = false;
    for asked in polled.iter_mut().filter(|asked| asked.fd >= 0) {
        let net = world.net.borrow();
        let Some(end) = net.ends.get(&asked.fd).filter(|end| !end.closed) else {
            drop(net);
            world.misdeed(format!("{} is polled, which was closed", asked.fd));
            asked.revents = libc::POLLNVAL;
            news = true;
            continue;
        };
        let ended = end.fin_received || end.read_shut || end.reset;
        let flags = [
            (libc::POLLIN, end.is_readable()),
            (libc::POLLRDHUP, ended),
            (libc::POLLHUP, end.reset || (ended && end.write_shut)),
            (libc::POLLERR, end.reset && !end.fin_received),
        ];
        let wanted = asked.events | libc::POLLHUP | libc::POLLERR;
        let seen = flags.iter().filter(|(_, seen)| *seen);
        asked.revents = wanted & seen.fold(0, |all, (flag, _)| all | flag);
        news |= asked.revents != 0;
    }
    news
}

/// What the peer's system has acknowledged; the segment that opens a connection is acknowledged
/// like a byte.
pub(crate) fn acknowledged(fd: RawFd) -> Option<u64> {
    let world = World::current();
    let net = world.net.borrow();
    let end = net.ends.get(&fd)?;
    net.weather
        .tells_acknowledged
        .then_some(end.acknowledged + 1)
}

/// Waits.
pub(crate) async fn sleep(duration: Duration) {
    let world = World::current();
    let span_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4);
    let until_us = world.now_us() + span_us;
    let mut set = false;
    poll_fn(|context| {
        if world.now_us() >= until_us {
            return Poll::Ready(());
        }
        if !set {
            set = true;
            // Timers are late, never early.
            let late_us = world.draw(|chance| chance.below(1_000));
            let waker = context.waker().clone();
            world.after(span_us + late_us, move |_| waker.wake());
        }
        Poll::Pending
    })
    .await;
}

/// Waits for a future, but not longer than `limit`; `None` when it took too long.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut timer = std::pin::pin!(sleep(limit));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
