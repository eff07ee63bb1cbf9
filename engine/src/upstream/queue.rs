//! Requests of one worker that wait for a place.
//!
//! A request waits as a task that sleeps, and is woken when its turn comes. One whose time is
//! over, or whose client has left, is taken out at the worker's next tick. What a place is, and
//! how many there are, [`super::places`] knows; whose turn it is, [`super::fair`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::failure::Cause;
use super::fair::{Waits, Whose};
use super::places::{Places, Turn, Word};
use crate::net::{ClientWatch, Presence, Watch};
use crate::worker::Worker;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// With a place, which must be given back.
    Granted,
    /// Somebody of a tenant with fewer in the queue stands there now.
    GaveWay,
    /// Its time was over.
    TooLong,
    /// The client left.
    ClientGone,
    /// The process stops.
    Stopped,
}

/// A request that may have to wait.
pub(crate) struct Patient<'a> {
    pub(crate) whose: Whose,
    /// Its client, who may leave.
    pub(crate) presence: &'a Rc<ClientWatch>,
    /// What a client that half-closed may be sent, to see whether it is there.
    pub(crate) probe: Option<&'static [u8]>,
}

/// Joins the queue for a place, and waits in it for as long as `wait`; sees when the client
/// leaves meanwhile. The place must be given back by [`Queues::release`].
///
/// # Errors
/// Why there is none.
pub(crate) fn stand_in_line<'a>(
    worker: &'a Worker,
    places: &Arc<Places>,
    bounds: (u32, u32),
    patient: &'a Patient<'_>,
    wait: Duration,
) -> impl Future<Output = Result<(), Cause>> + use<'a> {
    let now_ms = worker.deadlines.now_ms();
    let due_ms = now_ms + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
    let who = (patient.whose, patient.presence);
    let joined = worker.queues.join(places, bounds, who, due_ms);
    let Patient {
        presence, probe, ..
    } = *patient;
    async move {
        let waiting = joined.ok_or(Cause::Full)?;
        // Nothing is open towards an upstream yet; the watch is only there to be told.
        let nothing = Watch::new(-1, &worker.deadlines);
        worker.hangups.watch(presence, &nothing, probe, now_ms);
        let waited = waiting.await;
        presence.stop();
        match waited {
            Waited::Granted => Ok(()),
            Waited::TooLong | Waited::GaveWay => Err(Cause::Full),
            Waited::ClientGone => Err(Cause::ClientGone),
            Waited::Stopped => Err(Cause::Stopped),
        }
    }
}

/// One request that waits.
struct Waiter {
    whose: Whose,
    ended: Cell<Option<Waited>>,
    waker: RefCell<Option<Waker>>,
    presence: Rc<ClientWatch>,
    due_ms: u64,
}

