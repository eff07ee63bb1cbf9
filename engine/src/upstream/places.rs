//! How many requests are under way at one provider or service, or how many connections there
//! are to one origin, over all workers; and who is told that it may have the next.
//!
//! The count is one atomic that all workers share, so that the bound is exact; only what has a
//! bound pays for it. Who waits is known behind a lock that nobody takes while nobody waits. A
//! place that becomes free is granted to one of them, whoever's turn it is by [`super::fair`],
//! and whoever grants it rings at that one's worker. A grant is never lost: one who leaves in
//! that moment gives it on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;

use super::fair::{Line, Waits, Whose};

/// The places at one provider, service or origin.
#[derive(Debug)]
pub(crate) struct Places {
    /// Taken, those granted and not yet used included.
    held: CachePadded<AtomicU32>,
    /// Requests that wait, over all workers: as many as stand in the line.
    queued: CachePadded<AtomicU32>,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    line: Line,
    /// What each worker has not heard yet.
    told: Box<[Vec<Word>]>,
}

/// What somebody who waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) ticket: u64,
    pub(crate) turn: Turn,
}

/// How somebody's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// With a place, which must be given back.
    Granted,
    /// It made room for somebody of a tenant that has fewer waiting.
    GaveWay,
}

/// Somebody who waits from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) ticket: u64,
    /// The worker of whoever made room, whose attention must be called.
    pub(crate) instead: Option<usize>,
}

