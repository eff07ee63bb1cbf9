//! The sockets on which clients arrive, one per worker and address.
//!
//! All listeners of an address share it by `SO_REUSEPORT`, and the kernel spreads
//! connections over them. They are bound before any worker starts, so that "the
//! port is taken" is said at once and by one thread.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::system::{self, Acceptor};

/// Connections the kernel completes and keeps for us before it turns others away.
const BACKLOG: i32 = 4096;

/// A bound and listening socket that has not been given to a worker yet.
pub(crate) struct Bound(StdListener);

/// Binds `count` listeners to one address. Port 0 becomes one free port for all.
///
/// # Errors
/// When the address cannot be had, in particular when another process listens there:
/// with `SO_REUSEPORT` the kernel would let two gateways of one user share a port in
/// silence, so a plain bind is tried first.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<Bound>)> {
    let mut address = address;
    if address.port() != 0 {
        let probe = socket(address)?;
        probe.bind(&address.into())?;
    }
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = StdListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(Bound(listener));
    }
    Ok((address, listeners))
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
    // A descriptor the accepted sockets inherit this from: no answer waits for an ACK.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// A listener in its worker's event loop.
pub(crate) struct Listener {
    inner: Acceptor,
}

impl Listener {
    /// Takes a bound socket into the calling worker's event loop.
    pub(crate) fn adopt(bound: Bound) -> io::Result<Self> {
        let inner = Acceptor::adopt(bound.0)?;
        Ok(Self { inner })
    }

    /// Waits for a client. The future must not be dropped while the thread lives: the
    /// runtime would lose the descriptor of a client that had just arrived.
    pub(crate) async fn accept(&self) -> io::Result<system::Socket> {
        self.inner.accept().await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_although_both_would_share() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, _first) = bind(any, 2).unwrap();
        let fault = bind(address, 2).err().expect("the port is taken");
        assert_eq!(fault.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn all_workers_share_one_free_port() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, listeners) = bind(any, 3).unwrap();
        assert_ne!(address.port(), 0);
        for listener in &listeners {
            assert_eq!(listener.0.local_addr().unwrap(), address);
        }
    }
}
