//! One thread, one ring, one core: what belongs to a worker, and its life.
//!
//! A worker keeps its own buffers, pools, deadlines and counters,
//! and shares nothing mutable with other workers but the buckets' atomics. It
//! learns of a new snapshot by comparing a version at each request, and of a drain
//! by mail.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tollring_ledger::journal::Writer;
use tollring_ledger::{UnixMillis, WorkerSlot};

use crate::accept::{self, Doorway};
use crate::books::Books;
use crate::callers::Callers;
use crate::connection::Desks;
use crate::counters::Counters;
use crate::engine::Shared;
use crate::exchange::date::DateLine;
use crate::exchange::headroom::Headroom;
use crate::exchange::learnt::Learnt;
use crate::live::InForce;
use crate::net::deadline::TICK_MS;
use crate::net::listener::Bound;
use crate::net::mailbox::Letter;
use crate::net::runtime::EventLoop;
use crate::net::{Buffers, Deadlines, Hangups, Listener, Mailbox, entropy, heap, sleep, spawn};
use crate::pressure::Pressure;
use crate::upstream::balance::Dice;
use crate::upstream::pool::{self, Pools};
use crate::upstream::queue::Queues;

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
    pub(crate) queues: Rc<Queues>,
    pub(crate) desks: Desks,
    pub(crate) callers: Rc<Callers>,
    pub(crate) headroom: Headroom,
    pub(crate) learnt: Learnt,
    pub(crate) date: DateLine,
    pub(crate) dice: Dice,
    pub(crate) doorway: Doorway,
    /// Where it writes down what things cost; absent where nothing is.
    books: Option<Books>,
    pub(crate) draining: Cell<bool>,
    /// Clients on their way through a TLS handshake.
    pub(crate) handshakes: Cell<usize>,
    /// Whether connections end after the request in progress: the process goes, or memory is
    /// short.
    pub(crate) ends_connections: Cell<bool>,
    pressure: Cell<Pressure>,
    /// What the engine's clock showed when this worker's began.
    clock_began_ms: u64,
    requests: Cell<u64>,
}

impl Worker {
    /// A worker with nothing to do yet.
    pub(crate) fn new(slot: WorkerSlot, shared: Arc<Shared>, books: Option<Books>) -> Rc<Self> {
        let live = RefCell::new(Rc::new(InForce(shared.live.load_full())));
        let clock_began_ms = shared.clock_ms();
        let others = Arc::clone(&shared);
        let ring = move |worker: usize| others.mailboxes[worker].nudge();
        Rc::new(Self {
            slot,
            live,
            buffers: Buffers::new(),
            deadlines: Deadlines::new(),
            hangups: Hangups::new(),
            pools: Pools::new(),
            queues: Rc::new(Queues::new(usize::from(slot.0), ring)),
            desks: Desks::default(),
            callers: Rc::default(),
            headroom: Headroom::default(),
            learnt: Learnt::default(),
            date: DateLine::default(),
            // Without entropy the dice still spread load, only predictably.
            dice: Dice::new(entropy()),
            doorway: Doorway::new(),
            books,
            draining: Cell::new(false),
            ends_connections: Cell::new(false),
            pressure: Cell::new(Pressure::None),
            handshakes: Cell::new(0),
            clock_began_ms,
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

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.shared.counters.len()
    }

    /// Where this worker writes down what things cost, if anything is written down.
    pub(crate) fn books(&self) -> Option<&Books> {
        self.books.as_ref()
    }

    /// What this worker counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters[self.index()]
    }

    /// The time of day, as of the last tick.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.deadlines.unix_ms())
    }

    /// Milliseconds of the engine's clock, which all workers share, as of the last tick.
    pub(crate) fn clock_ms(&self) -> u64 {
        self.clock_began_ms + self.deadlines.now_ms()
    }

    /// Has every worker close the idle connections that somebody waits for.
    pub(crate) fn ask_for_idle_connections(&self) {
        self.pools.close_wanted();
        let mailboxes = self.shared.mailboxes.iter().enumerate();
        for (_, other) in mailboxes.filter(|(worker, _)| *worker != self.index()) {
            other.nudge();
        }
    }