impl Places {
    /// All free, for a number of workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            held: CachePadded::default(),
            queued: CachePadded::default(),
            queue: Mutex::new(Queue {
                line: Line::default(),
                told: vec![Vec::new(); workers].into(),
            }),
        }
    }

    /// Requests that have a place.
    pub(crate) fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Requests that wait for one.
    pub(crate) fn queued(&self) -> u32 {
        // Whoever frees a place looks here afterwards, and whoever joins looks for a free place
        // afterwards. All four are in one order, so at least one of the two sees the other.
        self.queued.load(Ordering::SeqCst)
    }

    /// Takes a place if one is free and nobody waits.
    pub(crate) fn enter(&self, limit: u32) -> bool {
        self.queued() == 0 && self.take(limit)
    }

    /// Takes a place if one is free, whoever waits.
    pub(crate) fn take(&self, limit: u32) -> bool {
        let more = |held| (held < limit).then_some(held + 1);
        self.held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .is_ok()
    }

    /// Joins the queue, where `length` may wait, or somebody makes room; then
    /// [`Places::grant`] is to be asked, as a place may have become free meanwhile.
    pub(crate) fn join(&self, whose: Whose, waits: Waits, length: u32) -> Option<Joined> {
        let mut queue = self.lock();
        let mut instead = None;
        if queue.line.len() >= usize::try_from(length).unwrap_or(usize::MAX) {
            let out = queue.line.make_room(whose)?;
            queue.tell(out.waits.worker, out.ticket, Turn::GaveWay);
            instead = Some(out.waits.worker);
        }
        let ticket = queue.line.join(whose, waits);
        self.count(&queue);
        Some(Joined { ticket, instead })
    }

    /// Grants a place to whoever's turn it is, if one is free and somebody waits: to somebody of
    /// the worker that is returned, whose attention must be called.
    pub(crate) fn grant(&self) -> Option<usize> {
        if self.queued() == 0 {
            return None;
        }
        let mut queue = self.lock();
        let Waits { limit, worker } = queue.line.next()?;
        if !self.take(limit) {
            return None;
        }
        let next = queue.line.serve()?;
        queue.tell(worker, next.ticket, Turn::Granted);
        self.count(&queue);
        Some(worker)
    }

    /// Gives a place back, one that was granted to somebody or one that was just taken; then
    /// [`Places::grant`] is to be asked.
    pub(crate) fn release(&self, granted: Option<Whose>) {
        if let Some(whose) = granted {
            self.lock().line.give_back(whose);
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
    }

    /// Leaves the queue, or with what it was told and has not heard; then [`Places::grant`] is
    /// to be asked.
    pub(crate) fn leave(&self, worker: usize, whose: Whose, ticket: u64) {
        let mut queue = self.lock();
        if queue.line.leave(whose, ticket) {
            return self.count(&queue);
        }
        let told = &mut queue.told[worker];
        let word = told.iter().position(|word| word.ticket == ticket);
        let turn = word.map(|place| told.swap_remove(place).turn);
        drop(queue);
        if turn == Some(Turn::Granted) {
            self.release(Some(whose));
        }
    }

    /// Everything a worker was told and has not heard, behind what is in `words`. It is the
    /// worker's to act on from here on.
    pub(crate) fn hear(&self, worker: usize, words: &mut Vec<Word>) {
        words.append(&mut self.lock().told[worker]);
    }

    fn count(&self, queue: &Queue) {
        let queued = u32::try_from(queue.line.len()).unwrap_or(u32::MAX);
        self.queued.store(queued, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The line is whole after every statement that holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn tell(&mut self, worker: usize, ticket: u64, turn: Turn) {
        self.told[worker].push(Word { ticket, turn });
    }
}

#[cfg(test)]
mod tests {
    use tollring_config::TenantId;

    use super::*;

    const WHOSE: Whose = Whose(None);

    const fn at(worker: usize, limit: u32) -> Waits {
        Waits { worker, limit }
    }

    fn heard(places: &Places, worker: usize) -> Vec<Turn> {
        let mut words = Vec::new();
        places.hear(worker, &mut words);
        words.iter().map(|word| word.turn).collect()
    }

    #[test]
    fn there_are_as_many_places_as_the_bound_says() {
        let places = Places::new(1);
        assert!(places.enter(2) && places.enter(2));
        assert!(!places.enter(2));
        places.release(None);
        assert_eq!(places.grant(), None);
        assert!(places.enter(2));
    }

    #[test]
    fn whoever_comes_does_not_overtake_whoever_waits() {
        let places = Places::new(1);
        assert!(places.enter(1));
        assert!(places.join(WHOSE, at(0, 1), 1).is_some());
        assert_eq!(
            places.join(WHOSE, at(0, 1), 1),
            None,
            "the queue has its bound too"
        );
        places.release(None);
        assert!(!places.enter(1), "somebody waits");
        assert_eq!(places.grant(), Some(0));
        assert!(!places.enter(1), "the place is granted");
        assert_eq!(heard(&places, 0), [Turn::Granted]);
        assert_eq!((places.held(), places.queued()), (1, 0));
    }

    #[test]
    fn a_lower_bound_is_reached_before_anyone_is_let_in() {
        let places = Places::new(1);
        assert!((0..3).all(|_| places.enter(3)));
        places.join(WHOSE, at(0, 1), 1);
        let granted = [(); 3].map(|()| {
            places.release(None);
            places.grant()
        });
        assert_eq!(granted, [None, None, Some(0)]);
    }

    #[test]
    fn everybody_who_waits_has_a_bound_of_its_own() {
        let places = Places::new(1);
        assert!((0..3).all(|_| places.take(u32::MAX)));
        places.join(WHOSE, at(0, 2), 9);
        places.join(WHOSE, at(0, 9), 9);
        places.release(None);
        assert_eq!(places.grant(), None, "two are held");
        places.release(None);
        assert_eq!((places.grant(), places.grant()), (Some(0), Some(0)));
    }

    #[test]
    fn whoever_leaves_with_a_grant_it_has_not_heard_of_gives_it_on() {
        let places = Places::new(2);
        assert!(places.enter(1));
        let first = places.join(WHOSE, at(0, 1), 2).expect("there is room");
        places.join(WHOSE, at(1, 1), 2);
        places.release(None);
        assert_eq!(places.grant(), Some(0));
        places.leave(0, WHOSE, first.ticket);
        assert_eq!(heard(&places, 0), []);
        assert_eq!(places.grant(), Some(1));
        assert_eq!((places.held(), places.queued()), (1, 0));
    }

    #[test]
    fn a_newcomer_of_a_tenant_with_fewer_takes_the_stand_of_the_last_of_the_longest() {
        let (many, few) = (WHOSE, Whose(Some(TenantId(0))));
        let places = Places::new(2);
        for worker in [0, 0, 1] {
            places.join(many, at(worker, 1), 3);
        }
        let joined = places.join(few, at(0, 1), 3);
        assert_eq!(joined.and_then(|joined| joined.instead), Some(1));
        assert_eq!(heard(&places, 1), [Turn::GaveWay]);
        assert_eq!(places.queued(), 3);
        assert_eq!(places.join(many, at(0, 1), 3), None);
    }

    #[test]
    fn no_thread_ever_sees_more_held_than_there_are_and_none_is_lost() {
        let (places, limit) = (Places::new(4), 3);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let places = &places;
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let whose = Whose(Some(TenantId(round % 3)));
                        let granted = if places.enter(limit) {
                            None
                        } else {
                            let joined = places.join(whose, at(worker, limit), 100);
                            let joined = joined.expect("there is room");
                            while places.grant().is_some() {}
                            if round % 7 == 0 {
                                places.leave(worker, whose, joined.ticket);
                                while places.grant().is_some() {}
                                continue;
                            }
                            // Without a tick that would mend it: a lost grant hangs here.
                            while heard(places, worker).is_empty() {
                                std::thread::yield_now();
                            }
                            Some(whose)
                        };
                        assert!(places.held() <= limit);
                        places.release(granted);
                        while places.grant().is_some() {}
                    }
                });
            }
        });
        assert_eq!((places.held(), places.queued()), (0, 0));
    }
}
