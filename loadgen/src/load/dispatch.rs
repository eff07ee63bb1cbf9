//! One thread's arrivals and connections, and who gets which.
//!
//! ```text
//!             due and a connection waits ─► it gets the arrival
//!  schedule ─ due, none waits, room left ─► a new connection gets it
//!             due, none waits, no room ───► the next connection that is done takes it, late
//! ```
//!
//! In a closed loop there is no schedule: a connection that is done has the next arrival there and
//! then. What a connection does with an arrival is decided by [`super::client`].

use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::plan::{Arrivals, Plan, part};
use super::record::Record;
use super::schedule::Schedule;
use crate::net::Leash;

/// Connections of one thread that are being made at once.
///
/// A stall makes every arrival want a new one; to make hundreds in one go would keep the thread
/// from the answers that are coming in meanwhile.
const CONNECTS_MAX: usize = 32;

/// How long after its end an open loop still sends what was due before: the last arrivals are no
/// less arrivals because the thread was a little late, but a queue of them must not drag on.
const END_GRACE: Duration = Duration::from_millis(50);

/// How long the pacer sleeps when only connections that become free can help.
const STARVED_PAUSE: Duration = Duration::from_millis(1);

/// One request to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it should have been sent, whatever happened since.
    pub(super) intended: Instant,
}

/// What the pacer should do after it has handed out what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Open a connection for an arrival that found none, and ask again.
    Connect,
    /// Ask again then.
    Sleep(Instant),
    /// There is nothing more to hand out.
    Over,
}

/// What a whole thread is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first connections are being made.
    Opening,
    /// The clock runs.
    Running,
    /// Nothing more is sent.
    Over,
    /// Nothing more is waited for either.
    Aborted,
}

/// What a connection shows to the others of its thread.
#[derive(Default)]
pub(super) struct Seat {
    arrival: Cell<Option<Arrival>>,
    waker: Cell<Option<Waker>>,
    /// It is among those that wait for an arrival.
    waits: Cell<bool>,
    leash: RefCell<Option<Leash>>,
    deadline: Cell<Option<Instant>>,
    overdue: Cell<bool>,
}

impl Seat {
    /// Ties the connection in use to the seat, so that it can be cut.
    pub(super) fn tie(&self, leash: Leash) {
        *self.leash.borrow_mut() = Some(leash);
    }

    /// From now on the connection is cut when `deadline` passes.
    pub(super) fn set_deadline(&self, deadline: Instant) {
        self.overdue.set(false);
        self.deadline.set(Some(deadline));
    }

    /// The request is done with; true when its deadline has passed and it was cut.
    pub(super) fn clear_deadline(&self) -> bool {
        self.deadline.set(None);
        self.overdue.replace(false)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn cut(&self) {
        if let Some(leash) = &*self.leash.borrow() {
            leash.cut();
        }
    }
}

/// One thread's part of a run.
pub(super) struct Dispatch {
    phase: Cell<Phase>,
    start: Cell<Instant>,
    duration: Option<Duration>,
    /// In an open loop.
    schedule: RefCell<Option<Schedule>>,
    /// In a closed loop, requests that may still be sent.
    left: Cell<u64>,
    connections_max: usize,
    /// Every connection there has been.
    seats: RefCell<Vec<Rc<Seat>>>,
    /// Those that wait for an arrival, the last to wait at the end: few connections do the work,
    /// and the others grow idle.
    waiting: RefCell<Vec<Rc<Seat>>>,
    /// Connections whose tasks have not ended.
    live: Cell<usize>,
    /// Those among them that have not connected for the first time.
    opening: Cell<usize>,
    record: RefCell<Record>,
}

impl Dispatch {
    pub(super) fn new(plan: &Plan, thread: usize) -> Self {
        let connections_max = match plan.arrivals {
            Arrivals::Open {
                connections_max: all,
                ..
            }
            | Arrivals::Closed { connections: all } => {
                usize::try_from(part(all as u64, thread, plan.threads)).unwrap_or(all)
            }
        };
        Self {
            phase: Cell::new(Phase::Opening),
            start: Cell::new(Instant::now()),
            duration: plan.duration,
            schedule: RefCell::new(Schedule::new(plan, thread)),
            left: Cell::new(
                plan.requests_max
                    .map_or(u64::MAX, |n| part(n, thread, plan.threads)),
            ),
            connections_max: connections_max.max(1),
            seats: RefCell::default(),
            waiting: RefCell::default(),
            live: Cell::new(0),
            opening: Cell::new(0),
            record: RefCell::new(Record::new()),
        }
    }

    /// What this thread has seen so far.
    pub(super) fn record(&self) -> RefMut<'_, Record> {
        self.record.borrow_mut()
    }

    /// When the clock started.
    pub(super) fn start(&self) -> Instant {
        self.start.get()
    }

    /// A seat for a new connection.
    pub(super) fn sit(&self) -> Rc<Seat> {
        let seat = Rc::new(Seat::default());
        self.seats.borrow_mut().push(Rc::clone(&seat));
        self.live.set(self.live.get() + 1);
        self.opening.set(self.opening.get() + 1);
        seat
    }

    /// A new connection is there, or could not be made.
    pub(super) fn opened(&self) {
        self.opening.set(self.opening.get() - 1);
    }

    /// How many new connections are still being made.
    pub(super) fn opening(&self) -> usize {
        self.opening.get()
    }

    /// A connection's task is at its end.
    pub(super) fn leave(&self, seat: &Rc<Seat>) {
        *seat.leash.borrow_mut() = None;
        self.live.set(self.live.get() - 1);
    }

