//! Step 1 of the walk: takes clients while there is room, and says so when there is none.
//!
//! Decides when a worker accepts, how many it turns away at once, and what becomes
//! of the clients in a listener's queue when accepting ends. What a client is then
//! served is `connection.rs`'s; how scarce memory is, `pressure.rs`'s.
//!
//! ```text
//! Shut ──open──▶ Open ──drain──▶ Emptying   the queue is served, then the listener closed
//!                  └───leave──▶ Left        the queue is another process's to serve
//! ```

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::connection::{self, Crowded};
use crate::greeting::{self, Newcomer};
use crate::net::listener::Spare;
use crate::net::task::either;
use crate::net::{Arrival, Listener, Mailbox, Stream, is_exhaustion, sleep};
use crate::pressure::Pressure;
use crate::spread;
use crate::worker::Worker;

/// How long accepting rests when there is no room: long enough that nothing spins, short enough
/// that a client who waits in the queue does not notice.
const REST: Duration = Duration::from_millis(50);

/// Clients taken in one turn before others get theirs.
const TURN_MAX: usize = 64;

/// Clients being turned away at once; each costs a descriptor until it has read why. The rest
/// wait in the queue.
const TURNED_AWAY_MAX: usize = 64;

/// The same while descriptors are scarce.
const TURNED_AWAY_SCARCE_MAX: usize = 2;

/// Whether a worker takes clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stance {
    /// Not yet: the process is not ready.
    Shut,
    /// As they come.
    Open,
    /// Only those who wait in the queue already.
    Emptying,
    /// None any more: another process has the queue.
    Left,
}

/// Where the clients of one worker come in.
pub(crate) struct Doorway {
    stance: Cell<Stance>,
    /// Acceptors that wait for another stance.
    waiting: RefCell<Vec<Waker>>,
    spare: RefCell<Option<Spare>>,
    turning_away: Cell<usize>,
    /// Whether descriptors were scarce when the last client came.
    scarce: Cell<bool>,
    /// Whether accepting rests, so that it is logged once and not each time.
    resting: Cell<bool>,
}

impl Doorway {
    /// A doorway that is shut.
    pub(crate) fn new() -> Self {
        Self {
            stance: Cell::new(Stance::Shut),
            waiting: RefCell::default(),
            spare: RefCell::new(Spare::hold()),
            turning_away: Cell::new(0),
            scarce: Cell::new(false),
            resting: Cell::new(false),
        }
    }

    /// Takes clients from now on.
    pub(crate) fn open(&self) {
        if self.stance.get() == Stance::Shut {
            self.become_(Stance::Open);
        }
    }

    /// Takes only those who are waiting already.
    pub(crate) fn drain(&self) {
        if self.stance.get() != Stance::Left {
            self.become_(Stance::Emptying);
        }
    }

    /// Takes nobody any more, and leaves those who wait to another process.
    pub(crate) fn leave(&self) {
        self.become_(Stance::Left);
    }

