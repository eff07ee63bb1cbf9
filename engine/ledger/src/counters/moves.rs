//! What is done to a bucket under its lock: refill, sweep, roll over, change the limit, read.
//!
//! None of it happens to a request that finds units in its place. Other threads go
//! on taking and giving meanwhile; only *moving* units between places, and turning
//! to another epoch, is for one thread at a time.

use std::sync::PoisonError;

use crossbeam_utils::CachePadded;
use tollring_config::UnixSeconds;

use super::rolling::Spent;
use super::{At, Counters, Lack};
use crate::amounts::UnixMillis;
use crate::denial::Reading;
use crate::sync::{MutexGuard, Ordering, write_then_read};
use crate::tally::{AMOUNT_MAX, Slot, Turn};
use crate::window::{self, EpochEnd, NEVER_MS};

/// Times the places are asked before a refusal, at most.
///
/// Once is enough unless units come back to a place already asked, and the sum of
/// all places then says so. After four such coincidences in a row the caller is told
/// that holds in flight are in its way, which they were.
const SWEEPS_MAX: u32 = 4;
/// A worker is given at most this part of its fair share at a time, so that the last
/// units are not spread over workers that do not need them.
const SHARE_DIVISOR: i64 = 4;
/// How long a slice should last at the rate the last one was used up: long enough
/// that the lock is rare, short enough that little is lent to a worker gone idle.
const SLICE_MS: i64 = 50;

/// What changes only under the lock.
#[derive(Debug)]
pub(super) struct Moves {
    turn: Turn,
    /// Of the epoch being counted and the one before it, by lane.
    epochs: [Epoch; 2],
    /// What was spent of a rolling window.
    pub(super) spent: Spent,
    /// What each worker was last given; empty while the bucket is cold.
    slices: Box<[Slice]>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    limit: i64,
    ends_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    units: i64,
    given_at: UnixMillis,
}

impl Moves {
    pub(super) fn new(turn: Turn, (limit, ends_ms): (i64, i64), spent: Spent) -> Self {
        Self {
            turn,
            epochs: [Epoch { limit, ends_ms }; 2],
            spent,
            slices: Box::default(),
        }
    }

    pub(super) const fn turn(&self) -> Turn {
        self.turn
    }

    /// Whether `turn` is still counted.
    fn counts(&self, turn: Turn) -> bool {
        turn == self.turn || turn == self.turn.previous()
    }
}

impl Counters {
    /// What the bucket reads in the epoch that `now` lies in.
    pub(crate) fn reading(&self, now: UnixMillis) -> Reading {
        let moves = self.lock_at(now);
        self.read(&moves, moves.turn, 0)
    }

    /// What the epoch before that reads, if there was one.
    pub(crate) fn reading_before(&self, now: UnixMillis) -> Option<Reading> {
        let moves = self.lock_at(now);
        (moves.turn != Turn::FIRST).then(|| self.read(&moves, moves.turn.previous(), 0))
    }

    /// Puts another limit in force. Raising acts at once; lowering takes nothing back
    /// that was spent or held, and may leave a debt.
    pub(crate) fn set_limit(&self, limit: i64, now: UnixMillis) {
        let limit = limit.clamp(0, AMOUNT_MAX);
        let mut moves = self.lock_at(now);
        let turn = moves.turn;
        let epoch = &mut moves.epochs[turn.lane()];
        let more = limit - epoch.limit;
        epoch.limit = limit;
        self.put(turn, more);
        self.square(&moves);
    }

    /// Counts what was spent elsewhere of the epoch that ends then, or takes some of it back; an
    /// epoch that is no longer counted stays as it is.
    pub(crate) fn charge_elsewhere(&self, end: EpochEnd, amount: i64, now: UnixMillis) {
        if self.rolls() {
            return self.charge_rolling(end, amount, now);
        }
        let moves = self.lock_at(now);
        let turns = [moves.turn, moves.turn.previous()];
        let ends = |turn: &Turn| EpochEnd::from_ms(moves.epochs[turn.lane()].ends_ms);
        if let Some(turn) = turns.into_iter().find(|turn| ends(turn) == end) {
            // Under the lock no lane turns.
            let _ = self.shared.posted(turn).add(turn, amount);
            self.put(turn, -amount);
            self.square(&moves);
        }
    }

    /// Grows a slot for each worker, if there are none yet and more than one worker.
    pub(crate) fn heat(&self, now: UnixMillis) {
        if self.workers < 2 || self.is_hot() {
            return;
        }
        let mut moves = self.lock_at(now);
        let turn = moves.turn;
        let slots = (0..self.workers)
            .map(|_| CachePadded::new(Slot::new(turn, 0, 0)))
            .collect();
        if self.slots.set(slots).is_ok() {
            let none = Slice {
                units: 0,
                given_at: now,
            };
            moves.slices = vec![none; usize::from(self.workers)].into();
            // Whoever runs up a debt on the shared counter before these two changes of it
            // is seen by `square`; whoever does so after them sees the slots (see `charge`).
            self.put(turn, 0);
            self.put(turn.previous(), 0);
            self.square(&moves);
        }
    }

