//! Deadlines that cost a request no system call and no allocation.
//!
//! A read in the ring cannot be given up: it owns its buffer, and may have taken
//! bytes already. So nothing here races one. When a deadline passes, the socket
//! is shut down under the operation, which then completes by itself, and whoever
//! awaited it finds the reason in the [`Watch`].
//!
//! Time is coarse: a worker looks up from its work every [`TICK_MS`]. Arming is a
//! store; a watch sits in one slot of a wheel and is put into a later one when
//! its turn comes and its deadline has moved. Deadlines are late by at most two
//! ticks and never early.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::system::{self, CancelHandle, Canceller, Instant, unix_now_ms};

/// How often a worker looks at its deadlines, and how coarse its clock is.
pub(crate) const TICK_MS: u64 = 25;

/// Slots of the wheel: 51 s ahead; what is due later is looked at on the way.
const SLOTS: usize = 2048;

/// A time no deadline reaches.
const NEVER: u64 = u64::MAX;

/// Why an operation was ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its deadline passed.
    Deadline,
    /// The client it was for is gone.
    ClientGone,
    /// The process is told to stop, and this connection was idle.
    Drain,
}

/// What happens to the socket when its deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reading ends; an answer can still be written.
    CloseReading,
    /// Both directions end.
    CloseBoth,
    /// Both directions end, and what the other side has not taken is thrown away. Closed in
    /// order it would stay with the kernel for as long as that side acknowledges probes and
    /// does not read, which can be for ever.
    Reset,
    /// The pending read gives its buffer back; the connection lives on.
    Park,
}

/// The deadline of one direction of one socket.
pub(crate) struct Watch {
    /// Negative once the socket was let go of: its number may be another socket's by then.
    fd: Cell<RawFd>,
    due_ms: Cell<u64>,
    /// When the wheel looks at this watch next; entries for other times are stale.
    queued_ms: Cell<u64>,
    action: Cell<Action>,
    idle: Cell<bool>,
    cut: Cell<Option<Cut>>,
    canceller: RefCell<Option<Canceller>>,
    deadlines: Rc<Deadlines>,
}

impl Watch {
    /// A watch over a socket, not armed.
    pub(crate) fn new(fd: RawFd, deadlines: &Rc<Deadlines>) -> Rc<Self> {
        Rc::new(Self {
            fd: Cell::new(fd),
            due_ms: Cell::new(NEVER),
            queued_ms: Cell::new(NEVER),
            action: Cell::new(Action::CloseBoth),
            idle: Cell::new(false),
            cut: Cell::new(None),
            canceller: RefCell::new(None),
            deadlines: Rc::clone(deadlines),
        })
    }

    /// Sets the deadline, in place of any other.
    pub(crate) fn arm(self: &Rc<Self>, after: Duration, action: Action) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(NEVER / 2);
        // One tick on top: the clock may be a tick behind.
        let due_ms = self
            .deadlines
            .now_ms
            .get()
            .saturating_add(after_ms)
            .saturating_add(TICK_MS);
        self.due_ms.set(due_ms);
        self.action.set(action);
        if due_ms < self.queued_ms.get() {
            self.deadlines.queue(self, due_ms);
        }
    }

    /// Marks whether the connection waits for a request, so that a drain may end it.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Takes the deadline away.
    pub(crate) fn disarm(&self) {
        self.due_ms.set(NEVER);
    }

    /// The socket is let go of: whoever still holds this watch can do nothing to it.
    pub(crate) fn release(&self) {
        self.disarm();
        self.idle.set(false);
        self.fd.set(-1);
    }

    /// Why the socket was shut down from our side, if it was.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.cut.get()
    }

    /// Ends the socket for a reason; pending operations complete at once.
    pub(crate) fn end(&self, cut: Cut, action: Action) {
        self.due_ms.set(NEVER);
        if self.fd.get() < 0 {
            return;
        }
        if action == Action::Park {
            let canceller = self.canceller.borrow_mut().take();
            *self.canceller.borrow_mut() = canceller.map(Canceller::cancel);
            return;
        }
        self.cut.set(Some(cut));
        let how = if action == Action::CloseReading {
            libc::SHUT_RD
        } else {
            libc::SHUT_RDWR
        };
        // The descriptor is open as long as its `Stream` lives, and that releases the watch
        // before it lets go.
        if action == Action::Reset {
            system::reset_at_close(self.fd.get());
        }
        system::shutdown(self.fd.get(), how);
    }

    /// A handle by which `Action::Park` takes a read back; made once for a connection.
    pub(crate) fn cancel_handle(&self) -> CancelHandle {
        let mut canceller = self.canceller.borrow_mut();
        system::cancel_handle(canceller.get_or_insert_with(Canceller::new))
    }
}

