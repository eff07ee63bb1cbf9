//! Connections: two ends, and what lies between them.
//!
//! What one end writes lies in its outbox until the link delivers it, whole or in
//! pieces, late, after a stall, or never; then it lies in the other's inbox until it
//! is read. Closing, half-closing, resets and acknowledgements follow what Linux does
//! to TCP, as far as a program can tell.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Waker;

use super::chance::Chance;
use super::ops::Op;
use super::world::World;

/// How the links of a world behave.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Delivery takes up to this long.
    pub(crate) latency_us_max: u64,
    /// One link in so many is reset at some byte; 0 for none.
    pub(crate) reset_one_in: u64,
    /// One link in so many goes silent at some byte, without a word; 0 for none.
    pub(crate) silence_one_in: u64,
    /// One link in so many stalls for a while at some byte; 0 for none.
    pub(crate) stall_one_in: u64,
    /// The smallest socket buffer, in bytes.
    pub(crate) room_min: usize,
    /// One accept or connect in so many finds no descriptor left; 0 for none.
    pub(crate) exhausted_one_in: u64,
    /// Whether the system says what a peer acknowledged.
    pub(crate) tells_acknowledged: bool,
}

/// Every connection of a world, and the doors where new ones are taken.
pub(crate) struct Net {
    pub(super) ends: BTreeMap<RawFd, End>,
    pub(super) doors: BTreeMap<SocketAddr, Door>,
    pub(super) ops: BTreeMap<u64, Op>,
    pub(super) ops_total: u64,
    pub(crate) weather: Weather,
    next_fd: RawFd,
}

/// Where connections are taken.
#[derive(Default)]
pub(super) struct Door {
    /// Nothing that is sent here is ever answered.
    pub(super) silent: bool,
    pub(super) waiting: VecDeque<RawFd>,
    pub(super) wakers: Vec<Waker>,
}

/// Whose end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The program under test.
    Gateway,
    /// A scripted peer.
    Outside,
}

/// One end of a connection.
pub(super) struct End {
    pub(super) peer: RawFd,
    pub(super) owner: Owner,
    /// Halves and pending operations that keep the descriptor open.
    pub(super) holders: u32,
    /// The program let go; what is in the outbox still goes out.
    pub(super) closed: bool,
    pub(super) inbox: VecDeque<u8>,
    inbox_room: usize,
    pub(super) outbox: VecDeque<u8>,
    pub(super) outbox_room: usize,
    pub(super) write_shut: bool,
    pub(super) read_shut: bool,
    fin_delivered: bool,
    pub(super) fin_received: bool,
    pub(super) reset: bool,
    /// Bytes that came into the peer's inbox.
    delivered: u64,
    pub(super) acknowledged: u64,
    in_transit: bool,
    link: Link,
    pub(super) waiters: Vec<Waker>,
}

/// One direction between two ends.
struct Link {
    latency_us_max: u64,
    reset_at: Option<u64>,
    silent_from: Option<u64>,
    stall: Option<(u64, u64)>,
}

impl Link {
    fn draw(weather: &Weather, chance: &mut Chance) -> Self {
        // Faults strike early or late: inside a head, or somewhere in a stream.
        let mut at_byte = |one_in: u64| {
            let strikes = one_in > 0 && chance.one_in(one_in);
            let reach = *chance.pick(&[100, 600, 4_000, 60_000]);
            strikes.then(|| chance.below(reach))
        };
        let reset_at = at_byte(weather.reset_one_in);
        let silent_from = at_byte(weather.silence_one_in);
        let stall_at = at_byte(weather.stall_one_in);
        Self {
            latency_us_max: chance.between(20, weather.latency_us_max.max(20)),
            reset_at,
            silent_from,
            stall: stall_at.map(|at| (at, chance.between(1_000, 8_000_000))),
        }
    }
}

impl Net {
    pub(super) fn new(chance: &mut Chance) -> Self {
        // Every descriptor is used once, so that one that was closed is known when it is used.
        let next_fd = RawFd::try_from(1_000 + chance.below(1_000)).expect("a small number");
        Self {
            ends: BTreeMap::new(),
            doors: BTreeMap::new(),
            ops: BTreeMap::new(),
            ops_total: 0,
            weather: Weather {
                latency_us_max: 500,
                reset_one_in: 0,
                silence_one_in: 0,
                stall_one_in: 0,
                room_min: 4_096,
                exhausted_one_in: 0,
                tells_acknowledged: true,
            },
            next_fd,
        }
    }

