//! Requests of one worker that wait for a place, in the order they came.
//!
//! A request waits as a task that sleeps; whoever frees a place wakes the first of them. One
//! whose time is over, or whose client has left, is taken out at the worker's next tick. What
//! a place is, and how many there are, [`super::places`] knows.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::places::Places;
use crate::net::{ClientWatch, Presence};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// With a place, which must be given back.
    Granted,
    /// Its time was over.
    TooLong,
    /// The client left.
    ClientGone,
    /// The process stops.
    Stopped,
}

/// One request that waits.
struct Waiter {
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

/// Those of one worker who wait for places of one provider or service.
struct Line {
    places: Arc<Places>,
    limit: u32,
    waiters: VecDeque<Rc<Waiter>>,
}

impl Line {
    /// Gives out what was granted and what is free; says whether there was anything.
    fn serve(&mut self, worker: usize) -> bool {
        let mut granted = self.places.granted(worker);
        let mut given = granted > 0;
        while let Some(waiter) = self.waiters.front() {
            if granted == 0 && !self.places.take(self.limit) {
                break;
            }
            granted = granted.saturating_sub(1);
            self.places.leave(worker);
            waiter.end(Waited::Granted);
            self.waiters.pop_front();
            given = true;
        }
        // Whoever these were for has left; another worker learns of them by its next tick.
        for _ in 0..granted {
            self.places.release(self.limit);
        }
        given
    }
}

/// Everyone of one worker who waits.
pub(crate) struct Queues {
    worker: usize,
    lines: RefCell<Vec<Line>>,
}

impl Queues {
    /// Nobody waits.
    pub(crate) fn new(worker: usize) -> Self {
        Self {
            worker,
            lines: RefCell::default(),
        }
    }

    /// Joins the end of the queue; `None` when it is as long as may be.
    pub(crate) fn join(
        self: &Rc<Self>,
        places: &Arc<Places>,
        (limit, length): (u32, u32),
        presence: &Rc<ClientWatch>,
        due_ms: u64,
    ) -> Option<Wait> {
        if !places.join(self.worker, length) {
            return None;
        }
        let waiter = Rc::new(Waiter {
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
                limit,
                waiters: VecDeque::new(),
            });
            lines.len() - 1
        });
        // A reload may have moved the bound.
        lines[line].limit = limit;
        lines[line].waiters.push_back(Rc::clone(&waiter));
        drop(lines);
        let queues = Rc::clone(self);
        let places = Arc::clone(places);
        let wait = Wait {
            queues,
            places,
            limit,
            waiter,
        };
        // A place may have been freed between the look that found none and this.
        wait.queues.serve();
        Some(wait)
    }

    /// Gives out what was granted, and what is free.
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
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return;
        }
        for line in lines.iter_mut() {
            line.waiters.retain(|waiter| {
                // Those that ended by themselves have left the count already.
                let ended = waiter.ended.get().is_some();
                let how = if ended { None } else { over(waiter) };
                if let Some(how) = how {
                    line.places.leave(self.worker);
                    waiter.end(how);
                }
                !ended && how.is_none()
            });
            // Until nothing was given: a line must not be let go of with a grant unseen.
            while line.serve(self.worker) {}
        }
        lines.retain(|line| !line.waiters.is_empty());
    }
}

/// One request's wait.
pub(crate) struct Wait {
    queues: Rc<Queues>,
    places: Arc<Places>,
    limit: u32,
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
        match self.waiter.ended.replace(Some(Waited::Stopped)) {
            None => self.places.leave(self.queues.worker),
            Some(Waited::Granted) => {
                self.places.release(self.limit);
            }
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
            queues: Rc::new(Queues::new(0)),
            places,
            client: ClientWatch::new(-1, None),
        }
    }

    impl Scene {
        fn join(&self, due_ms: u64) -> Option<Wait> {
            self.queues.join(&self.places, (1, 2), &self.client, due_ms)
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
        scene.places.release(1);
        scene.queues.serve();
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
        scene.places.release(1);
        scene.queues.serve();
        assert_eq!(look(&mut second), Some(Waited::Granted));
    }

    #[test]
    fn a_place_granted_to_nobody_is_passed_on() {
        let scene = scene();
        let first = scene.join(1_000).expect("there is room");
        let mut second = scene.join(1_000).expect("there is room");
        scene.places.release(1);
        scene.queues.serve();
        // Granted, and dropped before it knew.
        drop(first);
        scene.queues.serve();
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