    /// Takes the lock and turns to the epoch that `now` lies in, if that is a later one.
    pub(super) fn lock_at(&self, now: UnixMillis) -> MutexGuard<'_, Moves> {
        let mut moves = self.lock();
        self.roll(&mut moves, now);
        moves
    }

    /// Takes `want` units from wherever they are, or says that there are not so many.
    #[cold]
    pub(super) fn take_moving(&self, turn: Turn, want: i64, at: At) -> Result<(), Lack> {
        let mut moves = self.lock();
        if !moves.counts(turn) {
            return Err(Lack::Bygone);
        }
        let mut sweeps = 0;
        while !self.refill(&mut moves, turn, want, at) {
            self.sweep(turn);
            let reading = self.read(&moves, turn, want);
            if reading.free < want || sweeps == SWEEPS_MAX {
                return Err(Lack::Short(reading));
            }
            sweeps += 1;
        }
        // What was owed may have been paid by those who gave back.
        if self.indebted.load(Ordering::SeqCst) {
            self.square(&moves);
        }
        Ok(())
    }

    /// Spends `excess` units of the epoch `turn`, the shared counter going into debt
    /// for what no slot has; `false` if that epoch is no longer counted.
    #[cold]
    pub(super) fn charge_all(&self, turn: Turn, excess: i64) -> bool {
        let moves = self.lock();
        if !moves.counts(turn) {
            return false;
        }
        self.put(turn, -excess);
        self.square(&moves);
        true
    }

    /// Sweeps the slots if the shared counter owes units.
    #[cold]
    pub(super) fn square_up(&self) {
        let moves = self.lock();
        self.square(&moves);
    }

    fn lock(&self) -> MutexGuard<'_, Moves> {
        // Nothing under it panics, and if it did, every sum would still stand.
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the epoch that `now` lies in, unless it or a later one has begun.
    ///
    /// The lane of the epoch before the last is counted anew: who still holds of that
    /// one finds its tag gone and counts no more. The last one stays as it is, for the
    /// holds that it admitted.
    fn roll(&self, moves: &mut Moves, now: UnixMillis) {
        if self.rolls() {
            return self.roll_on(moves, now);
        }
        let ended = moves.epochs[moves.turn.lane()];
        if now.0 < ended.ends_ms || ended.ends_ms == NEVER_MS {
            return;
        }
        let turn = moves.turn.next();
        let ends_ms = window::ends_ms(self.window, &self.calendar, now);
        for slot in self.slots() {
            slot.open(turn, 0);
        }
        self.shared.open(turn, ended.limit);
        moves.turn = turn;
        moves.epochs[turn.lane()] = Epoch { ends_ms, ..ended };
        self.square(moves);
        self.ends_ms[turn.lane()].store(ends_ms, Ordering::Release);
        self.turn.store(turn.0, Ordering::Release);
    }

    /// Takes `want` units from the shared counter, and a slice more for the worker's own
    /// slot where it has one.
    fn refill(&self, moves: &mut Moves, turn: Turn, want: i64, at: At) -> bool {
        let free = self.shared.free(turn);
        let Some(own) = self.slot(at.slot) else {
            return free.take(turn, want).is_ok();
        };
        let pool = free.read(turn).unwrap_or(0);
        let units = self.slice(moves, pool, want, at);
        if units > want && free.take(turn, units).is_ok() {
            // The lane cannot have turned under the lock; were it so, these units would
            // have been of an epoch that no longer counts.
            let _ = own.free(turn).add(turn, units - want);
            return true;
        }
        free.take(turn, want).is_ok()
    }

    /// How many units to give a worker that wants `want` out of `pool`, those included:
    /// what it should use in [`SLICE_MS`], but no more than a part of its share.
    fn slice(&self, moves: &mut Moves, pool: i64, want: i64, at: At) -> i64 {
        let last = &mut moves.slices[usize::from(at.slot.0)];
        let lasted_ms = at.now.0.saturating_sub(last.given_at.0).max(1);
        let rated = last.units.max(want).saturating_mul(SLICE_MS) / lasted_ms;
        let share = pool / (SHARE_DIVISOR * i64::from(self.workers));
        *last = Slice {
            units: rated.min(share).max(want),
            given_at: at.now,
        };
        last.units
    }

    /// Collects what lies in the slots into the shared counter.
    fn sweep(&self, turn: Turn) {
        let found = self.slots().map(|slot| slot.free(turn).drain(turn)).sum();
        if found > 0 {
            self.put(turn, found);
        }
    }

    /// Settles debts: while the shared counter owes units, no slot may have any, and
    /// nobody may give any back to one.
    pub(super) fn square(&self, moves: &Moves) {
        let owes = |turn| {
            self.shared
                .free(turn)
                .read(turn)
                .is_some_and(|free| free < 0)
        };
        let turns = [moves.turn, moves.turn.previous()];
        if self.is_hot() && turns.into_iter().any(owes) {
            // The flag before the sweep: see `give`, which does it the other way round.
            self.indebted.store(true, Ordering::SeqCst);
            write_then_read();
            turns
                .into_iter()
                .filter(|&turn| owes(turn))
                .for_each(|turn| {
                    self.sweep(turn);
                });
        }
        let indebted = self.is_hot() && turns.into_iter().any(owes);
        self.indebted.store(indebted, Ordering::SeqCst);
    }

    /// Adds `units`, which may be negative, to the shared counter.
    pub(super) fn put(&self, turn: Turn, units: i64) {
        let put = self.shared.free(turn).add(turn, units);
        debug_assert!(put.is_ok(), "a lane turned while its lock was held");
    }

    /// What an epoch reads, for whoever wants so many units of it.
    fn read(&self, moves: &Moves, turn: Turn, want: i64) -> Reading {
        let Epoch { limit, ends_ms } = moves.epochs[turn.lane()];
        let places = || std::iter::once(&self.shared).chain(self.slots());
        // Posted first: what settles in between then reads as held, not as free twice.
        let posted = places()
            .filter_map(|place| place.posted(turn).read(turn))
            .sum::<i64>();
        let free = places()
            .filter_map(|place| place.free(turn).read(turn))
            .sum::<i64>();
        let held = (limit - posted - free).max(0);
        let resets_at = match self.rolls() {
            true => moves.spent.enough_at(free, want),
            false => (ends_ms != NEVER_MS).then(|| UnixSeconds(ends_ms.div_euclid(1_000))),
        };
        Reading {
            limit,
            posted,
            held,
            free,
            resets_at,
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots
            .get()
            .into_iter()
            .flatten()
            .map(|padded| &**padded)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tollring_config::{BucketSpec, Calendar, LimitClass, Scope, Unit, Window};

    use super::*;
    use crate::amounts::WorkerSlot;

    fn at(ms: i64) -> At {
        At {
            slot: WorkerSlot(0),
            now: UnixMillis(ms),
        }
    }

    fn hot(limit: i64) -> Counters {
        let spec = BucketSpec {
            identity: "tenant:acme:tokens:total".into(),
            scope: Scope::Tenant,
            scope_id: "acme".into(),
            name: "tokens in total".into(),
            unit: Unit::Tokens,
            weights: None,
            window: Window::Total,
            calendar: Calendar::default(),
            limit,
            class: LimitClass::Quota,
            only: None,
        };
        let counters = Counters::new(&spec, 4, UnixMillis(0), |_| 0);
        counters.heat(UnixMillis(0));
        counters
    }

    /// Units in the first worker's slot.
    fn lent(counters: &Counters) -> i64 {
        let turn = counters.lock().turn;
        counters
            .slot(WorkerSlot(0))
            .unwrap()
            .free(turn)
            .read(turn)
            .unwrap()
    }

    #[test]
    fn a_slice_lasts_as_long_as_it_should_at_the_rate_the_last_one_went() {
        let counters = hot(1_000_000);
        counters.enter(1, at(100)).unwrap();
        assert_eq!(
            lent(&counters),
            0,
            "one unit in the first 100 ms is a low rate"
        );
        counters.enter(10, at(101)).unwrap();
        assert_eq!(lent(&counters), 490, "ten in a millisecond are 500 in 50");
        counters.enter(490, at(110)).unwrap();
        counters.enter(5, at(151)).unwrap();
        assert_eq!(
            lent(&counters),
            495,
            "500 lasted for 50 ms, so they are right"
        );
    }

    #[test]
    fn a_slice_is_no_more_than_a_quarter_of_a_workers_share() {
        let counters = hot(1_600);
        counters.enter(50, at(1)).unwrap();
        assert_eq!(lent(&counters), 1_600 / 16 - 50);
        counters.enter(1_000, at(2)).unwrap();
        assert_eq!(counters.reading(UnixMillis(2)).free, 550);
        let slack = lent(&counters);
        assert!(slack <= 50, "{slack} units lie idle");
    }

    #[test]
    fn a_debt_that_was_paid_lets_slots_have_units_again() {
        let counters = hot(1_600);
        let admitted = counters.enter(100, at(1)).unwrap();
        assert!(counters.settle(admitted, 100, 1_700, at(2)));
        assert!(counters.indebted.load(Ordering::SeqCst));
        counters.set_limit(3_400, UnixMillis(3));
        assert!(!counters.indebted.load(Ordering::SeqCst));
        let admitted = counters.enter(1_000, at(4)).unwrap();
        assert!(
            counters.settle(admitted, 0, 800, at(5)),
            "into debt again, with a hold open"
        );
        assert!(counters.indebted.load(Ordering::SeqCst));
        assert!(counters.settle(admitted, 1_000, 0, at(6)));
        counters.enter(1, at(7)).unwrap();
        assert!(!counters.indebted.load(Ordering::SeqCst));
    }
}
