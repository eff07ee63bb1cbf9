//! Starts the workers, puts snapshots in force, and reads what the workers count.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use rustls::server::ProducesTickets;
use tollring_config::{IoChoice, Snapshot};
use tollring_ledger::journal::{Journal, Posting, Writer};
use tollring_ledger::{EpochEnd, Ledger, Opening, UnixMillis, WorkerSlot};

use crate::counters::Counters;
use crate::descriptors::{self, Budget};
use crate::doors::Doors;
use crate::keeper;
use crate::live::{self, Live};
use crate::net::listener::Bound;
use crate::net::mailbox::Letter;
use crate::net::runtime::EventLoop;
use crate::net::{Inherited, Instant, IoReport, Mailbox, affinity, entropy, unix_now_ms};
use crate::pressure::{Gauge, MemoryReading};
use crate::spread::OnTheWay;
use crate::tls::{self, Keys, TlsFault};
use crate::upstream::lane::{LaneReading, Lanes};
use crate::upstream::origin::{Origin, Origins};
use crate::upstream::prober::Prober;
use crate::worker::{self, Start};

/// How often upstream names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// How long the last words to clients may take when the drain limit has passed.
const CUT_LIMIT: Duration = Duration::from_secs(2);

/// How often a drain looks whether everyone has gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What workers and their keeper share.
pub(crate) struct Shared {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) version: AtomicU64,
    pub(crate) counters: Box<[CachePadded<Counters>]>,
    /// Client connections over all workers where the file sets no number.
    pub(crate) connections_max: usize,
    /// From this number on a client's descriptor is one that was meant for something else.
    pub(crate) descriptors_line: RawFd,
    /// Listeners from which a worker may still take somebody.
    pub(crate) acceptors: AtomicUsize,
    /// Clients that one worker has accepted for another.
    pub(crate) on_the_way: OnTheWay,
    /// How scarce memory is.
    pub(crate) memory: Gauge,
    pub(crate) id_seed: u64,
    /// When the clock began that all workers share.
    started: Instant,
    /// Every worker's, for the others.
    pub(crate) mailboxes: Box<[Mailbox]>,
}

impl Shared {
    /// Milliseconds since the engine started.
    pub(crate) fn clock_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What the workers of these mailboxes, with so many listeners, share from their start on.
    pub(crate) fn new(
        live: Live,
        mailboxes: Box<[Mailbox]>,
        acceptors: usize,
        budget: &Budget,
    ) -> Self {
        let workers = mailboxes.len();
        Self {
            version: AtomicU64::new(live.config.version),
            live: ArcSwap::from_pointee(live),
            counters: (0..workers).map(|_| CachePadded::default()).collect(),
            connections_max: budget.connections_max,
            descriptors_line: budget.line,
            acceptors: AtomicUsize::new(acceptors),
            on_the_way: OnTheWay::new(workers),
            memory: Gauge::default(),
            // Ids stay unique within the process without entropy.
            id_seed: entropy(),
            started: Instant::now(),
            mailboxes,
        }
    }
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An address of the data port cannot be had.
    #[error("cannot listen on {address}: {cause}; stop what listens there or change server.listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The process may open too few files for the connections it is to take.
    #[error(
        "limits.connections = {connections} needs {needed} file descriptors, and this process \
         may open {allowed}; raise the limit (ulimit -n {needed}) or lower limits.connections"
    )]
    Descriptors {
        /// What was configured.
        connections: usize,
        /// What that takes.
        needed: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// Certificates, keys or roots cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// No event loop can be built as it was asked for.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// What is written down of buckets: where, and what was before.
#[derive(Default)]
pub struct Written<'a> {
    /// Where workers write; absent: nowhere. Has a lane for each worker.
    pub journal: Option<&'a Journal>,
    /// What buckets begin with.
    pub opening: Opening,
}

/// How many workers a snapshot asks for.
pub fn workers_of(config: &Snapshot) -> u16 {
    match config.server.workers {
        0 => slot_of(affinity::default_workers()).0,
        asked => asked,
    }
}

fn slot_of(index: usize) -> WorkerSlot {
    WorkerSlot(u16::try_from(index).unwrap_or(u16::MAX))
}

/// The running engine.
pub struct Engine {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    origins: Arc<Origins>,
    doors: Doors,
    lanes: Lanes,
    prober: Prober,
    io: IoReport,
    cores: Vec<Option<usize>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Outlive the snapshots, so that sessions are resumed after a reload.
    tickets: Arc<dyn ProducesTickets>,
    /// One publication at a time.
    publishing: Mutex<()>,
}

impl Engine {
    /// Binds the data port, starts the workers and takes clients.
    ///
    /// # Errors
    /// [`StartFault`], one sentence each with its remedy; nothing is left running.
    pub fn start(config: Snapshot) -> Result<Self, StartFault> {
        let engine = Self::prepare(config, Vec::new(), Written::default())?;
        engine.open();
        Ok(engine)
    }