/// The deadlines and the coarse clocks of one worker.
pub(crate) struct Deadlines {
    started: Instant,
    now_ms: Cell<u64>,
    unix_ms: Cell<i64>,
    /// The last slot that was looked at.
    turned: Cell<u64>,
    slots: RefCell<Vec<Vec<Entry>>>,
    /// Taken out of a slot while it is looked at; kept for its capacity.
    turn: RefCell<Vec<Entry>>,
}

struct Entry {
    queued_ms: u64,
    watch: Rc<Watch>,
}

impl Deadlines {
    /// A wheel that starts now.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            started: Instant::now(),
            now_ms: Cell::new(0),
            unix_ms: Cell::new(unix_now_ms()),
            turned: Cell::new(0),
            slots: RefCell::new((0..SLOTS).map(|_| Vec::new()).collect()),
            turn: RefCell::new(Vec::new()),
        })
    }

    /// Milliseconds since this worker started, as of the last tick.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Milliseconds since 1970, as of the last tick.
    pub(crate) fn unix_ms(&self) -> i64 {
        self.unix_ms.get()
    }

    /// Moves the clocks on and ends what is due.
    pub(crate) fn tick(&self) {
        self.unix_ms.set(unix_now_ms());
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER / 2);
        self.advance(now_ms);
    }

    fn advance(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        let target = now_ms / TICK_MS;
        let missed = (target - self.turned.get()).min(SLOTS as u64);
        for step in (0..missed).rev() {
            self.look_at(slot_of(target - step), now_ms);
        }
        self.turned.set(target);
    }

    fn look_at(&self, slot: usize, now_ms: u64) {
        let mut turn = self.turn.take();
        std::mem::swap(&mut turn, &mut self.slots.borrow_mut()[slot]);
        for Entry { queued_ms, watch } in turn.drain(..) {
            if watch.queued_ms.get() != queued_ms {
                continue;
            }
            watch.queued_ms.set(NEVER);
            let due_ms = watch.due_ms.get();
            if due_ms <= now_ms {
                let action = watch.action.get();
                watch.end(Cut::Deadline, action);
            } else if due_ms != NEVER {
                self.queue(&watch, due_ms);
            }
        }
        *self.turn.borrow_mut() = turn;
    }

    /// Puts a watch where it will be looked at when due, or at the wheel's far end.
    fn queue(&self, watch: &Rc<Watch>, due_ms: u64) {
        let far_ms = self.now_ms.get() + TICK_MS * (SLOTS as u64 - 2);
        // Rounded up, and never the slot that is being looked at.
        let tick = due_ms
            .min(far_ms)
            .div_ceil(TICK_MS)
            .max(self.now_ms.get() / TICK_MS + 1);
        let queued_ms = tick * TICK_MS;
        watch.queued_ms.set(queued_ms);
        self.slots.borrow_mut()[slot_of(tick)].push(Entry {
            queued_ms,
            watch: Rc::clone(watch),
        });
    }

    /// Ends every connection that waits for a request, because the process stops.
    pub(crate) fn end_idle(&self) {
        self.end_armed(|watch| watch.idle.get());
    }

    /// Ends everything that anyone still waits for, because the drain limit has passed.
    pub(crate) fn end_all(&self) {
        self.end_armed(|_| true);
    }

    fn end_armed(&self, which: impl Fn(&Watch) -> bool) {
        let slots = self.slots.borrow();
        let armed = slots.iter().flatten().map(|entry| &entry.watch);
        let watches: Vec<Rc<Watch>> = armed
            .filter(|watch| watch.due_ms.get() != NEVER && which(watch))
            .cloned()
            .collect();
        drop(slots);
        for watch in watches {
            let action = match watch.action.get() {
                Action::Park => Action::CloseReading,
                action => action,
            };
            watch.end(Cut::Drain, action);
        }
    }
}

