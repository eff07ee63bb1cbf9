//! The live counters of one bucket: exact on many cores, quick on each.
//!
//! ```text
//!   limit = posted + held + free
//!
//!   shared [ free | posted ] --refill--> slot 0 [ free | posted ] --take--> a hold
//!              ^                         slot 1 [ free | posted ] <--give-- what is left of it
//!              +---------sweep---------- slot 2 [ free | posted ] <--post-- what it cost
//! ```
//!
//! A cold bucket is the shared counter alone. A hot one has a slot per worker, and
//! a worker touches only its own. Units move between places under one lock, because
//! units in somebody's hand lie nowhere that a sweep could see, and a refusal would
//! be wrong. So: what is free is in exactly one place, nobody takes what is not
//! there, and nobody is refused before every place was asked.
//!
//! What is held is not counted anywhere: it is what is neither posted nor free.
//! This file does not know whose bucket it is, nor what kind of no it gives.

mod moves;
mod rolling;

use crossbeam_utils::CachePadded;
use tollring_config::{BucketSpec, Calendar, Window};

use crate::amounts::{UnixMillis, WorkerSlot};
use crate::denial::Reading;
use crate::heat::Heat;
use crate::sync::{AtomicBool, AtomicI64, AtomicU32, Mutex, OnceLock, Ordering, write_then_read};
use crate::tally::{AMOUNT_MAX, Miss, Slot, Turn};
use crate::window::{self, EpochEnd};

use self::moves::Moves;
use self::rolling::Spent;

/// Which worker touches a bucket, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) slot: WorkerSlot,
    pub(crate) now: UnixMillis,
}

/// The epoch that admitted a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) turn: Turn,
    pub(crate) end: EpochEnd,
}

/// Why units could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// There are not that many, in any place.
    Short(Reading),
    /// The epoch was left so long ago that it is no longer counted.
    Bygone,
}

/// The live counters of one bucket.
///
/// What every request reads comes first, next to the counter that a cold bucket
/// writes: cold means that no other core wants it. Aligned so that a busy bucket does
/// not slow down its neighbour.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Counters {
    turn: AtomicU32,
    /// The first millisecond that is no longer in the epoch, by lane; of a rolling window, at
    /// which something comes back.
    ends_ms: [AtomicI64; 2],
    /// Whether `shared` owes units: then nothing may be given back to a slot.
    indebted: AtomicBool,
    shared: Slot,
    slots: OnceLock<Box<[CachePadded<Slot>]>>,
    workers: u16,
    window: Window,
    calendar: Calendar,
    heat: Heat,
    moves: Mutex<Moves>,
}

impl Counters {
    /// A cold bucket of which `posted` says how much was spent in an epoch that ends then.
    pub(crate) fn new(
        spec: &BucketSpec,
        workers: u16,
        now: UnixMillis,
        posted: impl Fn(EpochEnd) -> i64,
    ) -> Self {
        let limit = spec.limit.clamp(0, AMOUNT_MAX);
        let turn = Turn::FIRST;
        let (spent, rolling) = Spent::new(spec.window, now, &posted);
        let (ends_ms, posted) = match spec.window {
            Window::Rolling { .. } => (spent.next_ms(), rolling),
            window => {
                let ends_ms = window::ends_ms(window, &spec.calendar, now);
                (ends_ms, posted(EpochEnd::from_ms(ends_ms)))
            }
        };
        let posted = posted.clamp(0, AMOUNT_MAX);
        Self {
            turn: AtomicU32::new(turn.0),
            ends_ms: [(); 2].map(|()| AtomicI64::new(ends_ms)),
            indebted: AtomicBool::new(false),
            shared: Slot::new(turn, limit - posted, posted),
            slots: OnceLock::new(),
            workers,
            window: spec.window,
            calendar: spec.calendar.clone(),
            heat: Heat::default(),
            moves: Mutex::new(Moves::new(turn, (limit, ends_ms), spent)),
        }
    }

    /// Takes `want` units of the epoch that `now` lies in and names it.
    ///
    /// A clock that stepped back is in the epoch already begun: none is opened twice.
    #[inline]
    pub(crate) fn enter(&self, want: i64, at: At) -> Result<Admitted, Reading> {
        loop {
            let turn = self.turn_at(at.now);
            match self.take(turn, want, at) {
                Ok(()) => {
                    if let Some(end) = self.end_of(turn, at.now) {
                        return Ok(Admitted { turn, end });
                    }
                    // What was taken went with the epoch.
                }
                Err(Lack::Short(reading)) => return Err(reading),
                // Two epochs began since `turn` was read. They only move forward, so the
                // next answer is final unless this thread sleeps through two more.
                Err(Lack::Bygone) => {}
            }
        }
    }

    /// Takes `want` units of the epoch `turn`, all or none.
    #[inline]
    pub(crate) fn take(&self, turn: Turn, want: i64, at: At) -> Result<(), Lack> {
        if want == 0 {
            return Ok(());
        }
        let own = self.slot(at.slot);
        match own.unwrap_or(&self.shared).free(turn).take(turn, want) {
            Ok(done) => {
                if done.collided && own.is_none() {
                    self.collided(at.now);
                }
                Ok(())
            }
            Err(Miss::Short | Miss::Gone) => self.take_moving(turn, want, at),
        }
    }

