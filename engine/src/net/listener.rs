//! The sockets on which clients arrive, one per worker and address.
//!
//! All listeners of an address share it by `SO_REUSEPORT`, and the kernel spreads
//! connections over them. They are bound before any worker starts, so that "the
//! port is taken" is said at once and by one thread. Some may have been made by
//! another process: by the one before us, or by systemd.
//!
//! A worker waits for readiness and then accepts without waiting, instead of
//! leaving an `accept` with the kernel: the wait can be given up at any time, and
//! no client is taken that nobody asked for. So a listener can be left to another
//! process while clients queue on it.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::system::{Acceptor, Arrival};

/// Connections the kernel completes and keeps for us before it turns others away.
const BACKLOG: i32 = 4096;

/// Bytes of an answer that the kernel takes for a client beyond what is on its way there. Without
/// this a client that reads slowly, or not at all, costs up to 4 MiB of kernel memory
/// (`tcp_wmem`), and a thousand of them all that sockets may have. What is in flight is not
/// counted, so the far end of a long line is not slowed down; six blocks are enough to keep a
/// near one busy.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// A listening socket that another process made, for this one to take clients from.
#[derive(Debug)]
pub struct Inherited {
    /// The socket.
    pub socket: StdListener,
    /// Whether another process keeps it open as long as we may live (systemd does), so that
    /// clients who wait in its queue when we stop are served by whoever comes next.
    pub kept: bool,
}

/// A listening socket that has not been given to a worker yet.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: StdListener,
    kept: bool,
}

impl Bound {
    /// Another descriptor of the same socket.
    pub(crate) fn duplicate(&self) -> io::Result<Inherited> {
        Ok(Inherited {
            socket: self.socket.try_clone()?,
            kept: self.kept,
        })
    }
}

/// Listeners of one address for each of a number of workers.
#[derive(Debug)]
pub(crate) struct Bindings {
    /// The address; with the port that the system chose, where it was left open.
    pub(crate) address: SocketAddr,
    /// The listeners of each worker.
    pub(crate) per_worker: Vec<Vec<Bound>>,
}

/// Binds a listener for each of `workers` to one address. Port 0 becomes one free port for all.
///
/// # Errors
/// When the address cannot be had, in particular when another process listens there:
/// with `SO_REUSEPORT` the kernel would let two gateways of one user share a port in
/// silence, so a plain bind is tried first.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> io::Result<Bindings> {
    if address.port() != 0 {
        let probe = socket(address)?;
        probe.bind(&address.into())?;
    }
    let mut address = address;
    let mut per_worker = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = bind_one(address)?;
        address = socket.local_addr()?;
        per_worker.push(vec![Bound {
            socket,
            kept: false,
        }]);
    }
    Ok(Bindings {
        address,
        per_worker,
    })
}

/// Shares out listeners of one address that another process made.
///
/// None is closed, for clients may be queueing on each: where there are more of them than
/// workers, some workers have several. Where there are fewer, more are bound beside them, and
/// where the system does not let us (they are another user's, or not `SO_REUSEPORT`), workers
/// share one.
///
/// # Errors
/// When a descriptor cannot be had.
pub(crate) fn adopt(
    address: SocketAddr,
    inherited: Vec<Inherited>,
    workers: usize,
) -> io::Result<Bindings> {
    let mut per_worker: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
    let mut given: Vec<Bound> = Vec::with_capacity(inherited.len());
    for Inherited { socket, kept } in inherited {
        // The flag belongs to the socket, not to our descriptor of it: whoever shares it with us
        // must not wait in its accepts either, and no version of this program does.
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        given.push(Bound { socket, kept });
    }
    let lacking = workers.saturating_sub(given.len());
    let shared = given.len();
    for place in 0..lacking {
        let beside = given[place % shared].beside(address)?;
        given.push(beside);
    }
    for (place, bound) in given.into_iter().enumerate() {
        per_worker[place % workers].push(bound);
    }
    Ok(Bindings {
        address,
        per_worker,
    })
}