/// The slot of the wheel for a tick.
fn slot_of(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).expect("the wheel has fewer slots than a usize counts")
}

// On real sockets.
#[cfg(all(test, not(feature = "simulation")))]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn watched() -> (Rc<Deadlines>, Rc<Watch>, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let deadlines = Deadlines::new();
        let watch = Watch::new(ours.as_raw_fd(), &deadlines);
        (deadlines, watch, ours, theirs)
    }

    #[test]
    fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let (deadlines, watch, mut ours, _theirs) = watched();
        watch.arm(Duration::from_millis(500), Action::CloseBoth);
        deadlines.advance(500);
        assert_eq!(watch.cut(), None);
        deadlines.advance(500 + 2 * TICK_MS);
        assert_eq!(watch.cut(), Some(Cut::Deadline));
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0, "the read ended");
    }

    #[test]
    fn a_deadline_that_moved_fires_at_its_new_time() {
        let (deadlines, watch, _ours, _theirs) = watched();
        watch.arm(Duration::from_secs(1), Action::CloseBoth);
        deadlines.advance(900);
        watch.arm(Duration::from_secs(1), Action::CloseBoth);
        deadlines.advance(1_500);
        assert_eq!(watch.cut(), None);
        deadlines.advance(2_000);
        assert_eq!(watch.cut(), Some(Cut::Deadline));
    }

    #[test]
    fn a_shorter_deadline_overtakes_a_longer_one() {
        let (deadlines, watch, _ours, _theirs) = watched();
        watch.arm(Duration::from_secs(75), Action::CloseBoth);
        watch.arm(Duration::from_secs(1), Action::CloseReading);
        deadlines.advance(1_100);
        assert_eq!(watch.cut(), Some(Cut::Deadline));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_kept() {
        let (deadlines, watch, _ours, _theirs) = watched();
        watch.arm(Duration::from_secs(600), Action::CloseBoth);
        for second in 1..600 {
            deadlines.advance(second * 1_000);
            assert_eq!(watch.cut(), None, "after {second} s");
        }
        deadlines.advance(600_100);
        assert_eq!(watch.cut(), Some(Cut::Deadline));
    }

    #[test]
    fn a_clock_that_was_held_up_for_minutes_misses_nothing() {
        let (deadlines, watch, _ours, _theirs) = watched();
        watch.arm(Duration::from_secs(10), Action::CloseBoth);
        deadlines.advance(300_000);
        assert_eq!(watch.cut(), Some(Cut::Deadline));
    }

    #[test]
    fn a_disarmed_watch_does_nothing() {
        let (deadlines, watch, _ours, _theirs) = watched();
        watch.arm(Duration::from_secs(1), Action::CloseBoth);
        watch.disarm();
        deadlines.advance(5_000);
        assert_eq!(watch.cut(), None);
    }

    #[test]
    fn arming_again_and_again_does_not_fill_the_wheel() {
        let (deadlines, watch, _ours, _theirs) = watched();
        for round in 0..1_000_u64 {
            deadlines.advance(round * TICK_MS);
            watch.arm(Duration::from_secs(75), Action::CloseBoth);
            watch.arm(Duration::from_secs(10), Action::CloseReading);
        }
        let entries: usize = deadlines.slots.borrow().iter().map(Vec::len).sum();
        assert!(entries <= 8, "{entries} entries for one watch");
    }

    #[test]
    fn a_watch_that_was_released_does_nothing_to_whoever_has_the_number_now() {
        let (_deadlines, watch, ours, mut theirs) = watched();
        watch.release();
        watch.end(Cut::ClientGone, Action::CloseBoth);
        assert_eq!(watch.cut(), None);
        (&ours).write_all(b"x").unwrap();
        theirs.read_exact(&mut [0; 1]).unwrap();
    }

    #[test]
    fn a_drain_ends_only_idle_connections() {
        let (deadlines, idle, _a, _b) = watched();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let busy = Watch::new(ours.as_raw_fd(), &deadlines);
        idle.arm(Duration::from_secs(75), Action::CloseReading);
        idle.set_idle(true);
        busy.arm(Duration::from_secs(75), Action::CloseReading);
        deadlines.end_idle();
        assert_eq!(idle.cut(), Some(Cut::Drain));
        assert_eq!(busy.cut(), None);
    }
}