    /// Binds the data port, with inherited sockets where there are some for its addresses, and
    /// starts the workers. Clients queue until [`Engine::open`].
    ///
    /// # Errors
    /// [`StartFault`], one sentence each with its remedy; nothing is left running.
    pub fn prepare(
        config: Snapshot,
        inherited: Vec<Inherited>,
        written: Written<'_>,
    ) -> Result<Self, StartFault> {
        let tickets = tls::keys::tickets()?;
        let keys = Keys::read(&config, &tickets)?;
        let cores = affinity::allowed_cores();
        let workers = usize::from(workers_of(&config));
        let budget = descriptors::budget(
            config.limits.connections,
            workers,
            config.server.listen.len(),
        )?;
        let (doors, bound) = Doors::open(&config.server.listen, inherited, workers)?;
        let io_choice = config.server.io;
        let ledger = Arc::new(Ledger::new(u16::try_from(workers).unwrap_or(u16::MAX)));
        let origins = Arc::new(Origins::new(workers));
        let lanes = Lanes::new(workers);
        let buckets = ledger.reopen(&config.buckets, &written.opening, unix_now());
        let live = Live::build(config, buckets, (&origins, &lanes), keys);
        let acceptors = bound.iter().map(Vec::len).sum();
        let mailboxes: io::Result<_> = (0..workers).map(|_| Mailbox::new()).collect();
        let mailboxes = mailboxes.map_err(StartFault::Worker)?;
        let shared = Arc::new(Shared::new(live, mailboxes, acceptors, &budget));
        let mut engine = Self {
            shared,
            ledger,
            origins,
            doors,
            lanes,
            prober: Prober::new(),
            io: IoReport {
                kind: crate::net::IoKind::Epoll,
                flags: &[],
                passed_over: Vec::new(),
            },
            cores: Vec::new(),
            threads: Mutex::default(),
            tickets,
            publishing: Mutex::default(),
        };
        for (index, listeners) in bound.into_iter().enumerate() {
            // More workers than cores share; fewer leave the last ones alone.
            let core = cores[index % cores.len()];
            let writer = written
                .journal
                .map(|journal| journal.writer(slot_of(index).0));
            let belongings = (listeners, writer);
            engine.start_worker(index, core, belongings, io_choice)?;
        }
        engine.start_resolver();
        if let Err(fault) = keeper::start(&engine.shared) {
            tracing::warn!(%fault, "memory will not be looked at");
        }
        engine.prober.follow(&engine.live().lanes);
        Ok(engine)
    }