    /// Makes a connection from `one` to `other`.
    pub(super) fn join(&mut self, one: Owner, other: Owner, chance: &mut Chance) -> (RawFd, RawFd) {
        let (a, b) = (self.next_fd, self.next_fd + 1);
        self.next_fd += 2;
        for (fd, peer, owner) in [(a, b, one), (b, a, other)] {
            let rooms = [self.weather.room_min, 16 * 1024, 64 * 1024, 256 * 1024];
            let end = End {
                peer,
                owner,
                holders: 0,
                closed: false,
                inbox: VecDeque::new(),
                inbox_room: *chance.pick(&rooms),
                outbox: VecDeque::new(),
                outbox_room: *chance.pick(&rooms),
                write_shut: false,
                read_shut: false,
                fin_delivered: false,
                fin_received: false,
                reset: false,
                delivered: 0,
                acknowledged: 0,
                in_transit: false,
                link: Link::draw(&self.weather, chance),
                waiters: Vec::new(),
            };
            self.ends.insert(fd, end);
        }
        (a, b)
    }

    /// Ends that belong to someone and are not closed.
    pub(crate) fn open(&self, owner: Owner) -> usize {
        let open = |end: &&End| end.owner == owner && !end.closed;
        self.ends.values().filter(open).count()
    }
}

impl End {
    /// Whether a read would not wait.
    pub(super) fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.fin_received || self.read_shut || self.reset
    }

    /// Room in the outbox.
    pub(super) fn room(&self) -> usize {
        self.outbox_room.saturating_sub(self.outbox.len())
    }
}

impl World {
    /// Something changed at an end: whoever waits there looks again.
    pub(super) fn stir(&self, fd: RawFd) {
        let mut net = self.net.borrow_mut();
        if let Some(end) = net.ends.get_mut(&fd) {
            for waker in end.waiters.drain(..) {
                waker.wake();
            }
        }
        let pending = net.ops.iter().filter(|(_, op)| op.fd == fd);
        let pending: Vec<u64> = pending.map(|(&number, _)| number).collect();
        drop(net);
        for number in pending {
            let delay_us = self.draw(|chance| chance.below(30));
            self.after(delay_us, move |world| world.attempt(number));
        }
    }

    /// Lets the link at an end carry on, if it has something to carry.
    pub(super) fn carry(&self, fd: RawFd) {
        let mut net = self.net.borrow_mut();
        let Some(end) = net.ends.get_mut(&fd) else {
            return;
        };
        let fin = end.write_shut && !end.fin_delivered;
        if end.in_transit || end.reset || (end.outbox.is_empty() && !fin) {
            return;
        }
        let (peer_fd, speaks) = (end.peer, !end.outbox.is_empty());
        let full = |peer: &End| !peer.closed && peer.inbox.len() >= peer.inbox_room;
        if speaks && net.ends.get(&peer_fd).is_some_and(full) {
            // Whoever reads there lets it carry on.
            return;
        }
        let end = net.ends.get_mut(&fd).expect("it was looked for above");
        end.in_transit = true;
        let mut delay_us = self.draw(|chance| chance.between(10, end.link.latency_us_max));
        if let Some((at, stall_us)) = end.link.stall
            && end.delivered >= at
        {
            delay_us += stall_us;
            end.link.stall = None;
        }
        drop(net);
        self.after(delay_us, move |world| world.deliver(fd));
    }

    fn deliver(self: &Rc<Self>, fd: RawFd) {
        let mut net = self.net.borrow_mut();
        let Some(mut end) = net.ends.remove(&fd) else {
            return;
        };
        end.in_transit = false;
        if end.link.silent_from.is_some_and(|at| end.delivered >= at) {
            // What is sent into silence fills the outbox, and nobody says why.
            let lingers = !end.closed;
            if lingers {
                net.ends.insert(fd, end);
            }
            return;
        }
        let peer_fd = end.peer;
        let deaf = net
            .ends
            .get(&peer_fd)
            .is_none_or(|peer| peer.closed || peer.reset);
        if deaf {
            self.note(|| format!("{fd} speaks to nobody"));
            let said = !end.outbox.is_empty();
            end.outbox.clear();
            end.fin_delivered |= end.write_shut;
            if !end.closed || said {
                net.ends.insert(fd, end);
            }
            drop(net);
            if said {
                self.reset_soon(fd);
                self.reset_soon(peer_fd);
            }
            return;
        }
        let reset = end.link.reset_at.is_some_and(|at| end.delivered >= at);
        if reset {
            net.ends.insert(fd, end);
            drop(net);
            self.note(|| format!("the network resets {fd} and {peer_fd}"));
            self.reset_soon(fd);
            self.reset_soon(peer_fd);
            return;
        }
        let peer = net.ends.get_mut(&peer_fd).expect("it was looked for above");
        self.move_bytes(fd, &mut end, peer);
        let finished = end.closed && end.fin_delivered;
        if !finished {
            net.ends.insert(fd, end);
        }
        drop(net);
        self.stir(peer_fd);
        self.stir(fd);
        self.carry(fd);
    }

