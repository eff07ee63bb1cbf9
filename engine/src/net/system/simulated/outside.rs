//! The other side of every connection: what scripted clients and providers do.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::sockets::{knock, within};
use super::wire::{Door, Owner, Weather};
use super::world::World;

/// What a peer heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Bytes, which were appended.
    Bytes,
    /// The end.
    End,
    /// A reset.
    Reset,
    /// Nothing, for as long as it waited.
    Nothing,
}

/// A scripted peer's end of a connection; closed when dropped.
pub(crate) struct Wire {
    world: Rc<World>,
    fd: RawFd,
}

impl Wire {
    /// An end that the world made.
    pub(crate) fn new(world: &Rc<World>, fd: RawFd) -> Self {
        world.hold(fd);
        let world = Rc::clone(world);
        Self { world, fd }
    }

    /// A client's connection to a door of the gateway; `None` where there is none.
    pub(crate) fn to(world: &Rc<World>, door: SocketAddr) -> Option<Self> {
        let mut net = world.net.borrow_mut();
        net.doors.get(&door)?;
        let (ours, theirs) = world.draw(|chance| net.join(Owner::Outside, Owner::Gateway, chance));
        world.note(|| format!("a client connects to {door}: {ours} and {theirs}"));
        knock(net.doors.get_mut(&door), theirs);
        drop(net);
        Some(Self::new(world, ours))
    }

    /// The descriptor, for a trace.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Sends all of it, as the other side makes room; says whether it did, with that patience.
    pub(crate) async fn write(&self, bytes: &[u8], patience: Duration) -> bool {
        within(patience, self.write_all(bytes)).await == Some(true)
    }

    async fn write_all(&self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while sent < bytes.len() {
            let taken = poll_fn(|context| {
                let mut net = self.world.net.borrow_mut();
                let Some(end) = net.ends.get_mut(&self.fd) else {
                    return Poll::Ready(None);
                };
                if end.reset || end.write_shut {
                    return Poll::Ready(None);
                }
                let fits = end.room().min(bytes.len() - sent);
                if fits == 0 {
                    end.waiters.push(context.waker().clone());
                    return Poll::Pending;
                }
                end.outbox.extend(&bytes[sent..sent + fits]);
                Poll::Ready(Some(fits))
            })
            .await;
            let Some(taken) = taken else {
                return false;
            };
            sent += taken;
            self.world.carry(self.fd);
        }
        true
    }

    /// Waits for something to be heard, and appends it.
    pub(crate) async fn read(&self, into: &mut Vec<u8>, patience: Duration) -> Heard {
        let reading = poll_fn(|context| {
            let mut net = self.world.net.borrow_mut();
            let Some(end) = net.ends.get_mut(&self.fd) else {
                return Poll::Ready(Heard::Reset);
            };
            if !end.inbox.is_empty() {
                into.extend(end.inbox.drain(..));
                return Poll::Ready(Heard::Bytes);
            }
            if end.fin_received {
                return Poll::Ready(Heard::End);
            }
            if end.reset {
                return Poll::Ready(Heard::Reset);
            }
            end.waiters.push(context.waker().clone());
            Poll::Pending
        });
        let heard = within(patience, reading).await.unwrap_or(Heard::Nothing);
        if heard == Heard::Bytes {
            let peer = self
                .world
                .net
                .borrow()
                .ends
                .get(&self.fd)
                .map(|end| end.peer);
            if let Some(peer) = peer {
                self.world.carry(peer);
            }
        }
        heard
    }

    /// Says that nothing more will come.
    pub(crate) fn half_close(&self) {
        self.world.shut(self.fd, false, true);
    }

    /// Resets the connection.
    pub(crate) fn abort(self) {
        let peer = self
            .world
            .net
            .borrow()
            .ends
            .get(&self.fd)
            .map(|end| end.peer);
        if let Some(peer) = peer {
            self.world.note(|| format!("{} aborts", self.fd));
            self.world.reset_soon(peer);
            self.world.reset_soon(self.fd);
        }
    }

    /// Puts bytes into the other side's inbox at this very moment, if everything it has written
    /// was read, so that no request can be on its way; says whether it did.
    pub(crate) fn blurt(&self, bytes: &[u8]) -> bool {
        let mut net = self.world.net.borrow_mut();
        let Some(end) = net.ends.get(&self.fd) else {
            return false;
        };
        let (peer_fd, heard_all) = (end.peer, end.inbox.is_empty() && end.outbox.is_empty());
        let asked = net.ops.values().any(|op| op.fd == peer_fd);
        let Some(peer) = net.ends.get_mut(&peer_fd).filter(|peer| !peer.closed) else {
            return false;
        };
        if !heard_all || asked || !peer.outbox.is_empty() || peer.reset || peer.read_shut {
            return false;
        }
        peer.inbox.extend(bytes);
        drop(net);
        self.world.note(|| format!("{} speaks unasked", self.fd));
        self.world.stir(peer_fd);
        true
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.world.release(self.fd);
    }
}

impl World {
    /// How links behave that are made from now on.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.net.borrow_mut().weather = weather;
    }

    /// Descriptors that somebody has open.
    pub(crate) fn open(&self, owner: Owner) -> usize {
        self.net.borrow().open(owner)
    }

    /// Opens a door at an address.
    pub(crate) fn open_door(&self, address: SocketAddr) {
        self.net.borrow_mut().doors.insert(address, Door::default());
    }

    /// Closes a door; those who knocked and were not let in are reset.
    pub(crate) fn close_door(self: &Rc<Self>, address: SocketAddr) {
        let door = self.net.borrow_mut().doors.remove(&address);
        for fd in door.into_iter().flat_map(|door| door.waiting) {
            Wire::new(self, fd).abort();
        }
    }

    /// Makes a door swallow whoever comes.
    pub(crate) fn silence_door(&self, address: SocketAddr) {
        if let Some(door) = self.net.borrow_mut().doors.get_mut(&address) {
            door.silent = true;
        }
    }

    /// Waits for somebody at a door.
    pub(crate) async fn knocked(&self, address: SocketAddr) -> RawFd {
        poll_fn(|context| {
            let mut net = self.net.borrow_mut();
            let Some(door) = net.doors.get_mut(&address) else {
                return Poll::Pending;
            };
            match door.waiting.pop_front() {
                Some(fd) => Poll::Ready(fd),
                None => {
                    door.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
