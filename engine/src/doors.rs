//! The listening sockets of the process: made, inherited, and handed on.
//!
//! Decides which addresses are listened on and with whose sockets, and keeps a
//! descriptor of each for the process that comes after. Taking clients from them
//! is the workers'.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::engine::StartFault;
use crate::net::listener::{self, Bindings, Bound, Inherited};

/// The listeners of each worker, for every address.
pub(crate) type PerWorker = Vec<Vec<Bound>>;

/// Where clients are taken.
#[derive(Debug)]
pub(crate) struct Doors {
    addresses: Vec<SocketAddr>,
    /// A descriptor of every listener, to be handed on.
    copies: Mutex<Vec<Inherited>>,
}

impl Doors {
    /// Listens on every address, with inherited sockets where there are some for it.
    ///
    /// Sockets that someone keeps for us (systemd) are the operator's word on where to listen:
    /// where there are any, they take the place of the file's addresses. Others that the file
    /// does not name are closed; whoever handed them over still has them.
    ///
    /// # Errors
    /// [`StartFault::Listen`] for the first address that cannot be had.
    pub(crate) fn open(
        addresses: &[SocketAddr],
        inherited: Vec<Inherited>,
        workers: usize,
    ) -> Result<(Self, PerWorker), StartFault> {
        let mut inherited = with_addresses(inherited);
        let addresses = stated_or_kept(addresses, &inherited);
        let mut per_worker: PerWorker = (0..workers).map(|_| Vec::new()).collect();
        let (mut actual, mut copies) = (Vec::new(), Vec::new());
        for address in addresses {
            let fault = |cause| StartFault::Listen { address, cause };
            let (ours, others) = inherited.into_iter().partition(|&(at, _)| at == address);
            inherited = others;
            let ours: Vec<(SocketAddr, Inherited)> = ours;
            let ours: Vec<Inherited> = ours.into_iter().map(|(_, socket)| socket).collect();
            let bound = if ours.is_empty() {
                listener::bind(address, workers)
            } else {
                listener::adopt(address, ours, workers)
            };
            let Bindings {
                address: listened,
                per_worker: bound,
            } = bound.map_err(fault)?;
            actual.push(listened);
            for bound in bound.iter().flatten() {
                copies.push(bound.duplicate().map_err(fault)?);
            }
            for (worker, listeners) in per_worker.iter_mut().zip(bound) {
                worker.extend(listeners);
            }
        }
        let doors = Self {
            addresses: actual,
            copies: Mutex::new(copies),
        };
        Ok((doors, per_worker))
    }

    /// Where clients are taken; with the port the system chose, where it was left open.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Descriptors of every listener, for another process.
    ///
    /// # Errors
    /// When there are not enough of them.
    pub(crate) fn duplicate(&self) -> io::Result<Vec<Inherited>> {
        let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let duplicates = copies.iter().map(|copy| {
            Ok(Inherited {
                socket: copy.socket.try_clone()?,
                kept: copy.kept,
            })
        });
        duplicates.collect()
    }

    /// Lets go of the copies, so that a listener is closed when its worker closes it.
    pub(crate) fn close(&self) {
        self.copies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Each with its address; one that has none is no TCP socket of ours and is dropped.
fn with_addresses(inherited: Vec<Inherited>) -> Vec<(SocketAddr, Inherited)> {
    let addressed = inherited
        .into_iter()
        .filter_map(|inherited| Some((inherited.socket.local_addr().ok()?, inherited)));
    addressed.collect()
}

fn stated_or_kept(stated: &[SocketAddr], inherited: &[(SocketAddr, Inherited)]) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for &(address, ref socket) in inherited {
        if socket.kept && !kept.contains(&address) {
            kept.push(address);
        }
    }
    if kept.is_empty() {
        return stated.to_vec();
    }
    if kept != stated {
        tracing::info!(
            ?kept,
            "listening where sockets are kept for us, not where the file says"
        );
    }
    kept
}