    /// Moves what fits from one end's outbox to the other's inbox, and then its end.
    fn move_bytes(&self, fd: RawFd, end: &mut End, peer: &mut End) {
        let room = peer.inbox_room.saturating_sub(peer.inbox.len());
        let mut count = end.outbox.len().min(room);
        if count > 0 {
            count = self.draw(|chance| chance.portion(count));
            let bytes = end.outbox.drain(..count);
            peer.inbox.extend(bytes);
            end.delivered += count as u64;
            let (so_far, to) = (end.delivered, end.peer);
            self.note(|| format!("{fd} -> {to}: {count} bytes, {so_far} in all"));
            let delay_us = self.draw(|chance| chance.between(1, end.link.latency_us_max));
            self.after(delay_us, move |world| world.acknowledge(fd, so_far));
        }
        if end.outbox.is_empty() && end.write_shut && !end.fin_delivered {
            let to = end.peer;
            self.note(|| format!("{fd} -> {to}: the end"));
            end.fin_delivered = true;
            peer.fin_received = true;
            // The segment that closes acknowledges what came before it.
            peer.acknowledged = peer.acknowledged.max(peer.delivered);
        }
    }

    fn acknowledge(&self, fd: RawFd, so_far: u64) {
        if let Some(end) = self.net.borrow_mut().ends.get_mut(&fd)
            && !end.reset
        {
            end.acknowledged = end.acknowledged.max(so_far);
        }
    }

    /// The other side, or the network, resets the connection at this end.
    pub(super) fn reset_soon(&self, fd: RawFd) {
        let delay_us = self.draw(|chance| chance.between(10, 2_000));
        self.after(delay_us, move |world| {
            let mut net = world.net.borrow_mut();
            let Some(end) = net.ends.get_mut(&fd) else {
                return;
            };
            world.note(|| format!("{fd} is reset"));
            end.reset = true;
            end.outbox.clear();
            if world.draw(|chance| chance.one_in(2)) {
                end.inbox.clear();
            }
            if end.closed {
                net.ends.remove(&fd);
            }
            drop(net);
            world.stir(fd);
        });
    }

    /// Ends one direction or both, at once; pending operations notice.
    pub(super) fn shut(&self, fd: RawFd, read: bool, write: bool) {
        let mut net = self.net.borrow_mut();
        let Some(end) = net.ends.get_mut(&fd).filter(|end| !end.closed) else {
            drop(net);
            return self.misdeed(format!("a descriptor that was closed, {fd}, is shut down"));
        };
        self.note(|| format!("{fd} is shut, reading {read}, writing {write}"));
        end.read_shut |= read;
        end.write_shut |= write;
        drop(net);
        self.stir(fd);
        self.carry(fd);
    }

    /// The program let go of a descriptor.
    pub(super) fn close(&self, fd: RawFd) {
        let mut net = self.net.borrow_mut();
        let Some(end) = net.ends.get_mut(&fd) else {
            return;
        };
        self.note(|| format!("{fd} is closed"));
        end.closed = true;
        end.write_shut = true;
        let peer = end.peer;
        // Unread bytes make of a close a reset (RFC 2525 §2.17).
        let abrupt = !end.inbox.is_empty();
        let silent = end.link.silent_from.is_some_and(|at| end.delivered >= at);
        if abrupt || silent || end.reset || end.fin_delivered {
            let tells = abrupt && !end.reset && !silent;
            net.ends.remove(&fd);
            drop(net);
            if tells {
                self.reset_soon(peer);
            }
            return;
        }
        drop(net);
        self.carry(fd);
    }

    /// Someone holds an end for as long as it is not released.
    pub(super) fn hold(&self, fd: RawFd) {
        if let Some(end) = self.net.borrow_mut().ends.get_mut(&fd) {
            end.holders += 1;
        }
    }

    /// Lets an end go; the last to do so closes it, a little later.
    pub(super) fn release(&self, fd: RawFd) {
        let mut net = self.net.borrow_mut();
        let Some(end) = net.ends.get_mut(&fd) else {
            return;
        };
        end.holders -= 1;
        if end.holders == 0 {
            drop(net);
            let delay_us = self.draw(|chance| chance.below(20));
            self.after(delay_us, move |world| world.close(fd));
        }
    }
}