impl Bound {
    /// One more listener of the same address, or else the same one once more.
    fn beside(&self, address: SocketAddr) -> io::Result<Self> {
        if SockRef::from(&self.socket).reuse_port().unwrap_or(false)
            && let Ok(socket) = bind_one(address)
        {
            return Ok(Self {
                socket,
                kept: false,
            });
        }
        Ok(Self {
            socket: self.socket.try_clone()?,
            kept: self.kept,
        })
    }
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(StdListener::from(socket))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A descriptor the accepted sockets inherit these from: no answer waits for an ACK.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    Ok(socket)
}

/// A listener in its worker's event loop.
pub(crate) struct Listener {
    inner: Acceptor,
    kept: bool,
}

impl Listener {
    /// Takes a bound socket into the calling worker's event loop.
    pub(crate) fn adopt(bound: Bound) -> io::Result<Self> {
        Ok(Self {
            inner: Acceptor::adopt(bound.socket)?,
            kept: bound.kept,
        })
    }

    /// Takes clients at an address of a simulated world.
    #[cfg(feature = "simulation")]
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            inner: Acceptor::at(address),
            kept: false,
        }
    }

    /// Whether clients still in its queue when it is closed are another process's to serve.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Waits until a client may be there. Dropping the future loses nobody.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.inner.ready().await
    }

    /// Takes the next client of the queue, and says from where it comes; none when nobody waits,
    /// or somebody else who has this listener was quicker.
    pub(crate) fn take(&self) -> io::Result<Option<(Arrival, SocketAddr)>> {
        self.inner.take()
    }
}

/// A descriptor held back, so that there is one to say no with when there is none left.
#[derive(Debug)]
pub(crate) struct Spare(#[allow(dead_code, reason = "it is held, not used")] OwnedFd);

impl Spare {
    /// Holds one back; none when there is none left.
    pub(crate) fn hold() -> Option<Self> {
        // Any descriptor will do, and standard error is always there to be copied.
        io::stderr().as_fd().try_clone_to_owned().ok().map(Self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpStream as StdStream;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn all(bindings: &Bindings) -> Vec<&Bound> {
        bindings.per_worker.iter().flatten().collect()
    }

    #[test]
    fn a_taken_port_is_refused_although_both_would_share() {
        let first = bind(any(), 2).unwrap();
        let fault = bind(first.address, 2).expect_err("the port is taken");
        assert_eq!(fault.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn all_workers_share_one_free_port() {
        let bindings = bind(any(), 3).unwrap();
        assert_ne!(bindings.address.port(), 0);
        assert_eq!(bindings.per_worker.len(), 3);
        for bound in all(&bindings) {
            assert_eq!(bound.socket.local_addr().unwrap(), bindings.address);
        }
    }

    #[test]
    fn no_inherited_listener_is_left_out_however_many_workers_there_are() {
        for (old, new) in [(1, 1), (1, 3), (2, 2), (4, 1), (5, 2)] {
            let first = bind(any(), old).unwrap();
            let inherited = all(&first)
                .iter()
                .map(|bound| bound.duplicate().unwrap())
                .collect();
            let second = adopt(first.address, inherited, new).unwrap();
            assert_eq!(all(&second).len(), old.max(new), "{old} to {new}");
            assert!(second.per_worker.iter().all(|own| !own.is_empty()));
        }
    }

    #[test]
    fn workers_share_a_listener_that_cannot_have_another_beside_it() {
        let alone = StdListener::bind(any()).unwrap();
        let address = alone.local_addr().unwrap();
        let inherited = vec![Inherited {
            socket: alone,
            kept: true,
        }];
        let bindings = adopt(address, inherited, 3).unwrap();
        assert_eq!(all(&bindings).len(), 3);
        let mut client = StdStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        let takes = |bound: &&Bound| bound.socket.accept().is_ok();
        assert_eq!(all(&bindings).iter().copied().filter(takes).count(), 1);
    }
}
