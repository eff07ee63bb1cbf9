//! What was spent of a rolling window, by when it comes back.
//!
//! Such a bucket has one epoch for ever. A request that settles notes its cost under the instant
//! at which it comes back, which follows from when the request was admitted; when that instant
//! has passed, the cost is free again. So the sums of what is to come back are all that has to
//! be known after a restart. Settling takes the bucket's lock, holding does not.

use tollring_config::{UnixSeconds, Window};

use super::moves::Moves;
use super::{Admitted, At, Counters};
use crate::amounts::UnixMillis;
use crate::sync::Ordering;
use crate::window::{EpochEnd, NEVER_MS, ROLLING_STEPS, comings_back};

/// Sums of one bucket: one for each step of the span, the one that is going on, and one for a
/// clock that was put back.
const SUMS_MAX: usize = ROLLING_STEPS as usize + 2;

/// Sums by when they come back, the earliest first; never more than [`SUMS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Spent(Vec<Sum>);

#[derive(Clone, Copy, Debug)]
struct Sum {
    back: EpochEnd,
    amount: i64,
}

impl Spent {
    /// The sums of a bucket of `window`, of which `posted` says what is to come back when; and
    /// all of them together. Nothing for a window that does not roll.
    pub(super) fn new(
        window: Window,
        now: UnixMillis,
        posted: impl Fn(EpochEnd) -> i64,
    ) -> (Self, i64) {
        let Window::Rolling { span_s } = window else {
            return (Self::default(), 0);
        };
        // All the room there will ever be, so that no request has to wait for more.
        let mut spent = Self(Vec::with_capacity(SUMS_MAX));
        let mut whole = 0;
        for back in comings_back(span_s, now) {
            let amount = posted(back);
            if amount != 0 && !is_back(back, now) {
                spent.add(back, amount);
                whole += amount;
            }
        }
        (spent, whole)
    }

    /// Notes that so much more comes back then; where there is no room for another instant, at
    /// the next one that is known: later, never earlier.
    fn add(&mut self, back: EpochEnd, amount: i64) {
        let place = self.0.partition_point(|sum| sum.back < back);
        let full = self.0.len() == SUMS_MAX;
        match self.0.get_mut(place) {
            Some(sum) if full || sum.back == back => sum.amount += amount,
            None if full => {
                let last = &mut self.0[SUMS_MAX - 1];
                (last.back, last.amount) = (back, last.amount + amount);
            }
            _ => self.0.insert(place, Sum { back, amount }),
        }
    }

    /// Takes out what has come back.
    fn take_back(&mut self, now: UnixMillis) -> i64 {
        let due = self.0.partition_point(|sum| is_back(sum.back, now));
        self.0.drain(..due).map(|sum| sum.amount).sum()
    }

    /// When the next of it comes back.
    pub(super) fn next_ms(&self) -> i64 {
        self.0.first().map_or(NEVER_MS, |sum| back_ms(sum.back))
    }

    /// When so much has come back that `want` units are free, of which `free` are; when all has
    /// if that is not enough, and the first of it if enough are free already.
    pub(super) fn enough_at(&self, free: i64, want: i64) -> Option<UnixSeconds> {
        let mut free = free;
        let enough = self.0.iter().find(|sum| {
            free = free.saturating_add(sum.amount);
            free >= want
        });
        let sum = enough.or_else(|| self.0.last())?;
        Some(UnixSeconds(i64::from(sum.back.0)))
    }
}

fn back_ms(back: EpochEnd) -> i64 {
    match back {
        EpochEnd::NEVER => NEVER_MS,
        EpochEnd(back_s) => i64::from(back_s) * 1_000,
    }
}

fn is_back(back: EpochEnd, now: UnixMillis) -> bool {
    back_ms(back) <= now.0
}

impl Counters {
    /// Whether it is of a rolling window.
    #[inline]
    pub(super) const fn rolls(&self) -> bool {
        matches!(self.window, Window::Rolling { .. })
    }

    /// [`Counters::settle`] for a rolling window; `false` if the request lasted for longer than
    /// that, in which case what it cost has come back already.
    pub(super) fn settle_rolling(
        &self,
        admitted: Admitted,
        (held, cost): (i64, i64),
        at: At,
    ) -> bool {
        // Noted before the rest is given back: in between, the rest reads as held.
        let counted = cost == 0 || self.note(admitted.end, cost, at.now);
        let spent = if counted { cost } else { 0 };
        let own = self.slot(at.slot);
        counted
            & match held - spent {
                0 => true,
                rest if rest > 0 => self.give(admitted.turn, rest, own),
                excess => self.charge(admitted.turn, -excess, own),
            }
    }

    fn note(&self, back: EpochEnd, cost: i64, now: UnixMillis) -> bool {
        let mut moves = self.lock_at(now);
        if is_back(back, now) {
            return false;
        }
        self.spend(&mut moves, back, cost);
        true
    }

    /// Counts what was spent elsewhere and comes back then, unless it has.
    pub(super) fn charge_rolling(&self, back: EpochEnd, amount: i64, now: UnixMillis) {
        let mut moves = self.lock_at(now);
        if !is_back(back, now) {
            self.spend(&mut moves, back, amount);
            self.put(moves.turn(), -amount);
            self.square(&moves);
        }
    }

    fn spend(&self, moves: &mut Moves, back: EpochEnd, amount: i64) {
        let turn = moves.turn();
        moves.spent.add(back, amount);
        // The one epoch there is cannot be gone.
        let _ = self.shared.posted(turn).add(turn, amount);
        self.ends_ms[turn.lane()].store(moves.spent.next_ms(), Ordering::Release);
    }

    /// Gives back what has come back by `now`.
    pub(super) fn roll_on(&self, moves: &mut Moves, now: UnixMillis) {
        let amount = moves.spent.take_back(now);
        if amount == 0 {
            return;
        }
        let turn = moves.turn();
        let _ = self.shared.posted(turn).add(turn, -amount);
        self.put(turn, amount);
        self.square(moves);
        self.ends_ms[turn.lane()].store(moves.spent.next_ms(), Ordering::Release);
    }
}