    /// Whether every connection's task has ended.
    pub(super) fn is_empty(&self) -> bool {
        self.live.get() == 0
    }

    /// Starts the clock.
    pub(super) fn run_from(&self, start: Instant) {
        self.start.set(start);
        self.phase.set(Phase::Running);
        self.wake_all();
    }

    /// Sends nothing more; what has been sent may finish.
    pub(super) fn close(&self) {
        if self.phase.get() != Phase::Aborted {
            self.phase.set(Phase::Over);
        }
        self.wake_all();
    }

    /// Sends nothing more and waits for nothing.
    pub(super) fn abort(&self) {
        self.phase.set(Phase::Aborted);
        self.wake_all();
        self.seats.borrow().iter().for_each(|seat| seat.cut());
    }

    /// Whether requests in flight are no longer of interest.
    pub(super) fn is_aborted(&self) -> bool {
        self.phase.get() == Phase::Aborted
    }

    /// Whether nothing more is sent.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase.get(), Phase::Over | Phase::Aborted)
    }

    fn wake_all(&self) {
        self.waiting.borrow_mut().clear();
        for seat in self.seats.borrow().iter() {
            seat.waits.set(false);
            seat.wake();
        }
    }

    /// Cuts the connections whose deadlines have passed.
    pub(super) fn cut_overdue(&self, now: Instant) {
        for seat in self.seats.borrow().iter() {
            if seat.deadline.get().is_some_and(|deadline| deadline <= now) {
                seat.overdue.set(true);
                seat.cut();
            }
        }
    }

    /// Waits for the next arrival; `None` when there will be none.
    pub(super) async fn next(&self, seat: &Rc<Seat>) -> Option<Arrival> {
        poll_fn(|cx| self.poll_next(seat, cx)).await
    }

    fn poll_next(&self, seat: &Rc<Seat>, cx: &Context<'_>) -> Poll<Option<Arrival>> {
        if let Some(arrival) = seat.arrival.take() {
            return Poll::Ready(Some(arrival));
        }
        match self.phase.get() {
            Phase::Opening => {}
            Phase::Over | Phase::Aborted => return Poll::Ready(None),
            Phase::Running if self.schedule.borrow().is_none() => {
                return Poll::Ready(self.arrive_closed(Instant::now()));
            }
            Phase::Running => {
                if let Some(arrival) = self.take_due(Instant::now()) {
                    return Poll::Ready(Some(arrival));
                }
                if !seat.waits.replace(true) {
                    self.waiting.borrow_mut().push(Rc::clone(seat));
                }
            }
        }
        seat.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// In a closed loop, the arrival that is due because a connection is free.
    fn arrive_closed(&self, now: Instant) -> Option<Arrival> {
        if self.is_past_end(now) {
            return None;
        }
        self.left.set(self.left.get().checked_sub(1)?);
        Some(Arrival { intended: now })
    }

    fn is_past_end(&self, now: Instant) -> bool {
        let grace = match *self.schedule.borrow() {
            Some(_) => END_GRACE,
            None => Duration::ZERO,
        };
        self.duration
            .is_some_and(|duration| now >= self.start() + duration + grace)
    }

    /// In an open loop, the next arrival if it is due, and for whom it had to wait.
    fn take_due(&self, now: Instant) -> Option<Arrival> {
        if self.is_past_end(now) {
            return None;
        }
        let mut schedule = self.schedule.borrow_mut();
        let schedule = schedule.as_mut()?;
        let intended = self.start() + schedule.next()?;
        if intended > now {
            return None;
        }
        schedule.advance();
        let mut record = self.record();
        if self.may_grow() || !self.waiting.borrow().is_empty() {
            record.lag.add(now - intended);
        } else {
            record.late += 1;
        }
        Some(Arrival { intended })
    }

    /// Whether an arrival that finds no connection waiting gets a new one.
    fn may_grow(&self) -> bool {
        self.live.get() < self.connections_max && self.opening.get() < CONNECTS_MAX
    }

    /// Hands out arrivals that are due to connections that wait, in an open loop.
    pub(super) fn pace(&self) -> Pace {
        loop {
            let now = Instant::now();
            let next = self.schedule.borrow().as_ref().and_then(Schedule::next);
            let (Some(next), Phase::Running) = (next, self.phase.get()) else {
                return Pace::Over;
            };
            if self.is_past_end(now) {
                return Pace::Over;
            }
            let intended = self.start() + next;
            if intended > now {
                return Pace::Sleep(intended);
            }
            let waiting = self.waiting.borrow().last().cloned();
            let Some(seat) = waiting else {
                // A connection that becomes free takes it by itself.
                return if self.may_grow() {
                    Pace::Connect
                } else {
                    Pace::Sleep(now + STARVED_PAUSE)
                };
            };
            // Taken while the seat still waits: that is how the lag is known to be ours.
            let arrival = self.take_due(now);
            self.waiting.borrow_mut().pop();
            seat.waits.set(false);
            seat.arrival.set(arrival);
            seat.wake();
        }
    }

    /// Gives the arrival that found no connection to a new one.
    pub(super) fn seat_due(&self) -> Option<Rc<Seat>> {
        let arrival = self.take_due(Instant::now())?;
        let seat = self.sit();
        seat.arrival.set(Some(arrival));
        Some(seat)
    }

    /// What was seen, and how many arrivals were never sent.
    pub(super) fn finish(&self) -> (Record, u64) {
        let unsent = self.schedule.take().map_or(0, Schedule::count_left);
        (self.record.replace(Record::new()), unsent)
    }
}