impl Waiter {
    fn end(&self, how: Waited) {
        self.ended.set(Some(how));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Those of one worker who wait for places of one provider or service, by their tickets.
struct Line {
    places: Arc<Places>,
    waiters: BTreeMap<u64, Rc<Waiter>>,
}

impl Line {
    /// Tells those who wait what there is to tell.
    fn pass_on(&mut self, worker: usize, words: &mut Vec<Word>) {
        self.places.hear(worker, words);
        for Word { ticket, turn } in words.drain(..) {
            if let Some(waiter) = self.waiters.remove(&ticket) {
                waiter.end(match turn {
                    Turn::Granted => Waited::Granted,
                    Turn::GaveWay => Waited::GaveWay,
                });
            }
        }
    }
}

/// Calls the attention of another worker.
type Ring = Box<dyn Fn(usize)>;

/// Everyone of one worker who waits.
pub(crate) struct Queues {
    worker: usize,
    ring: Ring,
    lines: RefCell<Vec<Line>>,
    /// Kept for its capacity.
    words: RefCell<Vec<Word>>,
}

impl Queues {
    /// Nobody waits. `ring` calls the attention of another worker to what it was told.
    pub(crate) fn new(worker: usize, ring: impl Fn(usize) + 'static) -> Self {
        Self {
            worker,
            ring: Box::new(ring),
            lines: RefCell::default(),
            words: RefCell::default(),
        }
    }

    /// Joins the queue; `None` when it is as long as may be.
    pub(crate) fn join(
        self: &Rc<Self>,
        places: &Arc<Places>,
        (limit, length): (u32, u32),
        (whose, presence): (Whose, &Rc<ClientWatch>),
        due_ms: u64,
    ) -> Option<Wait> {
        let worker = self.worker;
        let joined = places.join(whose, Waits { worker, limit }, length)?;
        let waiter = Rc::new(Waiter {
            whose,
            ended: Cell::new(None),
            waker: RefCell::default(),
            presence: Rc::clone(presence),
            due_ms,
        });
        let mut lines = self.lines.borrow_mut();
        let known = lines
            .iter()
            .position(|line| Arc::ptr_eq(&line.places, places));
        let line = known.unwrap_or_else(|| {
            lines.push(Line {
                places: Arc::clone(places),
                waiters: BTreeMap::new(),
            });
            lines.len() - 1
        });
        let waiters = &mut lines[line].waiters;
        waiters.insert(joined.ticket, Rc::clone(&waiter));
        drop(lines);
        if let Some(other) = joined.instead.filter(|other| *other != worker) {
            (self.ring)(other);
        }
        // A place may have been freed between the look that found none and this.
        self.serve();
        Some(Wait {
            queues: Rc::clone(self),
            places: Arc::clone(places),
            ticket: joined.ticket,
            waiter,
        })
    }

    /// Gives a place back, and gives out what is free: one that was granted in the queue, to
    /// whom, or one that was taken without waiting.
    pub(crate) fn release(&self, places: &Places, granted: Option<Whose>) {
        places.release(granted);
        self.grant(places);
    }

    fn grant(&self, places: &Places) {
        let mut own = false;
        while let Some(worker) = places.grant() {
            if worker == self.worker {
                own = true;
            } else {
                (self.ring)(worker);
            }
        }
        if own {
            self.serve();
        }
    }

    /// Gives out what is free, and tells those who wait what there is to tell.
    pub(crate) fn serve(&self) {
        self.look(|_| None);
    }

    /// Takes out whoever has waited long enough, or has left, and serves the others.
    pub(crate) fn tick(&self, now_ms: u64) {
        self.look(|waiter| {
            if waiter.presence.presence() == Presence::Gone {
                Some(Waited::ClientGone)
            } else {
                (waiter.due_ms <= now_ms).then_some(Waited::TooLong)
            }
        });
    }

    /// Ends every wait, because the process stops.
    pub(crate) fn end_all(&self) {
        self.look(|_| Some(Waited::Stopped));
    }

    fn look(&self, over: impl Fn(&Waiter) -> Option<Waited>) {
        let (mut lines, mut words) = (self.lines.borrow_mut(), self.words.borrow_mut());
        for line in lines.iter_mut() {
            line.pass_on(self.worker, &mut words);
            line.waiters.retain(|ticket, waiter| {
                // Those that ended by themselves have left the queue already.
                let ended = waiter.ended.get().is_some();
                let how = if ended { None } else { over(waiter) };
                if let Some(how) = how {
                    line.places.leave(self.worker, waiter.whose, *ticket);
                    waiter.end(how);
                }
                !ended && how.is_none()
            });
            while let Some(worker) = line.places.grant() {
                if worker != self.worker {
                    (self.ring)(worker);
                }
            }
            line.pass_on(self.worker, &mut words);
        }
        lines.retain(|line| !line.waiters.is_empty());
    }
}

/// One request's wait.
pub(crate) struct Wait {
    queues: Rc<Queues>,
    places: Arc<Places>,
    ticket: u64,
    waiter: Rc<Waiter>,
}

impl Future for Wait {
    type Output = Waited;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Waited> {
        match self.waiter.ended.get() {
            Some(Waited::Granted) => {
                // The place is the caller's from here on; what is dropped gives none back.
                self.waiter.ended.set(Some(Waited::Stopped));
                Poll::Ready(Waited::Granted)
            }
            Some(how) => Poll::Ready(how),
            None => {
                *self.waiter.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait {
    /// Whoever is dropped in the middle leaves at once, and gives back what it was granted.
    fn drop(&mut self) {
        let Self { queues, places, .. } = self;
        let whose = self.waiter.whose;
        match self.waiter.ended.replace(Some(Waited::Stopped)) {
            None => {
                places.leave(queues.worker, whose, self.ticket);
                queues.grant(places);
            }
            Some(Waited::Granted) => queues.release(places, Some(whose)),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    struct Scene {
        queues: Rc<Queues>,
        places: Arc<Places>,
        client: Rc<ClientWatch>,
    }

    /// One place, taken.
    fn scene() -> Scene {
        let places = Arc::new(Places::new(2));
        assert!(places.enter(1));
        Scene {
            queues: Rc::new(Queues::new(0, |_| {})),
            places,
            client: ClientWatch::new(-1, None),
        }
    }

    impl Scene {
        fn join(&self, due_ms: u64) -> Option<Wait> {
            let who = (Whose(None), &self.client);
            self.queues.join(&self.places, (1, 2), who, due_ms)
        }
    }

    fn look(wait: &mut Wait) -> Option<Waited> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(wait).poll(&mut context) {
            Poll::Ready(how) => Some(how),
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_are_given_in_the_order_of_coming() {
        let scene = scene();
        let mut first = scene.join(1_000).expect("there is room");
        let mut second = scene.join(1_000).expect("there is room");
        assert!(scene.join(1_000).is_none(), "the queue is full");
        assert_eq!((look(&mut first), look(&mut second)), (None, None));
        scene.queues.release(&scene.places, None);
        let seen = (look(&mut first), look(&mut second));
        assert_eq!(seen, (Some(Waited::Granted), None));
        assert_eq!((scene.places.held(), scene.places.queued()), (1, 1));
    }

    #[test]
    fn whoever_waited_long_enough_is_taken_out() {
        let scene = scene();
        let mut wait = scene.join(1_000).expect("there is room");
        scene.queues.tick(999);
        assert_eq!(look(&mut wait), None);
        scene.queues.tick(1_000);
        assert_eq!(look(&mut wait), Some(Waited::TooLong));
        assert_eq!(scene.places.queued(), 0);
    }

    #[test]
    fn whoever_is_dropped_frees_its_place_in_the_queue_at_once() {
        let scene = scene();
        let first = scene.join(1_000).expect("there is room");
        let mut second = scene.join(1_000).expect("there is room");
        drop(first);
        assert_eq!(scene.places.queued(), 1);
        scene.queues.release(&scene.places, None);
        assert_eq!(look(&mut second), Some(Waited::Granted));
    }

    #[test]
    fn a_place_granted_to_nobody_is_passed_on() {
        let scene = scene();
        let first = scene.join(1_000).expect("there is room");
        let mut second = scene.join(1_000).expect("there is room");
        scene.queues.release(&scene.places, None);
        // Granted, and dropped before it knew.
        drop(first);
        assert_eq!(look(&mut second), Some(Waited::Granted));
        assert_eq!((scene.places.held(), scene.places.queued()), (1, 0));
    }

    #[test]
    fn a_stop_ends_every_wait() {
        let scene = scene();
        let mut wait = scene.join(1_000).expect("there is room");
        scene.queues.end_all();
        assert_eq!(look(&mut wait), Some(Waited::Stopped));
    }
}
