//! One thread, one ring, one core: what belongs to a worker, and its life.
//!
//! A worker accepts clients, keeps its own buffers, pools, deadlines and counters,
//! and shares nothing mutable with other workers but the buckets' atomics. It
//! learns of a new snapshot by comparing a version at each request, and of a drain
//! by mail.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tollring_ledger::{UnixMillis, WorkerSlot};

use crate::connection::{self, Connection, Desks};
use crate::counters::Counters;
use crate::engine::Shared;
use crate::exchange::date::DateLine;
use crate::exchange::headroom::Headroom;
use crate::greeting;
use crate::live::InForce;
use crate::net::deadline::TICK_MS;
use crate::net::listener::Bound;
use crate::net::mailbox::Letter;
use crate::net::runtime::EventLoop;
use crate::net::{Buffers, Deadlines, Hangups, Listener, Mailbox, Stream, entropy, sleep, spawn};
use crate::upstream::balance::Dice;
use crate::upstream::pool::Pools;

/// How long accepting rests when the system has no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Ticks between two looks at idle upstream connections.
const POOL_TICKS: u64 = 4;

/// What belongs to one worker; shared by its tasks, never by threads.
pub(crate) struct Worker {
    slot: WorkerSlot,
    shared: Arc<Shared>,
    live: RefCell<Rc<InForce>>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) hangups: Rc<Hangups>,
    pub(crate) pools: Rc<Pools>,
    pub(crate) desks: Desks,
    pub(crate) headroom: Headroom,
    pub(crate) date: DateLine,
    pub(crate) dice: Dice,
    pub(crate) draining: Cell<bool>,
    /// Clients on their way through a TLS handshake.
    pub(crate) handshakes: Cell<usize>,
    requests: Cell<u64>,
}

impl Worker {
    fn new(slot: WorkerSlot, shared: Arc<Shared>) -> Rc<Self> {
        let live = RefCell::new(Rc::new(InForce(shared.live.load_full())));
        Rc::new(Self {
            slot,
            live,
            buffers: Buffers::new(),
            deadlines: Deadlines::new(),
            hangups: Hangups::new(),
            pools: Pools::new(),
            desks: Desks::default(),
            headroom: Headroom::default(),
            date: DateLine::default(),
            // Without entropy the dice still spread load, only predictably.
            dice: Dice::new(entropy()),
            draining: Cell::new(false),
            handshakes: Cell::new(0),
            requests: Cell::new(0),
            shared,
        })
    }

    /// The snapshot in force; a request asks once and keeps what it got.
    pub(crate) fn live(&self) -> Rc<InForce> {
        let version = self.shared.version.load(Ordering::Acquire);
        let mut live = self.live.borrow_mut();
        if live.config.version != version {
            *live = Rc::new(InForce(self.shared.live.load_full()));
        }
        Rc::clone(&live)
    }

    /// Which of the ledger's slots is this worker's.
    pub(crate) fn slot(&self) -> WorkerSlot {
        self.slot
    }

    /// This worker's place among the workers.
    pub(crate) fn index(&self) -> usize {
        usize::from(self.slot.0)
    }

    /// What this worker counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters[self.index()]
    }

    /// The time of day, as of the last tick.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.deadlines.unix_ms())
    }

    /// A number for the next request, unique within this worker.
    pub(crate) fn next_request(&self) -> u64 {
        let number = self.requests.get();
        self.requests.set(number + 1);
        number
    }

    /// What begins every request id of this process.
    pub(crate) fn id_seed(&self) -> u64 {
        self.shared.id_seed
    }

    async fn tick_for_ever(self: Rc<Self>) {
        let mut ticks: u64 = 0;
        loop {
            sleep(Duration::from_millis(TICK_MS)).await;
            ticks += 1;
            self.deadlines.tick();
            let now_ms = self.deadlines.now_ms();
            self.hangups.tick(now_ms);
            if ticks.is_multiple_of(POOL_TICKS) {
                self.pools.tick(now_ms);
            }
            self.counters().buffers_borrowed.set(self.buffers.lent());
        }
    }

    async fn accept_for_ever(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(socket) => self.welcome(Stream::new(socket, &self.deadlines)),
                Err(fault) => {
                    self.counters().turned_away_total.add(1);
                    if is_exhaustion(&fault) {
                        tracing::warn!(%fault, "accepting rests: out of descriptors or memory");
                        sleep(ACCEPT_REST).await;
                    }
                }
            }
        }
    }

    fn welcome(self: &Rc<Self>, stream: Stream) {
        let stated = self.live().config.limits.connections;
        let connections = stated.unwrap_or(self.shared.connections_max);
        let share = connections.div_ceil(self.shared.counters.len());
        let counters = self.counters();
        let full = counters.connections.read() >= share as u64;
        counters.connections.add(1);
        counters.connections_total.add(1);
        if full {
            counters.turned_away_total.add(1);
            let connection = Connection::new(Rc::clone(self), stream, None);
            // A handshake would cost more than what there is to say.
            if self.live().tls.is_none() {
                connection::turn_away(connection);
            }
        } else if self.draining.get() {
            counters.connections.sub(1);
        } else {
            greeting::welcome(self, stream);
        }
    }

    fn drain(&self) {
        self.draining.set(true);
        self.deadlines.end_idle();
        self.pools.close_all();
    }
}

/// Whether an accept failed for want of descriptors or memory, so that trying again at once
/// would only spin. Anything else concerned one client that is gone already.
fn is_exhaustion(fault: &io::Error) -> bool {
    matches!(
        fault.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// What a worker's thread starts with.
pub(crate) struct Start {
    pub(crate) slot: WorkerSlot,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Vec<Bound>,
    pub(crate) mailbox: Mailbox,
}

/// Runs a worker until it is told to stop, or until it was told to drain and is empty.
///
/// # Errors
/// When a listener or the mailbox cannot be taken into the event loop.
pub(crate) fn run(event_loop: &mut EventLoop, start: Start) -> io::Result<()> {
    event_loop.run(async move {
        let worker = Worker::new(start.slot, start.shared);
        let bug = || tracing::error!("a worker's own task panicked");
        spawn(Rc::clone(&worker).tick_for_ever(), bug);
        for bound in start.listeners {
            spawn(
                Rc::clone(&worker).accept_for_ever(Listener::adopt(bound)?),
                bug,
            );
        }
        let letters = start.mailbox.open()?;
        loop {
            match letters.next().await? {
                Letter::Drain => worker.drain(),
                Letter::Cut => worker.deadlines.end_all(),
                Letter::Stop => return Ok(()),
            }
        }
    })
}