    /// Whether whoever is taken now is among the last.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stance.get(), Stance::Emptying | Stance::Left)
    }

    fn become_(&self, stance: Stance) {
        self.stance.set(stance);
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Until the stance is another one.
    async fn past(&self, stance: Stance) {
        std::future::poll_fn(|task| {
            if self.stance.get() != stance {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(task.waker())) {
                waiting.push(task.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether one more can be turned away.
    fn may_turn_away(&self) -> bool {
        let places = if self.scarce.get() {
            TURNED_AWAY_SCARCE_MAX
        } else {
            TURNED_AWAY_MAX
        };
        self.turning_away.get() < places
    }

    fn rests(&self, why: &'static str) {
        if !self.resting.replace(true) {
            tracing::warn!(
                why,
                "accepting rests; who comes now waits or is turned away"
            );
        }
    }

    fn goes_on(&self) {
        if self.resting.replace(false) {
            tracing::info!("accepting goes on");
        }
    }
}

/// One client being turned away; another may be when it is gone.
pub(crate) struct TurnedAway(Rc<Worker>);

impl TurnedAway {
    /// Counts one more; whether one more may be is asked before.
    fn new(worker: &Rc<Worker>) -> Self {
        let places = &worker.doorway.turning_away;
        places.set(places.get() + 1);
        Self(Rc::clone(worker))
    }
}

/// Tells a client whose address has enough connections so, or lets it go without a word where
/// a handshake would come first or as many are being told as may be at once.
pub(crate) fn turn_away_caller(newcomer: Newcomer) {
    let worker = Rc::clone(&newcomer.worker);
    worker.counters().turned_away_total.add(1);
    if worker.live().tls.is_none() && worker.doorway.may_turn_away() {
        let place = TurnedAway::new(&worker);
        connection::turn_away(newcomer.into_connection(), Crowded::Address, place);
    }
}

impl Drop for TurnedAway {
    fn drop(&mut self) {
        let places = &self.0.doorway.turning_away;
        places.set(places.get() - 1);
    }
}

/// What an acceptor does next.
enum Pace {
    /// Waits until somebody comes.
    Wait,
    /// Waits until there may be room again.
    Rest,
}

/// Takes clients from one listener until accepting ends for good.
pub(crate) async fn attend(worker: Rc<Worker>, listener: Listener) {
    let _counted = Counted::new(&worker);
    let doorway = &worker.doorway;
    doorway.past(Stance::Shut).await;
    while doorway.stance.get() == Stance::Open {
        match take_some(&worker, &listener) {
            Pace::Wait => {
                either(listener.ready(), doorway.past(Stance::Open)).await;
            }
            Pace::Rest => {
                either(sleep(REST), doorway.past(Stance::Open)).await;
            }
        }
    }
    // Nobody new may come in between: others who have this address go on listening, and at the
    // last of them the kernel refuses.
    while doorway.stance.get() == Stance::Emptying && !listener.is_kept() {
        match listener.take() {
            Ok(Some((arrival, peer))) => begin(&worker, arrival, peer),
            _ => break,
        }
    }
}

/// Takes whoever waits, as far as there is room.
fn take_some(worker: &Rc<Worker>, listener: &Listener) -> Pace {
    let doorway = &worker.doorway;
    if worker.pressure() == Pressure::StopAccepting {
        doorway.rests("memory is short");
        return Pace::Rest;
    }
    let mut gone = 0;
    for _ in 0..TURN_MAX {
        if !doorway.may_turn_away() {
            doorway.rests("as many are being turned away as may be at once");
            return Pace::Rest;
        }
        match listener.take() {
            Ok(None) => {
                doorway.goes_on();
                return Pace::Wait;
            }
            Ok(Some((arrival, peer))) => share(worker, arrival, peer),
            Err(fault) if is_exhaustion(&fault) => {
                doorway.rests("out of descriptors or memory");
                turn_away_by_spare(worker, listener);
                return Pace::Rest;
            }
            // The client was gone before it was taken.
            Err(_) => {
                worker.counters().turned_away_total.add(1);
                gone += 1;
            }
        }
    }
    // A fault that is not the clients' must not keep the worker busy.
    if gone == TURN_MAX {
        Pace::Rest
    } else {
        Pace::Wait
    }
}

/// Begins with a client, or passes it on to a worker that has clearly fewer.
fn share(worker: &Rc<Worker>, arrival: Arrival, peer: SocketAddr) {
    let Some(place) = spread::elsewhere(worker) else {
        return begin(worker, arrival, peer);
    };
    let shared = worker.shared();
    shared.on_the_way.leaves_for(place);
    if let Err((arrival, peer)) = shared.mailboxes[place].pass_on(arrival, peer) {
        shared.on_the_way.arrived(place);
        begin(worker, arrival, peer);
    }
}

/// Takes in the clients that other workers have passed on.
pub(crate) fn receive(worker: &Rc<Worker>, mailbox: &Mailbox) {
    while let Some((arrival, peer)) = mailbox.next_client() {
        begin(worker, arrival, peer);
        worker.shared().on_the_way.arrived(worker.index());
    }
}

fn begin(worker: &Rc<Worker>, arrival: Arrival, peer: SocketAddr) {
    match Stream::begin(arrival, &worker.deadlines) {
        Ok(stream) => welcome(worker, stream, peer),
        // Only the epoll loop can refuse, and only for want of memory.
        Err(_) => worker.counters().turned_away_total.add(1),
    }
}

/// Begins with a client, or turns it away when there are as many as there may be.
fn welcome(worker: &Rc<Worker>, stream: Stream, peer: SocketAddr) {
    let counters = worker.counters();
    // The kernel gives the lowest number that is free: one this high says that all below it
    // are taken. What is left is for upstreams and for the operator's port.
    let scarce = stream.fd() >= worker.shared().descriptors_line;
    let full = scarce || counters.connections.read() >= worker.connections_max() as u64;
    if scarce {
        // Idle ways to upstreams are the first to go.
        worker.pools.close_all();
    }
    worker.doorway.scarce.set(scarce);
    counters.connections.add(1);
    counters.connections_total.add(1);
    if full {
        turn_away(worker, stream, peer);
    } else {
        greeting::welcome(Newcomer::new(worker, stream, peer));
    }
}

fn turn_away(worker: &Rc<Worker>, stream: Stream, peer: SocketAddr) {
    worker.counters().turned_away_total.add(1);
    let connection = Newcomer::new(worker, stream, peer).into_connection();
    // A handshake would cost more than what there is to say.
    if worker.live().tls.is_none() {
        connection::turn_away(connection, Crowded::Gateway, TurnedAway::new(worker));
    }
}

/// Gives up the spare descriptor to tell one client why it is not taken, or takes one back.
fn turn_away_by_spare(worker: &Rc<Worker>, listener: &Listener) {
    worker.pools.close_all();
    let doorway = &worker.doorway;
    doorway.scarce.set(true);
    let Some(spare) = doorway.spare.take() else {
        *doorway.spare.borrow_mut() = Spare::hold();
        return;
    };
    drop(spare);
    match listener.take() {
        Ok(Some((arrival, peer))) => {
            if let Ok(stream) = Stream::begin(arrival, &worker.deadlines) {
                let counters = worker.counters();
                counters.connections.add(1);
                counters.connections_total.add(1);
                turn_away(worker, stream, peer);
            }
        }
        // Another worker was quicker; it has its own spare to hold back.
        _ => *doorway.spare.borrow_mut() = Spare::hold(),
    }
}

/// One acceptor, counted for as long as it may still take somebody.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: &Rc<Worker>) -> Self {
        Self(Rc::clone(worker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shared().acceptors.fetch_sub(1, Ordering::AcqRel);
    }
}