    fn start_worker(
        &mut self,
        index: usize,
        core: usize,
        (listeners, writer): (Vec<Bound>, Option<Writer>),
        io_choice: IoChoice,
    ) -> Result<(), StartFault> {
        let start = Start {
            slot: slot_of(index),
            shared: Arc::clone(&self.shared),
            listeners,
            mailbox: self.shared.mailboxes[index].clone(),
            writer,
        };
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let pinned = affinity::pin_to(core);
                let mut event_loop = match EventLoop::build(io_choice) {
                    Ok(event_loop) => event_loop,
                    Err(fault) => {
                        let _ = tell.send(Err(fault));
                        return;
                    }
                };
                let report = event_loop.report().clone();
                let _ = tell.send(Ok((report, pinned.then_some(core))));
                if let Err(fault) = worker::run(&mut event_loop, start) {
                    tracing::error!(%fault, "a worker ended");
                }
            });
        let thread = thread.map_err(StartFault::Worker)?;
        let gone = || io::Error::other("the worker's thread ended before it began");
        let (report, core) = told
            .recv()
            .map_err(|_| StartFault::Worker(gone()))?
            .map_err(StartFault::Worker)?;
        self.io = report;
        self.cores.push(core);
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    fn start_resolver(&self) {
        let origins = Arc::downgrade(&self.origins);
        let resolver = thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || {
                loop {
                    thread::sleep(RESOLVE_EVERY);
                    let Some(origins) = origins.upgrade() else {
                        return;
                    };
                    origins.refresh();
                }
            });
        if let Err(fault) = resolver {
            tracing::warn!(%fault, "upstream names will not be resolved again");
        }
    }

    /// Puts a snapshot in force on every worker, from each worker's next request on. May block
    /// on the resolver for upstreams it has not seen. Returns the version and what changed.
    ///
    /// # Errors
    /// [`TlsFault`] when a certificate, key or root cannot be had; the old snapshot stays in
    /// force, with the old keys.
    pub fn publish(
        &self,
        mut config: Snapshot,
        opening: &Opening,
    ) -> Result<(u64, Vec<String>), TlsFault> {
        let _one_at_a_time = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let keys = Keys::read(&config, &self.tickets)?;
        let old = self.shared.live.load_full();
        config.version = old.config.version + 1;
        let version = config.version;
        let changes = live::changes(&old.config, &config);
        let known = (&*self.origins, &self.lanes);
        let buckets = self.ledger.reopen(&config.buckets, opening, unix_now());
        let live = Live::build(config, buckets, known, keys);
        self.prober.follow(&live.lanes);
        self.shared.live.store(Arc::new(live));
        self.shared.version.store(version, Ordering::Release);
        drop(old);
        self.lanes.forget_unused();
        Ok((version, changes))
    }

    /// Counts what another process has spent of the buckets in force.
    pub fn charge_elsewhere(&self, postings: &[Posting]) {
        let (live, now) = (self.shared.live.load(), unix_now());
        let mut by_bucket: HashMap<u32, Vec<&Posting>> = HashMap::new();
        for posting in postings {
            by_bucket.entry(posting.bucket).or_default().push(posting);
        }
        for bucket in &live.buckets {
            for posting in by_bucket.get(&bucket.number()).into_iter().flatten() {
                bucket.charge_elsewhere(EpochEnd(posting.ends_s), posting.amount, now);
            }
        }
    }

    /// Tells every worker that the journal was synced: answers may wait for that.
    pub fn synced(&self) {
        self.tell(Letter::Synced);
    }

    /// Takes clients from now on.
    pub fn open(&self) {
        self.tell(Letter::Open);
    }

    /// Descriptors of every listener, for a process that is to take clients from them too.
    ///
    /// # Errors
    /// When there are not enough of them.
    pub fn listeners(&self) -> io::Result<Vec<Inherited>> {
        self.doors.duplicate()
    }

    /// Takes nobody any more: another process has the listeners, and the clients in their
    /// queues. Connections go on, each to the end of its next request. Returns when no worker
    /// will take anyone.
    pub fn leave(&self) {
        self.doors.close();
        self.tell(Letter::Leave);
        let deadline = Instant::now() + CUT_LIMIT;
        while self.shared.acceptors.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for connections to end by themselves, for at most `limit`. `hurry` is asked
    /// meanwhile, and ends the waiting when it says so. Says whether everyone has gone.
    pub fn finish(&self, limit: Duration, mut hurry: impl FnMut() -> bool) -> bool {
        self.is_empty_within(limit, &mut hurry)
    }

    /// Tells every worker to serve who waits in the queues of its listeners and close them,
    /// to end idle connections and to finish the others, and waits until
    /// nothing is left. What is not finished after `limit` is ended with the words that fit:
    /// a stream gets an error event. `hurry` is asked meanwhile, and ends the waiting when it
    /// says so. Says whether everything was finished.
    pub fn drain(&self, limit: Duration, mut hurry: impl FnMut() -> bool) -> bool {
        self.doors.close();
        self.tell(Letter::Drain);
        if self.is_empty_within(limit, &mut hurry) {
            return true;
        }
        self.tell(Letter::Cut);
        self.is_empty_within(CUT_LIMIT, &mut hurry);
        false
    }

    fn tell(&self, letter: Letter) {
        for mailbox in &self.shared.mailboxes {
            // A full mailbox already holds a letter that says the same or more.
            mailbox.send(letter);
        }
    }

    fn is_empty_within(&self, limit: Duration, hurry: &mut impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while self.shared.acceptors.load(Ordering::Acquire) > 0 || self.connections() > 0 {
            if Instant::now() >= deadline || hurry() {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// Ends the workers, finished or not, and waits for their threads.
    pub fn stop(&self) {
        self.tell(Letter::Stop);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }

    /// Where clients are taken; with the port the system chose, where it was left open.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.doors.addresses()
    }

    /// Which system interface the workers use.
    pub fn io(&self) -> &IoReport {
        &self.io
    }

    /// The core of each worker, where pinning worked.
    pub fn cores(&self) -> &[Option<usize>] {
        &self.cores
    }

    /// The snapshot in force.
    pub fn live(&self) -> Arc<Live> {
        self.shared.live.load_full()
    }

    /// What each worker counts.
    pub fn counters(&self) -> &[CachePadded<Counters>] {
        &self.shared.counters
    }

    /// How much memory is used, of how much, and what is given up for it.
    pub fn memory(&self) -> MemoryReading {
        self.shared.memory.read()
    }

    /// Every upstream this process has known.
    pub fn origins(&self) -> Vec<Arc<Origin>> {
        self.origins.all()
    }

    /// Every upstream that the snapshot in force uses, and how it stands.
    pub fn lanes(&self) -> Vec<LaneReading> {
        let (live, now_ms) = (self.shared.live.load(), self.shared.clock_ms());
        let lanes = live.lanes.iter();
        lanes
            .map(|kept| kept.lane.reading(&kept.care, now_ms))
            .collect()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Client connections that are open.
    pub fn connections(&self) -> u64 {
        self.shared
            .counters
            .iter()
            .map(|counters| counters.connections.read())
            .sum::<u64>()
            + self.shared.on_the_way.total()
    }
}

/// The time of day.
pub(crate) fn unix_now() -> UnixMillis {
    UnixMillis(unix_now_ms())
}