    /// A number for the next request, unique within this worker.
    pub(crate) fn next_request(&self) -> u64 {
        let number = self.requests.get();
        self.requests.set(number + 1);
        number
    }

    /// What this worker shares with the others and with their keeper.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How many client connections this worker may have.
    pub(crate) fn connections_max(&self) -> usize {
        let stated = self.live().config.limits.connections;
        let connections = stated.unwrap_or(self.shared.connections_max);
        connections.div_ceil(self.workers())
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
            self.queues.tick(now_ms);
            for lane in &self.live.borrow().compared {
                lane.look_around(self.index());
            }
            self.look_around();
            if ticks.is_multiple_of(POOL_TICKS) {
                self.look_at_idle(now_ms);
            }
            self.counters().buffers_borrowed.set(self.buffers.lent());
            self.counters().ticks.add(1);
        }
    }

    /// What is given up because memory is short, as of the last tick.
    pub(crate) fn pressure(&self) -> Pressure {
        self.pressure.get()
    }

    fn drain(&self) {
        self.draining.set(true);
        self.look_around();
        self.doorway.drain();
        self.deadlines.end_idle();
        self.pools.close_all();
    }

    fn leave(&self) {
        self.doorway.leave();
        self.look_around();
    }

    /// Closes connections that nobody needs. Where memory is short, nobody needs what is not in
    /// use at this moment: somebody else is about to be refused for it.
    fn look_at_idle(&self, now_ms: u64) {
        if self.pressure.get() == Pressure::None {
            return self.pools.tick(now_ms, pool::IDLE_MS);
        }
        self.pools.tick(now_ms, TICK_MS);
        self.buffers.free_idle();
        heap::give_back();
    }

    /// Notes what may have changed beside the path of requests.
    fn look_around(&self) {
        let pressure = self.shared.memory.pressure();
        self.pressure.set(pressure);
        let goes = self.draining.get() || self.doorway.is_closing();
        self.ends_connections
            .set(goes || pressure != Pressure::None);
    }
}

/// What a worker's thread starts with.
pub(crate) struct Start {
    pub(crate) slot: WorkerSlot,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Vec<Bound>,
    pub(crate) mailbox: Mailbox,
    pub(crate) writer: Option<Writer>,
}

/// Runs a worker until it is told to stop, or until it was told to drain and is empty.
///
/// # Errors
/// When a listener or the mailbox cannot be taken into the event loop.
pub(crate) fn run(event_loop: &mut EventLoop, start: Start) -> io::Result<()> {
    event_loop.run(async move {
        let adopted: io::Result<Vec<Listener>> =
            start.listeners.into_iter().map(Listener::adopt).collect();
        let worker = Worker::new(start.slot, start.shared, start.writer.map(Books::new));
        live(worker, adopted?, &start.mailbox).await
    })
}

/// A worker's life.
pub(crate) async fn live(
    worker: Rc<Worker>,
    listeners: Vec<Listener>,
    mailbox: &Mailbox,
) -> io::Result<()> {
    let bug = || tracing::error!("a worker's own task panicked");
    spawn(Rc::clone(&worker).tick_for_ever(), bug);
    for listener in listeners {
        spawn(accept::attend(Rc::clone(&worker), listener), bug);
    }
    let letters = mailbox.open()?;
    loop {
        match letters.next().await? {
            Letter::Open => worker.doorway.open(),
            Letter::Leave => worker.leave(),
            Letter::Drain => worker.drain(),
            Letter::Cut => {
                worker.queues.end_all();
                worker.deadlines.end_all();
            }
            Letter::Places => {
                worker.queues.serve();
                worker.pools.close_wanted();
            }
            Letter::Clients => accept::receive(&worker, mailbox),
            Letter::Synced => worker.books.iter().for_each(Books::wake),
            Letter::Stop => return Ok(()),
        }
    }
}
