//! A world of one thread: its clock, its tasks, and what is to happen when.
//!
//! Which ready task goes next, and whether an event that is due goes before it, is
//! drawn from the seed; time passes only here. Two runs of one seed are the same run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::chance::Chance;
use super::wire::Net;

/// The day on which every world begins, in milliseconds since 1970: a month's last minute, so
/// that windows turn while it lasts.
const DAWN_MS: i64 = 1_769_903_970_000;

/// Lines of a trace that are kept; what went wrong is near the end.
const TRACE_LINES_MAX: usize = 20_000;

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// A task, and how it is woken.
type Task = (Pin<Box<dyn Future<Output = ()>>>, Arc<Notice>);
type Event = Box<dyn FnOnce(&Rc<World>)>;

/// Everything there is.
pub(crate) struct World {
    now_us: Cell<u64>,
    wall_ms: Cell<i64>,
    chance: RefCell<Chance>,
    tasks: RefCell<Vec<Option<Task>>>,
    living: Cell<usize>,
    ready: Arc<Mutex<Vec<usize>>>,
    /// By time, and among equals by age.
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    events_total: Cell<u64>,
    pub(super) net: RefCell<Net>,
    trace: RefCell<Option<Vec<String>>>,
    misdeeds: RefCell<Vec<String>>,
}

/// Puts a task among the ready ones.
struct Notice {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.task);
        }
    }
}

impl World {
    /// The world of a seed, which is this thread's from now on. With `traced`, what happens in
    /// it is written down.
    pub(crate) fn begin(seed: u64, traced: bool) -> Rc<Self> {
        let mut chance = Chance::new(seed);
        let net = Net::new(&mut chance);
        let world = Rc::new(Self {
            now_us: Cell::new(0),
            wall_ms: Cell::new(DAWN_MS),
            chance: RefCell::new(chance),
            tasks: RefCell::default(),
            living: Cell::new(0),
            ready: Arc::default(),
            events: RefCell::default(),
            events_total: Cell::new(0),
            net: RefCell::new(net),
            trace: RefCell::new(traced.then(Vec::new)),
            misdeeds: RefCell::default(),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&world))));
        world
    }

    /// The world of this thread.
    pub(crate) fn current() -> Rc<Self> {
        let current = CURRENT.with(|current| current.borrow().clone());
        current.expect("a simulated socket, clock or task belongs to a simulated world")
    }

    /// Ends everything that still goes on in it.
    pub(crate) fn end(&self) {
        // Out of the lists first: whatever is dropped may want to look at them.
        let tasks = self.tasks.take();
        drop(tasks);
        let events = self.events.take();
        drop(events);
        CURRENT.with(|current| current.replace(None));
    }

    /// Microseconds since the world began.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// Milliseconds since 1970, as the clock on the wall says.
    pub(crate) fn wall_ms(&self) -> i64 {
        let since_ms = i64::try_from(self.now_us.get() / 1_000).expect("a world lasts minutes");
        self.wall_ms.get() + since_ms
    }

    /// Sets the clock on the wall forward or back; time goes on as before.
    pub(crate) fn move_wall_clock(&self, by_ms: i64) {
        self.note(|| format!("the wall clock jumps by {by_ms} ms"));
        self.wall_ms.set(self.wall_ms.get() + by_ms);
    }

    /// Draws from the seed.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let notice = Arc::new(Notice {
            task: tasks.len(),
            queued: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        Arc::clone(&notice).wake();
        tasks.push(Some((Box::pin(task), notice)));
        self.living.set(self.living.get() + 1);
    }

    /// Tasks that have not ended.
    pub(crate) fn living(&self) -> usize {
        self.living.get()
    }

    /// Lets something happen later.
    pub(crate) fn after(&self, delay_us: u64, event: impl FnOnce(&Rc<Self>) + 'static) {
        let age = self.events_total.get();
        self.events_total.set(age + 1);
        let at_us = self.now_us.get() + delay_us;
        self.events
            .borrow_mut()
            .insert((at_us, age), Box::new(event));
    }

    /// Lets the next thing happen: a ready task, or an event for which time may pass.
    pub(crate) fn step(self: &Rc<Self>) {
        let waiting = lock(&self.ready).len();
        let next_us = self.events.borrow().keys().next().map(|&(at_us, _)| at_us);
        let due = next_us.is_some_and(|at_us| at_us <= self.now_us.get());
        if waiting > 0 && !(due && self.draw(|chance| chance.one_in(2))) {
            let place = self.draw(|chance| chance.place(waiting));
            let task = lock(&self.ready).swap_remove(place);
            self.poll(task);
            // Work takes time too, so that what arrives meanwhile comes in between.
            let took_us = self.draw(|chance| chance.below(12));
            self.now_us.set(self.now_us.get() + took_us);
        } else if let Some(((at_us, _), event)) = self.pop_event() {
            self.now_us.set(self.now_us.get().max(at_us));
            event(self);
        }
    }

    fn pop_event(&self) -> Option<((u64, u64), Event)> {
        self.events.borrow_mut().pop_first()
    }

    fn poll(&self, number: usize) {
        let Some((mut task, notice)) = self.tasks.borrow_mut()[number].take() else {
            return;
        };
        notice.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&notice));
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.tasks.borrow_mut()[number] = Some((task, notice)),
            Poll::Ready(()) => {
                self.living.set(self.living.get() - 1);
                drop(task);
            }
        }
    }

    /// Writes down what happens, if anyone wants to read it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.borrow_mut().as_mut()
            && trace.len() < TRACE_LINES_MAX
        {
            let (ms, us) = (self.now_us.get() / 1_000, self.now_us.get() % 1_000);
            trace.push(format!("{ms:>7}.{us:03} ms  {}", line()));
        }
    }

    /// Notes that the gateway did what no correct program does to its descriptors.
    pub(crate) fn misdeed(&self, what: String) {
        self.note(|| what.clone());
        self.misdeeds.borrow_mut().push(what);
    }

    /// What [`World::misdeed`] noted.
    pub(crate) fn misdeeds(&self) -> Vec<String> {
        self.misdeeds.borrow().clone()
    }

    /// What was written down.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.borrow().clone().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