    /// Takes `want` units more for a request that the epoch `turn` admitted a while ago.
    pub(crate) fn take_again(&self, turn: Turn, want: i64, at: At) -> Result<(), Lack> {
        if self.is_bygone(turn) {
            return Err(Lack::Bygone);
        }
        self.take(turn, want, at)
    }

    /// Settles a hold of `held` units of the epoch that admitted it at `cost`; `false` if that
    /// epoch is no longer counted, in which case there is nothing left to settle.
    #[inline]
    pub(crate) fn settle(&self, admitted: Admitted, held: i64, cost: i64, at: At) -> bool {
        if self.rolls() {
            return self.settle_rolling(admitted, (held, cost), at);
        }
        let turn = admitted.turn;
        if self.is_bygone(turn) {
            return false;
        }
        let own = self.slot(at.slot);
        if cost > 0 {
            // Posted before the rest is given back: in between, the rest reads as held.
            match own.unwrap_or(&self.shared).posted(turn).add(turn, cost) {
                Ok(done) if done.collided && own.is_none() => self.collided(at.now),
                Ok(_) => {}
                Err(Miss::Short | Miss::Gone) => return false,
            }
        }
        match held - cost {
            0 => true,
            rest if rest > 0 => self.give(turn, rest, own),
            excess => self.charge(turn, -excess, own),
        }
    }

    /// Whether each worker has a slot.
    pub(crate) fn is_hot(&self) -> bool {
        self.slots.get().is_some()
    }

    /// Whether its epochs are those of `spec`.
    pub(crate) fn fits(&self, spec: &BucketSpec) -> bool {
        self.window == spec.window && self.calendar == spec.calendar
    }

    /// The turn for a request at `now`.
    ///
    /// The roller writes an end before the turn that it belongs to, so whoever reads a turn
    /// reads its end, or that of the turn after the next, whose lane it is by then: such a
    /// one finds the tag of its own turn gone.
    #[inline]
    fn turn_at(&self, now: UnixMillis) -> Turn {
        let turn = Turn(self.turn.load(Ordering::Acquire));
        if now.0 < self.ends_ms[turn.lane()].load(Ordering::Acquire) {
            return turn;
        }
        self.lock_at(now).turn()
    }

    /// Whether `turn` was left two turns ago or more, and its lane is another's.
    ///
    /// A request may last for many epochs, and a tag comes back after 32: it tells apart what
    /// happens at the same time, this what lies long ago.
    #[inline]
    fn is_bygone(&self, turn: Turn) -> bool {
        let now = Turn(self.turn.load(Ordering::Acquire));
        now != turn && now.previous() != turn
    }

    /// When the epoch of `turn` ends, or when what is spent now comes back; `None` if it is no
    /// longer counted.
    ///
    /// The roller opens a lane's tallies before it writes the lane's new end, so a tag that
    /// is still there after the end was read says whose end it was.
    #[inline]
    fn end_of(&self, turn: Turn, now: UnixMillis) -> Option<EpochEnd> {
        if let Window::Rolling { span_s } = self.window {
            return Some(window::comes_back(span_s, now));
        }
        let ends_ms = self.ends_ms[turn.lane()].load(Ordering::Acquire);
        self.shared.posted(turn).read(turn)?;
        Some(EpochEnd::from_ms(ends_ms))
    }

    #[inline]
    fn slot(&self, slot: WorkerSlot) -> Option<&Slot> {
        let slots = self.slots.get()?;
        slots.get(usize::from(slot.0)).map(|padded| &**padded)
    }

    /// Gives `rest` units back to where they can be taken again.
    fn give(&self, turn: Turn, rest: i64, own: Option<&Slot>) -> bool {
        let own = own.filter(|_| !self.indebted.load(Ordering::SeqCst));
        let free = own.unwrap_or(&self.shared).free(turn);
        if free.add(turn, rest).is_err() {
            return false;
        }
        // A debt may have been run up, and the slots swept for it, between the look
        // above and the giving. Then these units must not be taken from the slot
        // while the bucket as a whole has none: either that sweep saw them, or this
        // second look sees the debt.
        write_then_read();
        if own.is_some() && self.indebted.load(Ordering::SeqCst) {
            self.square_up();
        }
        true
    }

    /// Spends `excess` units beyond what was held, whether they are there or not.
    fn charge(&self, turn: Turn, excess: i64, own: Option<&Slot>) -> bool {
        let Some(own) = own else {
            let done = self.shared.free(turn).add(turn, -excess);
            // The bucket may have grown slots since the caller looked for its own.
            if done.is_ok_and(|done| done.left < 0) && self.is_hot() {
                self.square_up();
            }
            return done.is_ok();
        };
        match own.free(turn).take(turn, excess) {
            Ok(_) => true,
            Err(Miss::Gone) => false,
            Err(Miss::Short) => self.charge_all(turn, excess),
        }
    }

    #[cold]
    fn collided(&self, now: UnixMillis) {
        if self.heat.rises(now) {
            self.heat(now);
        }
    }
}
